"""SID-net made fully convolutional, for any camera and full resolution.

The thesis proposes it as future work (000, ch. 8.6): convolutions in place of the fully
connected layers, so that any input size will do. Departures from SID-net, each with its reason:

- The bottleneck is a map at 1/16 of the packed size, and the deepest block reaches the decoder
  only through it. Four poolings instead of five keep the halo, and so the tiles, small.
- A pixel-shuffle head gives the resolution of the sensor instead of half of it.
- Input and output are white-balanced linear camera RGB; the file's own colour matrix and the
  output curve follow outside. So one network serves every camera.
- Its result is a blend, with weights that it chooses for each pixel and colour, of the input
  averaged over 1, 2, 4, 8 and 16 packed pixels, plus a correction. The means are taken of linear
  values, where noise averages out without a bias, and blended in compressed ones (about their
  square root). Without them a network that had to subtract the noise lost to a mere box filter
  in extreme darkness, after 2,000 steps. The same means enter the blocks of their size.
- The sharpest picture of the blend may be a good demosaicing by fixed filters
  (``demosaicing``), so that a clean file needs no learned correction to come out sharp.
- Amplified values are not clipped at white before the network: in extreme darkness a single
  electron may be as bright as that, and clipping would darken the mean.
- One more plane may tell it how noisy the input is. Of two runs of 800 steps the one with it
  reached 23.38 dB on validation and the one without 23.08 dB.
- A second one may tell how noisy the smoothest parts are, and bound in multiples of that how far a
  pixel may go from the input, so that texture is not taken for noise.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import (
    Chain,
    Convolution,
    Enlarge,
    Reduce,
    ResidualBlock,
    receptive_halo,
)
from enhance_cli.architectures.sid_net import double_block
from enhance_cli.architectures.spec import Architecture, Contract, LearnedPart
from enhance_cli.architectures.variational import PosteriorNetwork
from enhance_cli.colour import LUMINANCE, compress_range, expand_range, noise_of_plane
from enhance_cli.demosaicing import demosaic_adaptive, demosaic_gradient_corrected

_BLOCKS = 5
# How many standard deviations a result may be away from the input before anything is learned, and
# what is added to them: half a level of 255.
_BOUND, _LEAST_NOISE = 8.0, 0.002
# Of compressed values, in which noise is even.
_DEMOSAICING = {"gradient-corrected": demosaic_gradient_corrected, "adaptive": demosaic_adaptive}


@dataclass(frozen=True)
class SidFcnConfig:
    """Hyperparameters; the defaults are the full network of about 8 M parameters.

    Attributes:
        source: ``raw``, 4 packed planes; or ``srgb``, 3 linear planes at full size.
        colours: 3, or 1 for grey.
        width: filters of the first block.
        latent: planes of the bottleneck.
        noise_plane: whether a further input plane holds the noise's standard deviation.
        demosaicing: the sharpest picture of the blend. ``nearest`` has none but the samples
            repeated over their 2x2 cell, the others add a demosaicing by ``demosaicing``'s
            fixed operations. For ``raw`` only.
        refinements: residual blocks at the working resolution behind the U-Net.
        bounded: whether the result stays near the sharpest picture of the blend: as many standard
            deviations of the noise from it as the network chooses for each 2x2 block and colour.
            That noise is one more input plane. Needs ``noise_plane``.
    """

    source: Literal["raw", "srgb"] = "raw"
    colours: int = 3
    width: int = 32
    latent: int = 64
    noise_plane: bool = False
    demosaicing: Literal["nearest", "gradient-corrected", "adaptive"] = "nearest"
    refinements: int = 0
    bounded: bool = False

    def __post_init__(self) -> None:
        if self.source not in ("raw", "srgb") or self.colours not in (1, 3):
            raise ValueError("sid-fcn maps raw or srgb to 3 colours or 1")
        if min(self.width, self.latent) < 1:
            raise ValueError(f"no network of width {self.width} and latent {self.latent}")
        if self.demosaicing not in ("nearest", *_DEMOSAICING):
            raise ValueError(f"no network of demosaicing {self.demosaicing!r}")
        if self.source == "srgb" and self.demosaicing != "nearest":
            raise ValueError("no network demosaics srgb: leave demosaicing at nearest")
        if self.bounded and not self.noise_plane:
            raise ValueError("no bounded network without noise_plane, of which its bounds are made")
        if self.refinements < 0:
            raise ValueError(f"no network of {self.refinements} refinements")

    @property
    def noise_planes(self) -> int:
        """Input planes that tell of the noise; see ``colour.noise_planes``."""
        return self.noise_plane + self.bounded

    @property
    def planes(self) -> int:
        """Planes of the working resolution, half that of the picture."""
        return 4 if self.source == "raw" else 12


def _mix(planes: Tensor, config: SidFcnConfig, pixels: int) -> Tensor:
    """RGB, or grey, from planes in the order colour, pixel: (N, 3 * pixels, h, w)."""
    if config.colours == 3:
        return planes
    weights = LUMINANCE.to(planes).view(3, 1, 1, 1)
    return (planes.reshape(len(planes), 3, pixels, *planes.shape[2:]) * weights).sum(1)


def _demosaic_nearest(planes: Tensor, config: SidFcnConfig) -> Tensor:
    """Full resolution in the order of a pixel shuffle, (N, 4 * colours, h, w).

    By colour, then the pixels (0,0), (0,1), (1,0), (1,1) of each 2x2 block. Written without a
    matrix product, which autocast would round.
    """
    if config.source == "raw":  # R, G1 at (0,1), B, G2 at (1,0)
        red, green1, blue, green2 = (planes[:, i : i + 1] for i in range(4))
        green = (green1 + green2) / 2
        planes = torch.cat([red] * 4 + [green, green1, green2, green] + [blue] * 4, 1)
    return _mix(planes, config, 4)


def _demosaic_sharp(planes: Tensor, config: SidFcnConfig) -> Tensor:
    """Compressed values of the fixed demosaicing, (N, 4 * colours, h, w) as of a pixel shuffle.

    Cut at white, as the clean picture is, so that lamps leave no rings.
    """
    # Autocast would round the picture; on the meta device, where operations are counted, it fails.
    exact = nullcontext() if planes.is_meta else torch.autocast(planes.device.type, enabled=False)
    with exact:
        mosaic = functional.pixel_shuffle(compress_range(planes[:, [0, 1, 3, 2]].clamp(max=1)), 2)
        picture = functional.pixel_unshuffle(_DEMOSAICING[config.demosaicing](mosaic), 2)
        return (
            picture
            if config.colours == 3
            else compress_range(_mix(expand_range(picture), config, 4))
        )


def _block_means(planes: Tensor, config: SidFcnConfig) -> Tensor:
    """Mean colours of the 2x2 blocks, (N, colours, h, w)."""
    if config.source == "raw":
        red, green1, blue, green2 = (planes[:, i : i + 1] for i in range(4))
        rgb = torch.cat([red, (green1 + green2) / 2, blue], 1)
    else:
        rgb = planes.reshape(len(planes), 3, 4, *planes.shape[2:]).mean(2)
    return _mix(rgb, config, 1)


class _Down(nn.Module):
    """Five double blocks with max pooling between them.

    Args:
        channels_in: of the first block.
        width: filters of the first block.
        means: channels that join the input of each further block.
    """

    def __init__(self, channels_in: int, width: int, means: int = 0) -> None:
        super().__init__()
        widths = [width << level for level in range(_BLOCKS)]
        inputs = [channels_in, *(inner + means for inner in widths)]
        self.blocks = nn.ModuleList(
            double_block(inner, outer) for inner, outer in zip(inputs, widths, strict=False)
        )

    def forward(self, x: Tensor, means: Sequence[Tensor] = ()) -> list[Tensor]:
        """(N, C, h, w) -> the outputs of the blocks, shallow first; sides multiples of 16."""
        outputs: list[Tensor] = []
        for level, block in enumerate(self.blocks):
            if level:
                x = functional.max_pool2d(outputs[-1], 2)
                if means:
                    x = torch.cat([x, means[level - 1].to(x.dtype)], 1)
            outputs.append(block(x))
        return outputs


class _FcnPosterior(nn.Module):
    """q(z|x) of the clean picture: the same downsampling network, two heads."""

    def __init__(self, config: SidFcnConfig) -> None:
        super().__init__()
        self.down = _Down(4 * config.colours, config.width)
        deepest = config.width << (_BLOCKS - 1)
        self.mean = nn.Conv2d(deepest, config.latent, 1)
        self.log_variance = nn.Conv2d(deepest, config.latent, 1)
        _initialise(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, 2h, 2w) linear -> two of (N, latent, h/16, w/16)."""
        features = self.down(functional.pixel_unshuffle(compress_range(x), 2))[-1]
        return self.mean(features), self.log_variance(features)


