"""``enhance lowlight`` on what photographers and scripts throw at it."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from dark_pictures import use_networks, write_raw
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.sid_net import SidNetConfig
from enhance_cli.colour import linear_to_srgb, srgb_to_linear
from enhance_cli.engine import catalogue, weight_files
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.io.dng import BAYER_ORDERS
from enhance_cli.io.metadata import TURNS
from enhance_cli.io.raw import Exposure
from enhance_cli.tone import Tone


@pytest.fixture(autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks that give their input, demosaiced."""
    return use_networks(tmp_path_factory.mktemp("awkward"), monkeypatch)


def write_flat(
    path: Path, colour: tuple[int, ...] = (9, 9, 9), side: int = 40, **settings: object
) -> None:
    Image.new("RGBA" if len(colour) == 4 else "RGB", (side, side), colour).save(path, **settings)


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(float)


def ratios(out: str) -> list[float]:
    return [result["ratio"] for result in json.loads(out)["results"]]


def exif_of(**tags: float) -> Image.Exif:
    exif = Image.Exif()
    for name, value in tags.items():
        exif.get_ifd(IFD.Exif)[Base[name]] = value
    return exif


@pytest.mark.parametrize(("order", "odd"), list(zip(BAYER_ORDERS, (0, 1, 1, 0), strict=True)))
def test_bayer_orders_and_orientations_show_the_same_picture(
    tmp_path: Path, enhance: Callable, order: str, odd: int
):
    size = (50 - odd, 66 - odd)
    rgb = np.empty((*size, 3))
    rgb[:24, :32], rgb[:24, 32:] = (0.6, 0.05, 0.05), (0.05, 0.6, 0.05)
    rgb[24:, :32], rgb[24:, 32:] = (0.05, 0.05, 0.6), (0.4, 0.4, 0.05)
    for orientation in TURNS:
        write_raw(tmp_path / f"{orientation}.dng", rgb / 8, size, order, orientation=orientation)
    assert enhance("lowlight", tmp_path, "--ratio", 8).code == 0
    shown = Tone("camera").show(torch.from_numpy(rgb)).numpy() * 255
    for orientation, turn in TURNS.items():
        result, wanted = load(tmp_path / f"{orientation}_bright.png"), turn(shown)
        assert result.shape == wanted.shape
        for y, x in np.ndindex(2, 2):  # the middles of the quarters
            (h, w), (hh, ww) = result.shape[:2], wanted.shape[:2]
            part = result[h * (2 * y + 1) // 4 - 3 :, w * (2 * x + 1) // 4 - 3 :][:6, :6]
            np.testing.assert_allclose(
                part.mean((0, 1)),
                wanted[hh * (2 * y + 1) // 4, ww * (2 * x + 1) // 4],
                atol=4,
                err_msg=f"orientation {orientation}",
            )


@pytest.mark.parametrize("size", [(22, 22), (23, 1501)])
def test_tiny_and_very_wide_raw(tmp_path: Path, enhance: Callable, size: tuple[int, int]):
    write_raw(tmp_path / "a.dng", size=size)
    for strategy in ((), ("--strategy", "fastest")):
        assert enhance("lowlight", tmp_path / "a.dng", "--overwrite", *strategy).code == 0
        assert load(tmp_path / "a_bright.png").shape == (*size, 3)


def test_a_ratio_below_one_leaves_saturation_grey(tmp_path: Path, enhance: Callable):
    write_raw(tmp_path / "lamp.dng", 9.0)
    assert enhance("lowlight", tmp_path / "lamp.dng", "--ratio", 0.5).code == 0
    middle = load(tmp_path / "lamp_bright.png")[8:-8, 8:-8]
    assert np.ptp(middle, axis=2).max() <= 1


def test_raw_and_jpeg_pairs_and_a_second_run(tmp_path: Path, enhance: Callable):
    write_raw(tmp_path / "p.dng")
    (tmp_path / "p.dng").rename(tmp_path / "p.ARW")
    write_flat(tmp_path / "p.JPG")
    made = ["p.ARW", "p.JPG", "p_bright.JPG", "p_bright.png"]
    for arguments in ((), ("--overwrite",), ("-o", tmp_path, "--overwrite")):
        ran = enhance("lowlight", tmp_path, *arguments)
        assert ran.code == 0, ran.err
        assert sorted(path.name for path in tmp_path.iterdir()) == made
    assert "earlier output" in ran.err
    write_flat(tmp_path / "p.png")
    ran = enhance("lowlight", tmp_path, "--overwrite")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*made, "p.png", "p_png_bright.png"]
    )


