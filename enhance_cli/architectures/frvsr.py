"""Frame-recurrent video super-resolution and its two baselines (dissertation 003, ch. 3).

A video network works in two halves, so that the engine can run the second one in tiles:
``condition`` makes the input of SRNet from the frame and from what is remembered, for whole frames
and cheaply; ``srnet`` makes the large frame from it, and is fully convolutional.

Departures from the paper. None of them adds parameters.

- The flow is normalised by a fixed displacement of ``limit`` LR pixels, not by the size of the
  frame (eq. 3.1). A convolutional network cannot know that size and would have to learn another
  flow for every size.
- FNet is given the difference of the frames and the frame itself, both relative to the contrast
  around each pixel, instead of the two frames. Motion does not depend on contrast, but a network
  of convolutions and leaky ReLU scales with its input and would have to learn to divide.
- SRNet adds its output to the bicubic enlargement of the frame, as the network that it follows
  (EnhanceNet, table 2.1) does. That trains several times faster.
- The estimate that is carried to the next frame is limited to [0, 1], which is the range that
  eq. 3.4 gives it, in training too.
- Kaiming's initialisation replaces Xavier's. With damped last layers the network begins as bicubic
  enlargement without motion, and tolerates a ten times higher learning rate. In FNet the middle of
  each kernel is mixed with an orthogonal matrix. Otherwise fourteen layers let little more than
  one direction through, and flow along the other axis is not learned for thousands of steps.

Three more are settings, off by default, see ``FlowConfig``: FNet may run in several passes, a step
of Lucas and Kanade may refine its flow, and the previous frame may be warped bicubically.

The network with the fixed data-consistency step is in ``architectures.data_consistent``.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from enhance_cli.architectures.back_projection import degrade
from enhance_cli.architectures.cells import space_to_depth
from enhance_cli.architectures.flow_net import FlowConfig, FlowNet, initialise_flow
from enhance_cli.architectures.layers import ResidualBlock
from enhance_cli.architectures.lucas_kanade import lucas_kanade_step
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.architectures.srnet import SisrConfig, SuperResolutionNet
from enhance_cli.architectures.warping import enlarge_flow, grid_sample, sampling_grid, warp

SOURCE = (
    "Sajjadi et al., Frame-Recurrent Video Super-Resolution, CVPR 2018; dissertation 003, ch. 3"
)


@dataclass(frozen=True)
class FrvsrConfig(SisrConfig):
    """Hyperparameters of the networks that estimate motion, FRVSR and VSR.

    Attributes:
        flow: settings of motion estimation.
    """

    flow: FlowConfig = field(default_factory=FlowConfig)


class VideoState(NamedTuple):
    """All that a video network remembers of the previous frame.

    Attributes:
        frame_lr: (N, 3, h, w) the previous input.
        frame_hr: (N, 3, scale * h, scale * w) the previous estimate, in [0, 1].
    """

    frame_lr: Tensor
    frame_hr: Tensor


class VideoNetwork(nn.Module):
    """What all video networks share.

    Attributes:
        config: the hyperparameters.
        srnet: the second half of the network, with a contract of its own.
        contract: of the whole network, for frames; ``lookahead`` says how many frames after the
            current one it must be shown.
    """

    _lookahead = 0

    def __init__(self, config: SisrConfig) -> None:
        super().__init__()
        self.config = config
        self.srnet = self._make_srnet()
        self.contract = Contract(scale=config.scale, tiling="forbidden", lookahead=self._lookahead)
        self._initialise()

    @abstractmethod
    def _make_srnet(self) -> SuperResolutionNet:
        """SRNet, with as many input channels as ``condition`` gives it."""

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

    @abstractmethod
    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """The input of SRNet, (N, C, h, w).

        Args:
            frame_lr: (N, 3, h, w) in [0, 1].
            state: of the previous frame, or None at the beginning of a stream.
            following: the next frame, for networks that look ahead; None at the end of a stream.
        """

    def step(
        self, frame_lr: Tensor, state: VideoState | None = None, following: Tensor | None = None
    ) -> tuple[Tensor, VideoState]:
        """Enlarge one frame of a stream; the arguments are those of ``condition``.

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
    """The single-image baseline of ch. 3.4.1: SRNet alone, without memory."""

    def _make_srnet(self) -> SuperResolutionNet:
        return SuperResolutionNet(3, self.config)

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """The frame itself."""
        return frame_lr


