"""Networks in integers of 8 bits, and the ranges that they need."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from enhance_cli.engine.calibration import measure_ranges, read_ranges, unite_ranges
from enhance_cli.engine.catalogue import ModelOptions
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.errors import UsageError
from enhance_cli.levels import to_planes, to_values
from enhance_cli.metrics.quality import psnr
from enhance_cli.resize import imresize
from enhance_cli.tasks import calibrate

pytest.importorskip("openvino")

PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((PROJECT / "weights").glob("*.int8.json"))


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENHANCE_BACKEND", raising=False)


@pytest.fixture
def model(tiny_weights: dict[int, Path], tmp_path: Path) -> Path:
    """A checkpoint of a very small network for x2, alone in its folder."""
    return Path(shutil.copy(tiny_weights[2], tmp_path / "tiny-x2.safetensors"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight smooth pictures of 200x200 pixels, and one that is too small."""
    folder, generator = tmp_path / "photos", torch.Generator().manual_seed(0)
    folder.mkdir()
    for name, side in [*((str(i), 20) for i in range(8)), ("small", 2)]:
        noise = torch.rand(3, side, side, generator=generator)
        levels = imresize(noise, 10).clamp(0, 1).mul(255).permute(1, 2, 0).byte().numpy()
        Image.fromarray(levels).save(folder / f"{name}.png")
    return folder


def test_the_shipped_ranges_are_of_the_shipped_weights():
    assert SHIPPED
    for path in SHIPPED:
        checkpoint = path.with_name(path.name.replace(".int8.json", ".safetensors"))
        network = load_network(read_checkpoint_info(checkpoint))
        assert len(read_ranges(checkpoint, network)) > 10
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["psnr_fp32"] - found["psnr_int8"] < calibrate.MOST_LOST


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    with Image.open(PROJECT / "examples" / "astronaut.png") as image:
        return to_values(to_planes(np.asarray(image.convert("RGB"))))[:, :128, :128]


def test_integers_lose_little_of_the_shipped_photograph(photo: torch.Tensor):
    """And they are integers: all layers but the first and the last."""
    small = imresize(photo, 0.25)
    model = ModelOptions("enet-e-x4", precision="int8", backend="auto").load("superres")
    assert model.describe().endswith("in int8 by OpenVINO")
    reference = run_tiled(ModelOptions("enet-e-x4").load("superres"), small, TilePlan())
    result = run_tiled(model, small, TilePlan())
    assert 0 < (result - reference).abs().mean() < 0.5 / 255
    assert psnr(result, photo, 1.0) > psnr(reference, photo, 1.0) - 0.1
    runs = vars(model.network)["residual"]._part.get_runtime_model()
    kinds = [
        operation.get_rt_info()["runtimePrecision"].astype(str)
        for operation in runs.get_ops()
        if operation.get_rt_info()["layerType"].astype(str) == "Convolution"
    ]
    assert (kinds.count("u8"), len(kinds)) == (23, 25)


def test_ranges_are_the_smallest_and_largest_inputs(model: Path):
    """The first and the last convolution are not among them."""
    network = load_network(read_checkpoint_info(model))
    x = torch.rand(2, 3, 6, 5)
    with torch.inference_mode():
        head = network.head(x).clamp(min=0)
        inner = network.body[0].conv1(head).clamp(min=0)
    ranges = measure_ranges(network, x[:, None])
    assert list(ranges) == ["body.0.conv1", "body.0.conv2", "up1", "hr"]
    assert ranges["body.0.conv1"] == (0, pytest.approx(float(head.max())))
    assert ranges["body.0.conv2"] == (0, pytest.approx(float(inner.max())))
    assert ranges["up1"][0] < 0
    with pytest.raises(UsageError, match="0 convolutions: too few"):
        measure_ranges(torch.nn.Identity(), [x])


def test_a_model_is_calibrated_and_run(
    model: Path, photos: Path, enhance: Callable, tmp_path: Path
):
    picture = photos / "0.png"
    options = ["--weights", model, "--precision", "int8", "-x2"]
    ran = enhance("superres", picture, "-o", tmp_path / "out.png", *options)
    assert ran.code == 2
    assert "tiny-x2 are unknown, use fp32 or bf16, or measure them: enhance weights cali" in ran.err
    ran = enhance("weights", "calibrate", model, "--data", photos, "-n", 9)
    assert ran.code == 0, ran.err
    assert "4 layers, PSNR of 2 photographs" in ran.err
    ran = enhance("superres", picture, "-o", tmp_path / "out.png", *options, "-v")
    assert ran.code == 0, ran.err
    assert "in int8 by OpenVINO" in ran.err
    ran = enhance("weights", "calibrate", model, "--data", photos)
    assert "tiny-x2.int8.json: exists already, add --overwrite" in ran.err
    ran = enhance("superres", picture, *options, "--backend", "torch")
    assert "--precision int8: torch does not compute in it" in ran.err


def test_ranges_of_other_weights_are_refused(model: Path, tiny_weights: dict[int, Path]):
    for name in ("enet-e-x2", "enet-e-x4"):
        (path,) = (file for file in SHIPPED if file.name.startswith(f"{name}."))
        shutil.copy(path, model.with_name("tiny-x2.int8.json"))
        with pytest.raises(UsageError, match=r"tiny-x2\.int8\.json is for other weights than"):
            ModelOptions(weights=model, precision="int8", backend="openvino").load("superres")


def test_blends_run_in_integers_too(photo: torch.Tensor):
    """With the ranges of both ends, whose files stand for them."""
    small = imresize(photo, 0.25)
    for texture in (0.5, 1.0):
        exact = ModelOptions("enet-e-x4", texture=texture).load("superres")
        options = ModelOptions("enet-e-x4", texture=texture, precision="int8", backend="auto")
        reference = run_tiled(exact, small, TilePlan())
        result = run_tiled(options.load("superres"), small, TilePlan())
        assert 0 < (result - reference).abs().mean() < 1 / 255


def test_models_of_other_tasks_do_not_run_in_integers():
    options = ModelOptions("sisr-dc", precision="int8", backend="auto")
    with pytest.raises(UsageError, match="sisr-dc is a model of video, and only those of superres"):
        options.load("video")


def test_ranges_of_several_networks_hold_for_each():
    one, other = {"a": (-1.0, 2.0), "b": (0.0, 1.0)}, {"a": (0.0, 3.0), "c": (0.0, 1.0)}
    assert unite_ranges([one, other]) == {"a": (-1.0, 3.0)}


def test_what_loses_too_much_is_not_written(
    model: Path, photos: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calibrate, "MOST_LOST", -100)
    ran = enhance("weights", "calibrate", model, "--data", photos)
    assert ran.code == 1
    assert "more than -100 dB lost: use bf16" in ran.err
    assert not model.with_name("tiny-x2.int8.json").exists()


def test_what_cannot_be_calibrated(model: Path, photos: Path, enhance: Callable):
    ran = enhance("weights", "calibrate", "sid-fcn", "--data", photos)
    assert (ran.code, "a checkpoint for lowlight, not for superres" in ran.err) == (1, True)
    for path in list(photos.glob("[3-7].png")):
        path.unlink()
    ran = enhance("weights", "calibrate", model, "--data", photos)
    assert "3 photographs have 192 pixels on both sides, give --data 4 or more" in ran.err
    model.with_name("tiny-x2.int8.json").write_text("{", encoding="utf-8")
    ran = enhance("superres", photos / "0.png", "--weights", model, "--precision", "int8", "-x2")
    assert "tiny-x2.int8.json: damaged" in ran.err
