"""What every network says of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from enhance_cli.colour import ToneCurve

Tiling = Literal["exact", "blended", "forbidden"]
ColourEncoding = Literal[
    "srgb", "grey", "balanced-raw", "linear-srgb", "amplified-raw", "amplified-srgb"
]


@dataclass(frozen=True)
class Contract:
    """How a network wants to be run; the engine reads this and nothing else about it.

    Attributes:
        scale: output pixels per input pixel along each axis.
        channels_in: planes of the input tensor.
        channels_out: planes of the output tensor.
        value_range: range of input and output values.
        colour: what the values mean. ``srgb`` is gamma-encoded RGB, ``grey`` one plane as it is
            stored. The others are of low light: ``balanced-raw`` takes packed R, G1, B, G2 in
            white-balanced linear camera RGB and gives RGB of that kind; ``linear-srgb`` takes
            and gives linear sRGB; ``amplified-raw`` and ``amplified-srgb`` take what the sensor
            or the file holds, multiplied by the ratio, and give gamma-encoded RGB. Callers ask
            ``is_raw`` and ``is_linear`` instead.
        halo: radius of the receptive field in input pixels: an output pixel depends on no
            input farther than this from the input pixel it lies in.
        size_multiple: input height and width must be multiples of this.
        patch_size: the only input side that the network takes, or None for any.
        auto_tile: side of a tile that keeps memory modest, or None for what suits the device.
        tiling: ``exact`` if cropping by the halo gives the untiled result, ``blended`` if tiles
            must overlap and be averaged, ``forbidden`` if the whole picture must be seen.
        lookahead: frames after the current one that a video network must be shown.
    """

    scale: int
    channels_in: int = 3
    channels_out: int = 3
    value_range: tuple[float, float] = (0.0, 1.0)
    colour: ColourEncoding = "srgb"
    halo: int = 0
    size_multiple: int = 1
    patch_size: int | None = None
    auto_tile: int | None = None
    tiling: Tiling = "exact"
    lookahead: int = 0

    @property
    def is_raw(self) -> bool:
        """Whether the network takes the packed mosaic of a sensor, not pictures."""
        return self.colour in ("balanced-raw", "amplified-raw")

    @property
    def is_linear(self) -> bool:
        """Whether values are proportional to light, so that the output is yet to be rendered."""
        return self.colour in ("balanced-raw", "linear-srgb")

    @property
    def curve(self) -> ToneCurve:
        """The curve by which linear output is rendered."""
        return "camera" if self.is_raw and self.is_linear else "srgb"


@dataclass(frozen=True)
class Architecture:
    """One entry of ``ARCHITECTURES``.

    Attributes:
        name: key in the table and in checkpoints.
        task: the command that uses it, e.g. ``"superres"``.
        config: frozen dataclass of its hyperparameters; must survive ``asdict`` and JSON.
        build: makes the network, freshly initialised, from a config; the network has an
            attribute ``contract``.
        source: where it was published.
    """

    name: str
    task: str
    config: type[Any]
    build: Callable[[Any], nn.Module]
    source: str


@dataclass(frozen=True)
class ModelSpec:
    """One entry of ``MODELS``: an architecture with hyperparameters, known by a name.

    Attributes:
        name: of the model and of its weights file.
        architecture: key of ``ARCHITECTURES``.
        config: an instance of that architecture's config.
        summary: one line for people.
    """

    name: str
    architecture: str
    config: Any
    summary: str
