"""Small dark RAW files, and networks that give their input, for ``enhance lowlight``."""

from pathlib import Path

import numpy as np
import pytest
import torch

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.sid_fcn import SidFcnConfig
from enhance_cli.colour import SRGB_TO_XYZ
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.io import dng
from enhance_cli.io.dng import Tag, write_dng

BLACK, WHITE = 256, 4095
GAINS = np.array([2.0, 1.0, 1.6])
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r xmp:Rating="4" tiff:Orientation="6"/></x:xmpmeta>'
XMP_TAG: Tag = (700, "B", len(XMP), XMP, True)
XYZ_TO_SRGB = np.linalg.inv(SRGB_TO_XYZ.double().numpy())


def use_networks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let networks that give their input, demosaiced, be the default models; gives the folder."""
    architecture = ARCHITECTURES["sid-fcn"]
    for name, source in (("sid-fcn", "raw"), ("sid-fcn-srgb", "srgb")):
        torch.manual_seed(0)
        network = build(architecture, SidFcnConfig(width=2, latent=2, source=source))
        torch.nn.init.zeros_(network.out.weight)
        with torch.no_grad():
            network.out.bias[12::5] = 30  # the sharpest of the means that it blends
        save_checkpoint(folder / f"{name}.safetensors", network, architecture, name)
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    monkeypatch.setenv("ENHANCE_CACHE", str(folder / "none"))
    return folder


def add_tag(monkeypatch: pytest.MonkeyPatch, tag: Tag) -> None:
    """Let all DNG files that are written from now on have one more tag."""
    encode = dng._encode
    monkeypatch.setattr(dng, "_encode", lambda mosaic, tags: encode(mosaic, [*tags, tag]))


def write_raw(
    path: Path,
    light: object = 0.01,
    size: tuple[int, int] = (48, 64),
    pattern: str = "RGGB",
    **settings: object,
) -> None:
    """A DNG of white-balanced linear sRGB: a number, a colour or (H, W, 3)."""
    rgb = np.broadcast_to(np.asarray(light, float), (*size, 3)) / GAINS
    mosaic = np.empty(size)
    for place, colour in enumerate(pattern):
        y, x = divmod(place, 2)
        mosaic[y::2, x::2] = rgb[y::2, x::2, "RGB".index(colour)]
    levels = np.round(np.minimum(mosaic, 1) * (WHITE - BLACK) + BLACK).astype(np.uint16)
    levels[0, 0] = BLACK - 3  # noise below black
    defaults = {"as_shot_neutral": tuple(1 / GAINS), "color_matrix": XYZ_TO_SRGB}
    write_dng(path, levels, black=BLACK, white=WHITE, pattern=pattern, **(defaults | settings))
