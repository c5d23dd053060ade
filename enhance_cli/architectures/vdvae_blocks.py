"""What very deep VAEs consist of (Child 2020, fig. 3; thesis 002, ch. 4.4.3).

Sums have what a convolution made as their first addend, and take biases in its type: so features
keep the layout (channels last) and the precision in which convolutions are fast. Written the other
way round a training step took a quarter longer.

All parameters have the names of Child's code. The sides that block strings name are nominal: they
tell how the resolutions of a network relate. Only biases that are tied to a place fix a size.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

# Beyond these a standard deviation is meaningless, and squares of it overflow.
_LOG_STD = (-12.0, 8.0)

Maps = Mapping[int, Tensor]  # features by the nominal side of their resolution


@dataclass(frozen=True)
class BlockSpec:
    """A block of a block string.

    Attributes:
        side: nominal side of the features that go into it.
        other: of an encoder's block, by how much it pools what comes out; of a decoder's block,
            the side of the features that are unpooled and added to what goes in. None for
            neither.
    """

    side: int
    other: int | None = None


def parse_blocks(text: str) -> tuple[BlockSpec, ...]:
    """Read a block string in the form of Child's hyperparameters.

    Args:
        text: entries between commas: ``64x11`` are eleven blocks at side 64, ``64d2`` is one that
            pools by 2, and ``8m4`` is one that unpools what was made at side 4.

    Raises:
        ValueError: if an entry is none of these.
    """
    found: list[BlockSpec] = []
    for entry in text.split(","):
        match = re.fullmatch(r"([1-9]\d*)([xdm])([1-9]\d*)", entry)
        if match is None:
            raise ValueError(f"blocks {entry!r}: write 64x11, 64d2 or 8m4, with commas between")
        side, kind, number = int(match[1]), match[2], int(match[3])
        found += [BlockSpec(side)] * number if kind == "x" else [BlockSpec(side, number)]
    return tuple(found)


def reached_sides(blocks: str) -> set[int]:
    """The nominal sides of which an encoder with these blocks has features."""
    specs = parse_blocks(blocks)
    return {specs[0].side, *(spec.side // (spec.other or 1) for spec in specs)}


@dataclass(frozen=True)
class Widths:
    """How many channels there are at each resolution.

    Attributes:
        usual: channels where nothing else is said.
        custom: exceptions as ``side:channels``, with commas between; empty for none.
        bottleneck: share of the channels that the inner convolutions of a block have.
    """

    usual: int
    custom: str = ""
    bottleneck: float = 0.25

    def at(self, side: int) -> int:
        """The channels at a nominal side.

        Raises:
            ValueError: if the exceptions cannot be read.
        """
        entries = self.custom.split(",") if self.custom else []
        if not all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", entry) for entry in entries):
            raise ValueError(f"widths {self.custom!r}: write 64:48,32:96")
        pairs = (entry.split(":") for entry in entries)
        return {int(key): int(value) for key, value in pairs}.get(side, self.usual)

    def inside(self, side: int) -> int:
        """The channels inside a block."""
        return max(1, int(self.at(side) * self.bottleneck))


def _convolution(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


@torch.no_grad()
def _damp(layer: nn.Conv2d, depth: int) -> None:
    """Scale a weight by 1/sqrt(N), which keeps a sum over so many blocks in bounds."""
    layer.weight.mul_(1 / math.sqrt(depth))


class Block(nn.Module):
    """A bottleneck: GELU before each of four convolutions, 1x1, 3x3, 3x3 and 1x1 (fig. 4.4).

    Args:
        sizes: channels in, inside and out.
        side: nominal side; up to 2 pixels there is nothing for 3x3 kernels to see, and all are
            1x1.
        residual: whether the result is added to the input.
        pool: by how much the result is pooled by averages, if it is.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        side: int,
        *,
        residual: bool = False,
        pool: int | None = None,
    ) -> None:
        super().__init__()
        before, inside, after = sizes
        kernel = 3 if side > 2 else 1
        self.residual, self.pool = residual, pool
        self.c1 = _convolution(before, inside, 1)
        self.c2 = _convolution(inside, inside, kernel)
        self.c3 = _convolution(inside, inside, kernel)
        self.c4 = _convolution(inside, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / pool, W / pool)."""
        y = x
        for layer in (self.c1, self.c2, self.c3, self.c4):
            y = layer(functional.gelu(y))
        if self.residual:
            y = y + x
        return functional.avg_pool2d(y, self.pool) if self.pool else y


def match_channels(x: Tensor, channels: int) -> Tensor:
    """Cut channels off, or add some of zeros: (N, C, H, W) -> (N, channels, H, W)."""
    if x.shape[1] >= channels:
        return x[:, :channels]
    return functional.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))


class Encoder(nn.Module):
    """The bottom-up path: a convolution, then residual blocks and pooling (fig. 4.3).

    Args:
        blocks: a block string.
        widths: channels of each resolution.
        channels_in: planes of the input.
    """

    def __init__(self, blocks: str, widths: Widths, channels_in: int = 3) -> None:
        super().__init__()
        self.specs, self.widths = parse_blocks(blocks), widths
        self.in_conv = _convolution(channels_in, widths.at(self.specs[0].side), 3)
        self.enc_blocks = nn.ModuleList()
        for spec in self.specs:
            width = widths.at(spec.side)
            sizes = (width, widths.inside(spec.side), width)
            block = Block(sizes, spec.side, residual=True, pool=spec.other)
            _damp(block.c4, len(self.specs))
            self.enc_blocks.append(block)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """The last features of every resolution, by its nominal side.

        Args:
            x: (N, C, H, W); both sides can be pooled as often as the blocks do.
        """
        x = self.in_conv(x)
        found = {self.specs[0].side: x}
        for spec, block in zip(self.specs, self.enc_blocks, strict=True):
            side = spec.side // (spec.other or 1)
            x = match_channels(block(x), self.widths.at(side))
            found[side] = x
        return found


class TopDownBlock(nn.Module):
    """A stochastic layer: prior, posterior, and what becomes of the latent (fig. 4.5).

    The prior's last convolution begins at zero, so that every fresh prior is N(0, I) and adds
    nothing to the features.

    Args:
        spec: where the block stands.
        widths: channels of each resolution.
        latent: channels of the latent.
        depth: number of blocks of the decoder.
    """

    def __init__(self, spec: BlockSpec, widths: Widths, latent: int, depth: int) -> None:
        super().__init__()
        side, width, inside = spec.side, widths.at(spec.side), widths.inside(spec.side)
        self.spec, self.latent = spec, latent
        self.enc = Block((2 * width, inside, 2 * latent), side)
        self.prior = Block((width, inside, 2 * latent + width), side)
        nn.init.zeros_(self.prior.c4.weight)
        self.z_proj = _convolution(latent, width, 1)
        self.resnet = Block((width, inside, width), side, residual=True)
        _damp(self.z_proj, depth)
        _damp(self.resnet.c4, depth)

    def infer(self, x: Tensor, acts: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Go on with a latent of the posterior.

        Args:
            x: features from above (N, C, H, W).
            acts: features of the encoder, of the same shape.
            noise: standard normal values (N, latent, H, W), or None for the posterior's mean.

        Returns:
            The features for the next block, and the divergence of the posterior from the prior
            in nats, (N,).
        """
        q = _gaussian(self.enc(torch.cat((x, acts), 1)))
        p, features = self._split(x)
        z = q.mean if noise is None else q.mean + q.stddev * noise
        return self._finish(features, z), kl_divergence(q, p).flatten(1).sum(1)

    def draw(self, x: Tensor, temperature: float, noise: Tensor | None) -> Tensor:
        """Go on with a latent of the prior, ``mean + temperature * std * noise``.

        Child's code adds the logarithm of the temperature to that of the standard deviation,
        which is the same (the thesis, ch. 6.0.2, calls it that of the variance). None stands for
        noise of zeros.
        """
        p, features = self._split(x)
        z = p.mean if noise is None else p.mean + temperature * p.stddev * noise
        return self._finish(features, z)

    def _split(self, x: Tensor) -> tuple[Normal, Tensor]:
        parts = self.prior(x)
        return _gaussian(parts[:, : 2 * self.latent]), parts[:, 2 * self.latent :] + x

    def _finish(self, x: Tensor, z: Tensor) -> Tensor:
        features: Tensor = self.resnet(self.z_proj(z) + x)
        return features


