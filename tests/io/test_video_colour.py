"""Samples of a video to R'G'B' and back, against the formulas of the standards."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import convert, make_video, sink_of
from numpy.typing import NDArray

from enhance_cli.errors import InputError, OutputError
from enhance_cli.io.video import EncodeOptions, open_source, probe

av = pytest.importorskip("av")

from enhance_cli.io.video.colour import FromRgb, ToRgb, complete  # noqa: E402
from enhance_cli.io.video.types import Colour  # noqa: E402

# Kr and Kb: ITU-R BT.601-7 2.5.1, BT.709-6 3.2, BT.2020-2 table 4.
WEIGHTS = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}
COLOURS = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)]
BAR, HEIGHT = 32, 32


def bars() -> NDArray[np.float64]:
    """(H, W, 3): bars of full and of 75 % height, and grey from black to white."""
    width = BAR * len(COLOURS)
    full = np.repeat(np.array(COLOURS, float), BAR, 0)[None]
    ramp = np.linspace(0, 1, width)[None, :, None].repeat(3, 2)
    return np.concatenate(
        [full.repeat(HEIGHT, 0), 0.75 * full.repeat(HEIGHT, 0), ramp.repeat(HEIGHT, 0)]
    )


def inside() -> NDArray[np.bool_]:
    """Where neither filter of the chroma reaches another colour."""
    mask = np.ones(bars().shape[:2], bool)
    for edge in range(BAR, mask.shape[1], BAR):
        mask[:, edge - 6 : edge + 6] = False
    for edge in (HEIGHT, 2 * HEIGHT):
        mask[edge - 6 : edge + 6] = False
    return mask


def encode(
    rgb: NDArray[np.float64], matrix: str, limited: bool, depth: int
) -> list[NDArray[np.float64]]:
    """Y', Cb and Cr as code values."""
    kr, kb = WEIGHTS[matrix]
    luma = rgb @ np.array([kr, 1 - kr - kb, kb])
    chroma = [(rgb[..., 2] - luma) / (2 - 2 * kb), (rgb[..., 0] - luma) / (2 - 2 * kr)]
    unit, top = 2 ** (depth - 8), 2**depth - 1
    if limited:
        return [unit * (16 + 219 * luma), *(unit * (128 + 224 * c) for c in chroma)]
    return [top * luma, *(np.clip(top * c + 128 * unit, 0, top) for c in chroma)]


