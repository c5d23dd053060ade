"""``enhance superres`` at sizes that no network makes by itself."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from enhance_cli.engine import catalogue
from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.resize import imresize, resample

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "astronaut.png"

Run = Callable[..., object]


def write(path: Path, height: int, width: int, dtype: type = np.uint8, **fields: object) -> Path:
    top = np.iinfo(dtype).max
    rng = np.random.default_rng(height * width)
    pixels = rng.integers(0, top, (height, width, 3), dtype=dtype, endpoint=True)
    write_image(path, Picture(pixels, **fields))
    return path


def planes(path: Path) -> torch.Tensor:
    picture = read_image(path)
    return torch.from_numpy(picture.pixels.astype(np.float32)).movedim(-1, 0) / picture.max_value


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("scale", "side"), [("2", 2), ("3", 3), ("1.5", 1.5), ("5", 5)])
def test_the_result_of_the_network_is_resampled(
    scale: str, side: float, dtype: type, tmp_path: Path, enhance: Run, tiny_weights: dict
):
    source, network = write(tmp_path / "a.png", 40, 30, dtype), ["--weights", tiny_weights[4]]
    assert enhance("superres", source, *network).code == 0
    ran = enhance("superres", source, *network, "-x", scale, "--tile", 24)
    assert ran.code == 0, ran.err
    assert ("enlarged 4 times by the network, and the rest, to 5 times" in ran.err) == (side == 5)
    result = planes(tmp_path / f"a_x{scale}.png")
    assert result.shape == (3, 40 * side, 30 * side)
    assert read_image(tmp_path / f"a_x{scale}.png").pixels.dtype == dtype
    expected = resample(planes(tmp_path / "a_x4.png"), *result.shape[1:]).clamp(0, 1)
    assert (result - expected).abs().max() < 1.6 / 255


def test_resampling_is_bicubic_without_aliasing():
    image = torch.rand(3, 64, 48, generator=torch.Generator().manual_seed(0))
    for scale in (0.25, 0.5, 0.75, 1.5):
        made, expected = resample(image, int(64 * scale), int(48 * scale)), imresize(image, scale)
        inner = (made - expected)[:, 4:-4, 4:-4]
        assert inner.abs().max() < 1e-3
    assert resample(image, 64, 48) is image


def test_alpha_does_not_ring_in_between(tmp_path: Path, enhance: Run):
    y, x = np.mgrid[:40, :40]
    disc = np.where(np.hypot(y - 20, x - 20) < 12, 200, 0).astype(np.uint8)
    source = tmp_path / "a.png"
    write_image(source, Picture(np.full((40, 40, 3), 128, np.uint8), alpha=disc))
    assert enhance("superres", source, "-x3").code == 0
    alpha = read_image(tmp_path / "a_x3.png").alpha
    assert alpha.shape == (120, 120) and alpha.max() <= 200
    y, x = (np.mgrid[:120, :120] + 0.5) / 3
    distance = np.hypot(y - 20.5, x - 20.5)
    assert (alpha[distance < 9.5] == 200).all()
    assert (alpha[distance > 14.5] == 0).all()


def test_a_size_takes_the_network_that_reaches_it(tmp_path: Path, enhance: Run):
    """And an input that is as large already stops no other."""
    for side in (10, 20, 24):
        write(tmp_path / f"{side}.png", side, side)
    ran = enhance("superres", tmp_path, "--size", "24p", "--json")
    assert ran.code == 1
    document = json.loads(ran.out)
    assert document["size"] == "24p" and "model" not in document
    small, middle, large = document["results"]
    assert (small["model"], small["width"], small["height"]) == ("fast-x4", 24, 24)
    assert middle["model"] == "fast-x2"
    assert middle["output"] == str(tmp_path / "20_24p.png")
    assert "24.png: shown with 24x24 pixels, --size 24p would not enlarge it" in large["error"]
    assert read_image(tmp_path / "10_24p.png").pixels.shape == (24, 24, 3)


def test_a_network_of_its_own_scale_is_preferred(tmp_path: Path, enhance: Run):
    source = write(tmp_path / "a.png", 9, 8)
    for options, model in (
        (["-x2"], "fast-x2"),
        (["-x3"], "fast-x4"),
        (["-x4", "--texture", "0"], "enet-e-x4"),
        (["-x2", "--model", "enet-e-x4"], "enet-e-x4"),
        (["-x4", "--model", "real"], "enet-real-x4"),
    ):
        ran = enhance("superres", source, *options, "--json", "--overwrite")
        document = json.loads(ran.out)
        assert document["scale"] == int(options[0][2:])
        assert (document | document["results"][0])["model"] == model


def test_what_was_compressed_much_gets_the_network_for_it(tmp_path: Path, enhance: Run):
    """What is enlarged less must be coarser, and a model that was named stays."""
    pixels = read_image(write(tmp_path / "a.png", 12, 16)).pixels
    for name, quality in (("fine.jpg", 95), ("coarse.jpg", 80), ("coarsest.jpg", 60)):
        write_image(tmp_path / name, Picture(pixels), quality)
    for options, usual, coarse, coarsest in (
        (["-x4"], "fast-x4", "enet-real-x4", "enet-real-x4"),
        (["--size", "48p"], "fast-x4", "enet-real-x4", "enet-real-x4"),
        (["--size", "24p"], "fast-x2", "fast-x2", "enet-real-x4"),
        (["-x2"], "fast-x2", "fast-x2", "enet-real-x4"),
        (["--model", "enet-e"], "enet-e-x4", "enet-e-x4", "enet-e-x4"),
    ):
        ran = enhance(
            "superres", tmp_path, *options, "-o", tmp_path / "out", "--json", "--overwrite"
        )
        document = json.loads(ran.out)
        told = {Path(row["input"]).name: (document | row)["model"] for row in document["results"]}
        assert told == {
            "a.png": usual,
            "fine.jpg": usual,
            "coarse.jpg": coarse,
            "coarsest.jpg": coarsest,
        }
        assert ("enet-real enlarges what is noisy" in ran.err) == (usual != coarsest)


def test_what_was_a_jpeg_once_or_is_noisy_gets_it_too(tmp_path: Path, enhance: Run):
    """A picture that was cut and stored as PNG, or saved again with a higher quality."""
    with Pillow.open(PHOTO) as photo:
        photo.save(tmp_path / "whole.png")
        photo.save(tmp_path / "coarse.jpg", quality=60)
    with Pillow.open(tmp_path / "coarse.jpg") as coarse:
        coarse.crop((3, 5, 83, 85)).save(tmp_path / "cut.png")
        coarse.crop((0, 0, 80, 80)).save(tmp_path / "again.jpg", quality=95)
    pixels = read_image(tmp_path / "whole.png").pixels
    noise = np.random.default_rng(0).normal(0, 9, pixels.shape)
    noisy = (pixels + noise).clip(0, 255).astype(np.uint8)
    write_image(tmp_path / "noisy.png", Picture(noisy))
    write_image(tmp_path / "grey.png", Picture(noisy[..., :1]))  # Its textures would look so too.
    names = ["whole.png", "cut.png", "again.jpg", "noisy.png", "grey.png"]
    ran = enhance(
        "superres", *(tmp_path / name for name in names), "-x4", "-o", tmp_path / "out", "--json"
    )
    told = [row["model"] for row in json.loads(ran.out)["results"]]
    real, usual = "enet-real-x4", "fast-x4"
    assert told == [usual, real, real, real, usual]


def test_what_both_networks_have_to_say_is_told_once(
    tmp_path: Path, enhance: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(catalogue, "speed_up", lambda model, _: replace(model, notice="slowly"))
    pixels = read_image(write(tmp_path / "a.png", 12, 16)).pixels
    write_image(tmp_path / "coarse.jpg", Picture(pixels), 60)
    assert enhance("superres", tmp_path, "-x4").err.count("slowly") == 1


def test_the_shape_of_pixels_and_the_metadata_stay(
    tmp_path: Path, enhance: Run, tiny_weights: dict
):
    source = write(tmp_path / "a.png", 20, 10, density=(2, 1))
    ran = enhance("superres", source, "--weights", tiny_weights[4], "--size", "50x50")
    assert ran.code == 0, ran.err
    result = read_image(tmp_path / "a_50x50.png")
    assert (result.width, result.height, result.density) == (25, 50, (2, 1))
    ran = enhance("superres", source, "--size", "30p", "--dry-run")
    assert ran.code == 0 and "a_30p.png" in ran.err
