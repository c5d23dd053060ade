"""``enhance superres`` with a network that draws, and ``--consistent``."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing_networks import FAKE_DRAWING, FakeDrawingConfig
from PIL import Image
from PIL.ExifTags import Base

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.levels import to_planes
from enhance_cli.resize import imresize

Run = Callable[..., object]


def save_fake(path: Path, **settings: object) -> Path:
    network = build(FAKE_DRAWING, FakeDrawingConfig(**settings))
    save_checkpoint(path, network, FAKE_DRAWING, path.stem)
    return path


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.setitem(ARCHITECTURES, FAKE_DRAWING.name, FAKE_DRAWING)
    return ["--weights", save_fake(tmp_path / "fake-x4.safetensors")]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A soft picture with some contrast."""
    coarse = np.random.default_rng(3).integers(20, 235, (6, 7, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(coarse).resize((30, 22), Image.Resampling.BICUBIC).save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_samples_and_their_spread(photo: Path, fake: list, enhance: Run):
    ran = enhance(
        *("superres", photo, *fake, "--temperature", 0.8, "--samples", 3, "--seed", 5),
        *("--uncertainty", "--json", "--tile", 16),
    )
    assert ran.code == 0, ran.err
    names = [photo.with_name(f"photo_x4_{part}.png") for part in (1, 2, 3, "spread")]
    document = json.loads(ran.out)
    assert (document["temperature"], document["samples"], document["seed"]) == (0.8, 3, 5)
    assert document["results"][0]["outputs"] == [str(name) for name in names]
    samples = [pixels(name) for name in names[:3]]
    assert all(sample.shape == (88, 120, 3) for sample in samples)
    assert np.std(np.stack(samples).astype(float), 0).mean() > 5
    height, width, _ = pixels(names[3]).shape
    assert height > 88
    assert width > 120  # the legend needs that room
    with Image.open(names[1]) as image:
        assert '"seed": 5, "sample": 2' in image.getexif()[Base.ImageHistory]
    # The first of several is the one of its own, tiles or not, and bytes repeat.
    alone = ["superres", photo, *fake, "--temperature", 0.8, "--seed", 5]
    made = []
    for _ in range(2):
        ran = enhance(*alone, "--overwrite")
        assert ran.code == 0, ran.err
        made.append(photo.with_name("photo_x4.png").read_bytes())
    assert made[0] == made[1]
    assert (pixels(photo.with_name("photo_x4.png")) == samples[0]).all()


def test_temperature_zero_is_the_mean_path(photo: Path, fake: list, enhance: Run):
    for number, options in enumerate((["--seed", 1], ["--seed", 2])):
        name = photo.with_name(f"{number}.png")
        run = ["superres", photo, *fake, "--temperature", 0, *options, "-o", name]
        assert enhance(*run).code == 0
    assert (pixels(photo.with_name("0.png")) == pixels(photo.with_name("1.png"))).all()


def test_transparency_is_not_drawn(tmp_path: Path, fake: list, enhance: Run):
    icon = np.full((12, 12, 4), 128, np.uint8)
    icon[:6, :, 3] = 0
    Image.fromarray(icon).save(tmp_path / "icon.png")
    ran = enhance("superres", tmp_path / "icon.png", *fake, "--temperature", 1, "--samples", 2)
    assert ran.code == 0, ran.err
    first, second = (pixels(tmp_path / f"icon_x4_{number}.png") for number in (1, 2))
    assert (first[..., 3] == second[..., 3]).all()
    assert (first[30:, :, :3] != second[30:, :, :3]).any()


def test_what_exists_stays(photo: Path, fake: list, enhance: Run):
    photo.with_name("photo_x4.png").write_bytes(b"of another run, with one answer")
    kept = photo.with_name("photo_x4_2.png")
    kept.write_bytes(b"kept")
    what = ["superres", photo.parent, *fake, "--samples", 2]
    ran = enhance(*what)
    assert ran.code == 1
    assert "photo_x4_2.png: exists already" in ran.err
    ran = enhance(*what, "--skip-existing", "--json", "--sidecar")
    assert ran.code == 0, ran.err
    assert kept.read_bytes() == b"kept"
    (record,) = photo.parent.glob("*.json")
    assert record.name == "photo_x4_1.png.json"
    assert json.loads(record.read_text())["sample"] == 1
    assert pixels(photo.with_name("photo_x4_1.png")).shape == (88, 120, 3)
    ran = enhance(*what, "--skip-existing", "--json")
    assert [row["status"] for row in json.loads(ran.out)["results"]] == ["skipped"] * 4
    # With other options too they are no inputs.
    photo.with_name("photo_x4_spread.png").write_bytes(b"")
    ran = enhance("superres", photo.parent, *fake, "--samples", 3, "--skip-existing", "--json")
    assert ran.code == 0, ran.err
    assert len(pixels(photo.with_name("photo_x4_3.png"))) == 88
    names = [Path(row["input"]).name for row in json.loads(ran.out)["results"]]
    assert sorted(names) == sorted(
        ["photo.png", "photo_x4.png", "photo_x4_1.png", "photo_x4_2.png", "photo_x4_spread.png"]
    )


def test_smaller_than_a_patch(photo: Path, fake: list, enhance: Run, tmp_path: Path):
    weights = save_fake(tmp_path / "patch-x4.safetensors", patch=64, tiling="blended")
    ran = enhance("superres", photo, "--weights", weights, "--temperature", 0.5)
    assert ran.code == 0, ran.err
    assert "smaller than the 64x64 pixels that the network takes" in ran.err
    assert pixels(photo.with_name("photo_x4.png")).shape == (88, 120, 3)


@pytest.mark.parametrize("drawn", [True, False])
def test_consistent(drawn: bool, photo: Path, fake: list, tiny_weights: dict, enhance: Run):
    """The reduced copy of each result is the input."""
    options = ["--samples", 2] if drawn else []
    weights = fake if drawn else ["--weights", tiny_weights[4]]
    ran = enhance("superres", photo, *weights, *options, "--consistent", "--json")
    assert ran.code == 0, ran.err
    truth = to_planes(pixels(photo)).double()
    for name in ("1", "2") if drawn else ("",):
        path = photo.with_name(f"photo_x4{name and '_'}{name}.png")
        reduced = imresize(to_planes(pixels(path)).double(), 1 / 4)
        error = (reduced - truth).square().mean()
        assert 10 * torch.log10(255**2 / error) > 50
    assert json.loads(ran.out)["results"][0]["consistency"] > 50


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--temperature", "1.5"], "--temperature 1.5: must be from 0 to 1"),
        (["--temperature", "nan"], "--temperature nan: must be from 0 to 1"),
        (["--samples", "0"], "--samples 0: must be 1 or more"),
        (["--samples", "3", "--temperature", "0"], "at temperature 0 all are alike"),
        (["--uncertainty"], "--uncertainty: is the spread of samples, add --samples 2 or more"),
        (["--samples", "2", "--pages", "all"], "samples are of one page at a time"),
        (["--consistent", "-x3"], "choose -x4 in place of x3"),
    ],
)
def test_wrong_options(options: list, text: str, photo: Path, fake: list, enhance: Run):
    ran = enhance("superres", photo, *fake, *options)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
    assert text in ran.err


@pytest.mark.parametrize("options", [["--temperature", "0.2"], ["--samples", "2"], ["--seed", "1"]])
def test_a_model_without_chance(options: list, photo: Path, tiny_weights: dict, enhance: Run):
    ran = enhance("superres", photo, "--weights", tiny_weights[4], *options)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
    assert f"{' '.join(options)}: model 'tiny-x4' has no chance in it" in ran.err
