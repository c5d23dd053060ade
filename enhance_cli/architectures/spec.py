"""What every network declares about itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from enhance_cli.colour import ToneCurve

Tiling = Literal["exact", "blended", "forbidden"]
ColourEncoding = Literal[
    "srgb", "grey", "balanced-raw", "linear-srgb", "amplified-raw", "amplified-srgb"
]


@dataclass(frozen=True)
class Contract:
    """How a network wants to be run. The engine reads this, and knows nothing else of a network.

    Values of input and output lie in [0, 1], but for noise and highlights in low light.

    Attributes:
        scale: how many output pixels an input pixel becomes along each axis.
        channels_in: number of planes of the input.
        channels_out: number of planes of the output.
        colour: what the values mean. ``srgb`` is gamma-encoded RGB, ``grey`` one plane as it is
            stored. The others are of low light: ``balanced-raw`` takes packed R, G1, B, G2 in
            white-balanced linear camera RGB and gives RGB of that kind; ``linear-srgb`` takes
            and gives linear sRGB; ``amplified-raw`` and ``amplified-srgb`` take what the sensor
            or the file holds, multiplied by the ratio, and give gamma-encoded RGB. Callers ask
            ``is_raw`` and ``is_linear`` instead.
        halo: radius of the receptive field in input pixels. An output pixel depends on no input
            that is farther than this from the input pixel in which it lies; where the receptive
            field is too large for tiles, inputs farther away change it by less than the network's
            docstring says.
        size_multiple: the height and width of the input must be multiples of this.
        patch_size: the only side of an input that the network takes, or None for any.
        auto_tile: side of a tile that keeps memory modest, or None for what suits the device.
        tiling: ``exact`` if tiles that are cropped by the halo give the result of the whole
            picture, ``blended`` if tiles must overlap and be averaged, and ``forbidden`` if the
            network must see the whole picture.
        lookahead: how many frames after the current one a video network must be shown.
        draws: whether the network can draw several answers to one input; it is a
            ``DrawingNetwork`` then.
    """

    scale: int
    channels_in: int = 3
    channels_out: int = 3
    colour: ColourEncoding = "srgb"
    halo: int = 0
    size_multiple: int = 1
    patch_size: int | None = None
    auto_tile: int | None = None
    tiling: Tiling = "exact"
    lookahead: int = 0
    draws: bool = False

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


class DrawingNetwork(Protocol):
    """A network with chance in it: it gives a distribution over large pictures for a small one.

    Its chance is in latents, one block of Gaussian values for each stochastic layer. Whoever runs
    it brings the noise, so that noise can be tied to places and parts of a picture can agree.
    """

    def forward(self, frame_lr: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, scale * H, scale * W), every latent at its mean."""

    def latent_shapes(self, height_lr: int, width_lr: int) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width of the latents of each stochastic layer, in their order.

        Args:
            height_lr: height of the input in pixels.
            width_lr: width of the input in pixels.
        """

    def draw(self, frame_lr: Tensor, temperature: float, noises: Sequence[Tensor]) -> Tensor:
        """One of the answers: every latent is ``mean + temperature * std * noise``.

        Args:
            frame_lr: (N, 3, H, W) in [0, 1].
            temperature: 0 gives what ``forward`` gives, 1 the distribution that was learned.
            noises: standard normal values (N, C, h, w) of each stochastic layer, whose shapes
                ``latent_shapes`` tells.

        Returns:
            (N, 3, scale * H, scale * W).
        """


@dataclass(frozen=True)
class LearnedPart:
    """What is learned of a network, apart from its fixed operations.

    A network tells it in its attribute ``learned``. Then another engine may run the part, and in a
    reduced precision, while what is fixed stays in torch and in float32. A network without the
    attribute runs in torch alone.

    Attributes:
        method: name of the network's method that applies it. It takes as many tensors as there
            are ``planes`` and gives one, all (N, C, h, w).
        planes: number of planes of each input.
        shrink: how many times smaller each input is than the first.
    """

    method: str
    planes: tuple[int, ...] = (3,)
    shrink: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Architecture:
    """One entry of ``ARCHITECTURES``.

    Attributes:
        name: key in the table and in checkpoints.
        task: the command that runs it, e.g. ``"superres"``.
        config: frozen dataclass of its hyperparameters, which may hold others; must survive
            ``asdict`` and JSON.
        build: makes a freshly initialised network from a config. The network has an attribute
            ``contract``.
        source: the publication that describes it.
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
        name: name of the model and of its weights file.
        architecture: key of ``ARCHITECTURES``.
        config: an instance of that architecture's config.
        summary: what it is for, a phrase of at most 36 letters.
        reference: where the papers have it, and what it is called there.
        weights_from: other models that lend it their weights, for models that have no file of
            their own. Each tensor comes from the first of them that has it.
        textured: another model of the same network, trained to draw texture. The weights of the
            two can be blended. Empty if there is none.
    """

    name: str
    architecture: str
    config: Any
    summary: str
    reference: str = ""
    weights_from: tuple[str, ...] = ()
    textured: str = ""
