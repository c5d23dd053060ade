"""SRNet: LR features to an HR frame (dissertation 003, ch. 3.3.1, fig. 3.4).

Departures from the paper: see ``architectures.frvsr``.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.back_projection import REACH, back_project, reduce_frame
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
from enhance_cli.resize import imresize

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


def space_to_depth(image: Tensor, scale: int) -> Tensor:
    """S_s of eq. 3.5: (N, C, s * H, s * W) -> (N, s * s * C, H, W).

    Channel ``k`` is colour ``k // s^2`` at row ``k % s`` and column ``(k // s) % s`` of each
    cell, with the equation's ``i`` as the row.
    """
    batch, colours, height, width = image.shape
    cells = image.reshape(batch, colours, height // scale, scale, width // scale, scale)
    return cells.permute(0, 1, 5, 3, 2, 4).reshape(
        batch, colours * scale * scale, height // scale, width // scale)


def depth_to_space(cells: Tensor, scale: int) -> Tensor:
    """The inverse of S_s: (N, s * s * C, H, W) -> (N, C, s * H, s * W)."""
    batch, channels, height, width = cells.shape
    colours = channels // (scale * scale)
    parts = cells.reshape(batch, colours, scale, scale, height, width)
    return parts.permute(0, 1, 4, 3, 5, 2).reshape(
        batch, colours, scale * height, scale * width)


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
            for _ in range(doublings))
        self.out = conv3x3(width, 3)
        # A transposed convolution looks no farther than doubling and a convolution would.
        enlargement: Chain = [Enlarge(2), Convolution()] * doublings
        trunk: Chain = [Convolution()] * (1 + 2 * config.blocks)
        self.contract = Contract(
            scale=config.scale, channels_in=channels_in,
            halo=receptive_halo([*trunk, *enlargement, Convolution()]))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, scale * h, scale * w), not limited to [0, 1]."""
        enlarged = imresize(features[:, :3], self.scale)
        return enlarged + self._residual(features).to(enlarged.dtype)

    def _residual(self, features: Tensor) -> Tensor:
        features = self.body(functional.relu(self.head(features)))
        for layer in self.enlarge:
            assert isinstance(layer, nn.ConvTranspose2d)
            features = functional.relu(_enlarge_features(layer, features))
        residual: Tensor = self.out(features)
        return residual


class TrustingNet(SuperResolutionNet):
    """SRNet whose result builds on the warped estimate where that explains the frame.

    With the frame x, the warped estimate m, reduction D, its damped pseudo-inverse B, bicubic
    enlargement U and the likeness l of x and D m, from 0 to 1, the memory adds
    k = l (m + B (x - D m) - U x) to what x shows. SRNet is shown x and k in place of x and m: what
    is common to both, which is nearly all of m, would drown what matters. With its part r and
    trust t the result is U x + t k + (1 - t l) r. For l = 1 and r = SISR's part that is a filter
    that keeps the estimate and moves it by 1 - t to SISR's.
    """

    def __init__(self, channels_in: int, config: FrvsrConfig) -> None:
        super().__init__(channels_in, config)
        self.trust, self.tolerance, self.damping = config.trust, config.tolerance, config.damping
        # D sees one LR pixel around. Of its errors B sees more than the likeness does.
        self.contract = replace(self.contract, halo=self.contract.halo + 1 + REACH)

    def forward(self, features: Tensor) -> Tensor:
        """As SRNet's."""
        frame_lr = features[:, :3]
        warped = depth_to_space(features[:, 3:], self.scale)
        enlarged = imresize(frame_lr, self.scale)
        missing = frame_lr - reduce_frame(warped, self.scale)
        likeness = self._likeness(missing, features[:, 3:])
        explaining = warped + back_project(missing, self.scale, self.damping)
        kept = likeness * (explaining - enlarged)
        seen = torch.cat([frame_lr, space_to_depth(_AMPLIFY * kept, self.scale)], 1)
        residual = self._residual(seen.contiguous(memory_format=torch.channels_last))
        return enlarged + self.trust * kept + (1 - self.trust * likeness) * residual.to(kept.dtype)

    def _likeness(self, missing: Tensor, cells: Tensor) -> Tensor:
        """(N, 1, s * h, s * w) in [0, 1], from what the estimate leaves of the frame."""
        size = missing.detach().abs().mean(1, keepdim=True)
        size = functional.avg_pool2d(functional.pad(size, (1,) * 4, mode="replicate"), 3, 1)
        # Black is what a stream begins with: no memory, however dark the frame is.
        remembered = cells.detach().amax(1, keepdim=True) > 0
        return functional.interpolate(
            remembered * torch.exp(-(size / self.tolerance).square()), scale_factor=self.scale,
            mode="bilinear", align_corners=False)


def _enlarge_features(layer: nn.ConvTranspose2d, features: Tensor) -> Tensor:
    """What a doubling layer does; where gradients are wanted with its bias apart.

    On a CPU the gradient of a transposed convolution's own bias takes as long as its two others
    together: training steps took 0.69 of the time. Without gradients the layer itself is faster.
    """
    if layer.bias is None or not torch.is_grad_enabled():
        enlarged: Tensor = layer(features)
        return enlarged
    enlarged = functional.conv_transpose2d(
        features, layer.weight, stride=2, padding=1, output_padding=1)
    return enlarged + layer.bias[:, None, None].to(enlarged)
