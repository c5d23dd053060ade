"""Small clips, stages and networks for the tests of training video networks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tensors import random
from torch import Tensor
from video_networks import make_config, make_network

from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.data.clips import ClipBatch
from enhance_cli.resize import imresize
from enhance_cli.training.optimisation import Optimisation, step_generator
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.video import VideoStage, VideoSuperResolution

CPU = torch.device("cpu")
VIDEO = [name for name, recipe in RECIPES.items() if isinstance(recipe.stages[0], VideoStage)]
KINDS = ("frvsr", "sisr", "vsr")
TINY = (
    "burn_in=0",
    "flow_share=0",
    "channels=4",
    "blocks=1",
    "patch=8",
    "batch=2",
    "frames=3",
    "short_frames=2",
    "steps=4",
    "validate_every=2",
)


def moving_clip(seed: int, length: int = 6, height: int = 68, width: int = 72) -> Tensor:
    """A textured plane that slides: uint8 (T, 3, H, W)."""
    rough = random(3, height // 4 + 8, width // 4 + 8, seed=seed)
    plane = (imresize(rough, 4).clamp(0, 1) * 255).round().to(torch.uint8)
    return torch.stack([plane[:, t : t + height, 2 * t : 2 * t + width] for t in range(length)])


def write_frames(folder: Path, clip: Tensor) -> None:
    folder.mkdir(parents=True)
    for index, frame in enumerate(clip):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{index:03}.png")


def tiny(kind: str = "frvsr", **changes: Any) -> VideoStage:
    config = make_config(kind, **({"limit": 8.0} | changes.pop("config", {})))
    recipe = VideoStage(
        architecture=kind,
        config=config,
        patch=8,
        batch=2,
        frames=3,
        short_frames=2,
        optimisation=Optimisation(steps=6, learning_rate=3e-3, validate_every=3, seed=1),
    )
    return replace(recipe, **changes)


def prepare(recipe: VideoStage, videos: Path, **options: Any) -> VideoSuperResolution:
    made = recipe.prepare(videos, videos, CPU, **options)
    assert isinstance(made, VideoSuperResolution)
    return made


def loss(experiment: VideoSuperResolution, step: int = 0, share: slice = slice(None)) -> Tensor:
    return experiment.loss(step, step_generator(1, step), share)


def network_of(kind: str, **config: Any) -> VideoNetwork:
    return make_network(kind, **({"limit": 4.0} | config)).train()


def lively(kind: str, **config: Any) -> VideoNetwork:
    """With motion and residuals that matter."""
    network = network_of(kind, **config)
    with torch.no_grad():
        network.srnet.out.weight.mul_(8)
        if kind != "sisr":
            network.fnet.out.weight.normal_()  # type: ignore[union-attr, operator]
    return network


def batch_of(
    frames_lr: Tensor,
    scale: int = 4,
    frames_hr: Tensor | None = None,
    flow: Tensor | None = None,
    known: Tensor | None = None,
) -> ClipBatch:
    """Clips of which no more matters than what is given."""
    count, length, _, height, width = frames_lr.shape
    return ClipBatch(
        frames_lr,
        torch.zeros(count, length, 3, scale * height, scale * width)
        if frames_hr is None
        else frames_hr,
        torch.zeros(count, length, 2, height, width) if flow is None else flow,
        torch.zeros(count, dtype=torch.bool) if known is None else known,
    )


def shared_gradients(videos: Path, share: slice) -> dict[str, Tensor]:
    """The gradients of a first step on a share of its batch, by the names of the parameters."""
    experiment = prepare(tiny("frvsr", config={"channels": 2, "blocks": 0}), videos)
    loss(experiment, share=share).backward()
    parameters = experiment.network.named_parameters()
    return {name: p.grad.contiguous() for name, p in parameters if p.grad is not None}
