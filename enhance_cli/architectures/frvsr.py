"""Frame-recurrent video super-resolution and its two baselines (dissertation 003, ch. 3).

A video network works in two halves, so that the engine can run the second in tiles:
``condition`` makes the input of SRNet from the frame and what is remembered, whole frames at
once and cheap; ``srnet`` makes the large frame from it, and is fully convolutional.

Departures from the paper, with their reasons:

- The flow is normalised by a fixed displacement of ``max_flow`` LR pixels, not by the size of
  the frame (eq. 3.1): a convolutional network cannot know that size, and would have to learn
  another flow for every one.
- FNet is given the difference of the frames and the frame itself, both relative to the contrast
  around each pixel, in place of the frames. Motion does not depend on contrast, but a network of
  convolutions and leaky ReLU scales with its input and would have to learn to divide.
- SRNet adds its output to the bicubic enlargement of the frame, as the network that it follows
  (EnhanceNet, table 2.1) does; that trains several times faster. It has no parameters.
- FRVSR may add it instead to the warped estimate, corrected so that its small version is the
  frame, wherever that version was near the frame already (``trust``). What was found before then
  stays of itself, and SRNet need not learn to hand it through 16 positions per LR pixel, which
  it had hardly begun to after thousands of steps. It has no parameters either.
- The estimate that is carried to the next frame is limited to [0, 1], the range that eq. 3.4
  gives it, in training too.
- It may be fetched bicubically where eq. 3.3 does so bilinearly: the blur of one bilinear fetch
  is small, but a recurrent network pays it again with every frame.
- FNet may look twice (``passes``): at the frame before as it lands along the first flow. What is
  left to find is small then, which is what the network finds best.
- Kaiming initialisation in place of Xavier's: with damped last layers the network begins as
  bicubic enlargement without motion, and bears a ten times higher rate. In FNet each kernel's
  middle is mixed with an orthogonal matrix; else fourteen layers let little more than one
  direction through, and flow along the other axis is not learnt for thousands of steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import (
    Chain,
    Convolution,
    Enlarge,
    ResidualBlock,
    conv3x3,
    receptive_halo,
)
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.resize import imresize

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class FrvsrConfig:
    """Hyperparameters; the defaults are those of FRVSR 10-128.

    Attributes:
        scale: enlargement, 2 or 4; the paper has 4.
        channels: filters of SRNet.
        blocks: residual blocks of SRNet.
        max_flow: largest displacement that FNet can tell at once, in LR pixels; unused by SISR.
        passes: how often FNet looks, with the same kernels.
        warping: how FRVSR fetches the previous estimate between its pixels.
        trust: how far FRVSR's result builds on the warped estimate, from 0 (not at all, as in
            the paper) to below 1.
        tolerance: where the estimate's small version differs from the frame by this much of
            [0, 1], trust falls to 37% (1 / e).
    """

    scale: int = 4
    channels: int = 128
    blocks: int = 10
    max_flow: float = 24.0
    passes: int = 1
    warping: Interpolation = "bilinear"
    trust: float = 0.0
    tolerance: float = 0.05


class VideoState(NamedTuple):
    """What a video network remembers of the frame before: all of it.

    Attributes:
        frame_lr: (N, 3, h, w) the previous input.
        frame_hr: (N, 3, scale * h, scale * w) the previous estimate, in [0, 1].
    """

    frame_lr: Tensor
    frame_hr: Tensor


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


def reduce_frame(frame_hr: Tensor, scale: int) -> Tensor:
    """The paper's degradation (ch. 3.3.5), a Gaussian of 1.5 pixels for x4, sampled mid-cell.

    As ``data.degradation.blur_and_subsample``, but without convolutions, which mixed precision
    would round: what is left of two nearly equal frames matters here.

    Args:
        frame_hr: (N, C, s * h, s * w); outside, its border is repeated.
        scale: s, even.

    Returns:
        (N, C, h, w).
    """
    place = (torch.arange(3 * scale) - (3 * scale - 1) / 2) / (0.375 * scale)
    taps = torch.softmax(-place.square() / 2, 0).tolist()
    padded = functional.pad(frame_hr, (scale,) * 4, mode="replicate")
    height, width = frame_hr.shape[-2:]
    rows = _sum(tap * padded[..., at : at + height : scale, :] for at, tap in enumerate(taps))
    return _sum(tap * rows[..., at : at + width : scale] for at, tap in enumerate(taps))


def _sum(terms: Iterator[Tensor]) -> Tensor:
    total = next(terms)
    for term in terms:
        total = total + term
    return total


def enlarge_flow(flow: Tensor, scale: int) -> Tensor:
    """UP of eq. 3.2: (N, 2, h, w) in LR pixels -> (N, 2, s * h, s * w) in HR pixels."""
    if scale == 1:
        return flow
    return scale * functional.interpolate(
        flow, scale_factor=scale, mode="bilinear", align_corners=False)


def warp(image: Tensor, flow: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """WP of eq. 3.3: fetch every pixel from where the flow points.

    Args:
        image: (N, C, H, W).
        flow: (N, 2, H, W), displacement in pixels of ``image`` (x, y) from each pixel to its
            source; beyond the border the border's value is taken.
        interpolation: between pixels; bicubic goes beyond the range of what it fetches.

    Returns:
        (N, C, H, W) of the type of ``image``.
    """
    height, width = image.shape[-2:]
    flow = flow.float()  # half a pixel is lost in 16 bits
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    fetched = functional.grid_sample(image.float(), grid, mode=interpolation,
                                     padding_mode="border", align_corners=False)
    return fetched.to(image.dtype)


class FlowNet(nn.Module):
    """FNet (fig. 3.4, bottom): 1,745,506 parameters.

    Encoder of three pairs of convolutions, each followed by 2x2 max pooling, and decoder of
    three pairs, each followed by bilinear doubling; leaky ReLU of 0.2, tanh at the end.
    """

    _multiple = 8

    def __init__(self, max_flow: float, passes: int = 1) -> None:
        super().__init__()
        self.max_flow, self.passes = max_flow, passes
        self.encoder = nn.ModuleList(
            self._pair(before, after) for before, after in ((6, 32), (32, 64), (64, 128)))
        self.decoder = nn.ModuleList(
            self._pair(before, after) for before, after in ((128, 256), (256, 128), (128, 64)))
        self.last = conv3x3(64, 32)
        self.out = conv3x3(32, 2)

    @staticmethod
    def _pair(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(conv3x3(before, after), nn.LeakyReLU(0.2),
                             conv3x3(after, after), nn.LeakyReLU(0.2))

    def forward(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        """Flow of eq. 3.1 from two frames (N, 3, h, w) of any size.

        Returns:
            (N, 2, h, w) float32: where in ``previous_lr`` each pixel of ``frame_lr`` was, as a
            displacement (x, y) in pixels.
        """
        return self.looks(previous_lr, frame_lr)[-1]

    def looks(self, previous_lr: Tensor, frame_lr: Tensor) -> list[Tensor]:
        """The flow after each look. Each is to be taught: no gradient reaches the looks before."""
        flows = [self._look(previous_lr, frame_lr)]
        for _ in range(self.passes - 1):
            found = flows[-1].detach()
            rest = self._look(warp(previous_lr, found, "bicubic"), frame_lr)
            flows.append(rest + warp(found, rest))
        return flows

    def _look(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        height, width = frame_lr.shape[-2:]
        # Three poolings; what is added at the bottom and right is cut off again.
        margin = (0, -width % self._multiple, 0, -height % self._multiple)
        before, now = (functional.pad(frame.float(), margin, mode="replicate")
                       for frame in (previous_lr, frame_lr))
        features = _relative_to_contrast(before, now)
        for pair in self.encoder:
            features = functional.max_pool2d(pair(features), 2)
        for pair in self.decoder:
            features = functional.interpolate(
                pair(features), scale_factor=2, mode="bilinear", align_corners=False)
        features = functional.leaky_relu(self.last(features), 0.2)
        flow: Tensor = self.max_flow * torch.tanh(self.out(features).float() / self.max_flow)
        return flow[..., :height, :width]


def _relative_to_contrast(before: Tensor, now: Tensor, window: int = 9) -> Tensor:
    """What FNet sees: (N, 6, h, w) from two frames (N, 3, h, w).

    The difference of the frames, and the frame less its local mean, each by the standard
    deviation of both frames in a window around the pixel; a hundredth is added to it, which is
    about the noise of good 8-bit video.
    """

    def pool(values: Tensor) -> Tensor:
        padded = functional.pad(values, (window // 2,) * 4, mode="replicate")
        return functional.avg_pool2d(padded, window, 1)

    mean = pool((before + now) / 2)
    spread = pool(((before - mean).square() + (now - mean).square()) / 2)
    contrast = spread.mean(1, keepdim=True).sqrt() + 0.01
    return torch.cat([(before - now) / contrast, (now - mean) / contrast], 1)


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

    With the frame x, the warped estimate m, reduction D, bicubic enlargement U and the likeness l
    of x and D m, from 0 to 1, the memory adds k = l (m + U (x - D m) - U x) to what x shows. SRNet
    is shown x and k in place of x and m: what is common to both, which is nearly all of m, would
    drown what matters. With its part r and trust t the result is U x + t k + (1 - t l) r. For l = 1
    and r = SISR's part that is a filter that keeps the estimate and moves it by 1 - t to SISR's.
    """

    def __init__(self, channels_in: int, config: FrvsrConfig) -> None:
        super().__init__(channels_in, config)
        self.trust, self.tolerance = config.trust, config.tolerance
        # D sees one LR pixel around, U two of its errors; their mean and its enlargement two, too.
        self.contract = replace(self.contract, halo=self.contract.halo + 3)

    def forward(self, features: Tensor) -> Tensor:
        """As SRNet's."""
        frame_lr = features[:, :3]
        warped = depth_to_space(features[:, 3:], self.scale)
        enlarged = imresize(frame_lr, self.scale)
        missing = frame_lr - reduce_frame(warped, self.scale)
        likeness = self._likeness(missing)
        kept = likeness * (warped + imresize(missing, self.scale) - enlarged)
        seen = torch.cat([frame_lr, space_to_depth(_AMPLIFY * kept, self.scale)], 1)
        residual = self._residual(seen.contiguous(memory_format=torch.channels_last))
        return enlarged + self.trust * kept + (1 - self.trust * likeness) * residual.to(kept.dtype)

    def _likeness(self, missing: Tensor) -> Tensor:
        """(N, 1, s * h, s * w) in [0, 1], from what the estimate leaves of the frame."""
        size = missing.detach().abs().mean(1, keepdim=True)
        size = functional.avg_pool2d(functional.pad(size, (1,) * 4, mode="replicate"), 3, 1)
        return functional.interpolate(
            torch.exp(-(size / self.tolerance).square()), scale_factor=self.scale,
            mode="bilinear", align_corners=False)


