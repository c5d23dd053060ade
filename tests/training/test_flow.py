"""FNet's first lessons: their truth, their pace, and that reduced precision leaves them alone."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.flow_net import FlowNet
from enhance_cli.architectures.frvsr import Frvsr, FrvsrConfig
from enhance_cli.architectures.warping import warp
from enhance_cli.data.clips import ClipBatch
from enhance_cli.data.motion import Motion, MotionSampler
from enhance_cli.training.flow import FlowLessons, alignment_loss
from enhance_cli.training.unroll import run_clip

CPU = torch.device("cpu")
WHOLE = slice(None)


def smooth_photos(count: int = 2, side: int = 256) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, 3, side // 16, side // 16, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    return list(fine.clamp(0, 1).mul(255).to(torch.uint8))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder(FlowNet):
    """Keeps the frames that it is shown and answers with no motion."""

    def _estimate(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        self.seen = (previous_lr, frame_lr)
        return previous_lr.new_zeros(len(previous_lr), 2, *previous_lr.shape[-2:])


def shown(lessons: FlowLessons, part: float, seed: int) -> tuple[tuple[Tensor, Tensor], float]:
    recorder = Recorder(24.0)
    loss = lessons.loss(recorder, part, seeded(seed), WHOLE, CPU)
    return recorder.seen, float(loss)


def test_the_truth_lands_the_frame_before_on_the_frame() -> None:
    still_shapes = Motion(layered=0.0, blurred=0.0)
    lessons = FlowLessons(smooth_photos(), 4, 16, still_shapes)

    class Oracle(FlowNet):
        """Answers with the truth, which it draws as the lessons did."""

        def _estimate(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
            generator = seeded(5)
            sampler = MotionSampler(lessons._photos, self.motion)
            flows = torch.stack([sampler.clip(3, 16, generator)[1] for _ in range(16)])
            self.residual = (
                (warp(previous_lr, flows[:, 1:].flatten(0, 1)) - frame_lr)[..., 4:-4, 4:-4]
                .abs()
                .mean()
            )
            self.motionless = (previous_lr - frame_lr)[..., 4:-4, 4:-4].abs().mean()
            return flows[:, 1:].flatten(0, 1)

    oracle = Oracle(24.0)
    oracle.motion = replace(lessons._motion, speed=(0.1, 1.0))
    assert float(lessons.loss(oracle, 0.0, seeded(5), WHOLE, CPU)) == 0
    assert oracle.residual < 0.3 * oracle.motionless


def test_things_move_faster_as_the_lessons_go_on() -> None:
    lessons = FlowLessons(smooth_photos(), 4, 16, Motion())

    def change(part: float) -> float:
        pairs = (shown(lessons, part, seed)[0] for seed in range(5))
        return sum(float((before - now).abs().mean()) for before, now in pairs)

    assert change(1.0) > 1.5 * change(0.0)


def test_no_flow_is_an_error_below_one_however_fast() -> None:
    lessons = FlowLessons(smooth_photos(), 4, 16, Motion(still=0.0))
    assert shown(lessons, 0.0, 1)[1] < shown(lessons, 1.0, 1)[1] < 1


def test_reduced_precision_leaves_the_pictures_and_their_flow_alone() -> None:
    # A matrix product on the CPU is rounded under autocast: places would be off by pixels.
    lessons = FlowLessons(smooth_photos(), 4, 16, Motion())
    exact, loss = shown(lessons, 0.5, 7)
    with torch.autocast("cpu", torch.bfloat16):
        reduced, loss_reduced = shown(lessons, 0.5, 7)
    assert torch.equal(exact[0], reduced[0]) and torch.equal(exact[1], reduced[1])
    assert loss_reduced == pytest.approx(loss, rel=0.02)


def test_fnet_learns_a_batch_by_heart() -> None:
    torch.manual_seed(0)
    lessons = FlowLessons(smooth_photos(), 4, 16, Motion())
    fnet = Frvsr(FrvsrConfig(channels=4, blocks=0)).fnet
    optimiser = torch.optim.Adam(fnet.parameters(), lr=1e-3)
    losses = []
    for _ in range(50):
        loss = lessons.loss(fnet, 0.0, seeded(1), WHOLE, CPU)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


class Constant(FlowNet):
    """Answers with one flow for all pixels."""

    def answer(self, flow: tuple[float, float]) -> "Constant":
        self.flow = torch.tensor(flow)
        return self

    def _estimate(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        return self.flow[:, None, None].expand(len(frame_lr), 2, *frame_lr.shape[-2:])


def panned(known: bool, contrast: float = 1.0) -> ClipBatch:
    """Both axes move by half an LR pixel per frame."""
    photo = contrast * smooth_photos(1)[0].float() + (1 - contrast) * 128
    hr = (
        torch.stack(
            [photo[:, 100 + 2 * t : 164 + 2 * t, 100 + 2 * t : 164 + 2 * t] for t in range(3)]
        )[None]
        / 255
    )
    flow = torch.zeros(1, 3, 2, 16, 16)
    if known:
        flow[:, 1:] = 0.5
    return ClipBatch(functional.avg_pool2d(hr[0], 4)[None], hr, flow, torch.tensor([known]))


def test_alignment_is_best_where_large_frames_land() -> None:
    network = Frvsr(FrvsrConfig(channels=4, blocks=1))
    flows = [(0.5, 0.5), (0.4, 0.5), (0.5, 0.75), (0.0, 0.0), (-0.5, -0.5)]
    for known in (True, False):
        losses = []
        for flow in flows:
            network.fnet = Constant(24.0).answer(flow)
            losses.append(float(alignment_loss(network, panned(known))))
        assert losses == sorted(losses), known
        assert losses[1] - losses[0] > 0.05  # a tenth of a pixel shows


def test_dull_clips_teach_as_much() -> None:
    network = Frvsr(FrvsrConfig(channels=4, blocks=1))
    network.fnet = Constant(24.0).answer((-0.5, 0.0))
    sharp, dull = (
        float(alignment_loss(network, panned(False, contrast))) for contrast in (1.0, 0.5)
    )
    assert dull == pytest.approx(sharp, rel=0.3)


class Nearer(Constant):
    """Finds the first half at once, then all."""

    def flows_by_pass(self, previous_lr: Tensor, frame_lr: Tensor) -> list[Tensor]:
        flow = self._estimate(previous_lr, frame_lr)
        return [flow / 2, flow]


def test_every_pass_is_taught() -> None:
    network = Frvsr(FrvsrConfig(channels=4, blocks=1))
    losses = []
    for fnet in (
        Nearer(24.0).answer((0.5, 0.5)),
        Constant(24.0).answer((0.25, 0.25)),
        Constant(24.0).answer((0.5, 0.5)),
    ):
        network.fnet = fnet
        batch = panned(True)
        flow_loss = run_clip(network, batch, functional.l1_loss, flow_frames="hr")[1]
        losses.append((float(alignment_loss(network, batch)), float(flow_loss)))
    both, half, whole = losses
    for index in (0, 1):
        assert both[index] == pytest.approx((half[index] + whole[index]) / 2, rel=1e-4)
