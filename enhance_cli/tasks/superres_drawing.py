"""What ``enhance superres`` does with a network that has chance in it, and what it shows of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from enhance_cli.defaults import DRAWING_TEMPERATURE
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.consistency import Reduction
from enhance_cli.engine.drawing import NoiseField, draw_answer
from enhance_cli.engine.runnable import Runnable
from enhance_cli.errors import UsageError
from enhance_cli.io.image import Picture
from enhance_cli.levels import to_levels, to_planes, to_values
from enhance_cli.metrics.quality import psnr
from enhance_cli.transparency import fill_transparent

# Below this the reduced copy of a result visibly differs from the input.
CONSISTENT = 45.0  # dB


@dataclass(frozen=True)
class DrawingOptions:
    """The options of ``enhance superres`` for networks that draw; None where one is left out."""

    temperature: float | None = None
    samples: int | None = None
    uncertainty: bool = False
    seed: int | None = None

    def settle(self) -> "Drawing":
        """Fill in what is usual.

        Raises:
            UsageError: if a value is out of range, or they contradict each other.
        """
        temperature = DRAWING_TEMPERATURE if self.temperature is None else self.temperature
        samples = 1 if self.samples is None else self.samples
        if not 0 <= temperature <= 1:
            raise UsageError(f"--temperature {temperature:g}: must be from 0 to 1")
        if samples < 1:
            raise UsageError(f"--samples {samples}: must be 1 or more")
        if samples > 1 and temperature == 0:
            raise UsageError(
                f"--samples {samples}: at temperature 0 all are alike, leave it out or give a "
                "--temperature above 0"
            )
        if self.uncertainty and samples < 2:
            raise UsageError("--uncertainty: is the spread of samples, add --samples 2 or more")
        return Drawing(temperature, samples, self.uncertainty, self.seed or 0)

    def check_models(self, models: Sequence[Model]) -> None:
        """Refuse what a network without chance in it cannot do.

        Raises:
            UsageError: for the first such option.
        """
        given = {
            "--temperature": self.temperature,
            "--samples": None if self.samples == 1 else self.samples,
            "--seed": self.seed,
        }
        for model in models:
            for option, value in given.items():
                if value is not None and not model.contract.draws:
                    raise UsageError(
                        f"{option} {value}: model {model.info.name!r} has no chance in it and "
                        "gives one answer, leave it out or choose a model that draws"
                    )


@dataclass(frozen=True)
class Drawing:
    """What is drawn; see the help of the options."""

    temperature: float
    samples: int
    uncertainty: bool
    seed: int

    @property
    def parts(self) -> list[str]:
        """What is put behind the stem of each output; nothing if there is one."""
        if self.samples == 1:
            return []
        numbers = [f"_{number}" for number in range(1, self.samples + 1)]
        return [*numbers, "_spread"] if self.uncertainty else numbers

    @property
    def header(self) -> dict[str, Any]:
        """What the JSON document says of it."""
        return {"temperature": self.temperature, "samples": self.samples, "seed": self.seed}

    def answer(self, model: Model, sample: int) -> Runnable:
        """One of the answers of a model, or the only one of a model that does not draw."""
        if not model.contract.draws:
            return model
        return draw_answer(model, self.temperature, NoiseField(self.seed, sample))


def make_consistent(picture: Picture, enlarged: Picture) -> tuple[Picture, float]:
    """Change an enlargement as little as possible so that its reduced copy is the input.

    Args:
        picture: the input.
        enlarged: a whole number of times as large.

    Returns:
        The changed enlargement, and the PSNR in dB of its reduced copy, against the input.
    """
    small = picture.pixels
    if picture.alpha is not None:
        small = fill_transparent(small, picture.alpha)
    source = to_values(to_planes(small))
    reduction = Reduction(picture.height, picture.width, enlarged.width // picture.width)
    result, reduced = np.empty_like(enlarged.pixels), torch.empty(source.shape)
    for colour, plane in enumerate(to_planes(enlarged.pixels)):
        projected = reduction.project(to_values(plane).numpy(), source[colour].numpy())
        levels = to_levels(torch.from_numpy(projected), plane.dtype)
        result[..., colour] = levels.numpy()
        reduced[colour] = torch.from_numpy(reduction.reduce(to_values(levels).numpy()))
    return replace(enlarged, pixels=result), psnr(reduced, source, 1.0)


def draw_spread(spread: NDArray[np.float32], samples: int) -> NDArray[np.uint8]:
    """Show how far samples are apart: a picture in colours, and a legend below it.

    Args:
        spread: (H, W) standard deviations, where white is 1.
        samples: of how many.

    Returns:
        Pixels (H + h, W or more, 3): black where all samples agree, yellow where they are apart.
    """
    from matplotlib import colormaps

    colours = colormaps["inferno"](np.arange(256), bytes=True)[:, :3]
    top = _round_up(255 * _nearly_largest(spread)) / 255
    places = np.minimum(spread * np.float32(255 / top), 255).round().astype(np.uint8)
    height, width = spread.shape
    size = min(max(width // 40, 12), 40)
    font = ImageFont.load_default(size)
    texts = ["0", f"{255 * top / 2:g}", f"{255 * top:g} or more"]
    caption = f"standard deviation of {samples} samples, in levels of 255"
    wide = max(width, round(font.getlength(caption)) + 2 * size)
    canvas = Image.new("RGB", (wide, height + 5 * size), "white")
    canvas.paste(Image.fromarray(colours[places]), ((wide - width) // 2, 0))
    bar = np.linspace(0, 255, wide - 2 * size).round().astype(np.uint8)
    canvas.paste(Image.fromarray(colours[np.tile(bar, (size, 1))]), (size, height + size // 2))
    pen = ImageDraw.Draw(canvas)
    line = height + size // 2 + size
    for text, share in zip(texts, (0, 0.5, 1), strict=True):
        place = size + share * (wide - 2 * size - font.getlength(text))
        pen.text((place, line), text, "black", font)
    pen.text((size, line + 1.4 * size), caption, "black", font)
    return np.asarray(canvas)


def _nearly_largest(spread: NDArray[np.float32]) -> float:
    """What 999 of 1000 pixels stay below."""
    step = max(1, round((spread.size / 1e6) ** 0.5))
    return float(np.quantile(spread[::step, ::step], 0.999))


def _round_up(levels: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... levels."""
    rounds = (step * 10**power for power in range(3) for step in (1, 2, 5))
    return next((float(value) for value in rounds if value >= levels), 500.0)
