"""``enhance lowlight`` from the files that a user has to the files that are written."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.ExifTags import Base

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.sid_fcn import SidFcnConfig
from enhance_cli.architectures.sid_net import SidNetConfig
from enhance_cli.colour import SRGB_TO_XYZ, TONE_CURVES
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.io.dng import write_dng
from enhance_cli.io.raw import Exposure

BLACK, WHITE = 256, 4095
XYZ_TO_SRGB = np.linalg.inv(SRGB_TO_XYZ.double().numpy())


@pytest.fixture(autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks that give their input, demosaiced."""
    folder = tmp_path_factory.mktemp("dark")
    torch.manual_seed(0)
    for name, config in {
        "sid-fcn": SidFcnConfig(width=2, latent=2),
        "sid-fcn-grey": SidFcnConfig(width=2, latent=2, colours=1),
        "sid-fcn-srgb": SidFcnConfig(width=2, latent=2, source="srgb"),
        "sid-net-small": SidNetConfig(width=1, latent=2),
    }.items():
        architecture = ARCHITECTURES[
            config.__class__.__name__.removesuffix("Config")
            .replace("Fcn", "-fcn")
            .replace("Net", "-net")
            .lower()
        ]
        network = build(architecture, config)
        if name.startswith("sid-fcn"):  # made to choose the sharpest of the means it blends
            torch.nn.init.zeros_(network.out.weight)
            with torch.no_grad():
                network.out.bias[4 * config.colours :: 5] = 30
        save_checkpoint(folder / f"{name}.safetensors", network, architecture, name)
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    return folder


def write_flat(
    path: Path,
    light: tuple[float, float, float] = (0.01, 0.01, 0.01),
    gains: tuple[float, float, float] = (2.0, 1.0, 1.6),
    size: tuple[int, int] = (48, 64),
    **settings: object,
) -> None:
    """A DNG of one colour, given in white-balanced linear sRGB, or of noise around it."""
    height, width = size
    rgb = np.asarray(light) / np.asarray(gains)
    mosaic = np.empty((height, width))
    mosaic[::2, ::2], mosaic[1::2, 1::2] = rgb[0], rgb[2]
    mosaic[::2, 1::2] = mosaic[1::2, ::2] = rgb[1]
    levels = np.round(np.minimum(mosaic, 1) * (WHITE - BLACK) + BLACK).astype(np.uint16)
    levels[0, 0] = BLACK - 3  # noise below black
    neutral = tuple(1 / gain for gain in gains)
    write_dng(
        path,
        levels,
        black=BLACK,
        white=WHITE,
        as_shot_neutral=neutral,
        color_matrix=XYZ_TO_SRGB,
        **settings,
    )


def shown(linear: float, curve: str = "camera") -> float:
    """The 8-bit level of a linear value."""
    return float(TONE_CURVES[curve][0](torch.tensor(linear, dtype=torch.float64)) * 255)


def load(path: Path) -> Image.Image:
    """A picture whose file is closed again."""
    with Image.open(path) as image:
        image.load()
        return image


def read(path: Path) -> np.ndarray:
    return np.asarray(load(path)).astype(float)


def test_raw_is_amplified_balanced_and_rendered(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "night.dng", (0.02, 0.01, 0.005))
    ran = enhance("lowlight", tmp_path / "night.dng", "--ratio", 20)
    assert ran.code == 0, ran.err
    assert "ratio 20" in ran.err
    pixels = read(tmp_path / "night_bright.png")
    assert pixels.shape == (48, 64, 3)
    expected = [shown(0.4), shown(0.2), shown(0.1)]
    np.testing.assert_allclose(pixels[8:-8, 8:-8].mean((0, 1)), expected, atol=3)


def test_auto_brings_darkness_to_a_middle_level(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "night.dng", (0.004, 0.004, 0.004))
    ran = enhance("lowlight", tmp_path / "night.dng", "--json")
    assert ran.code == 0
    result = json.loads(ran.out)["results"][0]
    assert result["ratio"] == pytest.approx(0.25 / 0.004, rel=0.1)
    assert read(tmp_path / "night_bright.png").mean() == pytest.approx(shown(0.25), abs=8)
    ran = enhance("lowlight", tmp_path / "night.dng", "--json", "--ratio", "auto-1", "--overwrite")
    half = json.loads(ran.out)["results"][0]["ratio"]
    assert half == pytest.approx(result["ratio"] / 2, rel=1e-4)
    assert read(tmp_path / "night_bright.png").mean() == pytest.approx(shown(0.125), abs=8)


def test_saturated_highlights_are_white_not_magenta(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "lamp.dng", (9.0, 9.0, 9.0))
    assert enhance("lowlight", tmp_path / "lamp.dng", "--ratio", 1).code == 0
    assert read(tmp_path / "lamp_bright.png")[8:-8, 8:-8].min() >= 254


