"""``enhance evaluate`` of pictures: models with chance in them, and measures of all together."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing_networks import FAKE_DRAWING, FakeDrawing, FakeDrawingConfig
from made_pictures import photo
from PIL import Image

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.engine.checkpoint import save_checkpoint
from enhance_cli.levels import to_planes
from enhance_cli.resize import imresize


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(ARCHITECTURES, FAKE_DRAWING.name, FAKE_DRAWING)
    path = tmp_path / "fake-x4.safetensors"
    save_checkpoint(path, FakeDrawing(FakeDrawingConfig()), FAKE_DRAWING, "fake-x4")
    return path


def test_a_model_that_draws_is_scored_at_each_temperature(
    tmp_path: Path, fake: Path, enhance: Callable
):
    photo(tmp_path / "Set5" / "HR" / "a.png", 64, 48)
    what = ["evaluate", "--dataset", "set5", "--weights", fake, "--data-root", tmp_path, "--json"]
    ran = enhance(*what, "--temperature", 0, "--temperature", 0.2, "--temperature", 1)
    assert ran.code == 0, ran.err
    results = json.loads(ran.out)["results"]
    names = ["bicubic", "fake-x4 (0)", "fake-x4 (0.2)", "fake-x4 (1)"]
    assert [result["model"] for result in results] == names
    numbers = [result["mean"]["psnr"] for result in results[1:]]
    assert numbers == sorted(numbers, reverse=True)  # this one learned nothing worth drawing
    usual = json.loads(enhance(*what).out)["results"][1]
    assert usual["model"] == "fake-x4"
    assert usual["mean"]["psnr"] == numbers[1]
    other = json.loads(enhance(*what, "--seed", 1).out)["results"][1]
    assert other["mean"]["psnr"] != numbers[1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--temperature", "2"], "--temperature 2: must be from 0 to 1"),
        (["--temperature", "0.2"], "--temperature: no model here has chance in it"),
        (["--seed", "1"], "--seed: no model here has chance in it"),
        (["--features", "squeezenet"], "of no use without --metrics frechet, fid or lpips"),
        (["--metrics", "fid", "--features", "squeezenet"], "gives no FID"),
    ],
)
def test_wrong_options(
    options: list, text: str, sample_root: Path, tmp_path: Path, enhance: Callable
):
    (tmp_path / "nets").symlink_to(sample_root / "nets")
    for name in "ab":
        photo(tmp_path / "Set5" / "HR" / f"{name}.png", 32, 32)
    what = ["evaluate", "--dataset", "set5", "--model", "bicubic", "--data-root", tmp_path]
    ran = enhance(*what, *options)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
    assert text in ran.err


def test_frechet_distance_of_a_dataset(sample_root: Path, tmp_path: Path, enhance: Callable):
    """It is that of two folders with the same pictures."""
    (tmp_path / "nets").symlink_to(sample_root / "nets")
    (tmp_path / "enlarged").mkdir()
    for index in range(3):
        pixels = photo(tmp_path / "Set5" / "HR" / f"{index}.png", 64, 72, index)
        small = imresize(to_planes(pixels), 1 / 4).double()
        large = imresize(small, 4).round().clamp(0, 255).movedim(0, -1).numpy().astype(np.uint8)
        Image.fromarray(large).save(tmp_path / "enlarged" / f"{index}.png")
    options = ["--features", "squeezenet", "--json", "--data-root", tmp_path]
    ran = enhance(
        *("evaluate", "--dataset", "set5", "--model", "bicubic", "--metrics", "psnr,frechet"),
        *options,
    )
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    (result,) = document["results"]
    assert [sorted(image) for image in result["images"]] == [["frechet", "name", "psnr"]] * 3
    assert "never compare figures of them with published FID" in " ".join(document["notes"])
    folders = ["--pred", tmp_path / "enlarged", "--gt", tmp_path / "Set5" / "HR"]
    ran = enhance("evaluate", *folders, "--metrics", "frechet", *options)
    assert ran.code == 0, ran.err
    expected = json.loads(ran.out)["results"][0]["frechet"]
    assert result["mean"]["frechet"] == pytest.approx(expected, rel=1e-4)
    assert expected > 0
