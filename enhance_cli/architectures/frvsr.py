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
  it had hardly begun to after thousands of steps. SRNet is then shown what the estimate adds to
  the enlarged frame in place of the estimate. That has no parameters either.
- That estimate may be fitted to the frame before and to the frame in turn (``sweeps``), for the
  correction to the one spoils some of what the other had told; both at once tell more. Neither
  that nor its precision is something that gradients of one frame's error would teach a network.
- A step of Lucas and Kanade may follow FNet (``refinements``), from what the warped estimate
  leaves of the frame. Detail is worth adding only where it lands within a part of an HR pixel.
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

from typing import NamedTuple, get_args

import torch
from torch import Tensor, nn

from enhance_cli.architectures.back_projection import recall, reduce_frame
from enhance_cli.architectures.flow_net import (
    FlowNet,
    Interpolation,
    enlarge_flow,
    initialise_flow,
    refine_flow,
    warp,
)
from enhance_cli.architectures.layers import ResidualBlock
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.architectures.srnet import (
    FrvsrConfig,
    SuperResolutionNet,
    TrustingNet,
    space_to_depth,
)


class VideoState(NamedTuple):
    """What a video network remembers of the frame before: all of it.

    Attributes:
        frame_lr: (N, 3, h, w) the previous input.
        frame_hr: (N, 3, scale * h, scale * w) the previous estimate, in [0, 1].
    """

    frame_lr: Tensor
    frame_hr: Tensor


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
            raise ValueError(
                f"no network of {config.channels} channels, {config.blocks} blocks, "
                f"flow up to {config.max_flow}"
            )
        if config.passes < 1:
            raise ValueError(f"FNet must look at least once: passes=1 or more, not {config.passes}")
        if min(config.refinements, config.sweeps) < 0:
            raise ValueError(
                f"refinements and sweeps: 0 or more, not {config.refinements} and {config.sweeps}"
            )
        if not (
            0 <= config.trust < 1
            and config.tolerance > 0
            and config.damping > 0
            and config.noise_floor >= 0
        ):
            raise ValueError(
                f"trust from 0 to below 1, a tolerance and damping above 0 and noise_floor of 0 or "
                f"more, not {config.trust}, {config.tolerance}, {config.damping} and "
                f"{config.noise_floor}"
            )
        if config.warping not in get_args(Interpolation):
            raise ValueError(f"warping {config.warping!r}: choose from {get_args(Interpolation)}")
        self.config = config
        self.srnet = self._make_srnet(3 + self._channels_remembered(config), config)
        self._add_flow_network(config)
        self.contract = Contract(scale=config.scale, tiling="forbidden", lookahead=self._lookahead)
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
        initialise_flow(self.fnet)

    def align(
        self,
        frame_lr: Tensor,
        flow_before: Tensor,
        before: Tensor,
        flow_after: Tensor,
        after: Tensor,
    ) -> Tensor:
        """SRNet's input (N, 9, h, w): the frame and both neighbours, warped onto it."""
        return torch.cat([frame_lr, warp(before, flow_before), warp(after, flow_after)], 1)

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """As the base class says; a neighbour that is missing is replaced by the frame."""
        before = frame_lr if state is None else state.frame_lr
        after = frame_lr if following is None else following
        return self.align(
            frame_lr, self.fnet(before, frame_lr), before, self.fnet(after, frame_lr), after
        )


class Frvsr(VideoNetwork):
    """FRVSR (fig. 3.2, eq. 3.6): the previous estimate, warped, helps with the next frame."""

    @staticmethod
    def _channels_remembered(config: FrvsrConfig) -> int:
        return 3 * config.scale * config.scale + (1 if config.trust else 0)

    @staticmethod
    def _make_srnet(channels_in: int, config: FrvsrConfig) -> SuperResolutionNet:
        kind = TrustingNet if config.trust else SuperResolutionNet
        return kind(channels_in, config)

    def _add_flow_network(self, config: FrvsrConfig) -> None:
        self.fnet = FlowNet(config.max_flow, config.passes)

    def _initialise(self) -> None:
        super()._initialise()
        initialise_flow(self.fnet)

    def align(self, frame_lr: Tensor, flow: Tensor, state: VideoState) -> Tensor:
        """SRNet's input from the flow and the frame before.

        Returns:
            (N, 3 + 3 * s * s, h, w): the frame and the warped estimate in cells; with trust as
            ``TrustingNet`` says, and a channel more.
        """
        config, scale = self.config, self.config.scale
        for _ in range(config.refinements):
            with torch.no_grad():  # to look at only: bilinear is fine enough
                shown = reduce_frame(warp(state.frame_hr, enlarge_flow(flow, scale)), scale)
            flow = refine_flow(flow, shown, frame_lr)
        warped = warp(state.frame_hr, enlarge_flow(flow, scale), config.warping)
        if not config.trust:
            return torch.cat([frame_lr, space_to_depth(warped, scale)], 1)
        kept, likeness = recall(
            frame_lr,
            warped,
            state.frame_lr,
            flow,
            scale=scale,
            tolerance=config.tolerance,
            damping=config.damping,
            noise_floor=config.noise_floor,
            sweeps=config.sweeps,
        )
        return torch.cat([frame_lr, space_to_depth(kept, scale), likeness], 1)

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """As the base class says; the frame before the first is black (ch. 3.3.5)."""
        if state is None:  # black warps to black, whatever the flow
            batch, _, height, width = frame_lr.shape
            nothing = frame_lr.new_zeros(
                batch, self._channels_remembered(self.config), height, width
            )
            return torch.cat([frame_lr, nothing], 1)
        return self.align(frame_lr, self.fnet(state.frame_lr, frame_lr), state)


def _entry(name: str, build: type[VideoNetwork]) -> Architecture:
    return Architecture(
        name=name,
        task="video",
        config=FrvsrConfig,
        build=build,
        source="Sajjadi et al., Frame-Recurrent Video Super-Resolution, CVPR 2018; "
        "dissertation 003, ch. 3",
    )


FRVSR = _entry("frvsr", Frvsr)
SISR = _entry("sisr", Sisr)
VSR = _entry("vsr", Vsr)
