"""Training of the very deep VAEs, unconditional and for super-resolution."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_tasks import CPU, assert_same_run, log_rows, notes, photo, run, write_photo
from torch import Tensor, nn

from enhance_cli.architectures.enhancenet import EnhanceNet, EnhanceNetConfig
from enhance_cli.architectures.vdvae import Bound, VdvaeConfig
from enhance_cli.architectures.vdvae_blocks import TopDownBlock
from enhance_cli.architectures.vdvae_sr import VdvaeSrConfig
from enhance_cli.architectures.vdvae_sr_compact import VdvaeSrCompactConfig
from enhance_cli.engine.checkpoint import write_tensors
from enhance_cli.errors import UsageError
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.stages import Stage, TrainingTask
from enhance_cli.training.start import NamedModel, read_start
from enhance_cli.training.vdvae import VdvaeStage
from enhance_cli.training.vdvae_sr import VdvaeSrStage

PLAN = Optimisation(steps=4, learning_rate=1e-3, clip=1.0, validate_every=2)
VDVAE = VdvaeConfig(
    side=16, encoder="16x1,16d4,4d4,1x1", decoder="1x1,4m1,16m4", width=8, latent=2, mixtures=2
)
COMPACT = VdvaeSrCompactConfig(
    encoder="32x1,32d2,16d2",
    lr_encoder="16d2",
    decoder="8x1,16m8,32m16",
    width=8,
    latent=2,
    base=EnhanceNetConfig(channels=6, blocks=1),
)
STAGES: dict[str, Stage] = {
    "vdvae": VdvaeStage(config=VDVAE, batch=2, optimisation=PLAN),
    "vdvae-sr": VdvaeSrStage(
        architecture="vdvae-sr",
        config=VdvaeSrConfig(vdvae=VDVAE, lr_encoder="4d4,1x1"),
        patch=4,
        batch=2,
        optimisation=PLAN,
    ),
    "compact": VdvaeSrStage(
        architecture="vdvae-sr-compact", config=COMPACT, patch=4, batch=2, optimisation=PLAN
    ),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(3):
        write_photo(tmp_path / "photos" / f"{seed}.png", photo(seed))
    return tmp_path / "photos"


def prepared(stage: Stage, photos: Path) -> Callable[[], TrainingTask]:
    return lambda: stage.prepare(photos, None, CPU)


@pytest.mark.parametrize("name", STAGES)
def test_a_resumed_run_is_that_of_one_piece(name: str, photos: Path, tmp_path: Path) -> None:
    make = prepared(STAGES[name], photos)
    run(tmp_path / "whole", make)
    run(tmp_path / "parts", make, seconds=0)
    done = run(tmp_path / "parts", make, resume=True)
    assert done.step == 4
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("name", STAGES)
def test_the_curve_has_rate_and_distortion(name: str, photos: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", prepared(STAGES[name], photos))
    rows = log_rows(tmp_path / "run")
    assert [row["step"] for row in rows] == ["2", "4"]
    for row in rows:
        parts = float(row["distortion"]) + float(row["rate"])
        assert float(row["validation"]) == pytest.approx(-parts, abs=2e-4)
        if name != "vdvae":
            assert {"psnr_y_0", "psnr_y_0.2", "psnr_y_1"} <= row.keys()
    said = notes(tmp_path / "run" / "model.safetensors")
    assert said["rate"] == float(rows[-1]["rate"]) or said["step"] == 2


def test_steps_of_large_gradients_change_nothing(photos: Path, tmp_path: Path) -> None:
    for skip, changes in ((1e-9, False), (1e9, True)):
        stage = replace(STAGES["vdvae"], optimisation=replace(PLAN, skip=skip))
        task = stage.prepare(photos, None, CPU)
        before = {key: value.clone() for key, value in task.network.state_dict().items()}
        run(tmp_path / str(skip), lambda made=task: made)
        after = task.network.state_dict()
        assert changes == any(not torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", STAGES)
def test_the_weight_of_the_rate_rises(name: str, photos: Path, monkeypatch: Any) -> None:
    bound = Bound(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 7.0]))
    for share, losses in ((0.0, [7, 7, 7]), (0.5, [5, 7, 7]), (1.0, [4, 5, 6])):
        stage = replace(STAGES[name], rate_warmup=share)  # type: ignore[call-arg]
        task = stage.prepare(photos, None, CPU)
        monkeypatch.setattr(task.network, "bound", lambda *_: bound)
        found = [
            float(task.loss(step, torch.Generator().manual_seed(step), slice(None)))
            for step in range(3)
        ]
        assert found == losses  # of four steps
    with pytest.raises(ValueError, match="rate_warmup must be from 0 to 1"):
        replace(STAGES[name], rate_warmup=1.5)  # type: ignore[call-arg]


def _posterior_widths(network: nn.Module, x: Tensor) -> list[float]:
    """The mean of the logarithms of the posterior's standard deviations, of every layer."""
    found: list[float] = []
    blocks = [block for block in network.modules() if isinstance(block, TopDownBlock)]
    for block in blocks:
        block.enc.register_forward_hook(
            lambda _, __, parameters: found.append(float(parameters.chunk(2, 1)[1].mean()))
        )
    with torch.no_grad():
        network(x)
    assert len(found) == len(blocks)
    return found


