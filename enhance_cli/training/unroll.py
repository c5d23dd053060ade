"""Run whole clips through video networks, so that they can be trained through time.

Back-propagation goes through all frames of a clip, or only through the last ones (``burn_in``).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from enhance_cli.architectures.flow_net import FlowNet
from enhance_cli.architectures.frvsr import Frvsr, VideoNetwork, VideoState, Vsr
from enhance_cli.architectures.warping import enlarge_flow, warp
from enhance_cli.data.clips import ClipBatch
from enhance_cli.training.objectives import Distance

FlowFrames = Literal["lr", "hr"]


def run_clip(
    network: VideoNetwork,
    batch: ClipBatch,
    distance: Distance,
    *,
    flow_frames: FlowFrames = "lr",
    given_flow: bool = False,
    burn_in: int = 0,
) -> tuple[Tensor, Tensor]:
    """Estimate the frames of clips, and measure how well the flow explains them (ch. 3.3.2).

    The flow depends on LR frames alone, so FNet sees all pairs of frames of the clips at once.

    Args:
        network: any of the video networks.
        batch: the clips.
        distance: the mean distance that eq. 3.8 uses.
        flow_frames: the frames that eq. 3.8 compares, ``"lr"`` as in the chapter or the true
            ``"hr"`` ones.
        given_flow: whether a recurrent network warps along the batch's flow where it is known,
            instead of along FNet's.
        burn_in: how many frames at the beginning are only remembered. Nothing is learned from
            them, and gradients do not reach them. Must be fewer than the clips have.

    Returns:
        The estimates (N, T - burn_in, 3, s * h, s * w), not limited to [0, 1], and the flow loss
        of eq. 3.8 as a mean over their flows (0 for a network without flow).
    """
    if isinstance(network, Frvsr):
        return _run_recurrent(network, batch, distance, flow_frames, given_flow, burn_in)
    batch = ClipBatch(
        batch.frames_lr[:, burn_in:],
        batch.frames_hr[:, burn_in:],
        batch.flow[:, burn_in:],
        batch.known,
    )
    if isinstance(network, Vsr):
        return _run_window(network, batch, distance, flow_frames)
    count, length = batch.frames_lr.shape[:2]
    estimates = network.srnet(channels_last(batch.frames_lr.flatten(0, 1)))
    return estimates.unflatten(0, (count, length)), batch.frames_lr.new_zeros(())


def _run_recurrent(
    network: Frvsr,
    batch: ClipBatch,
    distance: Distance,
    flow_frames: FlowFrames,
    given_flow: bool,
    burn_in: int,
) -> tuple[Tensor, Tensor]:
    frames_lr = batch.frames_lr
    frames = frames_lr if flow_frames == "lr" else batch.frames_hr
    sources, targets = slice(max(burn_in - 1, 0), -1), slice(max(burn_in, 1), None)
    by_pass = find_flows(network.fnet, frames_lr[:, sources], frames_lr[:, targets])
    flow_loss = warped_distance(frames[:, sources], frames[:, targets], by_pass, distance)
    with torch.no_grad():
        before = find_flows(
            network.fnet, frames_lr[:, : sources.start], frames_lr[:, 1 : sources.start + 1]
        )
    flows = torch.cat([before[-1], by_pass[-1]], 1)
    if given_flow:
        flows = torch.where(batch.known[:, None, None, None, None], batch.flow[:, 1:], flows)
    estimates: list[Tensor] = []
    for index in range(frames_lr.shape[1]):
        with torch.set_grad_enabled(torch.is_grad_enabled() and index >= burn_in):
            frame_lr = frames_lr[:, index]
            if index == 0:
                features = network.condition(frame_lr, None)
            else:
                state = VideoState(frames_lr[:, index - 1], estimates[-1].clamp(0, 1))
                features = network.align(frame_lr, flows[:, index - 1], state)
            estimates.append(network.srnet(channels_last(features)))
    return torch.stack(estimates[burn_in:], 1), flow_loss


def _run_window(
    network: Vsr, batch: ClipBatch, distance: Distance, flow_frames: FlowFrames
) -> tuple[Tensor, Tensor]:
    frames_lr = batch.frames_lr
    count, length = frames_lr.shape[:2]
    frames = frames_lr if flow_frames == "lr" else batch.frames_hr
    arguments, losses = [], []
    for shift in (-1, 1):
        other = [min(max(index + shift, 0), length - 1) for index in range(length)]
        by_pass = find_flows(network.fnet, frames_lr[:, other], frames_lr)
        losses.append(warped_distance(frames[:, other], frames, by_pass, distance))
        arguments += [by_pass[-1].flatten(0, 1), frames_lr[:, other].flatten(0, 1)]
    features = network.align(frames_lr.flatten(0, 1), *arguments)
    estimates = network.srnet(channels_last(features))
    return estimates.unflatten(0, (count, length)), (losses[0] + losses[1]) / 2


def find_flows(fnet: FlowNet, sources: Tensor, targets: Tensor) -> list[Tensor]:
    """The flows (N, T, 2, h, w) between pairs of LR frames (N, T, 3, h, w), after each pass."""
    if not sources.shape[1]:
        return [sources[:, :, :2]]
    by_pass = fnet.flows_by_pass(
        channels_last(sources.flatten(0, 1)), channels_last(targets.flatten(0, 1))
    )
    return [flow.reshape(*sources.shape[:2], *flow.shape[1:]) for flow in by_pass]


def warped_distance(
    sources: Tensor, targets: Tensor, by_pass: Sequence[Tensor], distance: Distance
) -> Tensor:
    """The flow loss of eq. 3.8 over all pairs: how far warped frames are from their targets.

    Args:
        sources: (N, T, 3, s * h, s * w) the previous frames, s times as large as the flow.
        targets: the current frames, of the same size.
        by_pass: flows (N, T, 2, h, w) in LR pixels, after each pass of FNet; the losses of all
            passes are averaged.
        distance: a mean distance.
    """
    total = sources.new_zeros(())
    if not sources.shape[1]:
        return total
    before, now = sources.flatten(0, 1), targets.flatten(0, 1)
    for flow_lr in by_pass:
        flow = enlarge_flow(flow_lr.flatten(0, 1), sources.shape[-1] // flow_lr.shape[-1])
        total = total + distance(warp(before, flow), now) / len(by_pass)
    return total


def channels_last(images: Tensor) -> Tensor:
    """The same images in the memory layout in which convolutions run fastest."""
    return images.contiguous(memory_format=torch.channels_last)
