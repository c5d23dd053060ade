"""Run a video network over frames one at a time; its memory is an argument and a result."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from enhance_cli.architectures.frvsr import VideoNetwork, VideoState
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.checkpoint import read_metadata, read_tensors, write_tensors
from enhance_cli.engine.memory import shrink_to_fit
from enhance_cli.engine.tiled import TilePlan, run_tiled, tile_side
from enhance_cli.errors import CheckpointError
from enhance_cli.subsampling import MIDDLE, Phase, shift_to_phase

Item = TypeVar("Item")

_FIRST_TILE = 256  # side of SRNet's tiles in LR pixels once a GPU cannot hold a whole frame


def with_following(frames: Iterable[Item], lookahead: int) -> Iterator[tuple[Item, Item | None]]:
    """Pair each frame with the next one if a network looks ahead, else with None.

    The last frame is paired with None, too.
    """
    if not lookahead:
        for frame in frames:
            yield frame, None
        return
    held: Item | None = None
    for frame in frames:
        if held is not None:
            yield held, frame
        held = frame
    if held is not None:
        yield held, None


@torch.no_grad()
def enhance_clip(
    network: VideoNetwork, frames_lr: Tensor, first_hr: Tensor | None = None
) -> Tensor:
    """Enlarge a whole clip that fits in memory.

    Args:
        network: in evaluation mode.
        frames_lr: (T, 3, h, w) in [0, 1], on the network's device.
        first_hr: (3, s * h, s * w) that replaces the black estimate before the first frame, as
            for fig. 3.7.

    Returns:
        (T, 3, s * h, s * w) in [0, 1].
    """
    state = None if first_hr is None else VideoState(frames_lr[:1], first_hr[None])
    estimates = []
    for frame_lr, following in with_following(frames_lr, network.contract.lookahead):
        frame_hr, state = network.step(
            frame_lr[None], state, None if following is None else following[None]
        )
        estimates.append(frame_hr[0])
    return torch.stack(estimates)


@dataclass
class FrameEnlarger:
    """Enlarges the frames of streams. Between frames it remembers only how to tile.

    Flow and warping need little memory and see the whole frame. Only SRNet, which needs by far the
    most memory, runs in tiles. So all tiles share one state, and the result is exact.

    Attributes:
        model: a model for video.
        plan: how SRNet is tiled, in LR pixels; tiles get smaller if memory runs out.
        notice: called with one line of text when something had to be changed.
        phase: of the small frames. The network takes every frame for one that samples the middle
            of cells; its estimates are moved to where they belong. What it remembers stays where
            it is, so that nothing is interpolated twice.
    """

    model: Model
    plan: TilePlan
    notice: Callable[[str], None] = lambda _: None
    phase: Phase = MIDDLE

    @property
    def network(self) -> VideoNetwork:
        """The model's network."""
        network = self.model.network
        assert isinstance(network, VideoNetwork)
        return network

    @property
    def tile_side(self) -> int:
        """Side of SRNet's tiles in LR pixels; 0 for whole frames."""
        if self._is_whole(self.plan):
            return 0
        return tile_side(self.plan, replace(self.model, contract=self.network.srnet.contract))

    def _is_whole(self, plan: TilePlan) -> bool:
        """Whether SRNet is given whole frames."""
        # A GPU is given the whole frame unless tiles are asked for: cut, every frame would
        # travel to the host and back. A CPU prefers tiles, whose maps stay in its cache.
        # Only what cuts into tiles also fills frames up to the size multiple of a network.
        whole = self.model.device.type != "cpu" and not plan.tile
        return whole and self.network.srnet.contract.size_multiple == 1

    @torch.inference_mode()
    def step(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> tuple[Tensor, VideoState]:
        """Enlarge one frame, as ``VideoNetwork.step`` does.

        Args:
            frame_lr: (3, h, w) float32 in [0, 1], on any device.
            state: of the previous frame, or None at the beginning of a scene.
            following: the next frame of the scene, for networks that look ahead.

        Returns:
            The estimate (3, s * h, s * w) float32 in [0, 1] on the model's device, and the state.

        Raises:
            DeviceError: if not even small tiles fit in memory.
        """
        model = self.model
        frame_lr = frame_lr[None].to(model.device)
        after = None if following is None else following[None].to(model.device)
        condition = replace(model, network=lambda x: self.network.condition(x, state, after))
        frame_hr = self._reconstruct(condition.run(frame_lr)).clamp(0, 1)
        state = VideoState(frame_lr, frame_hr)
        shown = shift_to_phase(frame_hr[0], self.network.contract.scale, self.phase)
        return shown.clamp(0, 1), state

    def _reconstruct(self, features: Tensor) -> Tensor:
        """SRNet, (1, C, h, w) -> (1, 3, s * h, s * w) on the device."""
        network = self.network.srnet
        srnet = replace(self.model, network=network, contract=network.contract)

        def run(plan: TilePlan) -> Tensor:
            if self._is_whole(plan):
                return srnet.run(features.contiguous(memory_format=torch.channels_last))
            result = run_tiled(
                srnet, features[0].cpu(), plan, notice=self.notice, shrunk=self._remember
            )
            return result[None].to(srnet.device)

        def cut(plan: TilePlan) -> TilePlan | None:
            if not self._is_whole(plan):
                return None
            self._remember(replace(plan, tile=_FIRST_TILE))
            return self.plan

        result, _ = shrink_to_fit(
            run,
            self.plan,
            smaller=cut,
            describe=lambda plan: f"tiles of {plan.tile} pixels" if plan.tile else "whole frames",
            device=srnet.device,
            notice=self.notice,
        )
        return result

    def _remember(self, plan: TilePlan) -> None:
        """Keep a smaller plan, so that not every frame runs out of memory first."""
        self.plan = plan


def save_state(path: Path, state: VideoState | None, cuts: Sequence[float] = ()) -> None:
    """Write the memory of a stream to a file, completely or not at all.

    Args:
        path: safetensors file.
        state: of the last frame, or None for nothing remembered.
        cuts: seconds at which scenes began so far.

    Raises:
        OutputError: if it cannot be written.
    """
    tensors = (
        {}
        if state is None
        else {name: value.cpu().contiguous() for name, value in state._asdict().items()}
    )
    write_tensors(path, tensors, {"cuts": json.dumps(list(cuts))})


def load_state(path: Path, device: torch.device) -> tuple[VideoState | None, list[float]]:
    """Read what ``save_state`` wrote: the state, and the seconds at which scenes began.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    try:
        tensors, cuts = read_tensors(path), json.loads(read_metadata(path)["cuts"])
        if not tensors:
            return None, cuts
        return VideoState(**{name: tensors[name].to(device) for name in VideoState._fields}), cuts
    except (CheckpointError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the memory of an interrupted run is missing or damaged, "
            "start over with --overwrite and without --resume"
        ) from error
