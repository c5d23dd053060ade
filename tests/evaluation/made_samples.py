"""Small sets of pictures, and tiny models that draw them."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from enhance_cli.architectures import ARCHITECTURES, squeezenet
from enhance_cli.architectures.autoencoder import Autoencoder, AutoencoderConfig
from enhance_cli.engine.checkpoint import build, save_checkpoint

TEST, HELD = 24, 25  # pictures of the tiny sets
DIGITS = AutoencoderConfig(
    side=28, padding=2, channels=1, latent=3, width=2, kernel=4, components=2
)
FACES = AutoencoderConfig(latent=3, width=2, components=2, blur_kernel=3)
SCORES = {"frechet", "f8", "f1_8", "max_precision", "max_recall", "high_frequencies"}
SOURCES = ["reconstruction", "gaussian", "mixture", "interpolation"]


def bars(count: int, seed: int, colours: int = 0, side: int = 28) -> np.ndarray:
    """Soft bars in random places, uint8 (N, side, side[, colours])."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    angle = rng.uniform(0, np.pi, (count, 1, 1))
    shift = rng.uniform(-side / 4, side / 4, (count, 1, 1))
    across = (rows - side / 2) * np.cos(angle) + (columns - side / 2) * np.sin(angle) - shift
    values = np.clip(side / 9 - np.abs(across), 0, 1)
    if colours:
        values = values[..., None] * rng.uniform(0.3, 1, (count, 1, 1, colours))
    return np.round(255 * values).astype(np.uint8)


def write_digits(path: Path, test: int = TEST, train: int = 6 * HELD) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        x_train=bars(train, 0),
        y_train=(np.arange(train) % 10).astype(np.uint8),
        x_test=bars(test, 1),
        y_test=(np.arange(test) % 10).astype(np.uint8),
    )


def write_faces(path: Path) -> None:
    files = []
    for pixels in bars(5 * HELD, 2, 3, 64):
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    np.savez(
        path,
        data=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
    )


def random_features(path: Path, seed: int) -> None:
    """A SqueezeNet that has learnt nothing, but whose features differ from picture to picture."""
    torch.manual_seed(seed)
    network = squeezenet.SqueezeNet()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
        else:
            torch.nn.init.zeros_(parameter)
    save_file(network.state_dict(), path)


def fill_densities(network: Autoencoder) -> None:
    own = network.densities
    own.gaussian_factor.copy_(torch.eye(own.latent))
    own.mixture_weights.copy_(torch.tensor([0.25, 0.75]))
    own.mixture_means.copy_(torch.randn(2, own.latent))
    own.mixture_factors.copy_(torch.eye(own.latent).expand(2, -1, -1) / 2)


def save(folder: Path, name: str, config: AutoencoderConfig, *, fitted: bool = True) -> Path:
    torch.manual_seed(len(name))
    entry = ARCHITECTURES["autoencoder"]
    network = build(entry, config).eval()
    assert isinstance(network, Autoencoder)
    if fitted:
        fill_densities(network)
    save_checkpoint(folder / f"{name}.safetensors", network, entry, name)
    return folder / f"{name}.safetensors"


def fill(folder: Path, count: int, seed: int, name: str = "{:03}.png", side: int = 40) -> Path:
    folder.mkdir(parents=True)
    for index, pixels in enumerate(bars(count, seed, 3, side)):
        Image.fromarray(pixels).save(folder / name.format(index))
    return folder


def document(ran) -> dict:
    assert ran.code == 0, ran.err
    return json.loads(ran.out)
