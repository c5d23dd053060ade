"""Damaged files for everything that reads files: what is tried, and what must not happen.

The files are small ones of the project's own, mutated by Hypothesis. Whatever they hold, a reader
gives a result or an error of ours; it neither raises anything else nor crashes, hangs or takes
more than a gigabyte. ``tests/test_fuzzing.py`` tries some in every run of the tests, and

    make fuzz MINUTES=10

ever new ones. A file that is found lies in the folder ``fuzz`` afterwards.
"""

import argparse
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pillow_heif
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import Base

from enhance_cli.errors import EnhanceError
from enhance_cli.io.dng import write_dng
from enhance_cli.io.exposure import read_exposure, read_raw_captions
from enhance_cli.io.image import Picture, find_pages, find_size, read_image, write_image
from enhance_cli.io.isolation import DecoderError, DecodingProcess
from enhance_cli.io.metadata import note_texts
from enhance_cli.io.raw import RawSettings, find_raw_size, is_raw, read_raw
from enhance_cli.io.video import WHOLE, Kind, open_source

MEMORY, SECONDS, FRAMES = 2**30, 20.0, 6
# Numbers at which decoders go wrong: signs, limits of types, products that overflow.
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Attributes:
        read: what is called, by its name in the other process.
        make: writes whole files into a folder.
    """

    read: Callable[[Path], object]
    make: Callable[[Path], object]


def read_picture(path: Path) -> None:
    """Read each page of a picture; the size that its header tells is that of the first."""
    told = None
    with suppress(EnhanceError):
        told = find_size(path)
    picture = read_image(path)
    assert told == (picture.height, picture.width), told
    for page in islice(find_pages(path), 3):
        read_image(path, page=page)


def read_mosaic(path: Path) -> None:
    """Read a RAW file with all that ``lowlight`` asks of it."""
    if is_raw(path):
        for read in (read_exposure, find_raw_size):
            with suppress(EnhanceError):
                read(path)
        read_raw_captions(path)
        read_raw(path, RawSettings(repair=True))


def read_video(path: Path) -> None:
    """Read the first frames of a video or an animation."""
    frames = open_source(path, Kind.VIDEO).frames(WHOLE)
    try:
        for _ in islice(frames, FRAMES):
            pass
    finally:
        frames.close()


def read_checkpoint(path: Path) -> None:
    """Load a network."""
    from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info

    load_network(read_checkpoint_info(path))


def read_foreign_weights(path: Path) -> None:
    """Recognise the weights of another program."""
    from enhance_cli.engine.foreign import read_foreign
    from enhance_cli.engine.layouts import recognise

    recognise(read_foreign(path), path.name)


def make_pictures(folder: Path) -> None:
    """Pictures of every format, grey, in colour, deep and transparent."""
    rng = np.random.default_rng(0)
    exif = note_texts(None, {Base.Make: "camera", Base.Software: "enhance"})
    for name, channels, dtype, alpha in (
        ("grey.png", 1, np.uint8, False),
        ("deep.png", 3, np.uint16, True),
        ("a.jpg", 3, np.uint8, False),
        ("a.webp", 3, np.uint8, True),
        ("a.avif", 3, np.uint8, False),
        ("a.tif", 3, np.uint8, True),
        ("deep.tif", 1, np.uint16, False),
        ("a.bmp", 3, np.uint8, False),
        ("a.ppm", 3, np.uint8, False),
    ):
        pixels = rng.integers(0, np.iinfo(dtype).max, (12, 16, channels), dtype=dtype)
        write_image(
            folder / name, Picture(pixels, alpha=pixels[..., 0] if alpha else None, exif=exif)
        )
    image = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    image.quantize(8).save(folder / "a.gif")
    image.quantize(8).save(folder / "palette.png", transparency=3)
    image.save(folder / "a.jp2")
    image.save(folder / "progressive.jpg", progressive=True, dpi=(72, 72))
    image.convert("CMYK").save(folder / "cmyk.tif", compression="tiff_lzw")
    image.convert("1").save(folder / "fax.tif", compression="group4")
    image.save(folder / "a.mpo", save_all=True, append_images=[image])
    image.save(folder / "pages.tif", save_all=True, append_images=[image.convert("L")])
    pillow_heif.from_pillow(image).save(folder / "a.heic")


def make_mosaics(folder: Path) -> None:
    """A DNG file."""
    mosaic = np.random.default_rng(0).integers(0, 4096, (24, 32), dtype=np.uint16)
    matrix = np.array([[0.7, -0.14, -0.07], [-0.56, 1.34, 0.24], [-0.15, 0.22, 0.73]])
    neutral = (0.5, 1.0, 0.6)
    write_dng(folder / "a.dng", mosaic, white=4095, as_shot_neutral=neutral, color_matrix=matrix)


def make_videos(folder: Path) -> None:
    """Videos of several codecs and containers, and animations."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (32, 48, 3), dtype=np.uint8) for _ in range(4)]
    for name, codec, layout in (
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
    ):
        with av.open(str(folder / name), "w") as output:
            stream = output.add_stream(codec, rate=10)
            stream.height, stream.width, stream.pix_fmt = 32, 48, layout
            stream.codec_context.thread_count = 1
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(picture).reformat(format=layout)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    images = [Image.fromarray(picture) for picture in pictures]
    for name in ("b.gif", "b.png", "b.webp"):
        images[0].save(folder / name, save_all=True, append_images=images[1:], duration=50)


