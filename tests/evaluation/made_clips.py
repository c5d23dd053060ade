"""Small clips, and tiny video networks."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from video_networks import make_network

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.engine.checkpoint import save_checkpoint
from enhance_cli.levels import quantise
from enhance_cli.subsampling import blur_and_subsample

HEIGHT, WIDTH, LENGTH = 72, 104, 8  # 64x96 are left


def make_clip(folder: Path, seed: int, length: int = LENGTH, speed: int = 2) -> list[np.ndarray]:
    """Numbered frames of a soft picture that pans."""
    coarse = np.random.default_rng(seed).integers(20, 235, (20, 40, 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(coarse).resize((320, 160), Image.Resampling.BICUBIC))
    folder.mkdir(parents=True, exist_ok=True)
    frames = [
        scene[index : index + HEIGHT, speed * index : speed * index + WIDTH]
        for index in range(length)
    ]
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:03}.png")
    return frames


def small(frames: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """LR and HR clips in [0, 1], by the paper's words."""
    truth = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[:, :, 4:68, 4:100].float() / 255
    return quantise(blur_and_subsample(truth, 4)), truth


def save_video_networks(folder: Path) -> Path:
    """Fill a folder with very small networks near bicubic."""
    for name, architecture in (("frvsr-3-64", "frvsr-dc"), ("vsr", "vsr"), ("sisr", "sisr")):
        entry, network = ARCHITECTURES[architecture], make_network(architecture)
        save_checkpoint(folder / f"{name}.safetensors", network, entry, name)
    return folder