def _gaussian(parameters: Tensor) -> Normal:
    """The diagonal Gaussian of means and logarithms of standard deviations."""
    mean, log_std = parameters.float().chunk(2, 1)
    return Normal(mean, log_std.clamp(*_LOG_STD).exp(), validate_args=False)


Visit = Callable[[int, TopDownBlock, Tensor], Tensor]


class TopDown(nn.Module):
    """The top-down path without its end: stochastic layers, and what they begin with.

    Args:
        blocks: a block string.
        widths: channels of each resolution.
        latent: channels of the latent of every block.
        bias_up_to: resolutions up to this side begin with a learned bias for every place and
            channel, the others with zeros.

    Raises:
        ValueError: if a block unpools what no block before it has made.
    """

    def __init__(self, blocks: str, widths: Widths, latent: int, bias_up_to: int) -> None:
        super().__init__()
        self.specs, self.widths, self.latent = parse_blocks(blocks), widths, latent
        made: set[int] = set()
        for spec in self.specs:
            if spec.other is not None and (spec.other not in made or spec.side % spec.other):
                raise ValueError(f"block {spec.side}m{spec.other}: nothing of that side to unpool")
            made.add(spec.side)
        depth = len(self.specs)
        self.dec_blocks = nn.ModuleList(
            TopDownBlock(spec, widths, latent, depth) for spec in self.specs
        )
        self.biased = [side for side in sorted(made) if side <= bias_up_to]
        self.bias_xs = nn.ParameterList(
            nn.Parameter(torch.zeros(1, widths.at(side), side, side)) for side in self.biased
        )

    def descend(self, start: Mapping[int, Tensor], visit: Visit) -> Tensor:
        """Run all blocks.

        Args:
            start: for the side of the first block what is added to its bias, and for sides
                without a bias what they begin with; at least the first must be there, since it
                tells the number and the size of the pictures: (N, C, H, W).
            visit: runs a block, given its index and the features that go into it.

        Returns:
            The features of the last block.
        """
        top = self.specs[0].side
        count, _, height, width = start[top].shape
        biases = dict(zip(self.biased, self.bias_xs, strict=True))
        xs: dict[int, Tensor] = {}
        for index, (spec, block) in enumerate(zip(self.specs, self.dec_blocks, strict=True)):
            assert isinstance(block, TopDownBlock)
            side, times = spec.side, spec.side // top
            if side in xs:
                x = xs[side]
            else:
                x = start[top].new_zeros(count, self.widths.at(side), height * times, width * times)
                x = x + biases[side].to(x.dtype) if side in biases else x
                x = x + start[side] if side in start else x
            if spec.other is not None:
                below = match_channels(xs[spec.other], x.shape[1])
                x = x + functional.interpolate(below, scale_factor=side // spec.other)
            xs[side] = visit(index, block, x)
        return xs[self.specs[-1].side]

    def latent_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width of every latent, from height and width at the top."""
        top = self.specs[0].side
        return tuple(
            (self.latent, height * spec.side // top, width * spec.side // top)
            for spec in self.specs
        )


@torch.no_grad()
def start_lively(network: nn.Module, *encoders: Encoder) -> None:
    """Draw fresh weights by which latents tell something from the first step on.

    They depart from torch's own, of which ch. 4.4.3 tells. That shrinks what goes through a block
    by a factor of hundreds, and a million steps grow it again; this is for trainings of a few
    thousand. The means of the posteriors differ, and the posteriors are narrower than the prior.

    Args:
        network: Whose blocks and stochastic layers are changed in place.
        encoders: Those parts of it whose first convolution is drawn anew as well.
    """
    for module in network.modules():
        if isinstance(module, Block):
            for layer in (module.c1, module.c2, module.c3):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    for module in network.modules():
        if isinstance(module, TopDownBlock):
            assert module.enc.c4.bias is not None
            module.enc.c4.weight[: module.latent].mul_(4)
            module.enc.c4.bias[module.latent :] = -1.0
    for encoder in encoders:
        nn.init.kaiming_normal_(encoder.in_conv.weight, nonlinearity="linear")


def draw_noise(
    shapes: tuple[tuple[int, int, int], ...], count: int, generator: torch.Generator
) -> list[Tensor]:
    """Standard normal values (count, C, H, W) on the CPU for the latents of every layer."""
    return [torch.randn(count, *shape, generator=generator) for shape in shapes]