def make_checkpoints(folder: Path) -> None:
    """A checkpoint of a very small network."""
    from enhance_cli.architectures import ARCHITECTURES
    from enhance_cli.architectures.enhancenet import EnhanceNetConfig
    from enhance_cli.engine.checkpoint import build, save_checkpoint

    architecture = ARCHITECTURES["enhancenet"]
    network = build(architecture, EnhanceNetConfig(2, channels=1, blocks=1))
    save_checkpoint(folder / "a.safetensors", network, architecture, "tiny")


def make_foreign(folder: Path) -> None:
    """The weights of another program's network, as torch saves them."""
    import torch

    from enhance_cli.architectures.srvgg import Srvgg, SrvggConfig

    network = Srvgg(SrvggConfig(scale=2, channels=2, layers=1))
    torch.save({"params": network.state_dict()}, folder / "a.pth")


TARGETS = {
    "pictures": Target(read_picture, make_pictures),
    "mosaics": Target(read_mosaic, make_mosaics),
    "videos": Target(read_video, make_videos),
    "checkpoints": Target(read_checkpoint, make_checkpoints),
    "foreign weights": Target(read_foreign_weights, make_foreign),
}


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes of a file with a few places changed, cut out, doubled or cut off."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        # Headers are tried as often as all the rest.
        last = min(len(changed), 200) if draw(st.booleans()) else len(changed)
        place = draw(st.integers(0, max(last - 1, 0)))
        kind = draw(st.sampled_from(("byte", "number", "cut", "double", "end")))
        length = draw(st.integers(1, 16))
        if kind == "byte":
            changed[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "number":
            layout = draw(st.sampled_from((">I", "<I", ">H", "<H")))
            number = draw(st.sampled_from(NUMBERS)) & (2 ** (8 * struct.calcsize(layout)) - 1)
            new = struct.pack(layout, number)
            changed[place : place + len(new)] = new
        elif kind == "cut":
            del changed[place : place + length]
        elif kind == "double":
            changed[place:place] = changed[place : place + length]
        else:
            del changed[place:]
    return bytes(changed)


class Fuzzer:
    """Tries damaged files on one target.

    Args:
        target: what reads them.
        folder: an empty folder for whole files and for the one that is tried.
        process: where they are read.

    Attributes:
        counts: how files ended.
    """

    def __init__(self, target: Target, folder: Path, process: DecodingProcess) -> None:
        self._target, self._folder = target, folder / "tried"
        (folder / "whole").mkdir()
        self._folder.mkdir()
        target.make(folder / "whole")
        self._files = {
            path.name: path.read_bytes() for path in sorted((folder / "whole").iterdir())
        }
        self._process = process
        self.counts: Counter[str] = Counter()

    def check_whole(self) -> None:
        """Check that the files are read as long as nothing is changed."""
        for name, data in self._files.items():
            self._try(name, data)
        assert self.counts == {"read": len(self._files)}, self.counts

    def run(self, examples: int, *, derandomize: bool = False) -> None:
        """Try so many files.

        Raises:
            AssertionError: if one of them ends as none may; it then lies in the folder.
        """
        cases = st.sampled_from(sorted(self._files)).flatmap(
            lambda name: st.tuples(st.just(name), mutations(self._files[name]))
        )

        @settings(
            max_examples=examples,
            derandomize=derandomize,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(cases)
        def check(case: tuple[str, bytes]) -> None:
            self._try(*case)

        check()

    def _try(self, name: str, data: bytes) -> None:
        path = self._folder / name
        path.write_bytes(data)
        try:
            self._process.run(self._target.read, path)
        except EnhanceError as error:
            text = str(error)
            assert "\n" not in text, text
            assert "crashed" not in text and "did not end" not in text, text
            self.counts["refused"] += 1
        except DecoderError:  # It is told as a damaged file.
            self.counts["refused by a decoder"] += 1
        except MemoryError:
            self.counts["too large"] += 1
        else:
            self.counts["read"] += 1
        path.unlink()  # What is left is what failed.


def main() -> int:
    """Try files until the time is over; gives 1 if one ended as none may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--targets", nargs="*", choices=list(TARGETS), default=list(TARGETS))
    options = parser.parse_args()
    code = 0
    process = DecodingProcess(SECONDS, MEMORY)
    for name in options.targets:
        end = time.monotonic() + 60 * options.minutes / len(options.targets)
        with tempfile.TemporaryDirectory() as folder:
            fuzzer = Fuzzer(TARGETS[name], Path(folder), process)
            try:
                fuzzer.check_whole()
                while time.monotonic() < end:
                    fuzzer.run(100)
            except BaseException as error:
                code = 1
                kept = Path("fuzz", name)
                kept.mkdir(parents=True, exist_ok=True)
                for path in Path(folder, "tried").iterdir():
                    path.rename(kept / path.name)
                sys.stdout.write(f"{name}: {type(error).__name__}: {error}; see {kept}\n")
                if not isinstance(error, Exception):
                    raise
        sys.stdout.write(f"{name}: {dict(fuzzer.counts)}\n")
    process.end()
    return code
