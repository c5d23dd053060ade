"""Video networks with a data-consistency step: FRVSR, and SISR to compare it with.

The step is fixed and adds no parameters (``architectures.data_consistency``). It is no part of
the dissertation; chapter 3 leaves to SRNet what it does. It was added because SRNet, which is
handed the warped estimate in 16 channels per colour, had hardly begun to pass it on after
thousands of training steps. With the step, what the previous frames showed is kept by
construction.

To tell what the step brings from what is learned, compare ``frvsr-dc`` with ``sisr-dc``, which
applies it without any memory, and with ``sisr``, which is the learned part alone.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from enhance_cli.architectures.back_projection import REACH, bicubic_taps
from enhance_cli.architectures.cells import depth_to_space, enlarge_to_cells
from enhance_cli.architectures.data_consistency import (
    DataConsistency,
    correct_estimate,
    enlarge_confidence,
    fuse_previous_estimate,
)
from enhance_cli.architectures.frvsr import SOURCE, Frvsr, FrvsrConfig, Sisr, VideoState
from enhance_cli.architectures.spec import Architecture
from enhance_cli.architectures.srnet import SisrConfig, SuperResolutionNet

_AMPLIFY = 8.0  # what a memory adds is a few hundredths; the frame's own contrast is ten times that


@dataclass(frozen=True)
class DataConsistentFrvsrConfig(FrvsrConfig):
    """Hyperparameters of FRVSR with data consistency.

    Attributes:
        data_consistency: settings of the fixed step.
    """

    data_consistency: DataConsistency = field(default_factory=DataConsistency)


@dataclass(frozen=True)
class DataConsistentSisrConfig(SisrConfig):
    """Hyperparameters of SISR with data consistency.

    Attributes:
        data_consistency: settings of the fixed step; it fits one frame, so ``iterations`` has no
            effect.
    """

    data_consistency: DataConsistency = field(default_factory=DataConsistency)


class DataConsistentNet(SuperResolutionNet):
    """SRNet whose result builds on the consistent previous estimate, as far as it is confident.

    The input holds the frame x, in cells the detail k that the previous estimate adds to its
    bicubic enlargement U x, and the confidence l (``fuse_previous_estimate``). With the weight t
    and the residual r of SRNet the result is U x + t k + (1 - t l) r. Where l = 1 and r is that of
    SISR, this keeps the previous estimate and moves it by 1 - t towards SISR's result.

    SRNet sees k instead of the warped estimate, because nearly all of the estimate is in the frame
    already and would drown what matters.
    """

    def __init__(self, channels_in: int, config: DataConsistentFrvsrConfig) -> None:
        super().__init__(channels_in - 1, config)
        self.weight = config.data_consistency.weight
        self.contract = replace(self.contract, channels_in=channels_in)

    def forward(self, features: Tensor) -> Tensor:
        """(N, 3 + 3 * s * s + 1, h, w) -> (N, 3, s * h, s * w), not limited to [0, 1]."""
        frame_lr, cells, confidence = features[:, :3], features[:, 3:-1], features[:, -1:]
        seen = torch.cat([frame_lr, _AMPLIFY * cells], 1)
        channels_last = features.is_contiguous(memory_format=torch.channels_last)
        order = torch.channels_last if channels_last else torch.contiguous_format
        residual = self.residual(seen.contiguous(memory_format=order))
        enlarged = enlarge_to_cells([(frame_lr, bicubic_taps(self.scale))], self.scale)
        built = depth_to_space(enlarged.add_(cells, alpha=self.weight), self.scale)
        kept = self.weight * enlarge_confidence(confidence, self.scale)
        return torch.addcmul(built, 1 - kept, residual.to(built.dtype))


class DataConsistentFrvsr(Frvsr):
    """FRVSR whose warped estimate is made consistent with the frames before SRNet sees it."""

    config: DataConsistentFrvsrConfig

    def _make_srnet(self) -> SuperResolutionNet:
        return DataConsistentNet(3 + self._channels_remembered, self.config)

    @property
    def _channels_remembered(self) -> int:
        return super()._channels_remembered + 1

    def align(self, frame_lr: Tensor, flow: Tensor, state: VideoState) -> Tensor:
        """The input of SRNet, from the flow of FNet and the state of the previous frame.

        Returns:
            (N, 3 + 3 * s * s + 1, h, w), as ``DataConsistentNet`` expects it.
        """
        warped, flow, grid = self.warp_previous(frame_lr, flow, state)
        cells, confidence = fuse_previous_estimate(
            frame_lr,
            warped,
            state.frame_lr,
            flow,
            grid,
            scale=self.config.scale,
            settings=self.config.data_consistency,
        )
        return torch.cat([frame_lr, cells, confidence], 1)


class CorrectedNet(SuperResolutionNet):
    """SRNet whose own result is made consistent with the frame; no memory is involved.

    The result is m + t l (m' - m) for SRNet's result m, the consistent m', the weight t and the
    confidence l (``correct_estimate``).
    """

    def __init__(self, config: DataConsistentSisrConfig) -> None:
        super().__init__(3, config)
        self.settings = config.data_consistency
        # The small version of m looks one LR pixel farther than m, and the correction REACH more.
        self.contract = replace(self.contract, halo=self.contract.halo + REACH + 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, 3, h, w) -> (N, 3, s * h, s * w), not limited to [0, 1]."""
        estimate = super().forward(features).clamp(0, 1)
        corrected, confidence = correct_estimate(features, estimate, self.scale, self.settings)
        kept = self.settings.weight * enlarge_confidence(confidence, self.scale)
        return estimate + kept * (corrected - estimate)


class DataConsistentSisr(Sisr):
    """SISR with the data-consistency step: the fixed part of ``frvsr-dc`` without its memory."""

    config: DataConsistentSisrConfig

    def _make_srnet(self) -> SuperResolutionNet:
        return CorrectedNet(self.config)


FRVSR_DC = Architecture("frvsr-dc", "video", DataConsistentFrvsrConfig, DataConsistentFrvsr, SOURCE)
SISR_DC = Architecture("sisr-dc", "video", DataConsistentSisrConfig, DataConsistentSisr, SOURCE)
