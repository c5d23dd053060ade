"""Two pictures of the same thing in one page: a divider is dragged over them, with their scores."""

import math
import tempfile
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from enhance_cli.data.benchmarks import match_folders
from enhance_cli.defaults import SCALE
from enhance_cli.errors import EnhanceError, InputError, OutputError, UsageError, one_line
from enhance_cli.evaluation.report import finite, write_page
from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.io.isolation import decode, decoding_apart
from enhance_cli.io.picture import round_to_8_bits
from enhance_cli.levels import to_planes, to_values
from enhance_cli.metrics.protocols import score
from enhance_cli.talk import Talk, print_errors, print_json

_PROTOCOL = "y-crop"
_SHAPE_TOLERANCE = 0.02  # by how much the ratio of the sides may differ, since sizes are rounded
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 1em auto; max-width: 95vw }
figure { margin: 2em 0 } .view { overflow: auto; max-height: 90vh }
.stack { --cut: 50%; --zoom: 1; position: relative; touch-action: pan-y;
  width: calc(var(--width) * var(--zoom) * 1px) }
.stack img { position: absolute; left: 0; top: 0; width: 100%; height: 100%; display: none }
.stack .left, .stack .right { display: block }
.stack .right { clip-path: inset(0 0 0 var(--cut)); z-index: 1 }
.stack::after { z-index: 2; content: ""; position: absolute; top: 0; bottom: 0; left: var(--cut);
  border-left: 1px solid #fff; mix-blend-mode: difference }
input[type=range] { width: 100% } table { border-collapse: collapse }
th, td { padding: .1em .8em; text-align: right } th:first-child, td:first-child { text-align: left }
"""
_NOTE = (
    "Click or drag in a picture, or move the slider. Small pictures are shown as large as the "
    "largest one. PSNR and SSIM are of luma without a border of 4 pixels, against the last of a "
    "table."
)
_HEAD = "<tr><th>picture<th>size<th>PSNR<th>SSIM</tr>"
_SCRIPT = """
for (const figure of document.querySelectorAll("figure")) {
  const stack = figure.querySelector(".stack"), images = stack.querySelectorAll("img");
  const [left, right, zoom] = figure.querySelectorAll("select");
  const range = figure.querySelector("input");
  const show = () => {
    images.forEach((image, index) => {
      image.className = index == right.value ? "right" : index == left.value ? "left" : "";
    });
    stack.style.setProperty("--cut", range.value + "%");
    stack.style.setProperty("--zoom", zoom.value / window.devicePixelRatio);
  };
  for (const control of [left, right, zoom, range]) control.addEventListener("input", show);
  const cut = event => {
    if (event.buttons & 1) {
      range.value = 100 * (event.clientX - stack.getBoundingClientRect().left) / stack.clientWidth;
      show();
    }
  };
  for (const kind of ["pointerdown", "pointermove"]) stack.addEventListener(kind, cut);
  stack.addEventListener("dragstart", event => event.preventDefault());
  show();
}
"""


@dataclass(frozen=True)
class _Shown:
    """Files that show the same thing: the first, the second and, if there is one, the reference."""

    name: str
    paths: Sequence[Path]

    @property
    def labels(self) -> list[str]:
        """What each is called in the page."""
        return ["A", "B", "reference"][: len(self.paths)]


def run_compare(
    first: Path, second: Path, reference: Path | None, page: Path, talk: Talk, *, overwrite: bool
) -> int:
    """Write a page that compares two pictures, or the pictures of two folders by their names.

    Args:
        first, second: Files, or folders.
        reference: What both should be, a file or a folder as they are; None for nothing.
        page: The HTML file to write, which needs no other.
        talk: How the command speaks.
        overwrite: Whether a page that exists is replaced.

    Returns:
        The exit code: 1 if a picture could not be compared. The page has the others.

    Raises:
        UsageError: If files and folders are mixed.
        DatasetError: If the names of folders do not match.
        OutputError: If the page cannot be written.
    """
    shown = _find(first, second, reference)
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"-o {page}: the page is an HTML file, let its name end in .html")
    if page.exists() and not overwrite:
        raise OutputError(f"{page}: exists already, add --overwrite or choose another -o")
    results, parts, failures = [], [], []
    with decoding_apart(len(shown) > 1):
        for pictures in shown:
            try:
                figure, result = _compare(pictures)
            except EnhanceError as error:
                failures.append(str(error))
                results.append({"name": pictures.name, "status": "failed", "error": str(error)})
            else:
                parts.append(figure)
                results.append({"name": pictures.name, "status": "ok", **result})
    if parts:
        title = f"{first} and {second}"
        head = f"<h1>{escape(title)}</h1><p>{_NOTE}</p>"
        write_page(page, title, _STYLE, [head, *parts, f"<script>{_SCRIPT}</script>"])
        size = page.stat().st_size / 1e6
        talk.console.print(one_line(f"{page}: {len(parts)} compared, {size:.1f} MB"))
    print_errors(*(f"error: {failure}" for failure in failures))
    if talk.json:
        output = str(page) if parts else None
        print_json({"output": output, "results": finite(results), "failed": len(failures)})
    return 1 if failures else 0


def _find(first: Path, second: Path, reference: Path | None) -> list[_Shown]:
    given = [path for path in (first, second, reference) if path is not None]
    if not any(path.is_dir() for path in given):
        return [_Shown(first.name, given)]
    if not all(path.is_dir() for path in given):
        file = next(path for path in given if not path.is_dir())
        raise UsageError(f"{file}: no folder, give files only or folders only")
    if reference is None:
        return [_Shown(path.stem, [path, made]) for path, made in _match(second, first).items()]
    seconds = _match(second, reference)
    return [
        _Shown(path.stem, [made, seconds[path], path])
        for path, made in _match(first, reference).items()
    ]


def _match(folder: Path, against: Path) -> dict[Path, Path]:
    """The picture of a folder that belongs to each of another."""
    pairs = match_folders(folder, against)
    return {pair.reference: pair.source for pair in pairs if pair.source is not None}


def _compare(shown: _Shown) -> tuple[str, dict[str, Any]]:
    """The figure of some pictures, and what is reported of them."""
    pictures = [decode(read_image, path) for path in shown.paths]
    largest = max(pictures, key=lambda picture: picture.width)
    for path, picture in zip(shown.paths, pictures, strict=True):
        ratio = picture.width * largest.height / (picture.height * largest.width)
        if abs(math.log(ratio)) > _SHAPE_TOLERANCE:
            raise InputError(
                f"{path}: {picture.width}x{picture.height} has another shape than "
                f"{largest.width}x{largest.height}, cut it to the same part"
            )
    scores = [_score(picture, pictures[-1]) for picture in pictures[:-1]]
    names = ("first", "second") if len(scores) == 2 else ("difference",)
    rows = map(_row, shown.labels, shown.paths, pictures, [*scores, None])
    images = "".join(
        f'<img class="{place}" alt="{label}" src="data:image/png;base64,{_encode(picture)}">'
        for place, label, picture in zip(
            ("left", "right", ""), shown.labels, pictures, strict=False
        )
    )
    figure = (
        f"<figure><h2>{escape(shown.name)}</h2><p>"
        f"{_choice(shown.labels, 0)} {_choice(shown.labels, 1)} "
        '<select><option value="1">100%<option value="2">200%<option value="4">400%</select></p>'
        '<input type="range" min="0" max="100" value="50" step="any">'
        f'<div class="view"><div class="stack" style="--width: {largest.width}; '
        f'aspect-ratio: {largest.width} / {largest.height}">{images}</div></div>'
        f"<table>{_HEAD}{''.join(rows)}</table></figure>"
    )
    return figure, dict(zip(names, scores, strict=True))


def _score(picture: Picture, reference: Picture) -> dict[str, float] | None:
    """PSNR and SSIM as ``enhance evaluate`` measures them; None for pictures of other sizes."""
    if picture.pixels.shape[:2] != reference.pixels.shape[:2]:
        return None
    values, truth = (
        to_values(to_planes(round_to_8_bits(each.pixels))) for each in (picture, reference)
    )
    try:
        return score(values, truth, _PROTOCOL, SCALE)
    except ValueError:  # too small to be measured
        return None


def _row(label: str, path: Path, picture: Picture, found: dict[str, float] | None) -> str:
    cells = [f"{label}: {path.name}", f"{picture.width}x{picture.height}"]
    if found:
        psnr, ssim = found["psnr"], found["ssim"]
        cells += [f"{psnr:.2f} dB" if math.isfinite(psnr) else "equal", f"{ssim:.4f}"]
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _choice(labels: Sequence[str], chosen: int) -> str:
    options = "".join(
        f'<option value="{index}"{" selected" if index == chosen else ""}>{escape(label)}'
        for index, label in enumerate(labels)
    )
    return f"<select>{options}</select>"


def _encode(picture: Picture) -> str:
    """A picture as the PNG of 8 bits that browsers show in its own colours, in base64."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        alpha = None if picture.alpha is None else round_to_8_bits(picture.alpha)
        profile = picture.icc_profile
        write_image(path, Picture(round_to_8_bits(picture.pixels), alpha, profile))
        return b64encode(path.read_bytes()).decode()