def test_raw_and_pictures_in_one_batch_with_an_unreadable_one_between(
    tmp_path: Path, enhance: Callable
):
    write_flat(tmp_path / "a.dng")
    (tmp_path / "b.arw").write_bytes(b"\0" * 4000)
    write_flat(tmp_path / "c.dng")
    (tmp_path / "c.dng").rename(tmp_path / "c.ARW")  # by content, not by name
    Image.fromarray(np.full((40, 50, 3), 9, np.uint8)).save(tmp_path / "d.jpg")
    ran = enhance("lowlight", tmp_path, "-o", tmp_path / "out")
    assert ran.code == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a_bright.png",
        "c_bright.png",
        "d_bright.jpg",
    ]
    errors = [line for line in ran.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "b.arw" in errors[0]
    assert "1 of 4 inputs failed" in ran.err


def test_portrait_is_upright_and_metadata_travel(tmp_path: Path, enhance: Callable):
    write_flat(
        tmp_path / "p.dng",
        orientation=6,
        make="Acme",
        model="Night 1",
        exposure=Exposure(1 / 30, 3200, 1.8),
    )
    ran = enhance("lowlight", tmp_path / "p.dng", "--ratio", 12.5)
    assert ran.code == 0, ran.err
    image = load(tmp_path / "p_bright.png")
    assert image.size == (48, 64)
    exif = image.getexif()
    assert exif.get(Base.Orientation, 1) == 1
    assert exif[Base.Make] == "Acme" and exif[Base.Model] == "Night 1"
    assert "ratio 12.5" in exif[Base.Software] and "sid-fcn" in exif[Base.Software]
    told = {**exif, **exif.get_ifd(0x8769)}
    assert float(told[Base.FNumber]) == pytest.approx(1.8)
    profile = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_like_takes_the_ratio_of_the_exposures(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "short.dng", exposure=Exposure(0.04, 400, 4))
    write_flat(tmp_path / "long.dng", exposure=Exposure(4.0, 400, 4))
    write_flat(tmp_path / "mute.dng")
    ran = enhance("lowlight", tmp_path / "short.dng", "--like", tmp_path / "long.dng", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["results"][0]["ratio"] == pytest.approx(100, rel=1e-3)
    ran = enhance("lowlight", tmp_path / "short.dng", "--like", tmp_path / "mute.dng")
    assert ran.code == 1 and "no exposure time" in ran.err and len(ran.err.splitlines()) == 1
    ran = enhance("lowlight", tmp_path / "mute.dng", "--like", tmp_path / "long.dng")
    assert ran.code == 1 and "no exposure time" in ran.err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--ratio", "bright"), "--ratio bright"),
        (("--ratio", "0"), "--ratio 0"),
        (("--ratio", "auto+11"), "--ratio auto+11"),
        (("--ratio", "auto1"), "--ratio auto1"),
        (("--ratio", "nan"), "--ratio nan"),
        (("--strategy", "best"), "unknown strategy 'best'"),
        (("--size", "third"), "unknown size 'third'"),
        (("--bits", "12"), "--bits 12"),
        (("--model", "sid-nett"), "unknown model 'sid-nett' (did you mean 'sid-net'?)"),
        (("--model", "enet-e-x4"), "is for superres"),
        (("--strategy", "fastest", "--tile", "512"), "leave one of the two out"),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    tmp_path: Path, enhance: Callable, arguments: tuple[str, ...], said: str
):
    write_flat(tmp_path / "a.dng")
    ran = enhance("lowlight", tmp_path / "a.dng", *arguments)
    assert ran.code == 2 and said in ran.err and len(ran.err.splitlines()) == 1
    assert not list(tmp_path.glob("*_bright*"))


def test_sizes_bits_and_grey(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "a.dng", (0.02, 0.01, 0.005))

    def run(*arguments: object) -> np.ndarray:
        assert (
            enhance(
                "lowlight",
                tmp_path / "a.dng",
                "--ratio",
                20,
                *arguments,
                "-o",
                tmp_path / "out.png",
                "--overwrite",
            ).code
            == 0
        )
        return read(tmp_path / "out.png")

    assert run("--size", "half").shape == (24, 32, 3)
    grey = run("--grayscale")
    assert grey.shape == (48, 64)
    level = 0.2126 * 0.4 + 0.7152 * 0.2 + 0.0722 * 0.1
    # A little less: the untrained network averages compressed values.
    assert grey[8:-8, 8:-8].mean() == pytest.approx(shown(level), abs=6)
    assert (
        enhance(
            "lowlight", tmp_path / "a.dng", "--bits", 16, "--ratio", 20, "-o", tmp_path / "deep.tif"
        ).code
        == 0
    )
    import tifffile

    deep = tifffile.imread(tmp_path / "deep.tif")
    assert deep.dtype == np.uint16
    np.testing.assert_allclose(deep / 257, run(), atol=0.6)


def test_pictures_keep_depth_alpha_and_grey(tmp_path: Path, enhance: Callable):
    rng = np.random.default_rng(1)
    rgba = rng.integers(0, 20, (33, 47, 4), dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "cut.png")
    Image.fromarray(rng.integers(0, 2000, (33, 47), dtype=np.uint16)).save(tmp_path / "deep.png")
    ran = enhance("lowlight", tmp_path / "cut.png", tmp_path / "deep.png", "--ratio", 4)
    assert ran.code == 0, ran.err
    result = read(tmp_path / "cut_bright.png")
    assert result.shape == (33, 47, 4)
    np.testing.assert_array_equal(result[..., 3], rgba[..., 3])
    deep = load(tmp_path / "deep_bright.png")
    assert deep.mode == "I;16" and deep.size == (47, 33)


def test_ratio_one_leaves_a_picture_nearly_as_it_is(tmp_path: Path, enhance: Callable):
    rng = np.random.default_rng(2)
    before = rng.integers(0, 256, (50, 61, 3), dtype=np.uint8)
    Image.fromarray(before).save(tmp_path / "a.png")
    assert enhance("lowlight", tmp_path / "a.png", "--ratio", 1).code == 0
    np.testing.assert_allclose(read(tmp_path / "a_bright.png"), before, atol=1)


@pytest.mark.parametrize(
    ("strategy", "size"),
    [("baseline", (49, 65)), ("faster1", (24, 200)), ("faster2", (301, 35)), ("fastest", (49, 65))],
)
def test_strategies_agree_with_exact_tiles_for_a_local_network(
    tmp_path: Path, enhance: Callable, strategy: str, size: tuple[int, int]
):
    write_flat(tmp_path / "a.dng", (0.02, 0.01, 0.005), size=size)
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    assert enhance("lowlight", tmp_path / "a.dng", "--ratio", 20, "-o", whole).code == 0
    ran = enhance("lowlight", tmp_path / "a.dng", "--ratio", 20, "-o", cut, "--strategy", strategy)
    assert ran.code == 0, ran.err
    assert read(cut).shape == (*size, 3)
    np.testing.assert_allclose(read(whole), read(cut), atol=1)


def test_a_network_of_the_thesis_gives_half_the_size(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "a.dng")
    ran = enhance("lowlight", tmp_path / "a.dng", "--model", "sid-net-small", "--ratio", 5)
    assert ran.code == 0, ran.err
    assert load(tmp_path / "a_bright.png").size == (32, 24)
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "b.png")
    ran = enhance("lowlight", tmp_path / "b.png", "--model", "sid-net-small")
    assert ran.code == 1 and "is for RAW files" in ran.err


