"""Colours that files describe by numbers: chunks of PNG, nclx of AVIF, tags of TIFF."""

import struct
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import ImageCms
from pixels import noise, save_png

from enhance_cli.errors import InputError
from enhance_cli.io.image import read_image, write_image

P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
# SMPTE EG 432-1 and IEC 61966-2-1: linear Display P3 to linear sRGB.
P3_TO_SRGB = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])


def save(path: Path, chunks: list[tuple[bytes, bytes]], channels: int = 3) -> np.ndarray:
    pixels = noise(8, 8, channels)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    colour_type = 2 if channels == 3 else 0
    save_png(path, struct.pack(">IIBBBBB", 8, 8, 8, colour_type, 0, 0, 0), chunks, rows)
    return pixels


def gamma(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def primaries(values: tuple[int, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *values)


def encode(light: np.ndarray) -> np.ndarray:
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def decode(levels: np.ndarray) -> np.ndarray:
    x = levels / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def as_srgb(path: Path) -> np.ndarray:
    """What a viewer that heeds the ICC profile of a file shows on an sRGB screen."""
    with Pillow.open(path) as image:
        shown = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"])),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    return np.asarray(shown).astype(int)


@pytest.mark.parametrize(
    ("chunks", "light"),
    [
        ([(b"cICP", b"\x0c\x0d\0\1")], lambda x: decode(x) @ P3_TO_SRGB.T),
        ([(b"cICP", b"\x0c\x0d\0\1"), gamma(1)], lambda x: decode(x) @ P3_TO_SRGB.T),
        ([primaries(P3)], lambda x: decode(x) @ P3_TO_SRGB.T),
        ([gamma(0.45455), primaries(P3)], lambda x: (x / 255) ** 2.2 @ P3_TO_SRGB.T),
        ([gamma(1)], lambda x: x / 255),
        ([(b"cICP", b"\1\x08\0\1")], lambda x: x / 255),
        ([gamma(0.5), primaries(SRGB)], lambda x: (x / 255) ** 2),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".avif"])
def test_tags_become_a_profile_that_is_kept(
    chunks: list, light: object, suffix: str, tmp_path: Path
) -> None:
    pixels = save(tmp_path / "a.png", chunks)
    notices: list[str] = []
    picture = read_image(tmp_path / "a.png", notices.append)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert len(notices) == 1 and "ICC profile" in notices[0]
    write_image(tmp_path / f"b{suffix}", picture)
    if suffix in (".png", ".tif"):
        assert np.abs(as_srgb(tmp_path / f"b{suffix}") - encode(light(pixels))).max() < 2
    else:
        assert read_image(tmp_path / f"b{suffix}").icc_profile == picture.icc_profile


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0.45455)],
        [gamma(0.45455), primaries(SRGB)],
        [(b"sRGB", b"\0"), gamma(1), primaries(P3)],
        [(b"cICP", b"\1\x0d\0\1"), gamma(1)],
        [(b"cICP", b"\1\1\0\1")],
    ],
)
def test_what_is_srgb_needs_no_profile(chunks: list, tmp_path: Path) -> None:
    save(tmp_path / "a.png", chunks)
    notices: list[str] = []
    assert read_image(tmp_path / "a.png", notices.append).icc_profile is None
    assert notices == []


def test_grey_of_another_gamma(tmp_path: Path) -> None:
    pixels = save(tmp_path / "a.png", [gamma(1)], channels=1)
    write_image(tmp_path / "b.png", read_image(tmp_path / "a.png"))
    # LittleCMS is coarse in the darkest levels of grey.
    assert np.abs(as_srgb(tmp_path / "b.png") - encode(pixels / 255)).mean() < 0.5


@pytest.mark.parametrize(
    ("code_points", "words"),
    [
        (b"\x09\x10\0\1", "PQ"),
        (b"\x09\x12\0\1", "HLG"),
        (b"\1\x0d\0\0", "narrow range"),
        (b"\x63\x0d\0\1", "unusual kind"),
    ],
)
def test_colours_that_are_refused_with_advice(
    code_points: bytes, words: str, tmp_path: Path
) -> None:
    save(tmp_path / "a.png", [(b"cICP", code_points)])
    with pytest.raises(InputError, match=f"{words}.* first"):
        read_image(tmp_path / "a.png")


def retag(path: Path, primaries: int, transfer: int) -> None:
    """Write the code points into the nclx property of an AVIF and into its AV1 data."""
    Pillow.fromarray(noise(16, 16, 3)).save(path)
    data = path.read_bytes()
    place = data.index(b"nclx") + 4
    path.write_bytes(data[:place] + struct.pack(">HH", primaries, transfer) + data[place + 4 :])


def test_avif(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    retag(path, 1, 13)
    assert read_image(path).icc_profile is None
    retag(path, 12, 13)
    with av.open(path) as container:
        assert container.streams.video[0].codec_context.color_primaries == 12
    assert read_image(path).icc_profile is not None
    retag(path, 9, 16)
    with pytest.raises(InputError, match="PQ"):
        read_image(path)


def save_tiff(path: Path, *tags: tuple) -> np.ndarray:
    pixels = noise(8, 8, 3)
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=[(*tag, True) for tag in tags])
    return pixels


def rationals(*values: float) -> tuple:
    return tuple(part for value in values for part in (round(value * 10**5), 10**5))


def test_primaries_of_tiff_become_a_profile(tmp_path: Path) -> None:
    white = (318, 5, 2, rationals(0.3127, 0.3290))
    pixels = save_tiff(
        tmp_path / "a.tif", white, (319, 5, 6, rationals(0.68, 0.32, 0.265, 0.69, 0.15, 0.06))
    )
    write_image(tmp_path / "kept.png", read_image(tmp_path / "a.tif"))
    expected = encode(decode(pixels) @ P3_TO_SRGB.T)
    assert np.abs(as_srgb(tmp_path / "kept.png") - expected).mean() < 1
    save_tiff(tmp_path / "b.tif", white)
    notices: list[str] = []
    assert read_image(tmp_path / "b.tif", notices.append).icc_profile is None
    assert notices == []


def test_the_transfer_function_of_tiff(tmp_path: Path) -> None:
    level = np.linspace(0, 1, 256)
    curves = {
        "gamma": level**1.8,
        "srgb": decode(255 * level),
        "odd": level**1.8 * (1 - 0.1 * level),
    }
    found = {}
    for name, curve in curves.items():
        table = np.round(curve * 65535).astype(int).tolist()
        save_tiff(tmp_path / f"{name}.tif", (301, 3, 256, table))
        notices: list[str] = []
        profile = read_image(tmp_path / f"{name}.tif", notices.append).icc_profile
        found[name] = (profile is not None, any("TransferFunction" in line for line in notices))
    assert found == {"gamma": (True, False), "srgb": (False, False), "odd": (False, True)}
