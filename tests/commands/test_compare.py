"""``enhance compare``: a page with two pictures, or those of two folders."""

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enhance_cli.io.image import Picture, write_image

Run = Callable[..., object]


def write(path: Path, height: int, width: int, seed: int = 0, dtype: type = np.uint8) -> Path:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype=dtype)
    write_image(path, Picture(pixels))
    return path


class Page(HTMLParser):
    """The pictures and the cells of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.pictures: list[np.ndarray] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        source = dict(attrs).get("src") or ""
        assert not source.startswith(("http", "/")), "the page needs another file"
        if tag == "img":
            data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
            self.pictures.append(np.asarray(Image.open(BytesIO(data))))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_two_files_and_what_they_should_be(tmp_path: Path, enhance: Run):
    """The figures are those of ``enhance evaluate``; a small picture is shown without one."""
    truth = write(tmp_path / "truth" / "<i>&.png", 48, 64)
    made = write(tmp_path / "made" / "<i>&.png", 48, 64, seed=1, dtype=np.uint16)
    small = write(tmp_path / "small.png", 12, 16)
    page = tmp_path / "page.html"
    ran = enhance("compare", small, made, "--reference", truth, "-o", page, "--json")
    assert ran.code == 0, ran.err
    (result,) = json.loads(ran.out)["results"]
    folders = "--pred", made.parent, "--gt", truth.parent
    ran = enhance("evaluate", *folders, "--metrics", "psnr,ssim", "--json")
    (scored,) = json.loads(ran.out)["results"]
    assert result["first"] is None
    assert result["second"] == pytest.approx(scored["mean"], abs=0.01)  # 16 bits are rounded
    shown = Page(page)
    assert [picture.shape for picture in shown.pictures] == [(12, 16, 3), (48, 64, 3), (48, 64, 3)]
    np.testing.assert_array_equal(shown.pictures[2], np.asarray(Image.open(truth)))
    assert "B: <i>&.png" in shown.texts and f"{result['second']['psnr']:.2f} dB" in shown.texts
    assert "<i>" not in re.sub(r"<img[^>]*>", "", page.read_text())


def test_two_folders(tmp_path: Path, enhance: Run):
    """A damaged picture is named, and the page has the others."""
    for name in ("a", "b", "c"):
        write(tmp_path / "first" / f"{name}.png", 20, 20)
        write(tmp_path / "second" / f"{name}_x4.png", 20, 20)
    (tmp_path / "second" / "b_x4.png").write_bytes(b"no picture")
    write(tmp_path / "second" / "c_x4.png", 20, 30)
    page = tmp_path / "page.html"
    ran = enhance("compare", tmp_path / "first", tmp_path / "second", "-o", page, "--json")
    assert ran.code == 1
    same, damaged, wide = json.loads(ran.out)["results"]
    assert same["difference"] == {"psnr": None, "ssim": 1.0}
    assert "b_x4.png: not a picture" in damaged["error"]
    assert "30x20" in wide["error"] and "another shape" in wide["error"]
    shown = Page(page)
    assert len(shown.pictures) == 2 and "equal" in shown.texts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "folder", "-o", "p.html"], "a.png: no folder, give files only or folders only"),
        (["a.png", "b.png", "-o", "p.png"], "p.png: the page is an HTML file"),
        (["a.png", "b.png", "-o", "old.html"], "old.html: exists already, add --overwrite"),
        (["a.png", "none.png", "-o", "p.html"], "none.png: no such file"),
    ],
)
def test_what_cannot_be(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    enhance: Run,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "folder/c.png"):
        write(tmp_path / name, 12, 12)
    (tmp_path / "old.html").write_text("mine")
    ran = enhance("compare", *arguments)
    assert ran.code in (1, 2) and message in ran.err
    assert not list(tmp_path.glob("p.*")) and (tmp_path / "old.html").read_text() == "mine"
