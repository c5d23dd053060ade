"""Very small autoencoders, and pictures for them, for the tests of ``enhance sample``."""

import zlib
from pathlib import Path

import numpy as np
import torch

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.autoencoder import Autoencoder, AutoencoderConfig
from enhance_cli.architectures.dcgan import DcganConfig
from enhance_cli.engine.catalogue import Model, load_model
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.engine.generation import draw_pictures
from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.tasks.sample_pictures import MARGIN

SIDE, LATENT = 16, 3
CELL = SIDE + MARGIN


def save_tiny(path: Path, *, fitted: bool = True, **settings: object) -> Path:
    """A checkpoint of a very small autoencoder whose pictures differ from one another."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES["autoencoder"]
    fields = {"side": SIDE, "width": 2, "latent": LATENT, "kernel": 4, "components": 2, **settings}
    network = build(architecture, AutoencoderConfig(**fields))
    assert isinstance(network, Autoencoder)
    with torch.no_grad():
        network.decoder[-1].weight.mul_(20)
        if fitted:
            network.densities.gaussian_mean.fill_(0.5)
            network.densities.gaussian_factor.copy_(2 * torch.eye(LATENT))
            network.densities.mixture_weights.copy_(torch.tensor([0.25, 0.75]))
            network.densities.mixture_means.copy_(torch.tensor([[-3.0, 0, 0], [3, 1, 0]]))
            network.densities.mixture_factors.copy_(torch.eye(LATENT).expand(2, -1, -1))
    save_checkpoint(path, network, architecture, path.stem)
    return path


def save_tiny_generator(path: Path) -> Path:
    """A checkpoint of a very small GAN's generator of colour digits."""
    torch.manual_seed(0)
    config = DcganConfig(side=28, padding=2, latent=LATENT, width=2)
    architecture = ARCHITECTURES["dcgan"]
    save_checkpoint(path, build(architecture, config), architecture, path.stem)
    return path


def load(path: Path) -> Model:
    return load_model("sample", weights=path, device=torch.device("cpu"))


def expected_samples(
    path: Path, count: int, density: str = "mixture", **options: float
) -> list[np.ndarray]:
    """Samples by the engine alone, (side, side, C) uint8."""
    model = load(path)
    values = torch.cat(list(draw_pictures(model, density, count, **options)))
    return list((values * 255).round().byte().permute(0, 2, 3, 1).numpy())


def cells(path: Path, columns: int, side: int = SIDE) -> list[np.ndarray]:
    """The places of a grid row by row; its margins must be white."""
    pixels = read_image(path).pixels
    step = side + MARGIN
    rows = (pixels.shape[0] - MARGIN) // step
    assert pixels.shape[:2] == (rows * step + MARGIN, columns * step + MARGIN)
    inside = np.zeros(pixels.shape[:2], bool)
    found = []
    for row in range(rows):
        for column in range(columns):
            place = np.s_[
                row * step + MARGIN : (row + 1) * step, column * step + MARGIN : (column + 1) * step
            ]
            inside[place] = True
            found.append(pixels[place])
    assert (pixels[~inside] == 255).all()
    return found


def noise(
    path: Path,
    height: int = SIDE,
    width: int = SIDE,
    channels: int = 3,
    dtype: type = np.uint8,
    **fields: object,
) -> Path:
    top = np.iinfo(dtype).max
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    pixels = rng.integers(0, top, (height, width, channels), dtype=dtype, endpoint=True)
    write_image(path, Picture(pixels, **fields))
    return path
