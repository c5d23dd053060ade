"""XMP, IPTC, comments, texts, resolution and the ratio of pixels' sides: kept, or told as lost."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from pixels import noise

from enhance_cli.io.captions import Captions, jpeg_segment
from enhance_cli.io.colour_tags import BT709, make_profile
from enhance_cli.io.image import Picture, read_image, write_image, write_notices
from enhance_cli.io.metadata import load_exif

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6">\xc3\xbc</r></x:xmpmeta>'
UPRIGHT_XMP = XMP.replace(b'"6"', b'"1"')
IPTC = b"\x1c\x02\x19\x00\x05beach\x1c\x02x\x00\x08caption "
ALL = Captions(UPRIGHT_XMP, IPTC, (("Comment", "schön"), ("parameters", "a tree, 写真")))
KEPT = {
    ".png": ALL,
    ".jpg": Captions(UPRIGHT_XMP, IPTC, ALL.texts[:1]),
    ".tif": Captions(UPRIGHT_XMP, IPTC),
    ".webp": Captions(UPRIGHT_XMP),
    ".avif": Captions(UPRIGHT_XMP),
    ".bmp": Captions(),
}
LOST = {
    ".png": [],
    ".jpg": ["parameters"],
    ".tif": ["Comment, parameters"],
    ".webp": ["IPTC", "Comment, parameters"],
    ".avif": ["IPTC", "Comment, parameters"],
    ".bmp": ["XMP", "IPTC", "Comment, parameters"],
}


def test_captions_of_jpeg(tmp_path: Path) -> None:
    Pillow.fromarray(noise(4, 4, 3)).save(
        tmp_path / "a.jpg", xmp=XMP, comment="schön", extra=jpeg_segment(IPTC)
    )
    assert read_image(tmp_path / "a.jpg").captions == Captions(UPRIGHT_XMP, IPTC, ALL.texts[:1])


def test_captions_of_png(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("parameters", "steps", zip=True)
    info.add_itxt("Title", "Ä 写真")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    Pillow.fromarray(noise(4, 4, 3)).save(tmp_path / "a.png", pnginfo=info)
    expected = Captions(UPRIGHT_XMP, None, (("parameters", "steps"), ("Title", "Ä 写真")))
    assert read_image(tmp_path / "a.png").captions == expected


@pytest.mark.parametrize(
    ("suffix", "dtype"), [*((suffix, np.uint8) for suffix in KEPT), (".png", np.uint16)]
)
def test_what_a_format_holds_is_kept_and_the_rest_is_told(
    suffix: str, dtype: type, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    picture = Picture(noise(4, 4, 3, dtype=dtype), captions=ALL)
    notices = write_notices(path, picture)
    assert len(notices) == len(LOST[suffix])
    assert all(word in text for word, text in zip(LOST[suffix], notices, strict=True))
    write_image(path, picture)
    again = read_image(path)
    assert again.captions == KEPT[suffix]
    assert again.pixels.shape == (4, 4, 3)
    bare = picture.without_metadata()
    assert write_notices(path, bare) == []
    write_image(path, bare)
    assert read_image(path).captions == Captions()


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp"])
def test_texts_that_exif_has_tags_for_go_there(suffix: str, tmp_path: Path) -> None:
    texts = (("Author", "Jörg 写真"), ("Description", "a tree"), ("Model", "x"))
    exif = Pillow.Exif()
    exif[0x010E] = "another description"
    picture = Picture(noise(4, 4, 3), exif=exif.tobytes(), captions=Captions(texts=texts))
    path = tmp_path / f"a{suffix}"
    (notice,) = write_notices(path, picture)
    assert notice.endswith("does not hold these texts: Description, Model")
    write_image(path, picture)
    found = load_exif(read_image(path).exif or b"")
    assert found[0x013B].encode("latin-1").decode() == "Jörg 写真"
    assert found[0x010E] == "another description"


def test_bare_iptc_of_png(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("Raw profile type iptc", f"\niptc\n{len(IPTC):8}\n{IPTC.hex()}\n", zip=True)
    Pillow.fromarray(noise(4, 4, 3)).save(tmp_path / "a.png", pnginfo=info)
    assert read_image(tmp_path / "a.png").captions == Captions(None, IPTC)


def test_xmp_that_a_jpeg_cannot_hold(tmp_path: Path) -> None:
    picture = Picture(noise(4, 4, 3), captions=Captions(xmp=bytes(70_000)))
    assert "XMP" in write_notices(tmp_path / "a.jpg", picture)[0]
    write_image(tmp_path / "a.jpg", picture)
    assert read_image(tmp_path / "a.jpg").captions == Captions()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ratio_of_the_sides_and_no_resolution_where_there_was_none(
    dtype: type, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, Picture(noise(4, 6, 3, dtype=dtype)))
    assert read_image(path).dpi is None and read_image(path).density is None
    write_image(path, Picture(noise(4, 6, 3, dtype=dtype), density=(2, 1)))
    assert read_image(path).dpi is None and read_image(path).density == (2, 1)
    assert "ratio" in write_notices(tmp_path / "a.webp", read_image(path))[-1]


def test_the_ratio_is_turned_with_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Pillow.Exif()
    exif[0x112] = 6
    Pillow.fromarray(noise(4, 6, 3)).save(path, exif=exif)
    data = path.read_bytes()
    assert data[6:10] == b"JFIF"
    path.write_bytes(data[:13] + struct.pack(">BHH", 0, 2, 1) + data[18:])
    assert read_image(path).density == (1, 2)


def test_a_grey_profile_is_not_lost_in_silence(tmp_path: Path) -> None:
    profile = make_profile(BT709, 2.2, channels=1)
    picture = Picture(noise(4, 4, 1), icc_profile=profile)
    assert "grey profile" in write_notices(tmp_path / "a.webp", picture)[0]
    assert write_notices(tmp_path / "a.png", picture) == []


def test_several_pictures_in_one_file_are_told(tmp_path: Path) -> None:
    pages = [Pillow.fromarray(noise(8, 8, 3)), Pillow.fromarray(noise(9, 8, 3)[1:])]
    for name, options in (("a.tif", {}), ("b.jpg", {"format": "MPO"})):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **options)
        notices: list[str] = []
        read_image(tmp_path / name, notices.append)
        assert len(notices) == 1 and "holds 2 pictures, the first one is read" in notices[0]
