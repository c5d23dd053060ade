"""Files that crash, hang or bloat a decoder are named, and the next one is decoded."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import misbehaving_decoders
import numpy as np
import pytest

from enhance_cli.errors import InputError
from enhance_cli.io.image import Picture, read_image, write_image, write_pages
from enhance_cli.io.isolation import DecoderError, DecodingProcess, decode, decoding_apart
from enhance_cli.io.metadata import note_texts

PIXELS = np.arange(6 * 7 * 3, dtype=np.uint16).reshape(6, 7, 3) * 100


@pytest.fixture(scope="module")
def process() -> Iterator[DecodingProcess]:
    process = DecodingProcess(seconds=1, memory=2**28)
    yield process
    process.end()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    write_image(tmp_path / "a.tif", Picture(PIXELS, alpha=PIXELS[..., 1]))
    return tmp_path / "a.tif"


def test_pictures_notices_and_errors_come_as_they_are(process: DecodingProcess, tmp_path: Path):
    path, said = tmp_path / "a.tif", []
    with write_pages(path, 2) as add:
        for _ in range(2):
            add(Picture(PIXELS, alpha=PIXELS[..., 1], exif=note_texts(None, {305: "me"})))
    picture = process.run(read_image, path, notice=said.append)
    assert picture.exif == read_image(path).exif
    np.testing.assert_array_equal(picture.pixels, PIXELS, strict=True)
    np.testing.assert_array_equal(picture.alpha, PIXELS[..., 1], strict=True)
    picture.pixels[0] = 0  # It is writable.
    assert said == ["holds 2 pictures, the first one is read (superres --pages all enlarges all)"]
    path.write_bytes(b"II*\0")
    with pytest.raises(InputError) as here:
        read_image(path)
    with pytest.raises(InputError) as there:
        process.run(read_image, path)
    assert str(there.value) == str(here.value)


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (misbehaving_decoders.crash, InputError, "a.tif: its decoder crashed .SIGSEGV"),
        (misbehaving_decoders.hang, InputError, "a.tif: decoding did not end within 1 seconds"),
        (misbehaving_decoders.eat, MemoryError, None),
        (misbehaving_decoders.fail, DecoderError, "SyntaxError"),
    ],
)
def test_the_next_file_is_decoded(
    function: Callable, error: type, text: str | None, process: DecodingProcess, picture: Path
):
    with pytest.raises(error, match=text):
        process.run(function, picture)
    assert process.run(read_image, picture).height == 6


def test_in_this_process_if_it_is_not_wanted(picture: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("subprocess.Popen", None)
    with decoding_apart(False):
        assert decode(read_image, picture, page=None).height == 6


def test_a_decoder_that_hangs_in_this_process_ends_it(picture: Path):
    code = (
        "import sys; sys.path += sys.argv[2:]\n"
        "import misbehaving_decoders; from pathlib import Path\n"
        "from enhance_cli.io import isolation; isolation.SECONDS = 1\n"
        "isolation.decode(misbehaving_decoders.hang, Path(sys.argv[1]))"
    )
    here = Path(misbehaving_decoders.__file__).parent
    ran = subprocess.run(
        [sys.executable, "-c", code, picture, here], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 1
    assert ran.stderr == (
        f"error: {picture}: decoding did not end within 1 seconds, convert it anew\n"
    )


@pytest.mark.parametrize("command", ["superres", "lowlight"])
def test_a_crash_does_not_take_the_batch_along(
    command: str,
    tmp_path: Path,
    enhance: Callable,
    tiny_weights: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    place = "superres" if command == "superres" else "dark_files"
    monkeypatch.setattr(f"enhance_cli.tasks.{place}.read_image", misbehaving_decoders.read_image)
    for name in ("a.png", "bad.png", "z.png"):
        write_image(tmp_path / name, Picture(np.full((8, 8, 3), 90, np.uint8)))
    model = ["--weights", tiny_weights[4]] if command == "superres" else []
    ran = enhance(command, tmp_path, "-o", tmp_path / "out", *model, "--json")
    assert ran.code == 1
    rows = {Path(row["input"]).name: row for row in json.loads(ran.out)["results"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.png": "ok",
        "bad.png": "failed",
        "z.png": "ok",
    }
    assert "decoder crashed (SIGSEGV)" in rows["bad.png"]["error"]