class FlowAligned(VideoNetwork):
    """What the networks with FNet share.

    Attributes:
        fnet: estimates the flow between two LR frames.
    """

    config: FrvsrConfig

    def _initialise(self) -> None:
        flow = self.config.flow
        self.fnet = FlowNet(flow.limit, flow.passes)
        super()._initialise()
        initialise_flow(self.fnet)

    def _refine_flow(
        self, flow: Tensor, frame_lr: Tensor, warp_small: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The flow after the steps of Lucas and Kanade.

        Args:
            flow: (N, 2, h, w) of FNet.
            frame_lr: the current frame, (N, 3, h, w).
            warp_small: gives, for a flow, the small frame that should equal ``frame_lr``.
        """
        for _ in range(self.config.flow.lucas_kanade_steps):
            with torch.no_grad():
                warped_lr = warp_small(flow)
            flow = lucas_kanade_step(flow, warped_lr, frame_lr)
        return flow


class Vsr(FlowAligned):
    """The sliding-window baseline of ch. 3.4.1: both neighbours are warped onto the frame."""

    _lookahead = 1

    def _make_srnet(self) -> SuperResolutionNet:
        return SuperResolutionNet(9, self.config)

    def align(
        self,
        frame_lr: Tensor,
        flow_before: Tensor,
        before: Tensor,
        flow_after: Tensor,
        after: Tensor,
    ) -> Tensor:
        """The input of SRNet (N, 9, h, w): the frame and both neighbours, warped onto it."""
        warped = [
            self._warp_neighbour(frame_lr, flow, neighbour)
            for flow, neighbour in ((flow_before, before), (flow_after, after))
        ]
        return torch.cat([frame_lr, *warped], 1)

    def _warp_neighbour(self, frame_lr: Tensor, flow: Tensor, neighbour: Tensor) -> Tensor:
        warping = self.config.flow.warping
        flow = self._refine_flow(flow, frame_lr, lambda flow: warp(neighbour, flow, warping))
        return warp(neighbour, flow, warping)

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """As the base class says; the frame itself replaces a neighbour that does not exist."""
        before = frame_lr if state is None else state.frame_lr
        after = frame_lr if following is None else following
        return self.align(
            frame_lr, self.fnet(before, frame_lr), before, self.fnet(after, frame_lr), after
        )


class Frvsr(FlowAligned):
    """FRVSR (fig. 3.2, eq. 3.6): the previous estimate, warped, helps with the current frame."""

    def _make_srnet(self) -> SuperResolutionNet:
        return SuperResolutionNet(3 + self._channels_remembered, self.config)

    @property
    def _channels_remembered(self) -> int:
        """Channels of SRNet's input beside the frame."""
        return 3 * self.config.scale**2

    def warp_previous(
        self, frame_lr: Tensor, flow: Tensor, state: VideoState
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Warp the previous estimate onto the frame.

        Args:
            frame_lr: (N, 3, h, w).
            flow: (N, 2, h, w) from FNet, in LR pixels.
            state: of the previous frame.

        Returns:
            The warped estimate (N, 3, s * h, s * w), the refined flow that it follows, and the
            ``sampling_grid`` of that flow for large frames.
        """
        scale, previous_hr = self.config.scale, state.frame_hr
        flow = self._refine_flow(
            flow,
            frame_lr,
            # Bilinear is good enough to look at the difference.
            lambda flow: degrade(warp(previous_hr, enlarge_flow(flow, scale)), scale),
        )
        grid = sampling_grid(enlarge_flow(flow, scale))
        return grid_sample(previous_hr, grid, self.config.flow.warping), flow, grid

    def align(self, frame_lr: Tensor, flow: Tensor, state: VideoState) -> Tensor:
        """The input of SRNet, from the flow of FNet and the state of the previous frame.

        Returns:
            (N, 3 + 3 * s * s, h, w): the frame, and the warped estimate in cells (eq. 3.5).
        """
        warped, _, _ = self.warp_previous(frame_lr, flow, state)
        return torch.cat([frame_lr, space_to_depth(warped, self.config.scale)], 1)

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """As the base class says; the estimate before the first frame is black (ch. 3.3.5)."""
        if state is None:  # black warps to black, whatever the flow is
            batch, _, height, width = frame_lr.shape
            nothing = frame_lr.new_zeros(batch, self._channels_remembered, height, width)
            return torch.cat([frame_lr, nothing], 1)
        return self.align(frame_lr, self.fnet(state.frame_lr, frame_lr), state)


FRVSR = Architecture("frvsr", "video", FrvsrConfig, Frvsr, SOURCE)
SISR = Architecture("sisr", "video", SisrConfig, Sisr, SOURCE)
VSR = Architecture("vsr", "video", FrvsrConfig, Vsr, SOURCE)