_AMPLIFY = 8.0  # what a memory adds is a few hundredths; the frame's own contrast is ten times that


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


class VideoNetwork(nn.Module):
    """What FRVSR and its baselines share; here the one without any memory.

    Attributes:
        contract: of the whole, for frames; ``lookahead`` says how many frames after the current
            one it must be shown.
        srnet: the second half, with a contract of its own.

    Raises:
        ValueError: if the config is none that can be built.
    """

    _lookahead = 0

    def __init__(self, config: FrvsrConfig) -> None:
        super().__init__()
        if config.scale not in (2, 4):
            raise ValueError(f"the network doubles the size: scale 2 or 4, not {config.scale}")
        if config.channels < 1 or config.blocks < 0 or config.max_flow <= 0:
            raise ValueError(f"no network of {config.channels} channels, {config.blocks} blocks, "
                             f"flow up to {config.max_flow}")
        if config.passes < 1:
            raise ValueError(f"FNet must look at least once: passes=1 or more, not {config.passes}")
        if not (0 <= config.trust < 1 and config.tolerance > 0):
            raise ValueError(f"trust from 0 to below 1 and a tolerance above 0, not "
                             f"{config.trust} and {config.tolerance}")
        if config.warping not in get_args(Interpolation):
            raise ValueError(f"warping {config.warping!r}: choose from {get_args(Interpolation)}")
        self.config = config
        self.srnet = self._make_srnet(3 + self._channels_remembered(config), config)
        self._add_flow_network(config)
        self.contract = Contract(scale=config.scale, tiling="forbidden",
                                 lookahead=self._lookahead)
        self._initialise()

    @staticmethod
    def _channels_remembered(config: FrvsrConfig) -> int:
        """Channels that SRNet sees beside the frame."""
        return 0

    @staticmethod
    def _make_srnet(channels_in: int, config: FrvsrConfig) -> SuperResolutionNet:
        return SuperResolutionNet(channels_in, config)

    def _add_flow_network(self, config: FrvsrConfig) -> None:
        """Nothing here to align."""

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, a=0.1, nonlinearity="leaky_relu")
                if isinstance(module, nn.ConvTranspose2d):
                    with torch.no_grad():  # each output meets a quarter of the kernel
                        module.weight.mul_(2.0)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            for block in self.srnet.body:
                assert isinstance(block, ResidualBlock)
                block.conv2.weight.mul_(0.1)
            self.srnet.out.weight.mul_(0.05)

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """SRNet's input (N, C, h, w).

        Args:
            frame_lr: (N, 3, h, w) in [0, 1].
            state: of the frame before, or None at the beginning.
            following: the next frame, for networks that look ahead; None at the end.
        """
        return frame_lr

    def step(
        self, frame_lr: Tensor, state: VideoState | None = None, following: Tensor | None = None
    ) -> tuple[Tensor, VideoState]:
        """One frame of a stream; the arguments are those of ``condition``.

        Returns:
            The estimate (N, 3, scale * h, scale * w) in [0, 1], and the state after it.
        """
        frame_hr = self.srnet(self.condition(frame_lr, state, following)).clamp(0, 1)
        return frame_hr, VideoState(frame_lr, frame_hr)

    def forward(self, frame_lr: Tensor) -> Tensor:
        """The first frame of a stream: (N, 3, h, w) -> (N, 3, scale * h, scale * w), in [0, 1].

        Every part of the network runs, as it does for later frames, so that the work can be
        counted; the result is that of ``step`` without a state.
        """
        scale = self.config.scale
        black = frame_lr.repeat_interleave(scale, -1).repeat_interleave(scale, -2) * 0
        frame_hr, _ = self.step(frame_lr, VideoState(frame_lr, black))
        return frame_hr


