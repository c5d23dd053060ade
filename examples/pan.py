"""Make a small video with sound by panning over a picture: something to try ``enhance video`` on.

python examples/pan.py examples/astronaut.png pan.mp4 [--frames 48] [--width 96] [--height 64]
"""

import argparse
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

RATE, SOUND_RATE = 24, 44100


def view(picture: Image.Image, part: float, width: int, height: int) -> Image.Image:
    """What the camera sees when ``part`` of its way is done: a slow diagonal, sub-pixel exact."""
    left, top = (
        (large - small) * part for large, small in zip(picture.size, (width, height), strict=True)
    )
    return picture.transform(
        (width, height),
        Image.Transform.AFFINE,
        (1, 0, left, 0, 1, top),
        resample=Image.Resampling.BICUBIC,
    )


def main() -> None:
    """Write the video."""
    parser = argparse.ArgumentParser()
    parser.add_argument("picture", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--height", type=int, default=64)
    arguments = parser.parse_args()
    picture = Image.open(arguments.picture).convert("RGB")
    arguments.video.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(arguments.video), "w") as container:
        video: Any = container.add_stream("libx264", rate=Fraction(RATE), options={"crf": "18"})
        video.width, video.height, video.pix_fmt = arguments.width, arguments.height, "yuv420p"
        sound: Any = container.add_stream("aac", rate=SOUND_RATE)
        for index in range(arguments.frames):
            frame = view(
                picture, index / max(arguments.frames - 1, 1), arguments.width, arguments.height
            )
            container.mux(video.encode(av.VideoFrame.from_image(frame)))
        times = np.arange(arguments.frames * SOUND_RATE // RATE) / SOUND_RATE
        tone = (0.1 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
        samples = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        samples.sample_rate = SOUND_RATE
        container.mux(sound.encode(samples))
        for stream in (video, sound):
            container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
