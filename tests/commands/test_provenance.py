"""What made an output is told in its metadata, or in a file beside it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base
from small_videos import make_video

import enhance_cli
from enhance_cli.io.image import Picture, write_image
from enhance_cli.io.metadata import note_texts

SUFFIXES = (".png", ".jpg", ".tif", ".webp", ".avif")


def save(path: Path, exif: bytes | None = None, depth: type = np.uint8) -> Path:
    write_image(path, Picture(np.full((6, 7, 3), 90, depth), exif=exif))
    return path


def history(path: Path) -> list[str]:
    with Image.open(path) as image:
        image.load()  # In a PNG it comes after the pixels.
        return str(image.getexif()[Base.ImageHistory]).splitlines()


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".16.png"])
def test_the_record_in_a_picture(
    suffix: str, tmp_path: Path, enhance: Callable, tiny_weights: dict[int, Path]
):
    source = save(tmp_path / "a.png", depth=np.uint16 if "16" in suffix else np.uint8)
    out = tmp_path / f"b{suffix}"
    options = ["--weights", tiny_weights[4], "-x2", "--quality", 90, "--backend", "torch"]
    ran = enhance("superres", source, "-o", out, *options, "--device", "cpu")
    assert ran.code == 0, ran.err
    (record,) = map(json.loads, history(out))
    assert record == {
        "program": "enhance",
        "version": enhance_cli.__version__,
        "command": "superres",
        "model": "tiny-x4",
        "weights": [
            {
                "file": "tiny-x4.safetensors",
                "sha256": hashlib.sha256(tiny_weights[4].read_bytes()).hexdigest(),
            }
        ],
        "device": "cpu",
        "precision": "float32",
        "options": {"size": "x2", "quality": 90},
    }
    with Image.open(out) as image:
        image.load()
        assert image.getexif()[Base.Software].startswith("enhance ")
    again = tmp_path / f"c{suffix}"
    assert enhance("superres", out, "-o", again, *options, "--device", "cpu").code == 0
    assert [json.loads(line) for line in history(again)] == [record, record]


def test_the_software_of_before_is_kept(
    tmp_path: Path, enhance: Callable, tiny_weights: dict[int, Path]
):
    source = save(tmp_path / "a.jpg", note_texts(None, {Base.Software: "GIMP 2.10"}))
    assert enhance("superres", source, "--weights", tiny_weights[4]).code == 0
    assert history(tmp_path / "a_x4.jpg")[0] == "GIMP 2.10"


@pytest.mark.parametrize("command", ["superres", "lowlight"])
@pytest.mark.parametrize("option", ["--no-metadata", "--sidecar"])
def test_no_record_in_the_picture(
    command: str, option: str, tmp_path: Path, enhance: Callable, tiny_weights: dict[int, Path]
):
    source, out = save(tmp_path / "a.png"), tmp_path / "b.png"
    model = ["--weights", tiny_weights[4]] if command == "superres" else ["--ratio", 2]
    ran = enhance(command, source, "-o", out, *model, option)
    assert ran.code == 0, ran.err
    with Image.open(out) as image:
        image.load()
        assert Base.ImageHistory not in image.getexif()
    beside = tmp_path / "b.png.json"
    if option == "--no-metadata":
        assert not beside.exists()
        return
    record = json.loads(beside.read_text())
    assert (record["command"], record["input"]) == (command, "a.png")
    assert record.get("ratio") == (2 if command == "lowlight" else None)
    out.unlink()
    ran = enhance(command, source, "-o", out, *model, option)
    assert ran.code == 1
    assert "b.png.json: exists already" in ran.err
    assert not out.exists()
    assert enhance(command, source, "-o", out, *model, option, "--overwrite").code == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_record_in_a_video(suffix: str, tmp_path: Path, enhance: Callable, tiny_sisr: list):
    source, out = make_video(tmp_path / "a.mkv", 2), tmp_path / f"b{suffix}"
    ran = enhance("video", source, "-o", out, *tiny_sisr)
    assert ran.code == 0, ran.err
    with av.open(str(out)) as container:
        told = container.metadata["comment" if suffix == ".mp4" else "ENHANCE"]
    assert json.loads(told)["command"] == "video"
    ran = enhance("video", source, "-o", out, *tiny_sisr, "--sidecar", "--overwrite")
    assert ran.code == 0, ran.err
    with av.open(str(out)) as container:
        assert not {"comment", "ENHANCE"} & container.metadata.keys()
    assert json.loads((tmp_path / f"b{suffix}.json").read_text())["model"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_without_metadata(suffix: str, tmp_path: Path, enhance: Callable, tiny_sisr: list):
    source, out = tmp_path / "a.mkv", tmp_path / f"b{suffix}"
    with av.open(str(make_video(tmp_path / "bare.mkv", 2))) as bare, av.open(source, "w") as told:
        told.metadata.update({"title": "holiday", "location": "+48.8584+002.2945/"})
        copy = told.add_stream_from_template(bare.streams.video[0])
        copy.metadata.update({"title": "the tower", "language": "fra"})
        for packet in bare.demux(video=0):
            if packet.size:
                packet.stream = copy
                told.mux(packet)
    ran = enhance("video", source, "-o", out, *tiny_sisr, "--no-metadata")
    assert ran.code == 0, ran.err
    with av.open(str(out)) as container:
        found = {**container.metadata, **container.streams[0].metadata}
    assert not {"title", "location", "comment", "ENHANCE"} & found.keys(), found
    assert found["language"] == "fra"