def frame_of(planes: list[NDArray[np.float64]], name: str) -> "av.VideoFrame":
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, name)
    for plane, values in zip(frame.planes, planes, strict=True):
        dtype = np.uint16 if "le" in name else np.uint8
        rows = np.zeros((plane.height, plane.line_size // np.dtype(dtype).itemsize), dtype)
        rows[:, : plane.width] = np.rint(values[:: height // plane.height, :: width // plane.width])
        plane.update(rows)
    return frame


def codes(frame: "av.VideoFrame") -> list[NDArray[np.int64]]:
    dtype = np.uint16 if "le" in frame.format.name else np.uint8
    return [
        np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width].astype(int)
        for plane in frame.planes
    ]


@pytest.mark.parametrize(
    "name, depth",
    [
        ("yuv420p", 8),
        ("yuv422p", 8),
        ("yuv444p", 8),
        ("yuv420p10le", 10),
        ("yuv422p10le", 10),
        ("yuv444p10le", 10),
        ("yuv420p12le", 12),
    ],
)
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
@pytest.mark.parametrize("limited", [True, False], ids=["tv", "pc"])
def test_bars_there_and_back(name: str, depth: int, matrix: str, limited: bool) -> None:
    colour = Colour("tv" if limited else "pc", matrix, "bt709", "bt709")
    source = frame_of(encode(bars(), matrix, limited, depth), name)
    height, width = bars().shape[:2]
    pixels = ToRgb(width, height, name, colour).convert(source)
    assert pixels.dtype == (np.uint8 if depth == 8 else np.uint16)
    error = np.abs(pixels / np.iinfo(pixels.dtype).max - bars())[inside()] * 255
    assert error.max() <= (1.5 if depth == 8 else 0.5)  # of which rounding before is most
    back = FromRgb(width, height, name, colour).convert(pixels)
    assert back.format.name == name
    for before, after in zip(codes(source), codes(back), strict=True):
        rows, columns = height // before.shape[0], width // before.shape[1]
        moved = np.abs(before - after)[inside()[::rows, ::columns]]
        assert moved.max() <= 2 ** (depth - 8)


@pytest.mark.parametrize("name", ["bgr0", "gbrp", "rgb24", "gbrp16le", "rgb48le"])
def test_rgb_there_and_back_is_exact(name: str) -> None:
    colour = Colour("tv", "bt709", "bt709", "bt709")
    dtype = np.uint16 if "16" in name or "48" in name else np.uint8
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (24, 32, 3), dtype)
    frame = FromRgb(32, 24, name, colour).convert(pixels)
    assert np.array_equal(ToRgb(32, 24, name, colour).convert(frame), pixels)


def test_chroma_stays_in_its_place() -> None:
    """A spot of colour made larger does not move: both ways take chroma for left-sited."""
    planes = [np.full((32, 32), 128.0) for _ in range(3)]
    source = frame_of(planes, "yuv420p")
    spot = np.full((16, 16), 128, np.uint8)
    spot[8, 8] = 228
    rows = np.zeros((16, source.planes[1].line_size), np.uint8)
    rows[:, :16] = spot
    source.planes[1].update(rows)
    colour = Colour("tv", "bt709", "bt709", "bt709")
    pixels = ToRgb(32, 32, "yuv420p", colour).convert(source)
    blue = pixels[..., 2].astype(float) - pixels[0, 0, 2]
    y, x = np.mgrid[:32, :32]
    assert (blue * x).sum() / blue.sum() == pytest.approx(16, abs=0.1)
    assert (blue * y).sum() / blue.sum() == pytest.approx(16.5, abs=0.1)


@pytest.mark.parametrize(
    "told, size, expected",
    [
        (("unknown", "unknown", "unknown"), (1280, 720), ("bt709", "bt709", "bt709")),
        (("unknown", "unknown", "unknown"), (720, 480), ("smpte170m", "smpte170m", "smpte170m")),
        (("unknown", "unknown", "unknown"), (720, 576), ("smpte170m", "bt470bg", "smpte170m")),
        (("bt709", "unknown", "unknown"), (320, 240), ("bt709", "bt709", "bt709")),
        (("bt2020nc", "bt2020", "smpte2084"), (320, 240), ("bt2020nc", "bt2020", "smpte2084")),
    ],
)
def test_what_is_not_told_is_guessed_by_size(
    told: tuple[str, str, str], size: tuple[int, int], expected: tuple[str, str, str]
) -> None:
    colour = complete(Colour("tv", *told), *size, rgb=False)
    assert (colour.matrix, colour.primaries, colour.transfer) == expected
    assert colour.assumed == ("unknown" in told)


@pytest.mark.parametrize(
    "tags, name, codec",
    [
        ((1, 1, 1, 1), "yuv420p", "libx264"),
        ((2, 6, 5, 6), "yuv420p", "libx264"),
        ((1, 5, 5, 6), "yuv422p", "libx264"),
        ((1, 9, 9, 16), "yuv420p10le", "libx265"),
        ((1, 9, 9, 18), "yuv420p10le", "libx265"),
        ((2, 1, 12, 13), "yuv444p", "libx264"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_tags_and_samples_survive_a_file(
    tmp_path: Path, tags: tuple[int, ...], name: str, codec: str, suffix: str
) -> None:
    quiet = {"x265-params": "log-level=error"} if codec == "libx265" else {}
    source = make_video(
        tmp_path / "in.mp4",
        colour=tags,
        pixel_format=name,
        codec=codec,
        options={"crf": "1", **quiet},
    )
    target = tmp_path / f"out{suffix}"
    convert(source, target, options=EncodeOptions(crf=1, preset="fast", threads=1))
    before, after = probe(source), probe(target)
    assert after.colour == before.colour and not after.colour.assumed
    assert (after.depth, after.hdr) == (before.depth, before.hdr)
    pairs = zip(open_source(source).frames(), open_source(target).frames(), strict=True)
    for first, second in pairs:
        largest = np.iinfo(first.pixels.dtype).max
        difference = first.pixels.astype(float) - second.pixels
        # Chroma of "pc" is cut, not rounded.
        assert abs(difference.mean()) / largest * 255 < 0.8
        assert np.abs(difference).mean() / largest * 255 < 2


def test_assumed_colours_are_written(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    assert probe(source).colour.assumed
    convert(source, tmp_path / "out.mp4", scale=16)
    after = probe(tmp_path / "out.mp4")
    assert after.height == 768
    assert (after.colour.matrix, after.colour.assumed) == ("smpte170m", False)


def test_static_hdr_is_kept(tmp_path: Path) -> None:
    parameters = (
        "log-level=error:hdr10=1:master-display=G(13250,34500)B(7500,3000)"
        "R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    )
    source = make_video(
        tmp_path / "in.mp4",
        colour=(1, 9, 9, 16),
        pixel_format="yuv420p10le",
        codec="libx265",
        options={"x265-params": parameters},
    )
    before = probe(source).static_hdr
    assert before is not None and before.light == (1000, 400)
    assert before.primaries[:2] == (Fraction(17, 25), Fraction(8, 25))
    for codec, suffix in (("hevc", ".mp4"), ("hevc", ".mkv"), ("h264", ".mp4"), ("av1", ".mkv")):
        preset = "12" if codec == "av1" else "ultrafast"
        form = "yuv420p10le"
        convert(
            source,
            tmp_path / f"{codec}{suffix}",
            options=EncodeOptions(codec, preset=preset, pixel_format=form, threads=1),
        )
        after = probe(tmp_path / f"{codec}{suffix}").static_hdr
        assert after is not None and after.light == before.light
        assert after.luminance == pytest.approx(before.luminance, abs=1e-4)
        assert after.primaries == pytest.approx(before.primaries, abs=1e-4)


def test_hdr_is_never_put_into_8_bits(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mp4",
        colour=(1, 9, 9, 16),
        pixel_format="yuv420p10le",
        codec="libx265",
        options={"x265-params": "log-level=error"},
    )
    with pytest.raises(OutputError, match="HDR .pq. needs 10 bits, vp9 in yuv420p has 8"):
        sink_of(source, tmp_path / "o.webm", options=EncodeOptions("vp9"))


def test_colours_that_cannot_be_converted(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", colour=(1, 14, 9, 16))
    with pytest.raises(InputError, match="colours in ictcp cannot be converted"):
        probe(source)


@pytest.mark.parametrize(
    "name, suffix, expected",
    [
        ("yuv420p", ".mp4", "yuv444p"),
        ("yuv422p", ".mp4", "yuv444p"),
        ("yuv420p", ".webm", "yuv420p"),
        ("yuv444p", ".mp4", "yuv444p"),
    ],
)
def test_odd_sizes(tmp_path: Path, name: str, suffix: str, expected: str) -> None:
    source = make_video(
        tmp_path / "in.mkv",
        range(0, 120, 40),
        size=(63, 47),
        codec="ffv1",
        pixel_format=name,
        unit=Fraction(1, 1000),
    )
    plan, said = convert(
        source,
        tmp_path / f"out{suffix}",
        options=EncodeOptions(preset="8" if suffix == ".webm" else "fast"),
    )
    info = probe(tmp_path / f"out{suffix}")
    assert (info.width, info.height, plan.pixel_format) == (63, 47, expected)
    assert any("written as" in line for line in said) == (name != expected)


@pytest.mark.parametrize("name", ["gray", "gray10le", "bgr0", "yuva420p", "yuv410p", "gbrp12le"])
def test_uncommon_formats(tmp_path: Path, name: str) -> None:
    source = make_video(
        tmp_path / "in.mkv",
        range(0, 120, 40),
        codec="ffv1",
        pixel_format=name,
        unit=Fraction(1, 1000),
    )
    plan, said = convert(
        source, tmp_path / "out.mkv", options=EncodeOptions(preset="ultrafast", threads=1)
    )
    assert plan.depth == probe(source).depth
    assert any("transparency" in line for line in said) == (name == "yuva420p")
    first, second = (
        next(open_source(path).frames()).pixels for path in (source, tmp_path / "out.mkv")
    )
    assert first.dtype == second.dtype
    assert abs(first.astype(float).mean() / second.astype(float).mean() - 1) < 0.02


def test_rgb_without_loss(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mkv",
        range(0, 120, 40),
        codec="ffv1",
        pixel_format="bgr0",
        unit=Fraction(1, 1000),
    )
    convert(source, tmp_path / "out.mkv", options=EncodeOptions("ffv1", threads=1))
    result = open_source(tmp_path / "out.mkv")
    for first, second in zip(open_source(source).frames(), result.frames(), strict=True):
        assert np.array_equal(first.pixels, second.pixels)