def test_missing_weights_of_one_kind_spare_the_other(
    tmp_path: Path, enhance: Callable, weights: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(weight_files, "weight_folders", lambda: [weights])  # not the shipped ones
    (weights / "sid-fcn-srgb.safetensors").unlink()
    write_raw(tmp_path / "a.dng")
    write_flat(tmp_path / "b.png")
    write_raw(tmp_path / "c.dng")
    ran = enhance("lowlight", tmp_path, "--json")
    assert ran.code == 1
    states = {Path(row["input"]).name: row["status"] for row in json.loads(ran.out)["results"]}
    assert states == {"a.dng": "ok", "b.png": "failed", "c.dng": "ok"}
    errors = [line for line in ran.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "no weights for 'sid-fcn-srgb'" in errors[0]


def test_interrupted_it_leaves_nothing(
    tmp_path: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    write_raw(tmp_path / "a.dng")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("enhance_cli.io.writing._save_with_pillow", stop)
    assert enhance("lowlight", tmp_path / "a.dng").code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["a.dng"]


@pytest.mark.parametrize(("mode", "size"), [("RGB", (1, 1)), ("RGBA", (9, 1)), ("L", (1, 5))])
def test_half_of_one_pixel_is_one(
    tmp_path: Path, enhance: Callable, mode: str, size: tuple[int, int]
):
    Image.new(mode, size, 9).save(tmp_path / "a.png")
    assert enhance("lowlight", tmp_path / "a.png").code == 0
    assert load(tmp_path / "a_bright.png").shape[:2] == size[::-1]
    ran = enhance("lowlight", tmp_path / "a.png", "--size", "half", "--overwrite")
    assert ran.code == 0, ran.err
    half = tuple(max(side // 2, 1) for side in size[::-1])
    assert load(tmp_path / "a_bright.png").shape[:2] == half


def test_what_is_transparent_neither_counts_nor_bleeds(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "plain.png", (12, 12, 12), 64)
    pixels = np.full((64, 64, 4), (255, 255, 255, 0), np.uint8)
    pixels[16:48, 16:48] = (12, 12, 12, 255)
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    Image.fromarray(np.full((8, 8, 4), (9, 9, 9, 0), np.uint8)).save(tmp_path / "unseen.png")
    ran = enhance("lowlight", tmp_path, "--json")
    assert ran.code == 0, ran.err
    cut, plain, _ = ratios(ran.out)
    assert cut == pytest.approx(plain, rel=1e-3)
    result = load(tmp_path / "cut_bright.png")
    np.testing.assert_array_equal(result[..., 3], pixels[..., 3])
    assert np.ptp(result[16:48, 16:48, :3]) == 0


def test_alpha_is_halved_by_means_and_deepened(tmp_path: Path, enhance: Callable):
    pixels = np.full((11, 13, 4), 9, np.uint8)
    pixels[..., 3] = np.indices((11, 13)).sum(0) % 2 * 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert enhance("lowlight", tmp_path / "a.png", "--size", "half").code == 0
    half = load(tmp_path / "a_bright.png")
    assert half.shape == (5, 6, 4) and set(half[..., 3].flat) <= {127, 128}
    assert enhance("lowlight", tmp_path / "a.png", "--bits", 16, "-o", tmp_path / "o.tif").code == 0
    import tifffile

    deep = tifffile.imread(tmp_path / "o.tif")
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(deep[..., 3], pixels[..., 3].astype(np.uint16) * 257)


def test_exposures_beyond_sense_are_refused(tmp_path: Path, enhance: Callable):
    write_raw(tmp_path / "short.dng", exposure=Exposure(1e-7, 1, 1000))
    write_raw(tmp_path / "long.dng", exposure=Exposure(1e6, 1e5, 0.01))
    for one, other in (("short", "long"), ("long", "short")):
        ran = enhance("lowlight", tmp_path / f"{one}.dng", "--like", tmp_path / f"{other}.dng")
        assert ran.code == 1 and "give --ratio" in ran.err and len(ran.err.splitlines()) == 1
    damaged = ImageFileDirectory_v2()
    for tag, value in (
        (Base.ExposureTime, 1e-308),
        (Base.ISOSpeedRatings, 1e-300),
        (Base.FNumber, 1e-200),
    ):
        damaged.tagtype[tag] = 12  # double
        damaged[tag] = value
    write_flat(tmp_path / "damaged.tif", tiffinfo=damaged)
    assert enhance("lowlight", tmp_path / "damaged.tif").code == 0
    write_raw(tmp_path / "a.dng", exposure=Exposure(0.1, 100, 4))
    for one, other in (("damaged.tif", "a.dng"), ("a.dng", "damaged.tif")):
        ran = enhance("lowlight", tmp_path / one, "--like", tmp_path / other, "--overwrite")
        assert ran.code == 1 and len(ran.err.splitlines()) == 1 and "fault" not in ran.err


def test_like_a_jpeg_itself_and_a_darker_one(tmp_path: Path, enhance: Callable):
    write_raw(tmp_path / "a.dng", exposure=Exposure(0.04, 400, 4))
    write_flat(tmp_path / "long.jpg", exif=exif_of(ExposureTime=2.0))
    write_flat(tmp_path / "short.jpg", exif=exif_of(ExposureTime=1e-6))
    for name, ratio in (("long.jpg", 50), ("a.dng", 1), ("short.jpg", 2.5e-5)):
        ran = enhance(
            "lowlight", tmp_path / "a.dng", "--like", tmp_path / name, "--json", "--overwrite"
        )
        if ratio < 1e-4:
            assert ran.code == 1 and "give --ratio" in ran.err
        else:
            assert ratios(ran.out) == [pytest.approx(ratio, rel=1e-3)]
    ran = enhance("lowlight", tmp_path / "a.dng", "--ratio", 1e-5, "--json", "--overwrite")
    assert ratios(ran.out) == [pytest.approx(1e-5)]


def test_a_rendered_raw_has_8_bits_unless_asked(
    tmp_path: Path, enhance: Callable, shared_data: Path
):
    scan = shared_data / "raw" / "not_bayer_coolscan.nef"
    for arguments, bits in (((), 8), (("--bits", 16), 16)):
        out = tmp_path / f"{bits}.png"
        assert enhance("lowlight", scan, "--size", "half", "-o", out, *arguments).code == 0
        assert out.read_bytes()[24] == bits


def test_notices_tell_losses_and_nothing_else(tmp_path: Path, enhance: Callable):
    write_flat(tmp_path / "a.bmp")
    ran = enhance("lowlight", tmp_path / "a.bmp")
    assert ran.code == 0 and "EXIF" not in ran.err
    write_flat(tmp_path / "b.jpg", exif=exif_of(FNumber=2.0))
    ran = enhance("lowlight", tmp_path / "b.jpg", "-o", tmp_path / "b.bmp")
    assert ran.code == 0 and "BMP holds no EXIF" in ran.err


def test_verbose_describes_each_model_once(tmp_path: Path, enhance: Callable, weights: Path):
    write_raw(tmp_path / "a.dng")
    write_raw(tmp_path / "b.dng")
    write_flat(tmp_path / "c.png")
    ran = enhance("lowlight", tmp_path, "-v")
    assert ran.code == 0
    for name in ("sid-fcn", "sid-fcn-srgb"):
        assert ran.err.count(f"{name} from {weights / name}.safetensors, on cpu in float32") == 1


def test_a_named_model_is_loaded_once(
    tmp_path: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    loaded = []
    original = catalogue.load_model
    monkeypatch.setattr(
        catalogue, "load_model", lambda *a, **k: loaded.append(k) or original(*a, **k)
    )
    write_raw(tmp_path / "a.dng")
    write_flat(tmp_path / "b.png")
    assert enhance("lowlight", tmp_path, "--model", "sid-fcn-srgb").code == 1
    assert len(loaded) == 1


def test_too_long_a_name_is_told_with_its_remedy(tmp_path: Path, enhance: Callable):
    write_raw(tmp_path / "a.dng")
    ran = enhance("lowlight", tmp_path / "a.dng", "-o", tmp_path / f"{'n' * 300}.png")
    assert ran.code == 1 and len(ran.err.splitlines()) == 1
    assert "File name too long" in ran.err and "rename" in ran.err


def test_dark_pictures_with_lamps_and_skies_are_brightened(shared_data: Path):
    """Highlights alone must not keep a picture dark."""
    for path in sorted((shared_data / "dark").glob("*.bmp")):
        values = torch.from_numpy(load(path) / 255).float().permute(2, 0, 1)
        if path.name not in ("10.bmp", "1.bmp", "7.bmp", "9.bmp"):
            continue
        ratio = choose_ratio(srgb_to_linear(values))
        assert ratio > 3, path
        shrunk = torch.nn.functional.avg_pool2d(values[None], 2)[0]
        assert choose_ratio(srgb_to_linear(shrunk)) == pytest.approx(ratio, rel=0.25)


def test_lamps_may_stay_white_but_a_lit_subject_may_not_become_so():
    night = torch.full((3, 400, 400), 0.008)
    lamps = night.clone()
    lamps[:, 40:120, 40:120] = 1  # a twenty-fifth
    assert choose_ratio(lamps) > 10
    subject = night / 40
    subject[:, 100:300, 100:300] = 0.4
    assert choose_ratio(subject) == pytest.approx(2.5, rel=1e-3)
    high_key = torch.full((3, 400, 400), 0.7)
    assert choose_ratio(high_key) == 1


# --- curves and strength -----------------------------------------------------------------------


def orange(tmp_path: Path) -> None:
    """A dark scene with an orange lamp, as RAW and as a picture."""
    rgb = np.full((48, 64, 3), 0.005)
    rgb[:, 32:] = (0.4, 0.18, 0.032)
    write_raw(tmp_path / "a.dng", rgb)
    encoded = linear_to_srgb(torch.from_numpy(rgb)).numpy() * 255
    Image.fromarray(encoded.round().astype(np.uint8)).save(tmp_path / "b.png")


@pytest.mark.parametrize("name", ["a.dng", "b.png"])
def test_an_orange_lamp_is_not_yellow(tmp_path: Path, enhance: Callable, name: str):
    orange(tmp_path)
    for curve in ("camera", "flat"):
        out = tmp_path / f"{curve}.png"
        ran = enhance("lowlight", tmp_path / name, "--ratio", 20, "--curve", curve, "-o", out)
        assert ran.code == 0, ran.err
        red, green, blue = load(out)[8:-8, 40:-8].mean((0, 1))
        assert red < 254
        assert 60 * (green - blue) / (red - blue) == pytest.approx(34, abs=6)


def test_linear_levels_are_proportional_to_light(tmp_path: Path, enhance: Callable):
    orange(tmp_path)
    for name in ("a.dng", "b.png"):
        out = tmp_path / "linear.tif"
        ran = enhance(
            "lowlight", tmp_path / name, "--ratio", 2, "--curve", "linear", "-o", out, "--overwrite"
        )
        assert ran.code == 0, ran.err
        pixels = tifffile.imread(out)
        assert pixels.dtype == np.uint16
        lamp = pixels[8:-8, 40:-8].mean((0, 1)) / 65535
        np.testing.assert_allclose(lamp, [0.8, 0.36, 0.064], rtol=0.05)
        with Image.open(out) as image:
            profile = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        assert profile.profile.red_primary is not None
        # Through its profile the lamp looks as it is.
        level = ImageCms.profileToProfile(
            Image.new("RGB", (1, 1), (204, 92, 16)), profile, ImageCms.createProfile("sRGB")
        )
        assert level is not None
        shown = linear_to_srgb(torch.tensor([204, 92, 16]) / 255) * 255
        np.testing.assert_allclose(level.getpixel((0, 0)), shown.numpy(), atol=3)


def test_strength_is_told(tmp_path: Path, enhance: Callable):
    write_raw(tmp_path / "a.dng", 0.01 + 0.004 * np.random.default_rng(0).random((48, 64, 3)))
    for strength in (0, 1):
        out = tmp_path / f"{strength}.png"
        ran = enhance(
            "lowlight",
            tmp_path / "a.dng",
            "--ratio",
            20,
            "--strength",
            strength,
            "-o",
            out,
            "--json",
        )
        assert ran.code == 0, ran.err
        told = json.loads(ran.out)["results"][0]
        assert (told["curve"], told["strength"]) == ("camera", strength)
        with Image.open(out) as image:
            assert f"strength {strength}" in image.getexif()[Base.Software]
    assert not np.array_equal(load(tmp_path / "0.png"), load(tmp_path / "1.png"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--curve", "flatt"), "unknown curve 'flatt' (did you mean 'flat'?)"),
        (("--strength", "1.5"), "--strength 1.5: must be from 0 to 1"),
        (("--strength", "nan"), "--strength nan: must be from 0 to 1"),
        (("--model", "sid-net-small", "--curve", "flat"), "--curve: model 'sid-net-small'"),
        (("--model", "sid-net-small", "--strength", "0.5"), "--strength: model 'sid-net-small'"),
    ],
)
def test_looks_that_cannot_be(
    tmp_path: Path, enhance: Callable, weights: Path, arguments: tuple[str, ...], said: str
):
    architecture = ARCHITECTURES["sid-net"]
    network = build(architecture, SidNetConfig(width=1, latent=2))
    save_checkpoint(weights / "sid-net-small.safetensors", network, architecture, "sid-net-small")
    write_raw(tmp_path / "a.dng")
    ran = enhance("lowlight", tmp_path / "a.dng", *arguments)
    assert ran.code == 2 and said in ran.err and len(ran.err.splitlines()) == 1
    assert not list(tmp_path.glob("*_bright*"))
