"""Small videos and networks to test ``enhance video`` with."""

import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from video_networks import make_network

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info, save_checkpoint
from enhance_cli.engine.recurrent import FrameEnlarger, enhance_clip

av = pytest.importorskip("av")

Run = Callable[..., object]

LOSSLESS = ("--codec", "ffv1")


def save_video_network(path: Path, name: str) -> Path:
    """A checkpoint of a very small video network in which the memory counts."""
    network = make_network(name)
    with torch.no_grad():
        network.srnet.out.weight.mul_(10)
    save_checkpoint(path / f"{name}.safetensors", network, ARCHITECTURES[name], f"{name}-tiny")
    return path / f"{name}.safetensors"


def scene(place: int, kind: int = 0, size: tuple[int, int] = (32, 24)) -> np.ndarray:
    """(H, W, 3) uint8: something smooth that moves; two kinds that have nothing in common."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    if kind == 0:
        planes = [(x + 2 * place) * 3 % 100, y * 60 // height, np.full_like(x, 20 + place)]
    else:
        planes = [
            np.full_like(x, 250 - place),
            255 - (y + place) * 3 % 90,
            np.where((x // 6 + y // 6) % 2, 255, 120),
        ]
    return np.stack(planes, -1).astype(np.uint8)


def scenes(*counts: int) -> list[np.ndarray]:
    return [scene(place, kind) for kind, count in enumerate(counts) for place in range(count)]


def make_video(
    path: Path,
    pictures: Sequence[np.ndarray] | int = 7,
    codec: str = "ffv1",
    pixel_format: str = "bgr0",
    rate: int = 10,
    audio: bool = False,
    turn: int = 0,
    aspect: Fraction | None = None,
) -> Path:
    """A video, without loss unless another codec is named."""
    if isinstance(pictures, int):
        pictures = scenes(pictures)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turn:
            stream.set_display_rotation(turn)
        sound = output.add_stream("aac", rate=8000) if audio else None
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture).reformat(format=pixel_format)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            for place in range(6):
                wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                wave.sample_rate, wave.pts, wave.time_base = 8000, 1024 * place, Fraction(1, 8000)
                output.mux(sound.encode(wave))
            output.mux(sound.encode(None))
    return path


def make_frames(folder: Path, count: int = 5, first: int = 1, digits: int = 3) -> Path:
    folder.mkdir(parents=True)
    for place in range(count):
        Image.fromarray(scene(place)).save(folder / f"{first + place:0{digits}}.png")
    return folder


def frames_of(path: Path) -> np.ndarray:
    """(T, H, W, 3) uint8 of a video or folder."""
    if path.is_dir():
        return np.stack([np.asarray(Image.open(name)) for name in sorted(path.iterdir())])
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def enlarged(checkpoint: Path, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """What the network makes of a clip, (T, H, W, 3) uint8."""
    network = load_network(read_checkpoint_info(checkpoint))
    assert isinstance(network, VideoNetwork)
    clip = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    result = enhance_clip(network, clip).mul(255).round().permute(0, 2, 3, 1)
    return result.numpy().astype(np.uint8)


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for rounding, which a sum in another order may tip over."""
    return one.shape == other.shape and np.abs(one.astype(int) - other).max() <= 1


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, error: type = KeyboardInterrupt) -> None:
    """Ctrl-C when so many frames were enlarged."""
    original, count = FrameEnlarger.step, 0

    def step(*arguments: object) -> object:
        nonlocal count
        if count == after:
            monkeypatch.setattr(FrameEnlarger, "step", original)
            time.sleep(0.5)  # in which the encoder finishes what it has been given
            raise error
        count += 1
        return original(*arguments)

    monkeypatch.setattr(FrameEnlarger, "step", step)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def errors(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("error:")]
