"""How pictures wear out on their way through cameras, editors and networks, for training.

Small pictures on people's disks are no bicubic reductions of sharp ones: a lens blurred them, some
program reduced them by some filter, the sensor added noise, and JPEG was used more than once. The
pipeline has two rounds of blur, resizing, noise and JPEG, as Real-ESRGAN's (Wang et al., 2021,
section 3.1), with milder ranges. All of its steps keep the middle of every pixel in its place, so
that the large and the small picture stay aligned.
"""

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import fftconvolve
from scipy.special import j1
from torch import Tensor
from torch.nn import functional

from enhance_cli.levels import quantise, to_levels, to_planes, to_values
from enhance_cli.resize import imresize

_FILTERS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
_TAPS = 15  # The side of the kernels in pixels.


@dataclass(frozen=True)
class Round:
    """What may happen to a picture in one of the two rounds.

    Attributes:
        blur: the share of pictures that are blurred.
        deviation: the smallest and the largest standard deviation of the Gaussian blur, in pixels
            of the final small picture.
        noise: the share of pictures with noise.
        level: the smallest and the largest standard deviation of the noise at mid-grey, of 255;
            0.1 or more.
        jpeg: the share of pictures that are saved as JPEG.
        quality: the lowest and the highest quality of JPEG, from 1 to 100.
    """

    blur: float = 0.8
    deviation: tuple[float, float] = (0.05, 0.75)
    noise: float = 0.5
    level: tuple[float, float] = (1.0, 20.0)
    jpeg: float = 0.6
    quality: tuple[float, float] = (30.0, 95.0)

    def __post_init__(self) -> None:
        for name in ("blur", "noise", "jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        for name in ("deviation", "level", "quality"):
            low, high = getattr(self, name)
            least, most = {"level": (0.1, 255), "quality": (1, 100)}.get(name, (0, math.inf))
            if not least <= low <= high <= most:
                raise ValueError(f"{name} goes up from {least} to {most}, not {low} to {high}")


@dataclass(frozen=True)
class Wear:
    """How the small pictures that a network for real pictures is trained on are made.

    Attributes:
        plain: the share of pictures that MATLAB's bicubic filter reduces, and nothing else.
        first: the round before the picture is small.
        second: the round that ends with the small picture.
        detour: the smallest and the largest size between the rounds, as a multiple of the
            small one.
        ringing: the share of pictures that a sinc filter makes ring, as sharpening does.
    """

    plain: float = 1 / 3
    first: Round = Round()
    second: Round = Round(blur=0.3, deviation=(0.1, 0.8), noise=0.3, level=(1.0, 12.0), jpeg=0.75)
    detour: tuple[float, float] = (0.8, 3.0)
    ringing: float = 0.2

    def __post_init__(self) -> None:
        for name in ("plain", "ringing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        low, high = self.detour
        if not 0 < low <= high < math.inf:
            raise ValueError(f"detour goes up from more than 0, not {low} to {high}")

    def apply(self, picture: Tensor, scale: int, generator: torch.Generator) -> Tensor:
        """Make the small picture of a large one.

        Args:
            picture: float (3, H, W) in [0, 1], sides multiples of ``scale``.
            scale: pixels of the large picture along the side of one of the small picture.
            generator: the source of chance, on the CPU.

        Returns:
            (3, H / scale, W / scale) in [0, 1], rounded to the 256 levels of 8 bits.
        """
        small = (picture.shape[-2] // scale, picture.shape[-1] // scale)
        if _happens(self.plain, generator):
            return quantise(imresize(picture[None], 1 / scale)[0].clamp(0, 1))
        worn = _blur(picture, self.first, scale, generator)
        factor = _between(self.detour, generator)
        # A detour to a size that does not divide the picture would shift its border by a part of
        # a pixel at most, since Pillow maps the whole picture to the whole picture.
        worn = _resize(worn, [max(2, round(side * factor)) for side in small], generator)
        worn = _jpeg(_noise(worn, self.first, generator), self.first, generator)
        worn = _blur(worn, self.second, worn.shape[-2] / small[0], generator)
        worn = _noise(_resize(worn, list(small), generator), self.second, generator)
        # Ringing comes before or after the last compression (Real-ESRGAN, section 3.2).
        rings, late = _happens(self.ringing, generator), _happens(0.5, generator)
        if rings and not late:
            worn = _filter(worn, sinc_kernel(_between((math.pi / 2, math.pi), generator)))
        worn = _jpeg(worn, self.second, generator)
        if rings and late:
            worn = _filter(worn, sinc_kernel(_between((math.pi / 2, math.pi), generator)))
        return quantise(worn.clamp(0, 1))


def gaussian_kernel(deviations: tuple[float, float], angle: float) -> Tensor:
    """The weights (15, 15) of a Gaussian, which add up to 1.

    Args:
        deviations: the standard deviations in pixels along its two axes, each above 0.
        angle: the angle in radians by which the axes are turned.
    """
    place = torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2
    y, x = torch.meshgrid(place, place, indexing="ij")
    along = math.cos(angle) * x + math.sin(angle) * y
    across = math.cos(angle) * y - math.sin(angle) * x
    weights = (-((along / deviations[0]) ** 2 + (across / deviations[1]) ** 2) / 2).exp()
    return (weights / weights.sum()).float()


def sinc_kernel(cutoff: float) -> Tensor:
    """The weights (15, 15) of the circular low-pass filter, which add up to 1.

    Args:
        cutoff: the highest angular frequency that passes, above 0 to pi, in radians per pixel
            (Real-ESRGAN, section 3.2: cutoff * J1(cutoff * r) / (2 * pi * r)).
    """
    place = np.arange(_TAPS) - _TAPS // 2
    radius = np.hypot(*np.meshgrid(place, place))
    radius[_TAPS // 2, _TAPS // 2] = 1.0
    weights = cutoff * j1(cutoff * radius) / (2 * math.pi * radius)
    weights[_TAPS // 2, _TAPS // 2] = cutoff**2 / (4 * math.pi)
    return torch.from_numpy(weights / weights.sum()).float()


def _happens(share: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < share


def _between(span: tuple[float, float], generator: torch.Generator) -> float:
    low, high = span
    return low + (high - low) * float(torch.rand((), generator=generator))


def _filter(picture: Tensor, kernel: Tensor) -> Tensor:
    planes = functional.pad(picture[None], (_TAPS // 2,) * 4, mode="replicate")[0]
    # Kernels are symmetric about their middle. By FFT it takes an eighth of the time.
    return torch.from_numpy(fftconvolve(planes.numpy(), kernel.numpy()[None], "valid", axes=(1, 2)))


def _blur(picture: Tensor, settings: Round, pixel: float, generator: torch.Generator) -> Tensor:
    """Blur, in half of the pictures differently along two axes; ``pixel`` is a small one's side."""
    if not _happens(settings.blur, generator):
        return picture
    first = _between(settings.deviation, generator) * pixel
    second = first
    if _happens(0.5, generator):
        second = _between(settings.deviation, generator) * pixel
    angle = _between((0, math.pi), generator)
    return _filter(picture, gaussian_kernel((max(first, 0.1), max(second, 0.1)), angle))


def _resize(picture: Tensor, size: list[int], generator: torch.Generator) -> Tensor:
    kind = _FILTERS[int(torch.randint(len(_FILTERS), (), generator=generator))]
    height, width = size
    planes = [
        np.asarray(Image.fromarray(plane.numpy()).resize((width, height), kind))
        for plane in picture
    ]
    return torch.from_numpy(np.stack(planes)).clamp(0, 1)


def _noise(picture: Tensor, settings: Round, generator: torch.Generator) -> Tensor:
    """Gaussian noise, or Poisson noise whose variance grows with the light; grey or coloured."""
    if not _happens(settings.noise, generator):
        return picture
    level = _between(settings.level, generator) / 255
    grey, poisson = _happens(0.4, generator), _happens(0.5, generator)
    shape = picture[:1].shape if grey else picture.shape
    if not poisson:
        return (picture + level * torch.randn(shape, generator=generator)).clamp(0, 1)
    # So many photons make mid-grey that their deviation is ``level`` there.
    photons = 0.25 / level**2
    light = picture.mean(0, keepdim=True) if grey else picture
    counted = torch.poisson(2 * photons * light, generator=generator)
    return (picture + counted / (2 * photons) - light).clamp(0, 1)


def _jpeg(picture: Tensor, settings: Round, generator: torch.Generator) -> Tensor:
    if not _happens(settings.jpeg, generator):
        return picture
    quality = round(_between(settings.quality, generator))
    return _through_jpeg(picture, quality, "4:2:0" if _happens(0.7, generator) else "4:4:4")


def _through_jpeg(picture: Tensor, quality: int, subsampling: str) -> Tensor:
    levels: NDArray[np.uint8] = to_levels(picture).movedim(0, -1).numpy()
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return to_values(to_planes(np.asarray(Image.open(buffer))))


def _stored(picture: Tensor, scale: int, generator: torch.Generator, *, quality: int) -> Tensor:
    return _through_jpeg(imresize(picture, 1 / scale), quality, "4:2:0")


def _noise_15(picture: Tensor, scale: int, generator: torch.Generator) -> Tensor:
    small = imresize(picture, 1 / scale)
    return small + 15 / 255 * torch.randn(small.shape, generator=generator)


def _soft(picture: Tensor, scale: int, generator: torch.Generator) -> Tensor:
    """A Gaussian of half a small pixel before the reduction: 2 pixels at x4."""
    return imresize(_filter(picture, gaussian_kernel((scale / 2, scale / 2), 0.0)), 1 / scale)


# Ways to wear out test pictures. All but the last begin or end with MATLAB's bicubic reduction.
WEAR: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {
    "jpeg": partial(_stored, quality=50),
    **{f"jpeg-{quality}": partial(_stored, quality=quality) for quality in (75, 85, 90, 95)},
    "noise": _noise_15,
    "blur": _soft,
    "all": Wear(plain=0.0).apply,
}


def wear_out(kind: str, picture: Tensor, scale: int, name: str) -> Tensor:
    """Make the worn small picture of a test picture, the same at every call.

    Args:
        kind: a key of ``WEAR``: ``jpeg`` of quality 50, ``jpeg-75`` and so on of others, ``noise``
            of 15 levels of 255, ``blur`` by a Gaussian of half a small pixel, or ``all``, what
            ``Wear`` draws.
        picture: uint8 (3, H, W), sides multiples of ``scale``.
        scale: pixels of the picture along the side of one of the small picture.
        name: of the picture; it decides on the noise and on what is drawn.

    Returns:
        uint8 (3, H / scale, W / scale).
    """
    generator = torch.Generator().manual_seed(zlib.crc32(f"{kind}/{name}".encode()))
    return to_levels(WEAR[kind](to_values(picture), scale, generator))
