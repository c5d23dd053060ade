"""Frames per second of a video network alone, and of the whole command around it.

    python benchmarks/video.py [--width 480 --height 270 --frames 48] [--model frvsr-real]
                               [--weights FILE] [--device auto] [--precision auto] [--backend auto]
                               [--compile]

The whole command decodes an H.264 video of smooth moving noise, enlarges it and encodes the
result, in this same process: what it takes to start Python and load weights is left out of both
figures. They are taken in turns, so that a busy machine slows both alike, and the median of the
rounds is given; what counts is their ratio. ``--compile`` adds the network under
``torch.compile``, on the device alone. The dissertation (ch. 3.4.7) gives 74 ms for a full-HD
frame of 3-64 and 191 ms of 10-128, on a P100.
"""

import argparse
import json
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.recurrent import FrameEnlarger
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.io.jobs import FileOptions
from enhance_cli.io.video import EncodeOptions
from enhance_cli.levels import to_pixels
from enhance_cli.talk import Talk
from enhance_cli.tasks.video import VideoRequest, run_video


def make_frames(count: int, height: int, width: int) -> Tensor:
    """(T, 3, H, W) in [0, 1]: smooth noise that pans by 1.5 pixels a frame."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height // 8 + 2, (width + 2 * count) // 8 + 2, generator=generator)
    scene = functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)[0]
    return torch.stack(
        [scene[:, :height, index * 3 // 2 : index * 3 // 2 + width] for index in range(count)]
    )


def write_video(path: Path, frames: Tensor) -> None:
    """As H.264 4:2:0."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = frames.shape[3], frames.shape[2], "yuv420p"
        for frame in frames:
            levels = to_pixels(frame)
            picture = av.VideoFrame.from_ndarray(levels, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_network(model: Model, frames: Tensor, tile: int | None) -> float:
    """Seconds per frame of the engine's step, frames on the host."""
    enlarger = FrameEnlarger(model, TilePlan(tile=tile))
    state = None
    wait(model.device)
    start = time.perf_counter()
    for frame in frames:
        _, state = enlarger.step(frame, state)
    wait(model.device)
    return (time.perf_counter() - start) / len(frames)


def time_compiled(model: Model, frames: Tensor) -> float:
    """Seconds per frame of the compiled network alone, frames on the device."""
    network = model.network
    assert isinstance(network, VideoNetwork)
    step = torch.compile(network.step, mode="reduce-overhead")
    state, seconds = None, 0.0
    on_device = frames.to(model.device)
    with (
        torch.inference_mode(),
        torch.autocast(model.device.type, model.dtype, enabled=model.dtype != torch.float32),
    ):
        for index, frame in enumerate([*on_device, *on_device]):
            if index == len(frames):  # the first round compiles
                wait(model.device)
                seconds = time.perf_counter()
            frame_hr, state = step(frame[None], state)
            state = type(state)(*(value.clone() for value in state))
    wait(model.device)
    return (time.perf_counter() - seconds) / len(frames)


def model_options(arguments: argparse.Namespace) -> ModelOptions:
    """The model, and what computes it."""
    return ModelOptions(
        arguments.model,
        arguments.weights,
        arguments.device,
        arguments.precision,
        arguments.tile,
        backend=arguments.backend,
    )


def time_command(source: Path, target: Path, arguments: argparse.Namespace, count: int) -> float:
    """Seconds per frame of the whole task: decoding, network, encoding, assembling."""
    request = VideoRequest(
        files=FileOptions([str(source)], target, overwrite=True),
        model=model_options(arguments),
        encoding=EncodeOptions(preset=arguments.preset),
    )
    start = time.perf_counter()
    if run_video(request, Talk(quiet=True)):
        raise SystemExit("the command failed")
    return (time.perf_counter() - start) / count


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--height", type=int, default=270)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--tile", type=int)
    parser.add_argument("--preset")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    model = model_options(arguments).load("video")
    frames = make_frames(arguments.frames, arguments.height, arguments.width)
    alone, whole = [], []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        write_video(source, frames)
        time_network(model, frames[:3], arguments.tile)
        for _ in range(arguments.rounds):
            alone.append(time_network(model, frames, arguments.tile))
            whole.append(time_command(source, target, arguments, len(frames)))
    network, command = statistics.median(alone), statistics.median(whole)
    result = {
        "model": model.info.name,
        "device": str(model.device),
        "precision": model.precision,
        "input": f"{arguments.width}x{arguments.height}",
        "frames": len(frames),
        "network_ms": round(1e3 * network, 1),
        "network_fps": round(1 / network, 3),
        "command_ms": round(1e3 * command, 1),
        "command_fps": round(1 / command, 3),
        "command_over_network": round(command / network, 3),
    }
    if arguments.compile:
        result["compiled_ms"] = round(1e3 * time_compiled(model, frames), 1)
    print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    main()
