"""Make the golden outputs again, after the weights were replaced on purpose.

    python tests/golden/make.py

Writes what each shipped model makes of one corner of examples/astronaut.png, in fp32 on the CPU,
and PROVENANCE.md: enlargements, and for low light what becomes of the corner after it has been
darkened 50 times and given noise (seed 0); for video the last of five frames of a pan over it.
Models that draw show six samples of the density that they draw from (seed 0). The classifier of
digits shows, in a row for each of ten such samples, how probable it holds the digits from 0 to 9.
"""

import hashlib
import platform
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures import MODELS as MODEL_SPECS
from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.colour import srgb_to_linear
from enhance_cli.data.darkness import pack
from enhance_cli.engine.brighten import DarkImage, brighten
from enhance_cli.engine.catalogue import load_model
from enhance_cli.engine.digits import CLASSIFIER, load_classifier
from enhance_cli.engine.generation import default_density, draw_pictures
from enhance_cli.engine.recurrent import enhance_clip
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.io.image import read_rgb8
from enhance_cli.levels import to_planes, to_values

FOLDER = Path(__file__).resolve().parent
SAMPLED = (
    "digits-rae-l2",
    "digits-tempered",
    "faces-rae-sn",
    "faces-vae-blur",
    "faces-vae-white",
    "vdvae-faces-64",
)
SOURCE = FOLDER.parents[1] / "examples" / "astronaut.png"
CORNER = (slice(24, 72), slice(32, 72))  # the face: 48x40 pixels
MODELS = (
    "enet-e-x2",
    "enet-e-x4",
    "enet-pat-x4",
    "enet-real-e-x4",
    "enet-real-x4",
    CLASSIFIER,
    "fast-x2",
    "fast-x4",
    "frvsr-3-64",
    "frvsr-real",
    "sid-fcn",
    "sid-fcn-grey",
    "sid-fcn-srgb",
    "sid-net-small",
    "sisr",
    "vdvae-sr-x4",
    *SAMPLED,
)
RATIO = 50.0


def enlarge(name: str) -> torch.Tensor:
    """(3, scale * 48, scale * 40) uint8 of the corner, by a shipped model."""
    model = load_model("superres", name=name, device=torch.device("cpu"))
    return run_tiled(
        model, to_values(to_planes(read_rgb8(SOURCE)[CORNER])), TilePlan(tile=0), levels=torch.uint8
    )


def brighten_corner(name: str) -> torch.Tensor:
    """(3 or 1, 48, 40) uint8 of the darkened corner, by a shipped model."""
    model = load_model("lowlight", name=name, device=torch.device("cpu"))
    light = (read_rgb8(SOURCE)[CORNER].astype(np.float64) / 255) ** 2.2 / RATIO
    # Whole levels with noise of whole levels: the same on every machine.
    noise = np.random.default_rng(0).integers(-3, 4, light.shape)
    if not model.contract.is_raw:
        levels = np.round(255 * light ** (1 / 2.2)) + noise // 3
        dark = srgb_to_linear(to_values(to_planes(levels.clip(0, 255).astype(np.uint8))))
    else:
        levels = np.round(light * 4095) + noise
        dark = pack(torch.from_numpy(levels.astype(np.float32)).permute(2, 0, 1) / 4095)
    return brighten(model, DarkImage(dark), RATIO, TilePlan(tile=0), levels=torch.uint8)


def pan(name: str) -> torch.Tensor:
    """(3, 192, 160) uint8: the corner as the fourth frame of a pan of 1 by 2 pixels a frame."""
    model = load_model("video", name=name, device=torch.device("cpu"))
    picture = to_values(to_planes(read_rgb8(SOURCE)))
    rows, columns = CORNER
    frames = torch.stack(
        [
            picture[
                :,
                rows.start - 3 + step : rows.stop - 3 + step,
                columns.start - 6 + 2 * step : columns.stop - 6 + 2 * step,
            ]
            for step in range(5)
        ]
    )
    assert isinstance(model.network, VideoNetwork)
    return enhance_clip(model.network, frames)[3].mul(255).round().to(torch.uint8)


def sample(name: str, count: int) -> torch.Tensor:
    """(count, C, side, side) float32: samples of a shipped model."""
    model = load_model("sample", name=name, device=torch.device("cpu"))
    return torch.cat(list(draw_pictures(model, default_density(model.network), count)))


def draw(name: str) -> torch.Tensor:
    """(3 or 1, side, 6 * side) uint8: six samples side by side."""
    return torch.cat(list(sample(name, 6)), 2).mul(255).round().to(torch.uint8)


@torch.no_grad()
def classify(name: str) -> torch.Tensor:
    """(1, 10, 10) uint8: the probabilities of ten samples of digits-rae-l2."""
    assert name == CLASSIFIER
    classifier = load_classifier(torch.device("cpu"))
    probabilities = classifier(sample("digits-rae-l2", 10)).softmax(1)
    return probabilities[None].mul(255).round().to(torch.uint8)


def make(name: str) -> torch.Tensor:
    """What is stored for a model."""
    task = ARCHITECTURES[MODEL_SPECS[name].architecture].task
    makers = {
        "superres": enlarge,
        "lowlight": brighten_corner,
        "video": pan,
        "sample": draw,
        "evaluate": classify,
    }
    return makers[task](name)


def main() -> None:
    """Write the pictures and where they come from."""
    lines = [
        "# Golden outputs",
        "",
        "Made by `python tests/golden/make.py` with torch "
        f"{torch.__version__} on {platform.machine()}, fp32; tests allow one grey level.",
        "",
        "| picture | weights, sha256 |",
        "| --- | --- |",
    ]
    for name in MODELS:
        pixels = make(name).permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(pixels.squeeze()).save(FOLDER / f"{name}.png")
        weights = FOLDER.parents[1] / "weights" / f"{name}.safetensors"
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        lines.append(f"| `{name}.png` | `{digest}` |")
    (FOLDER / "PROVENANCE.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
