"""SRNet: LR features to an HR frame (dissertation 003, ch. 3.3.1, fig. 3.4).

Departures from the paper: see ``architectures.frvsr``.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.back_projection import enlarge_bicubic, enlarge_likeness
from enhance_cli.architectures.flow_net import Interpolation
from enhance_cli.architectures.layers import (
    Chain,
    Convolution,
    Enlarge,
    ResidualBlock,
    conv3x3,
    receptive_halo,
)
from enhance_cli.architectures.spec import Contract

_AMPLIFY = 8.0  # what a memory adds is a few hundredths; the frame's own contrast is ten times that


@dataclass(frozen=True)
class FrvsrConfig:
    """Hyperparameters; the defaults are those of FRVSR 10-128.

    Attributes:
        scale: enlargement, 2 or 4; the paper has 4.
        channels: filters of SRNet.
        blocks: residual blocks of SRNet.
        max_flow: largest displacement that FNet can tell at once, in LR pixels; unused by SISR.
        passes: how often FNet looks, with the same kernels.
        refinements: steps of Lucas and Kanade that sharpen FNet's flow, by what the warped
            estimate leaves of the frame.
        warping: how FRVSR fetches the previous estimate between its pixels.
        trust: how far FRVSR's result builds on the warped estimate, from 0 (not at all, as in
            the paper) to below 1.
        tolerance: where the estimate's small version differs from the frame by this much of
            [0, 1], trust falls to 37% (1 / e).
        damping: of the correction that makes an estimate's small version the frame; the more
            noise frames have, the more of it is wanted.
        noise_floor: standard deviation of what is no detail, though frames show it: differences
            so small do not tell against an estimate.
        sweeps: how often the estimate is then fitted to the frame before and to this one in turn.
    """

    scale: int = 4
    channels: int = 128
    blocks: int = 10
    max_flow: float = 24.0
    passes: int = 1
    refinements: int = 0
    warping: Interpolation = "bilinear"
    trust: float = 0.0
    tolerance: float = 0.05
    damping: float = 0.003
    noise_floor: float = 0.0
    sweeps: int = 0


def space_to_depth(image: Tensor, scale: int) -> Tensor:
    """S_s of eq. 3.5: (N, C, s * H, s * W) -> (N, s * s * C, H, W).

    Channel ``k`` is colour ``k // s^2`` at row ``k % s`` and column ``(k // s) % s`` of each
    cell, with the equation's ``i`` as the row.
    """
    batch, colours, height, width = image.shape
    cells = image.reshape(batch, colours, height // scale, scale, width // scale, scale)
    return cells.permute(0, 1, 5, 3, 2, 4).reshape(
        batch, colours * scale * scale, height // scale, width // scale
    )


def depth_to_space(cells: Tensor, scale: int) -> Tensor:
    """The inverse of S_s: (N, s * s * C, H, W) -> (N, C, s * H, s * W)."""
    batch, channels, height, width = cells.shape
    colours = channels // (scale * scale)
    parts = cells.reshape(batch, colours, scale, scale, height, width)
    return parts.permute(0, 1, 4, 3, 5, 2).reshape(batch, colours, scale * height, scale * width)


class SuperResolutionNet(nn.Module):
    """SRNet (fig. 3.4, top): LR features to an HR frame.

    A convolution, residual blocks, a transposed convolution of stride 2 per doubling and a last
    convolution, with ReLU between. The first three channels of the input are the frame.
    """

    def __init__(self, channels_in: int, config: FrvsrConfig) -> None:
        super().__init__()
        width = config.channels
        doublings = config.scale.bit_length() - 1
        self.scale = config.scale
        self.head = conv3x3(channels_in, width)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks)))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1)
            for _ in range(doublings)
        )
        self.out = conv3x3(width, 3)
        # A transposed convolution looks no farther than doubling and a convolution would.
        enlargement: Chain = [Enlarge(2), Convolution()] * doublings
        trunk: Chain = [Convolution()] * (1 + 2 * config.blocks)
        self.contract = Contract(
            scale=config.scale,
            channels_in=channels_in,
            halo=receptive_halo([*trunk, *enlargement, Convolution()]),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, scale * h, scale * w), not limited to [0, 1]."""
        enlarged = enlarge_bicubic(features[:, :3], self.scale)
        return enlarged + self._residual(features).to(enlarged.dtype)

    def _residual(self, features: Tensor) -> Tensor:
        features = self.body(functional.relu(self.head(features), inplace=True))
        for layer in self.enlarge:
            assert isinstance(layer, nn.ConvTranspose2d)
            features = functional.relu(_enlarge_features(layer, features), inplace=True)
        residual: Tensor = self.out(features)
        return residual


class TrustingNet(SuperResolutionNet):
    """SRNet whose result builds on a memory, where that explains the frame.

    The features are the frame x, what the memory adds to its bicubic enlargement U x, called k
    (``back_projection.recall``), in cells, and how far it explains x, the likeness l from 0 to 1.
    With trust t and SRNet's part r of x and k the result is U x + t k + (1 - t l) r. For l = 1 and
    r = SISR's part that is a filter that keeps the memory and moves it by 1 - t to SISR's result.

    SRNet is shown k in place of the warped estimate: what that has in common with the frame, which
    is nearly all of it, would drown what matters.
    """

    def __init__(self, channels_in: int, config: FrvsrConfig) -> None:
        super().__init__(channels_in - 1, config)
        self.trust = config.trust
        self.contract = replace(self.contract, channels_in=channels_in)

    def forward(self, features: Tensor) -> Tensor:
        """As SRNet's; ``features`` (N, 3 + 3 * s * s + 1, h, w)."""
        frame_lr, cells, likeness = features[:, :3], features[:, 3:-1], features[:, -1:]
        seen = torch.cat([frame_lr, _AMPLIFY * cells], 1)
        residual = self._residual(seen.contiguous(memory_format=torch.channels_last))
        enlarged, kept = enlarge_bicubic(frame_lr, self.scale), depth_to_space(cells, self.scale)
        trusted = self.trust * enlarge_likeness(likeness, self.scale)
        return enlarged + self.trust * kept + (1 - trusted) * residual.to(kept.dtype)


def _enlarge_features(layer: nn.ConvTranspose2d, features: Tensor) -> Tensor:
    """What a doubling layer does; where gradients are wanted with its bias apart.

    On a CPU the gradient of a transposed convolution's own bias takes as long as its two others
    together: training steps took 0.69 of the time. Without gradients the layer itself is faster.
    """
    if layer.bias is None or not torch.is_grad_enabled():
        enlarged: Tensor = layer(features)
        return enlarged
    enlarged = functional.conv_transpose2d(
        features, layer.weight, stride=2, padding=1, output_padding=1
    )
    return enlarged + layer.bias[:, None, None].to(enlarged)
