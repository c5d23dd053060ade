"""HEIC, as phones write it: turned, coloured, with further pictures, and damaged."""

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from PIL.ExifTags import Base

from enhance_cli.errors import InputError
from enhance_cli.io.reading import read_image


def picture(height: int = 48, width: int = 64) -> Image.Image:
    """A slope of red to the right and of green downwards."""
    y, x = np.mgrid[:height, :width]
    levels = np.stack([60 + 2 * x, 40 + 3 * y, np.full_like(x, 90)], 2)
    return Image.fromarray(levels.astype(np.uint8))


def write(path: Path, *pictures: Image.Image, **options: object) -> None:
    file = pillow_heif.from_pillow(pictures[0])
    for other in pictures[1:]:
        file.add_from_pillow(other)
    file.save(path, quality=95, chroma=444, **options)


def read(path: Path) -> tuple[np.ndarray, list[str]]:
    notices: list[str] = []
    return read_image(path, notices.append).pixels.astype(int), notices


def test_pixels_and_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Orientation] = "Phone", 6
    write(tmp_path / "a.heic", picture(), exif=exif.tobytes())
    found = read_image(tmp_path / "a.heic")
    # libheif turns what a turn is stored for, and the EXIF must not turn it once more.
    expected = np.rot90(np.asarray(picture()).astype(int), -1)
    assert np.abs(found.pixels.astype(int) - expected).max() < 12
    stored = Image.Exif()
    assert found.exif is not None
    stored.load(found.exif)
    assert stored[Base.Make] == "Phone"
    assert stored.get(Base.Orientation, 1) == 1


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    write(tmp_path / "two.heic", picture(), picture(32, 32))
    pixels, notices = read(tmp_path / "two.heic")
    assert pixels.shape == (48, 64, 3)
    assert notices == ["holds 1 more pictures, only its primary one is read"]


def test_display_p3_by_numbers(tmp_path: Path) -> None:
    write(
        tmp_path / "p3.heic",
        picture(),
        color_primaries=12,
        transfer_characteristics=13,
        matrix_coefficients=6,
        full_range_flag=1,
        save_nclx_profile=True,
    )
    found = read_image(tmp_path / "p3.heic")
    assert found.icc_profile is not None
    write(
        tmp_path / "pq.heic",
        picture(),
        color_primaries=9,
        transfer_characteristics=16,
        matrix_coefficients=9,
        full_range_flag=1,
        save_nclx_profile=True,
    )
    with pytest.raises(InputError, match="dynamic range"):
        read_image(tmp_path / "pq.heic")


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.heic"
    write(path, picture())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"cut\.heic: .*(damaged|not a picture)") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
