"""``enhance superres --pages``: files that hold several pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from enhance_cli.io.image import find_pages, read_image, write_image
from enhance_cli.io.picture import Picture

Run = Callable[..., object]
IPTC = b"\x1c\x02\x19\x00\x05beach"


@pytest.fixture
def tiny(tiny_weights: dict[int, Path]) -> list[object]:
    return ["--weights", tiny_weights[2]]


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def scan(path: Path) -> list[np.ndarray]:
    """A TIFF of pages that differ in size, depth and channels, with a smaller version of one."""
    pages = [
        noise(6, 9, 3),
        noise(7, 5, dtype=np.uint16),
        noise(4, 4, 4),
        noise(2, 5, 6, dtype=np.uint16),  # grey and alpha, of 16 bits: unknown to Pillow
    ]
    with tifffile.TiffWriter(path) as file:
        file.write(pages[0], photometric="rgb", description="first", resolution=(300, 300))
        file.write(pages[0][::2, ::2], photometric="rgb", subfiletype=1)
        file.write(pages[1], photometric="minisblack", extratags=[(33723, 7, 10, IPTC, True)])
        file.write(pages[2], photometric="rgb", extrasamples=["unassalpha"], compression="zlib")
        file.write(pages[3], photometric="minisblack", planarconfig="separate", extrasamples=[2])
    return pages


def as_stored(picture: Picture) -> np.ndarray:
    planes = picture.pixels
    if picture.alpha is not None:
        planes = np.dstack([planes, picture.alpha])
    return planes.squeeze()


def test_pages_of_a_tiff_are_read_one_by_one(tmp_path: Path):
    pages = scan(tmp_path / "a.tif")
    places = find_pages(tmp_path / "a.tif")
    assert places == [0, 2, 3, 4]
    read = [read_image(tmp_path / "a.tif", page=place) for place in places]
    for picture, page in zip(read, pages, strict=True):
        page = np.moveaxis(page, 0, -1) if page.shape[0] == 2 else page
        np.testing.assert_array_equal(as_stored(picture), page, strict=True)
    assert [picture.dpi is None for picture in read] == [False, True, True, True]
    assert [picture.captions.iptc for picture in read] == [None, IPTC, None, None]


def test_all_pages_of_a_tiff_come_into_one(tmp_path: Path, enhance: Run, tiny: list):
    source, target = tmp_path / "a.tif", tmp_path / "a_x2.tif"
    scan(source)
    ran = enhance("superres", source, *tiny, "--pages", "all", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["results"][0]["pages"] == 4
    assert find_pages(target) == [0, 1, 2, 3]
    assert sorted(tmp_path.iterdir()) == [source, target]
    for number in range(1, 5):
        alone = tmp_path / f"{number}.tif"
        assert enhance("superres", source, *tiny, "--pages", number, "-o", alone).code == 0
        expected, found = read_image(alone), read_image(target, page=number - 1)
        np.testing.assert_array_equal(as_stored(found), as_stored(expected), strict=True)
        assert (found.dpi, found.exif, found.captions) == (
            expected.dpi,
            expected.exif,
            expected.captions,
        )
    with tifffile.TiffFile(target) as file:  # as others read it
        assert [page.asarray().shape for page in file.pages] == [
            (12, 18, 3),
            (14, 10),
            (8, 8, 4),
            (10, 12, 2),
        ]


def test_other_formats_get_a_file_for_each_page(tmp_path: Path, enhance: Run, tiny: list):
    views = [Image.fromarray(noise(8, 8, 3)), Image.fromarray(noise(9, 8, 3)[1:])]
    views[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=views[1:])
    command = ("superres", tmp_path / "a.jpg", *tiny, "--pages", "all")
    ran = enhance(*command, "--json")
    assert ran.code == 0, ran.err
    names = [Path(path).name for path in json.loads(ran.out)["results"][0]["outputs"]]
    assert names == ["a_x2-1.jpg", "a_x2-2.jpg"]
    first, second = (read_image(tmp_path / name).pixels.astype(int) for name in names)
    assert first.shape == second.shape == (16, 16, 3)
    assert np.abs(first - second).mean() > 10
    (tmp_path / names[0]).unlink()
    before = (tmp_path / names[1]).read_bytes()
    ran = enhance(*command)
    assert (ran.code, names[1] in ran.err) == (1, True)
    assert enhance(*command, "--skip-existing").code == 0
    assert (tmp_path / names[0]).exists()
    assert enhance(*command, "--skip-existing").code == 0  # nothing is left to do
    assert (tmp_path / names[1]).read_bytes() == before
    again = tmp_path / names[1]
    ran = enhance(*command, again, "--overwrite", "-o", tmp_path)
    assert ran.code == 1 and "an input would be replaced" in ran.err
    assert again.read_bytes() == before


def test_records_name_the_network_of_their_page(tmp_path: Path, enhance: Run):
    """Of which there are two here, since one page is noisy and one is not."""
    clean = np.full((64, 64, 3), (90, 130, 40), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in (clean + noise(64, 64, 3) // 4, clean):
            file.write(page, photometric="rgb")
    command = ("superres", tmp_path / "a.tif", "--pages", "all", "--sidecar", "--json")

    def told(name: str) -> dict:
        return json.loads((tmp_path / f"{name}.json").read_text())

    ran = enhance(*command)
    assert ran.code == 0, ran.err
    models = ["enet-real-x4", "fast-x4"]
    assert json.loads(ran.out)["results"][0]["model"] == models
    assert told("a_x4.tif")["model"] == models
    assert [files[0]["file"] for files in told("a_x4.tif")["weights"]] == [
        f"{model}.safetensors" for model in models
    ]
    assert told("a_x4.tif")["command"] == "superres"

    apart = (*command, "-o", tmp_path / "out.png")
    ran = enhance(*apart)
    assert ran.code == 0, ran.err
    assert [told(f"out-{number}.png")["model"] for number in (1, 2)] == models

    (tmp_path / "out-1.png.json").unlink()
    (tmp_path / "out-2.png").unlink()
    ran = enhance(*apart, "--skip-existing")
    assert (ran.code, "out-2.png.json: exists already, add --overwrite" in ran.err) == (1, True)
    (tmp_path / "out-2.png.json").unlink()
    ran = enhance(*apart, "--skip-existing")
    assert json.loads(ran.out)["results"][0]["model"] == models[1]
    assert told("out-2.png")["model"] == models[1]
    assert not (tmp_path / "out-1.png.json").exists()  # of what was there nothing is known


def test_a_single_picture_has_no_other_pages(tmp_path: Path, enhance: Run, tiny: list):
    write_image(tmp_path / "a.png", Picture(noise(4, 4, 3)))
    ran = enhance("superres", tmp_path / "a.png", *tiny, "--pages", "2")
    assert ran.code == 1
    assert "has no page 2" in ran.err
    assert enhance("superres", tmp_path / "a.png", *tiny, "--pages", "all").code == 0
    assert read_image(tmp_path / "a_x2.png").width == 8
    for wrong in ("0", "last", "-1"):
        assert enhance("superres", tmp_path / "a.png", *tiny, "--pages", wrong).code == 2