def test_an_untrained_model_is_refused_and_told(tmp_path: Path, enhance: Callable, weights: Path):
    (weights / "MANIFEST.toml").write_text('[pix2pix]\nuntrained = "300 steps"\n')
    write_flat(tmp_path / "a.dng")
    ran = enhance("lowlight", tmp_path / "a.dng", "--model", "pix2pix")
    assert ran.code == 1 and len(ran.err.splitlines()) == 1
    assert "'pix2pix' is untrained (300 steps)" in ran.err
    rows = {row["name"]: row for row in json.loads(enhance("models", "--json").out)}
    assert rows["pix2pix"]["untrained"] == "300 steps"
    assert rows["sid-fcn"]["untrained"] is None


def test_dry_run_and_existing_outputs(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "a.dng")
    ran = enhance("lowlight", tmp_path / "a.dng", "--dry-run")
    assert ran.code == 0 and "a_bright.png" in ran.err
    assert not (tmp_path / "a_bright.png").exists()
    (tmp_path / "a_bright.png").write_bytes(b"mine")
    ran = enhance("lowlight", tmp_path / "a.dng")
    assert ran.code == 1 and "--overwrite" in ran.err
    assert (tmp_path / "a_bright.png").read_bytes() == b"mine"


def test_same_bytes_twice(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "a.dng")
    for name in ("one.png", "two.png"):
        assert enhance("lowlight", tmp_path / "a.dng", "-o", tmp_path / name).code == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_every_raw_file_gives_a_picture(shared_data: Path, tmp_path: Path, enhance: Callable):
    ran = enhance("lowlight", shared_data / "raw", "--size", "half", "-o", tmp_path)
    assert ran.code == 0, ran.err
    assert len(list(tmp_path.glob("*_bright.png"))) == 4
    assert "sRGB model" in ran.err  # the scanner's


def test_every_corrupt_file_is_one_line(shared_data: Path, tmp_path: Path, enhance: Callable):
    files = sorted((shared_data / "raw" / "corrupt").iterdir())
    for path in files:
        if path.name == "jpeg_renamed.arw":  # a whole JPEG
            continue
        ran = enhance("lowlight", path, "-o", tmp_path / f"{path.stem}.png")
        assert ran.code == 1, path
        assert len(ran.err.splitlines()) == 1 and path.name in ran.err, ran.err
    assert not list(tmp_path.iterdir())
