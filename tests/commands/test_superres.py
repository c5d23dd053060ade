"""``enhance superres`` as its users meet it."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.enhancenet import EnhanceNetConfig
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.tasks import superres

Run = Callable[..., object]


def noise(height: int, width: int, channels: int, dtype: type = np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    rng = np.random.default_rng(height * width)
    return rng.integers(0, top, (height, width, channels), dtype=dtype, endpoint=True)


def write(path: Path, pixels: np.ndarray, **fields: object) -> Path:
    settings: dict = {"alpha": None, "icc_profile": None, "exif": None, "format": "PNG"}
    write_image(path, Picture(pixels, **{**settings, **fields}))
    return path


def look(path: Path) -> tuple[str, tuple[int, int]]:
    """Mode and size (width, height) of a picture file."""
    with Image.open(path) as image:
        return image.mode, image.size


@pytest.fixture
def tiny(tiny_weights: dict[int, Path]) -> list[object]:
    return ["--weights", tiny_weights[4]]


@pytest.mark.parametrize("name", ["a.png", "b.jpg", "c.tif", "d.webp", "e.bmp", "ü ß.png"])
def test_every_format(name: str, tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / name, noise(9, 13, 3))
    ran = enhance("superres", source, *tiny)
    assert ran.code == 0, ran.err
    result = read_image(source.with_name(f"{source.stem}_x4{source.suffix}"))
    assert result.pixels.shape == (36, 52, 3)
    assert result.pixels.dtype == np.uint8


@pytest.mark.parametrize(("suffix", "channels"), [(".png", 1), (".tif", 3)])
def test_sixteen_bits_stay_sixteen_bits(
    suffix: str, channels: int, tmp_path: Path, enhance: Run, tiny: list
):
    # As dark as a night picture: no value above 255.
    source = write(tmp_path / f"dark{suffix}", noise(8, 8, channels).astype(np.uint16))
    assert enhance("superres", source, *tiny).code == 0
    result = read_image(tmp_path / f"dark_x4{suffix}")
    assert result.pixels.dtype == np.uint16
    assert result.pixels.shape == (32, 32, channels)
    assert 0 < result.pixels.mean() < 256


def test_grey_stays_grey(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(7, 5, 1))
    assert enhance("superres", source, *tiny).code == 0
    assert look(tmp_path / "a_x4.png")[0] == "L"


def test_scale_two(tmp_path: Path, enhance: Run, tiny_weights: dict[int, Path]):
    source = write(tmp_path / "a.png", noise(7, 5, 3))
    assert enhance("superres", source, "-x2", "--weights", tiny_weights[2]).code == 0
    assert look(tmp_path / "a_x2.png")[1] == (10, 14)


def test_alpha_is_enlarged_and_hidden_colour_does_not_bleed(
    tmp_path: Path, enhance: Run, tiny: list
):
    pixels = np.full((24, 24, 3), 200, np.uint8)
    alpha = np.full((24, 24), 255, np.uint8)
    pixels[:, :12] = (0, 255, 0)  # hidden green
    alpha[:, :12] = 0
    source = write(tmp_path / "a.png", pixels, alpha=alpha)
    assert enhance("superres", source, *tiny).code == 0
    result = read_image(tmp_path / "a_x4.png")
    assert result.alpha is not None
    assert result.alpha.shape == (96, 96)
    assert result.alpha[:, 60:].min() > 240
    assert result.alpha[:, :36].max() < 15
    # The colour of every visible pixel is that of a picture without the green.
    plain = write(tmp_path / "plain.png", np.full((24, 24, 3), 200, np.uint8))
    assert enhance("superres", plain, *tiny).code == 0
    expected = read_image(tmp_path / "plain_x4.png").pixels
    assert (result.pixels == expected).all()


def test_opaque_alpha_stays_opaque(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(6, 6, 3), alpha=np.full((6, 6), 255, np.uint8))
    assert enhance("superres", source, *tiny).code == 0
    result = read_image(tmp_path / "a_x4.png")
    assert result.alpha is not None
    assert (result.alpha == 255).all()


def test_one_pixel(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(1, 1, 3))
    assert enhance("superres", source, *tiny).code == 0
    assert look(tmp_path / "a_x4.png")[1] == (4, 4)


def test_tiled_equals_whole(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(90, 70, 3))
    for tile, name in (("0", "whole.png"), ("32", "tiled.png")):
        assert enhance("superres", source, *tiny, "--tile", tile, "-o", tmp_path / name).code == 0
    whole, tiled = (
        read_image(tmp_path / name).pixels.astype(int) for name in ("whole.png", "tiled.png")
    )
    assert np.abs(whole - tiled).max() <= 1  # a sum in another order may round otherwise
    assert (whole == tiled).mean() > 0.999


def test_one_bad_file_stops_no_other_and_is_named_at_the_end(
    tmp_path: Path, enhance: Run, tiny: list
):
    good = [write(tmp_path / name, noise(5, 5, 3)) for name in ("a.png", "z.png")]
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    ran = enhance("superres", good[0], bad, good[1], *tiny)
    assert ran.code == 1
    assert (tmp_path / "a_x4.png").exists()
    assert (tmp_path / "z_x4.png").exists()
    assert "bad.png" in ran.err.splitlines()[-2]
    assert ran.err.splitlines()[-1] == "1 of 3 inputs failed"


def test_json_alone_is_on_stdout(tmp_path: Path, enhance: Run, tiny: list):
    good = write(tmp_path / "a.png", noise(5, 6, 3))
    ran = enhance("superres", good, tmp_path / "gone.png", *tiny, "--json")
    document = json.loads(ran.out)
    assert ran.code == 1
    assert document["failed"] == 1
    assert [entry["status"] for entry in document["results"]] == ["ok", "failed"]
    assert document["results"][0]["output"] == str(tmp_path / "a_x4.png")
    assert (document["results"][0]["width"], document["results"][0]["height"]) == (24, 20)


def test_quiet_says_nothing(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(5, 5, 3))
    ran = enhance("superres", source, *tiny, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_verbose_says_how(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(5, 5, 3))
    ran = enhance("superres", source, *tiny, "-v", "--tile", 64)
    assert ran.err.splitlines()[0] == (
        f"tiny-x4 from {tiny[1]}, on cpu in float32, tiles of at most 64 pixels"
    )


def test_dry_run_writes_nothing(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(5, 5, 3))
    ran = enhance("superres", source, *tiny, "--dry-run")
    assert ran.code == 0
    assert str(tmp_path / "a_x4.png") in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_output_is_replaced_only_when_asked(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(5, 5, 3))
    target = tmp_path / "a_x4.png"
    target.write_text("precious")
    ran = enhance("superres", source, *tiny)
    assert ran.code == 1
    assert "exists already, add --overwrite or --skip-existing" in ran.err
    assert target.read_text() == "precious"
    assert enhance("superres", source, *tiny, "--skip-existing").code == 0
    assert target.read_text() == "precious"
    assert enhance("superres", source, *tiny, "--overwrite").code == 0
    assert look(target)[1] == (20, 20)


def test_folders_globs_and_trees(tmp_path: Path, enhance: Run, tiny: list):
    top = tmp_path / "in"
    (top / "sub").mkdir(parents=True)
    write(top / "a.png", noise(4, 4, 3))
    write(top / "sub" / "b.jpg", noise(4, 4, 3))
    assert enhance("superres", top, "-r", *tiny, "-o", tmp_path / "out").code == 0
    made = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")
    )
    assert made == ["a_x4.png", "sub/b_x4.jpg"]
    assert enhance("superres", top / "*.png", *tiny, "-o", tmp_path / "flat").code == 0
    assert [path.name for path in (tmp_path / "flat").iterdir()] == ["a_x4.png"]


def truncated(path: Path, suffix: str) -> None:
    write(path, noise(64, 64, 3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "missing.png": lambda path: None,
    "folder.png": lambda path: path.mkdir(),
    "text.png": lambda path: path.write_text("hello"),
    "empty.png": lambda path: path.touch(),
    "short.png": lambda path: truncated(path, ".png"),
    "short.jpg": lambda path: truncated(path, ".jpg"),
    "float.tif": lambda path: Image.fromarray(np.zeros((4, 4), np.float32)).save(path),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_input_is_one_line_and_exit_1(name: str, tmp_path: Path, enhance: Run, tiny: list):
    BAD_FILES[name](tmp_path / name)
    ran = enhance("superres", tmp_path / name, *tiny)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert name in ran.err
    assert ran.err.startswith("error: ")
    assert not list(tmp_path.glob("*_x4*"))


def test_unwritable_output(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(4, 4, 3))
    blocked = tmp_path / "file"
    blocked.touch()
    for output in (blocked / "x.png", tmp_path / "a.xyz"):
        ran = enhance("superres", source, *tiny, "-o", output)
        assert ran.code == 1
        assert len(ran.err.splitlines()) == 1


def test_format_limits_are_checked_before_computing(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "enhance_cli.tasks.superres.superresolve",
        lambda *_args, **_options: pytest.fail("computed"),
    )
    source = write(tmp_path / "wide.png", np.zeros((1, 4097, 3), np.uint8))
    ran = enhance("superres", source, *tiny, "-o", tmp_path / "wide.webp")
    assert ran.code == 1
    assert "16383" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--model", "srgan"], 2, "unknown model 'srgan': choose from enet-e-x2, enet-e-x4"),
        (["--device", "tpu"], 2, "unknown device 'tpu': choose from auto, cpu"),
        (["--precision", "int4"], 2, "unknown precision 'int4'"),
        (["--tile", "big"], 2, "--tile big: must be auto, 0 or a number"),
        (["--tile", "7"], 2, "--tile 7: must be at least"),
        (["--quality", "101"], 2, "'--quality': Input should be less than or equal to 100"),
        (["-x0"], 2, "-x 0: must be a number above 1"),
        (["--tile", "²"], 2, "--tile ²: must be auto"),
        (["--frobnicate"], 2, "--frobnicate"),
        (["--weights", "nowhere.safetensors"], 1, "nowhere.safetensors: no such checkpoint"),
    ],
)
def test_wrong_options(
    arguments: list[str], code: int, text: str, tmp_path: Path, enhance: Run, tiny: list
):
    source = write(tmp_path / "a.png", noise(80, 80, 3))
    given = arguments if arguments[0] in ("--model", "--weights") else [*arguments, *tiny]
    ran = enhance("superres", source, *given)
    assert (ran.code, len(ran.err.splitlines())) == (code, 1), ran.err
    assert text in ran.err


def test_a_pipe_is_no_picture(tmp_path: Path, enhance: Run, tiny: list):
    os.mkfifo(tmp_path / "pipe.png")
    ran = enhance("superres", tmp_path / "pipe.png", *tiny)
    assert ran.code == 1
    assert "not a regular file" in ran.err


def test_a_device_is_no_output(tmp_path: Path, enhance: Run, tiny: list):
    os.mkfifo(tmp_path / "out.png")
    source = write(tmp_path / "a.png", noise(4, 4, 3))
    ran = enhance("superres", source, *tiny, "-o", tmp_path / "out.png", "--overwrite")
    assert ran.code == 1
    assert "not a regular file" in ran.err
    assert (tmp_path / "out.png").is_fifo()


def test_names_with_control_characters_stay_on_one_line(tmp_path: Path, enhance: Run, tiny: list):
    path = tmp_path / "bad\n\x1b[31mname.png"
    path.write_text("no picture")
    ran = enhance("superres", path, *tiny)
    assert len(ran.err.splitlines()) == 1
    assert "bad\\n\\x1b[31mname.png" in ran.err


def test_memory_that_ends_outside_the_network_fails_one_file(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    good = write(tmp_path / "good.png", noise(4, 4, 3))
    large = write(tmp_path / "large.png", noise(6, 6, 3))
    convert = superres.to_planes

    def cramped(pixels: np.ndarray) -> object:
        if pixels.shape[0] == 6:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return convert(pixels)

    monkeypatch.setattr(superres, "to_planes", cramped)
    ran = enhance("superres", large, good, *tiny)
    assert ran.code == 1
    assert "too large for the memory" in ran.err
    assert (tmp_path / "good_x4.png").exists()


def test_alpha_does_not_ring(tmp_path: Path, enhance: Run):
    # A disc of 0 and 255 through the shipped network: away from its edge alpha stays exact.
    y, x = np.mgrid[:40, :40]
    disc = np.where(np.hypot(y - 20, x - 20) < 12, 255, 0).astype(np.uint8)
    source = write(tmp_path / "a.png", np.full((40, 40, 3), 128, np.uint8), alpha=disc)
    assert enhance("superres", source).code == 0
    alpha = read_image(tmp_path / "a_x4.png").alpha
    y, x = (np.mgrid[:160, :160] + 0.5) / 4
    distance = np.hypot(y - 20.5, x - 20.5)
    assert (alpha[distance < 9.5] == 255).all()
    assert (alpha[distance > 14.5] == 0).all()


def test_corrupted_weights(tmp_path: Path, enhance: Run, tiny_weights: dict[int, Path]):
    source = write(tmp_path / "a.png", noise(4, 4, 3))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(tiny_weights[4].read_bytes()[:-100])
    ran = enhance("superres", source, "--weights", damaged)
    assert ran.code == 1
    assert "damaged.safetensors" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_checkpoint_of_another_task(
    tmp_path: Path, enhance: Run, monkeypatch: pytest.MonkeyPatch
):
    other = replace(ARCHITECTURES["enhancenet"], name="other", task="lowlight")
    monkeypatch.setitem(ARCHITECTURES, "other", other)
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, build(other, EnhanceNetConfig(4, channels=4, blocks=1)), other, "other")
    source = write(tmp_path / "a.png", noise(4, 4, 3))
    ran = enhance("superres", source, "--weights", path)
    assert ran.code == 1
    assert ran.err.splitlines() == [
        f"error: {path}: a checkpoint for lowlight, not for superres: use enhance lowlight"
    ]


def test_an_interrupt_leaves_nothing_and_exits_130(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    source = write(tmp_path / "a.png", noise(4, 4, 3))
    monkeypatch.setattr("enhance_cli.tasks.superres.write_image", interrupt)
    assert enhance("superres", source, *tiny).code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_same_input_same_bytes(tmp_path: Path, enhance: Run, tiny: list):
    source = write(tmp_path / "a.png", noise(20, 20, 3))
    for name in ("1.png", "2.png"):
        assert enhance("superres", source, *tiny, "-o", tmp_path / name).code == 0
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_metadata_is_kept_or_left_out(tmp_path: Path, enhance: Run, tiny: list):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg", exif=exif, comment="mine")
    for name, options in (("kept", []), ("bare", ["--no-metadata"])):
        ran = enhance(
            "superres", tmp_path / "a.jpg", *tiny, *options, "-o", tmp_path / f"{name}.png"
        )
        assert ran.code == 0
    kept, bare = (read_image(tmp_path / f"{name}.png") for name in ("kept", "bare"))
    assert kept.exif is not None and kept.captions.texts == (("Comment", "mine"),)
    assert bare.exif is None and bare.captions.texts == ()
