"""Runs of the video recipes: resumed, shared by processes, and settings that are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensors import random
from tiny_video import TINY, VIDEO, network_of, prepare, shared_gradients, tiny
from two_processes import run_in_two

from enhance_cli.architectures import MODELS
from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.data.degradation import Degradation
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.engine.recurrent import enhance_clip
from enhance_cli.errors import CheckpointError, UsageError
from enhance_cli.training.overrides import override
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.run import NO_INIT, run_recipe
from enhance_cli.training.stages import Recipe
from enhance_cli.training.video import VideoStage


@pytest.mark.parametrize("name", VIDEO)
def test_every_recipe_trains(videos: Path, tmp_path: Path, name: str) -> None:
    settings = (*TINY, "codec=jpeg") if name == "frvsr-real" else TINY
    report = run_recipe(
        name,
        videos,
        validation=videos,
        out=tmp_path / "run",
        device="cpu",
        quiet=True,
        init=NO_INIT,
        overrides=settings,
    )
    assert report.step == 4
    info = read_checkpoint_info(tmp_path / "run" / f"{name}.safetensors")
    assert info.name == name
    assert info.training["recipe"]["architecture"] == MODELS[name].architecture
    assert info.training["data"] == "3 scenes of video"
    assert info.training["validation_psnr_y"] == pytest.approx(report.best, abs=1e-4)
    network = load_network(info)
    assert isinstance(network, VideoNetwork)
    assert enhance_clip(network.eval(), random(2, 3, 5, 6)).shape == (2, 3, 20, 24)


@pytest.mark.parametrize("kind", ["frvsr", "sisr"])
def test_the_same_run_makes_the_same_weights_however_often_it_is_stopped(
    videos: Path, video_photos: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(
        kind,
        photos=str(video_photos),
        short_share=0.5,
        l1_share=0.3,
        degradation=Degradation(
            blur=(0.5, 2.5), other_kernels=0.3, noise=0.5, compressed=0.5, codec="jpeg"
        ),
    )
    monkeypatch.setitem(RECIPES, "tiny", Recipe("tiny", "", (recipe,)))
    options: dict[str, Any] = {"validation": videos, "device": "cpu", "quiet": True}
    for name in ("one", "two"):
        run_recipe("tiny", videos, out=tmp_path / name, **options)
    for step in range(6):
        run_recipe("tiny", videos, out=tmp_path / "parts", minutes=0, resume=step > 0, **options)
    first = load_file(tmp_path / "one" / "last.safetensors")
    for other in ("two", "parts"):
        second = load_file(tmp_path / other / "last.safetensors")
        for key, value in first.items():
            assert torch.equal(value, second[key]), (other, key)


def test_a_deeper_network_starts_from_what_fits(videos: Path) -> None:
    torch.manual_seed(5)
    own = network_of("frvsr").state_dict()
    made = prepare(tiny(config={"blocks": 2}), videos, init=own).network.state_dict()
    for key, value in own.items():
        assert torch.equal(value, made[key]), key
    with pytest.raises(CheckpointError, match="--init"):
        prepare(tiny(), videos, init={"other": torch.zeros(1)})


SAVE_GRADIENTS = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from tiny_video import CPU, shared_gradients
from enhance_cli.training.processes import Processes

torch.set_num_threads(1)
processes = Processes(CPU)
gradients = shared_gradients(Path(sys.argv[1]), processes.share)
processes.average(list(gradients.values()))
if processes.rank == 0:
    save_file(gradients, sys.argv[2])
"""


def test_two_processes_train_as_one(videos: Path, tmp_path: Path) -> None:
    """The same gradients but for the order of sums."""
    run_in_two(SAVE_GRADIENTS, videos, tmp_path / "both.safetensors")
    both, one = load_file(tmp_path / "both.safetensors"), shared_gradients(videos, slice(None))
    assert both.keys() == one.keys()
    for key, value in one.items():
        assert value.abs().max() > 0, key
        assert torch.allclose(both[key], value, rtol=0, atol=float(1e-5 * value.abs().max())), key


def test_short_clips_are_no_longer_than_others() -> None:
    recipe = RECIPES["frvsr-10-128"].stages[0]
    assert override(recipe, ["frames=3"]).frames == 3  # without short clips their length is free
    with pytest.raises(UsageError, match="short_frames"):
        override(recipe, ["short_frames=11", "short_share=0.5"])
    assert override(recipe, ["short_frames=10", "short_share=0.5"]).short_frames == 10


@pytest.mark.parametrize(
    "assignment", ["scale=3", "channels=0", "blocks=-1", "limit=0", "architecture=enhancenet"]
)
def test_networks_that_cannot_be(videos: Path, assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(override(tiny(), [assignment]), videos)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assignment", ["scale=2", "architecture=sisr"])
def test_a_recipe_keeps_what_makes_its_model(videos: Path, tmp_path: Path, assignment: str) -> None:
    with pytest.raises(UsageError, match="another model"):
        run_recipe("frvsr-3-64", videos, out=tmp_path / "run", overrides=[assignment], quiet=True)
    assert not (tmp_path / "run").exists()


def test_recipes_of_the_paper() -> None:
    """Ch. 3.3.5: clips of 10 frames, patches of 256 pixels, batches of 4, a blur of 1.5."""
    assert {"frvsr", "frvsr-3-64", "frvsr-10-128", "sisr", "vsr", "frvsr-real"} == set(VIDEO)
    for name in VIDEO:
        for stage in RECIPES[name].stages:
            assert isinstance(stage, VideoStage)
            if name in ("frvsr-10-128", "vsr"):
                assert (stage.frames, stage.patch * 4, stage.batch) == (10, 256, 4)
            assert stage.flow_weight == 1.0
            if name != "frvsr-real":
                assert stage.degradation == Degradation(blur=(1.5, 1.5))