def _initialise(network: nn.Module) -> None:
    # N(0, 0.02^2), as the thesis has it, makes signals vanish in so narrow a network.
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, a=0.2)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class SidFcn(nn.Module):
    """The test-time network: a U-Net whose bottleneck is the mean of p(z|y)."""

    def __init__(self, config: SidFcnConfig) -> None:
        super().__init__()
        self.config = config
        width, deepest = config.width, config.width << (_BLOCKS - 1)
        self.down = _Down(config.planes + config.noise_planes, width, means=config.colours)
        self.to_latent = nn.Conv2d(deepest, config.latent, 1)
        self.from_latent = nn.Conv2d(config.latent, deepest, 1)
        widths = [width << level for level in reversed(range(_BLOCKS - 1))]
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(2 * outer, outer, 2, stride=2) for outer in widths
        )
        self.blocks = nn.ModuleList(double_block(2 * outer, outer) for outer in widths)
        self.refine = nn.ModuleList(ResidualBlock(width) for _ in range(config.refinements))
        self.out = nn.Conv2d(width, (4 + _BLOCKS) * config.colours, 1)
        demosaics = config.demosaicing != "nearest"
        self.out_sharp = nn.Conv2d(width, config.colours, 1) if demosaics else None
        self.out_bound = nn.Conv2d(width, config.colours, 1) if config.bounded else None
        _initialise(self)
        nn.init.normal_(self.out.weight, std=1e-3)  # starts at an even blend of the means
        for block in self.refine:
            nn.init.zeros_(block.conv2.weight)  # type: ignore[union-attr, arg-type]
        if self.out_sharp is not None:
            nn.init.zeros_(self.out_sharp.weight)
        if self.out_bound is not None:
            nn.init.zeros_(self.out_bound.weight)
            nn.init.constant_(self.out_bound.bias, math.log(_BOUND))  # type: ignore[arg-type]
        self.contract = self._contract()
        self.learned = LearnedPart(
            "correct",
            (config.planes + config.noise_planes, *[config.colours] * (_BLOCKS - 1)),
            tuple(1 << level for level in range(_BLOCKS)),
        )

    def _contract(self) -> Contract:
        block: Chain = [Convolution(), Convolution()]
        pools = _BLOCKS - 1
        chain: Chain = [*([*block, Reduce(2)] * pools), *block, *([Enlarge(2), *block] * pools)]
        chain += block * self.config.refinements
        halo, multiple = receptive_halo(chain), 2**pools
        raw = self.config.source == "raw"
        factor = 1 if raw else 2  # sRGB is packed inside, RAW comes packed
        return Contract(
            scale=2 if raw else 1,
            channels_in=(4 if raw else 3) + self.config.noise_planes,
            channels_out=self.config.colours,
            colour="balanced-raw" if raw else "linear-srgb",
            halo=halo * factor + factor - 1,
            size_multiple=multiple * factor,
            auto_tile=1024 * factor,
        )

    def prior(self, y: Tensor) -> tuple[Tensor, Any]:
        """Mean of p(z|y), (N, latent, h/16, w/16), and what the decoder sees of y."""
        planes, means, seen = self._see(y)
        z, skips = self._encode(*seen)
        return z, (planes, means, seen[0][:, self.config.planes :], skips)

    def _see(self, y: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The packed planes, their means, and what the learned part is shown of both."""
        colours = self.config.planes // (4 if self.config.source == "srgb" else 1)
        planes, noise = y[:, :colours], y[:, colours:]
        if self.config.source == "srgb":
            planes, noise = functional.pixel_unshuffle(planes, 2), noise[..., ::2, ::2]
        means = [
            functional.avg_pool2d(_block_means(planes, self.config), 1 << level)
            for level in range(1, _BLOCKS)
        ]
        shown = torch.cat([compress_range(planes), noise], 1)
        return planes, means, [shown, *(compress_range(mean) for mean in means)]

    def _encode(self, shown: Tensor, *means: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Mean of p(z|y), and the features that the decoder gets besides."""
        outputs = self.down(shown, means)
        return self.to_latent(outputs[-1]), outputs[:-1]

    def decode(self, z: Tensor, context: Any) -> Tensor:
        """Mean of p(x|y, z): (N, latent, h/16, w/16) -> (N, C, 2h, 2w) linear."""
        planes, means, noise, skips = context
        return self._render(planes, means, noise, self._decode(z, skips))

    def correct(self, shown: Tensor, *means: Tensor) -> Tensor:
        """The learned part: correction, and logits of the blend, from what ``_see`` shows it.

        Returns:
            (N, (4 + 5) * colours, h, w), and ``colours`` planes more if there is a demosaicing, and
            again if the result is bounded.
        """
        return self._decode(*self._encode(shown, *means))

    def _decode(self, z: Tensor, skips: Sequence[Tensor]) -> Tensor:
        x = functional.leaky_relu(self.from_latent(z), 0.2)
        for enlarge, block, skip in zip(self.enlarge, self.blocks, reversed(skips), strict=True):
            x = block(torch.cat([enlarge(x), skip], 1))
        for refine in self.refine:
            x = refine(x)
        heads = [head for head in (self.out, self.out_sharp, self.out_bound) if head is not None]
        return torch.cat([head(x) for head in heads], 1)

    def _render(
        self, planes: Tensor, means: Sequence[Tensor], noise: Tensor, result: Tensor
    ) -> Tensor:
        """The blend and the correction, within their bounds, as ``forward`` returns them."""
        # In the input's precision, so that autocast rounds only weights and correction.
        colours = self.config.colours
        counts = [
            4 * colours,
            _BLOCKS * colours,
            0 if self.out_sharp is None else colours,
            0 if self.out_bound is None else colours,
        ]
        correction, logits, sharp, bound = torch.split(result.to(planes.dtype), counts, 1)
        details = self._details(planes)
        made = self._blend(details, means, logits, sharp) + correction
        if self.out_bound is not None:
            farthest = (noise_of_plane(noise[:, -1:]) + _LEAST_NOISE) * bound.exp()
            farthest = farthest.repeat_interleave(4, 1)
            made = details[0] + farthest * torch.tanh((made - details[0]) / farthest)
        return expand_range(functional.pixel_shuffle(made, 2))

    def _details(self, planes: Tensor) -> list[Tensor]:
        """Compressed pictures at the size of the result, each (N, 4 * C, h, w), sharpest first."""
        measured = compress_range(_demosaic_nearest(planes, self.config))
        if self.out_sharp is None:
            return [measured]
        return [_demosaic_sharp(planes, self.config), measured]

    def _blend(
        self, details: Sequence[Tensor], means: Sequence[Tensor], logits: Tensor, sharp: Tensor
    ) -> Tensor:
        """The input at several resolutions, blended in compressed values: (N, 4 * C, h, w).

        Args:
            details: pictures at the size of the result.
            means: of it, over 2, 4, 8 and 16 packed pixels.
            logits: (N, 5 * C, h, w) of the weights of the input and its means.
            sharp: (N, C, h, w) logits of the fixed demosaicing's, without a plane if there is none.
        """
        by_colour = (len(logits), self.config.colours, -1, *logits.shape[2:])
        logits = logits.reshape(by_colour)
        if self.out_sharp is not None:
            logits = torch.cat([sharp.reshape(by_colour), logits], 2)
        weights = logits.softmax(2)[:, :, :, None]
        blended: Any = 0
        for level, detail in enumerate(details):
            blended = blended + detail.reshape(by_colour) * weights[:, :, level]
        for level, mean in enumerate(means, len(details)):
            smooth = functional.interpolate(
                mean, size=logits.shape[-2:], mode="bilinear", align_corners=False
            )
            blended = blended + compress_range(smooth)[:, :, None] * weights[:, :, level]
        return torch.as_tensor(blended).flatten(1, 2)

    def forward(self, y: Tensor) -> Tensor:
        """Dark planes to a clean picture.

        Args:
            y: (N, 4, h, w) packed white-balanced linear camera RGB, or (N, 3, 2h, 2w) linear
                sRGB, amplified, not clipped at white, noise below black negative; then the
                config's ``noise_planes``, of the same size. h and w must be multiples of 16.

        Returns:
            (N, colours, 2h, 2w) linear, in the colours of the input, not clamped.
        """
        planes, means, shown = self._see(y)
        noise = shown[0][:, self.config.planes :]
        return self._render(planes, means, noise, self.correct(*shown))

    def make_posterior(self) -> PosteriorNetwork:
        """A fresh encoder q(z|x) for training; x is linear, like the output."""
        return _FcnPosterior(self.config)


SID_FCN = Architecture(
    name="sid-fcn",
    task="lowlight",
    config=SidFcnConfig,
    build=SidFcn,
    source="fully convolutional SID-net; Eriksson 2020, ch. 6.1.4 and 8.6",
)