def test_a_lively_start_has_narrower_posteriors_and_spares_given_weights() -> None:
    stage = STAGES["vdvae"]
    lively = replace(stage, lively_start=True)  # type: ignore[call-arg]
    given = stage.make_network(None).state_dict()
    begun = lively.make_network(given).state_dict()
    assert all(torch.equal(begun[key], value) for key, value in given.items())

    drawn, again = lively.make_network(None), lively.make_network(None)
    for key, value in drawn.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
        anew = key.endswith(("c1.weight", "c2.weight", "c3.weight", "in_conv.weight"))
        assert torch.equal(value, given[key]) != (anew or ".enc.c4." in key), key
    x = torch.stack([photo(seed, 16, 16) for seed in range(2)])
    wide, narrow = (_posterior_widths(network, x) for network in (stage.make_network(None), drawn))
    assert max(narrow) < -0.5 < -0.2 < min(wide)


def test_reduced_precision(photos: Path, tmp_path: Path) -> None:
    for name, stage in STAGES.items():
        whole, reduced = (
            run(tmp_path / f"{name}-{dtype}", prepared(stage, photos), dtype=dtype).validation
            for dtype in (torch.float32, torch.bfloat16)
        )
        assert whole != reduced == pytest.approx(whole, rel=1e-3)


def test_a_part_of_a_model_goes_to_its_place(tmp_path: Path, monkeypatch: Any) -> None:
    """ENet-E becomes a part of the compact network, by the way that its recipe begins."""
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path))
    torch.manual_seed(5)
    taught = EnhanceNet(COMPACT.base).state_dict()
    write_tensors(tmp_path / "enet-e-x4.safetensors", taught, {})
    tensors = read_start((NamedModel("enet-e-x4", place="base."),), tmp_path, "model", 1)
    network = STAGES["compact"].make_network(tensors)
    for key, value in taught.items():
        assert torch.equal(network.state_dict()[f"base.{key}"], value)
    body = NamedModel("enet-e-x4", part="body.", place="trunk.")
    assert str(body) == "enet-e-x4, its body"
    assert set(body.rename(taught)) == {
        f"trunk.{key[5:]}" for key in taught if key.startswith("body.")
    }


def test_a_patch_that_the_network_does_not_take(photos: Path) -> None:
    for name, patch in (("vdvae-sr", 8), ("compact", 5)):
        stage = replace(STAGES[name], patch=patch)  # type: ignore[call-arg]
        with pytest.raises(UsageError, match=f"patch={patch}: the network takes"):
            stage.prepare(photos, None, CPU)
