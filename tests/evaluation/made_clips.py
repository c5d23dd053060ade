"""Small clips, and tiny video networks."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.srnet import FrvsrConfig
from enhance_cli.data.degradation import blur_and_subsample
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.levels import quantise

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
    return quantise(blur_and_subsample(truth, 1.5, 4)), truth


def save_video_networks(folder: Path) -> Path:
    """Fill a folder with very small networks near bicubic."""
    for name, architecture in (("frvsr-3-64", "frvsr"), ("vsr", "vsr"), ("sisr", "sisr")):
        torch.manual_seed(0)
        entry = ARCHITECTURES[architecture]
        network = build(entry, FrvsrConfig(channels=4, blocks=1))
        save_checkpoint(folder / f"{name}.safetensors", network, entry, name)
    return folder