class Sisr(VideoNetwork):
    """The single-image baseline of ch. 3.4.1: SRNet alone."""


class Vsr(VideoNetwork):
    """The sliding-window baseline of ch. 3.4.1: both neighbours warped onto the frame."""

    _lookahead = 1

    @staticmethod
    def _channels_remembered(config: FrvsrConfig) -> int:
        return 6

    def _add_flow_network(self, config: FrvsrConfig) -> None:
        self.fnet = FlowNet(config.max_flow, config.passes)

    def _initialise(self) -> None:
        super()._initialise()
        _initialise_flow(self.fnet)

    def align(self, frame_lr: Tensor, flow_before: Tensor, before: Tensor,
              flow_after: Tensor, after: Tensor) -> Tensor:
        """SRNet's input (N, 9, h, w): the frame and both neighbours, warped onto it."""
        return torch.cat([frame_lr, warp(before, flow_before), warp(after, flow_after)], 1)

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """As the base class says; a neighbour that is missing is replaced by the frame."""
        before = frame_lr if state is None else state.frame_lr
        after = frame_lr if following is None else following
        return self.align(frame_lr, self.fnet(before, frame_lr), before,
                          self.fnet(after, frame_lr), after)


class Frvsr(VideoNetwork):
    """FRVSR (fig. 3.2, eq. 3.6): the previous estimate, warped, helps with the next frame."""

    @staticmethod
    def _channels_remembered(config: FrvsrConfig) -> int:
        return 3 * config.scale * config.scale

    @staticmethod
    def _make_srnet(channels_in: int, config: FrvsrConfig) -> SuperResolutionNet:
        kind = TrustingNet if config.trust else SuperResolutionNet
        return kind(channels_in, config)

    def _add_flow_network(self, config: FrvsrConfig) -> None:
        self.fnet = FlowNet(config.max_flow, config.passes)

    def _initialise(self) -> None:
        super()._initialise()
        _initialise_flow(self.fnet)

    def align(self, frame_lr: Tensor, flow: Tensor, frame_hr: Tensor) -> Tensor:
        """SRNet's input (N, 3 + 3 * s * s, h, w) from the flow and the previous estimate."""
        warped = warp(frame_hr, enlarge_flow(flow, self.config.scale), self.config.warping)
        return torch.cat([frame_lr, space_to_depth(warped, self.config.scale)], 1)

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """As the base class says; the frame before the first is black (ch. 3.3.5)."""
        if state is None:  # black warps to black, whatever the flow
            batch, _, height, width = frame_lr.shape
            nothing = frame_lr.new_zeros(batch, self._channels_remembered(self.config),
                                         height, width)
            return torch.cat([frame_lr, nothing], 1)
        return self.align(frame_lr, self.fnet(state.frame_lr, frame_lr), state.frame_hr)


def _initialise_flow(fnet: FlowNet) -> None:
    """Let a fresh FNet begin near no motion, with every direction open."""
    with torch.no_grad():
        for module in fnet.modules():
            if isinstance(module, nn.Conv2d):
                middle = torch.empty_like(module.weight[:, :, 1, 1])
                nn.init.orthogonal_(middle, gain=1.1)
                module.weight.mul_(0.6)[:, :, 1, 1] += middle
        fnet.out.weight.mul_(0.1)


def _entry(name: str, build: type[VideoNetwork]) -> Architecture:
    return Architecture(
        name=name, task="video", config=FrvsrConfig, build=build,
        source="Sajjadi et al., Frame-Recurrent Video Super-Resolution, CVPR 2018; "
               "dissertation 003, ch. 3")


FRVSR = _entry("frvsr", Frvsr)
SISR = _entry("sisr", Sisr)
VSR = _entry("vsr", Vsr)
