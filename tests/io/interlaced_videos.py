"""Interlaced videos and telecine, made of a pattern that moves."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

WIDTH, HEIGHT = 96, 64
FIELD_RATE = Fraction(60000, 1001)


def moment(time: float) -> np.ndarray:
    """(H, W, 3) uint8: a smooth pattern at a moment, counted in fields."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    wave = 0.5 + 0.3 * np.sin((x - 3 * time) / 5) + 0.2 * np.cos((y + 0.5 * time) / 7)
    return np.repeat((wave.clip(0, 1) * 219).astype(np.uint8)[..., None], 3, axis=2)


def woven(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """A frame of the even lines of one picture and the odd ones of another."""
    frame = top.copy()
    frame[1::2] = bottom[1::2]
    return frame


def interlaced(count: int, *, top_first: bool = True) -> list[np.ndarray]:
    """Frames whose fields were taken one after the other."""
    pairs = ((moment(2 * place), moment(2 * place + 1)) for place in range(count))
    return [woven(a, b) if top_first else woven(b, a) for a, b in pairs]


def progressive(count: int) -> list[np.ndarray]:
    return [moment(2 * place) for place in range(count)]


def film(count: int) -> list[np.ndarray]:
    """Frames of film; one lasts 2.5 fields."""
    return [moment(2.5 * place) for place in range(count)]


def telecine(count: int) -> list[np.ndarray]:
    """Five frames of every four of film: A A, B B, B C, C D, D D (top and bottom field)."""
    frames = []
    for place in range(0, count, 4):
        a, b, c, d = film(count)[place : place + 4]
        frames += [a, b, woven(b, c), woven(c, d), d]
    return frames


def save(
    path: Path,
    pictures: Sequence[np.ndarray],
    mark: str | None = None,
    *,
    rate: Fraction = FIELD_RATE / 2,
    audio: bool = False,
) -> Path:
    """Encode frames without loss, or by x264 with a mark that tells how they are scanned.

    The marks are x264's names: ``tff``, ``bff`` and ``force-cfr``, which stands for progressive.
    """
    codec, options = "ffv1", {}
    if mark:
        codec, options = "libx264", {"x264-params": f"{mark}=1", "crf": "3", "preset": "ultrafast"}
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        sound = output.add_stream("aac", rate=8000) if audio else None
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture).reformat(format="yuv420p")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        for place in range(round(len(pictures) / rate * 8000) // 1024 if sound else 0):
            wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            wave.sample_rate, wave.pts, wave.time_base = 8000, 1024 * place, Fraction(1, 8000)
            output.mux(sound.encode(wave))
        if sound:
            output.mux(sound.encode(None))
    return path
