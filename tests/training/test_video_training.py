"""Training of video networks: clips through time, losses, validation, runs and what is refused."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from video_networks import make_config, make_network

from enhance_cli.architectures import MODELS
from enhance_cli.architectures.frvsr import FlowAligned, Frvsr, VideoNetwork, VideoState, Vsr
from enhance_cli.architectures.warping import warp
from enhance_cli.data.clips import ClipBatch, ClipSampler, clip_batch
from enhance_cli.data.degradation import Degradation
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.engine.recurrent import enhance_clip, with_following
from enhance_cli.errors import CheckpointError, DatasetError, UsageError
from enhance_cli.metrics.video import video_psnr
from enhance_cli.resize import imresize
from enhance_cli.training.optimisation import Optimisation, step_generator
from enhance_cli.training.overrides import override
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.run import NO_INIT, run_recipe
from enhance_cli.training.stages import Recipe
from enhance_cli.training.unroll import run_clip
from enhance_cli.training.video import VideoStage, VideoSuperResolution

CPU = torch.device("cpu")
VIDEO = [name for name, recipe in RECIPES.items() if isinstance(recipe.stages[0], VideoStage)]
KINDS = ("frvsr", "sisr", "vsr")
TINY = (
    "burn_in=0",
    "flow_share=0",
    "channels=4",
    "blocks=1",
    "patch=8",
    "batch=2",
    "frames=3",
    "short_frames=2",
    "steps=4",
    "validate_every=2",
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def moving_clip(seed: int, length: int = 6, height: int = 68, width: int = 72) -> Tensor:
    """A textured plane that slides: uint8 (T, 3, H, W)."""
    rough = random(3, height // 4 + 8, width // 4 + 8, seed=seed)
    plane = (imresize(rough, 4).clamp(0, 1) * 255).round().to(torch.uint8)
    return torch.stack([plane[:, t : t + height, 2 * t : 2 * t + width] for t in range(length)])


def write_frames(folder: Path, clip: Tensor) -> None:
    folder.mkdir(parents=True)
    for index, frame in enumerate(clip):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{index:03}.png")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for index in range(3):
        write_frames(folder / f"clip{index}", moving_clip(index))
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index in range(2):
        image = moving_clip(9 + index, 1, 96, 90)[0]
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
    return folder


def tiny(kind: str = "frvsr", **changes: Any) -> VideoStage:
    config = make_config(kind, **({"limit": 8.0} | changes.pop("config", {})))
    recipe = VideoStage(
        architecture=kind,
        config=config,
        patch=8,
        batch=2,
        frames=3,
        short_frames=2,
        optimisation=Optimisation(steps=6, learning_rate=3e-3, validate_every=3, seed=1),
    )
    return replace(recipe, **changes)


def prepare(recipe: VideoStage, videos: Path, **options: Any) -> VideoSuperResolution:
    made = recipe.prepare(videos, videos, CPU, **options)
    assert isinstance(made, VideoSuperResolution)
    return made


def loss(experiment: VideoSuperResolution, step: int = 0, share: slice = slice(None)) -> Tensor:
    return experiment.loss(step, step_generator(1, step), share)


def network_of(kind: str, **config: Any) -> VideoNetwork:
    return make_network(kind, **({"limit": 4.0} | config)).train()


def lively(kind: str, **config: Any) -> VideoNetwork:
    """With motion and residuals that matter."""
    network = network_of(kind, **config)
    with torch.no_grad():
        network.srnet.out.weight.mul_(8)
        if kind != "sisr":
            network.fnet.out.weight.normal_()  # type: ignore[union-attr, operator]
    return network


def batch_of(
    frames_lr: Tensor,
    scale: int = 4,
    frames_hr: Tensor | None = None,
    flow: Tensor | None = None,
    known: Tensor | None = None,
) -> ClipBatch:
    """Clips of which no more matters than what is given."""
    count, length, _, height, width = frames_lr.shape
    return ClipBatch(
        frames_lr,
        torch.zeros(count, length, 3, scale * height, scale * width)
        if frames_hr is None
        else frames_hr,
        torch.zeros(count, length, 2, height, width) if flow is None else flow,
        torch.zeros(count, dtype=torch.bool) if known is None else known,
    )


# --- clips through time ----------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_at_once_is_the_stream_step_by_step(kind: str, length: int, scale: int) -> None:
    network = lively(kind, scale=scale).eval()
    clips = random(2, length, 3, 9, 7)
    with torch.no_grad():
        made, _ = run_clip(network, batch_of(clips, scale), functional.mse_loss)
        assert made.shape == (2, length, 3, 9 * scale, 7 * scale)
        for clip, estimates in zip(clips, made, strict=True):
            stream = enhance_clip(network, clip)
            assert torch.allclose(estimates.clamp(0, 1), stream, rtol=0, atol=1e-3)
    assert made.min() < 0  # the loss sees what lies outside, the memory does not
    assert made.max() > 1


@pytest.mark.parametrize(
    ("kind", "length", "shown"),
    [
        ("frvsr", 3, "0- 1- 2-"),
        ("sisr", 2, "0- 1-"),
        ("vsr", 3, "01 12 2-"),
        ("vsr", 1, "0-"),
        ("vsr", 0, ""),
        ("frvsr", 0, ""),
    ],
)
def test_networks_are_shown_the_frames_after_that_they_look_at(
    kind: str, length: int, shown: str
) -> None:
    frames = [torch.tensor(index) for index in range(length)]
    pairs = with_following(iter(frames), network_of(kind).contract.lookahead)
    assert (
        " ".join(f"{int(frame)}{'-' if after is None else int(after)}" for frame, after in pairs)
        == shown
    )


def test_a_clip_may_begin_from_an_estimate() -> None:
    """Fig. 3.7: in place of black."""
    network = lively("frvsr").eval()
    clip = random(3, 3, 8, 8)
    black = enhance_clip(network, clip, torch.zeros(3, 32, 32))
    assert torch.equal(black, enhance_clip(network, clip))
    other = enhance_clip(network, clip, random(3, 32, 32))
    assert (other - black).abs().amax((1, 2, 3)).min() > 1e-4  # it is still felt at the end
    assert not other.requires_grad


# --- losses ----------------------------------------------------------------------------------


def test_flow_loss_of_a_still_clip_without_flow_is_nothing() -> None:
    for kind in ("frvsr", "vsr"):
        network = network_of(kind)
        with torch.no_grad():
            nn.init.zeros_(network.fnet.out.weight)  # type: ignore[union-attr, arg-type]
        still = random(2, 1, 3, 8, 8).expand(2, 4, 3, 8, 8)
        _, flow_loss = run_clip(network, batch_of(still), functional.mse_loss)
        assert flow_loss.item() < 1e-10
        _, flow_loss = run_clip(network, batch_of(random(2, 4, 3, 8, 8)), functional.mse_loss)
        assert flow_loss.item() > 0.05


def test_flow_loss_is_equation_3_8() -> None:
    """As a mean over pixels, colours, pairs and clips."""
    clips = random(2, 4, 3, 8, 8)
    for distance in (functional.mse_loss, functional.l1_loss):
        network = lively("frvsr")
        assert isinstance(network, Frvsr)
        pairs = [(clips[:, t - 1], clips[:, t]) for t in range(1, 4)]
        with torch.no_grad():
            expected = (
                sum(
                    distance(warp(before, network.fnet(before, now)), now).item()
                    for before, now in pairs
                )
                / 3
            )
            assert run_clip(network, batch_of(clips), distance)[1].item() == pytest.approx(
                expected, rel=1e-4
            )
        window = lively("vsr")
        assert isinstance(window, Vsr)
        # Of both neighbours; at the ends the frame is its own.
        pairs = [(clips[:, max(t - 1, 0)], clips[:, t]) for t in range(4)]
        pairs += [(clips[:, min(t + 1, 3)], clips[:, t]) for t in range(4)]
        with torch.no_grad():
            expected = (
                sum(
                    distance(warp(other, window.fnet(other, now)), now).item()
                    for other, now in pairs
                )
                / 8
            )
            assert run_clip(window, batch_of(clips), distance)[1].item() == pytest.approx(
                expected, rel=1e-4
            )


def test_networks_without_pairs_have_no_flow_loss() -> None:
    for kind, length in (("sisr", 3), ("frvsr", 1)):
        batch = batch_of(random(1, length, 3, 8, 8))
        assert run_clip(network_of(kind), batch, functional.mse_loss)[1] == 0


def test_flow_loss_is_least_for_the_true_flow_of_a_sliding_scene() -> None:
    """The sign and the unit of eq. 3.8: a pixel was one to the right and half one down."""
    x, y = torch.arange(24.0), torch.arange(24.0)[:, None]
    wave = [
        0.5 + 0.25 * torch.sin((x + t) / 2) + 0.25 * torch.cos((y + 0.5 * t) / 2.5)
        for t in range(3)
    ]
    clip = torch.stack(wave)[None, :, None].expand(1, 3, 3, 24, 24)
    network = network_of("frvsr", limit=3.0)
    assert isinstance(network, Frvsr)
    bias = network.fnet.out.bias
    assert bias is not None
    losses = {}
    with torch.no_grad():
        nn.init.zeros_(network.fnet.out.weight)  # one flow for all pixels
        for way in ((-1.0, -0.5), (0.0, 0.0), (-0.5, -0.25), (1.0, 0.5), (0.5, 1.0), (-2.0, -1.0)):
            bias.copy_(3 * torch.tensor(way).div(3).atanh())
            losses[way] = run_clip(network, batch_of(clip), functional.mse_loss)[1].item()
    # Frame t shows at x what frame t - 1 showed at x + 1.
    assert min(losses, key=losses.__getitem__) == (1.0, 0.5)
    assert losses[(1.0, 0.5)] < 0.6 * losses[(0.0, 0.0)]  # the rest is the border


def sliding(length: int = 3, side: int = 16) -> tuple[Tensor, Tensor]:
    """A wave that goes an LR pixel to the left with every frame: (1, T, 3, s, s), LR and HR."""
    clips = []
    for scale in (1, 4):
        x = (torch.arange(side * scale) + 0.5) / scale
        wave = torch.stack([0.5 + 0.3 * torch.sin((x + t) / 2.0) for t in range(length)])
        clips.append(wave[None, :, None, None, :].expand(1, length, 3, side * scale, side * scale))
    return clips[0], clips[1]


@pytest.mark.parametrize("kind", ["frvsr", "vsr"])
def test_flow_may_be_judged_on_the_large_frames(kind: str) -> None:
    frames_lr, frames_hr = sliding()
    network = network_of(kind, limit=3.0)
    assert isinstance(network, FlowAligned)
    bias = network.fnet.out.bias
    assert bias is not None
    losses = {}
    with torch.no_grad():
        nn.init.zeros_(network.fnet.out.weight)
        for across in (0.0, 0.5, 1.0):
            bias.copy_(3 * torch.tensor([across, 0.0]).div(3).atanh())
            losses[across] = [
                run_clip(
                    network,
                    batch_of(frames_lr, frames_hr=large),
                    functional.l1_loss,
                    flow_frames="hr",
                )[1].item()
                for large in (frames_hr, frames_hr * 0)
            ]
    assert all(of_black == 0 for _, of_black in losses.values())  # the small ones do not matter
    if kind == "frvsr":
        assert losses[1.0][0] < 0.5 * losses[0.5][0] < 0.4 * losses[0.0][0]
        expected = functional.l1_loss(frames_hr[:, :-1], frames_hr[:, 1:]).item()
        assert losses[0.0][0] == pytest.approx(expected, rel=1e-4)


def test_known_flow_is_given_to_those_clips_that_have_it() -> None:
    network = lively("frvsr").eval()
    assert isinstance(network, Frvsr)
    clips = random(2, 3, 3, 8, 8)
    batch = batch_of(clips, flow=2 * random(2, 3, 2, 8, 8), known=torch.tensor([True, False]))
    with torch.no_grad():
        plain, flow_loss = run_clip(network, batch, functional.mse_loss)
        given, same_loss = run_clip(network, batch, functional.mse_loss, given_flow=True)
        state = VideoState(clips[:1, 0], plain[:1, 0].clamp(0, 1))
        second = network.srnet(network.align(clips[:1, 1], batch.flow[:1, 1], state))
    assert torch.equal(given[:, 0], plain[:, 0])
    assert torch.allclose(given[:1, 1], second, atol=1e-4)
    assert (given[0, 1] - plain[0, 1]).abs().mean() > 1e-3
    assert torch.equal(given[1], plain[1])
    assert flow_loss == same_loss  # FNet goes on learning


@pytest.mark.parametrize("burn_in", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_burnt_in_frames_are_remembered_but_not_learnt_from(kind: str, burn_in: int) -> None:
    network = lively(kind)
    batch = batch_of(random(2, 4, 3, 8, 8))
    batch.frames_lr.requires_grad_()
    whole, _ = run_clip(network, batch, functional.mse_loss)
    made, flow_loss = run_clip(network, batch, functional.mse_loss, burn_in=burn_in)
    assert made.shape == (2, 4 - burn_in, 3, 32, 32)
    if kind == "vsr":  # whose first frame has lost its neighbour
        assert torch.allclose(made[:, 1:], whole[:, burn_in + 1 :], atol=1e-4)
    else:
        assert torch.allclose(made, whole[:, burn_in:], atol=1e-4)
    made.square().mean().backward()
    assert batch.frames_lr.grad is not None
    reached = batch.frames_lr.grad.abs().amax((0, 2, 3, 4)) > 0
    # The first that is learnt from is compared with the one before it.
    first = burn_in - (kind == "frvsr")
    assert reached.tolist() == [index >= first for index in range(4)]
    if kind == "frvsr":
        frames = batch.frames_lr.detach()
        with torch.no_grad():
            rest = batch_of(frames[:, burn_in - 1 :])
            assert flow_loss.item() == pytest.approx(
                run_clip(network, rest, functional.mse_loss)[1].item(), rel=1e-4
            )


def test_burning_in_leaves_gradients_in_reduced_precision() -> None:
    """Autocast keeps the kernels that it has rounded: they must not be those without gradients."""
    network = lively("frvsr")
    with torch.autocast("cpu", torch.bfloat16):
        made, flow_loss = run_clip(
            network, batch_of(random(1, 3, 3, 8, 8)), functional.mse_loss, burn_in=2
        )
        (made.float().square().mean() + flow_loss).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize(
    ("settings", "below"),
    [({"burn_in": 3}, 3), ({"burn_in": 2, "short_share": 0.5}, 2), ({"burn_in": -1}, 3)],
)
def test_something_must_be_left_to_learn_from(settings: dict[str, Any], below: int) -> None:
    with pytest.raises(ValueError, match=f"burn_in must be from 0 to below {below}"):
        tiny("frvsr", **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_l1_then_squares_of_both_terms(videos: Path, kind: str) -> None:
    recipe = tiny(kind, l1_share=0.5, flow_weight=0.7)
    experiment = prepare(recipe, videos)
    network = experiment.network
    assert isinstance(network, VideoNetwork)
    sampler = ClipSampler(
        [moving_clip(index) for index in range(3)],
        motion=None,
        made_share=0,
        side=(8 + 2 * recipe.degradation.margin) * 4,
        length=3,
        device=CPU,
    )
    for step in range(6):
        batch = clip_batch(
            sampler,
            recipe.degradation,
            count=2,
            length=3,
            patch=8,
            scale=4,
            generator=step_generator(1, step),
        )
        distance = functional.l1_loss if step < 3 else functional.mse_loss
        with torch.no_grad():
            estimates, flow_loss = run_clip(network, batch, distance)
            expected = distance(estimates, batch.frames_hr) + 0.7 * flow_loss
            assert loss(experiment, step).item() == pytest.approx(expected.item(), rel=1e-5)


def test_short_clips_come_first(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = prepare(tiny(short_share=0.5, frames=4), videos)
    lengths = []

    def note(
        network: VideoNetwork, batch: ClipBatch, *rest: Any, **options: Any
    ) -> tuple[Tensor, Tensor]:
        lengths.append(batch.frames_lr.shape[1])
        assert batch.frames_lr.shape == (2, lengths[-1], 3, 8, 8)
        return run_clip(network, batch, *rest, **options)

    monkeypatch.setitem(VideoSuperResolution.loss.__globals__, "run_clip", note)
    for step in range(6):
        loss(experiment, step)
    assert lengths == [2, 2, 2, 4, 4, 4]


def test_fnet_alone_is_aligned_first(videos: Path, photos: Path) -> None:
    """Then known flow is used, then none is given: by the shares of the recipe."""
    recipe = tiny(
        "frvsr", photos=str(photos), align_share=0.34, given_share=0.33, batch=4, flow_frames="hr"
    )
    experiment = prepare(recipe, videos)
    learning = []
    for step in range(6):
        experiment.network.zero_grad()
        loss(experiment, step).backward()  # type: ignore[no-untyped-call]
        learning.append(
            {
                name.split(".")[0]
                for name, parameter in experiment.network.named_parameters()
                if parameter.grad is not None
            }
        )
    assert learning == [{"fnet"}] * 2 + [{"fnet", "srnet"}] * 4
    given = []
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setitem(
            VideoSuperResolution.loss.__globals__,
            "run_clip",
            lambda *rest, **options: (
                given.append(options["given_flow"]) or run_clip(*rest, **options)
            ),
        )
        for step in range(2, 6):
            loss(experiment, step)
    assert given == [True, True, False, False]


@pytest.mark.parametrize(
    "settings", [{"frames": 1, "short_frames": 1}, {"short_frames": 1, "short_share": 0.5}]
)
def test_one_frame_cannot_be_aligned(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="align_share needs clips of at least 2 frames"):
        tiny("frvsr", align_share=0.5, **settings)


def test_what_has_no_flow_cannot_be_aligned(videos: Path) -> None:
    with pytest.raises(UsageError, match="align_share=0.5: .* has no flow"):
        prepare(tiny("sisr", align_share=0.5), videos)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_the_shares_average_to_the_loss(videos: Path, kind: str) -> None:
    experiment = prepare(tiny(kind, batch=4), videos)
    for step in (0, 5):
        losses = [
            loss(experiment, step, share)
            for share in (slice(None), slice(0, None, 2), slice(1, None, 2))
        ]
        assert losses[0].item() == pytest.approx((losses[1] + losses[2]).item() / 2, rel=1e-5)


def test_a_batch_too_small_for_its_processes(videos: Path) -> None:
    with pytest.raises(UsageError, match="batch=2"):
        loss(prepare(tiny(), videos), 0, slice(2, None, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_training_learns_one_clip(tmp_path: Path, kind: str) -> None:
    """Overfitting: the loss falls and validation on the same clip rises."""
    write_frames(tmp_path / "clips" / "only", moving_clip(4, 5, 64, 64))
    recipe = tiny(kind, patch=6, config={"channels": 8})
    experiment = prepare(recipe, tmp_path / "clips")

    def mean_loss() -> float:
        with torch.no_grad():
            return sum(loss(experiment, step).item() for step in range(1000, 1004)) / 4

    before = mean_loss()
    with torch.no_grad():
        score = experiment.validate(experiment.network.eval())
    experiment.network.train()
    optimiser = torch.optim.Adam(experiment.network.parameters(), lr=5e-4)
    for step in range(60):
        optimiser.zero_grad()
        loss(experiment, step).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(experiment.network.parameters(), 0.5)
        optimiser.step()
    assert mean_loss() < 0.95 * before
    assert experiment.validate(experiment.network.eval()) > score + 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_reduced_precision_is_near(videos: Path, kind: str) -> None:
    experiment = prepare(tiny(kind), videos)
    exact = loss(experiment, 2)
    with torch.autocast("cpu", torch.bfloat16):
        near = loss(experiment, 2)
    assert near.dtype == torch.float32
    assert near.item() == pytest.approx(exact.item(), rel=0.02)
    near.backward()  # type: ignore[no-untyped-call]
    for parameter in experiment.network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


# --- data ------------------------------------------------------------------------------------


def test_every_fifth_clip_is_held_out(tmp_path: Path) -> None:
    for index in range(7):
        write_frames(tmp_path / f"clip{index}", moving_clip(index, 5))
    experiment = tiny().prepare(tmp_path, None, CPU)
    assert experiment.data == "5 scenes of video"
    held = experiment._held
    assert len(held) == 2
    for (_, frames_hr), index in zip(held, (0, 5), strict=True):
        assert torch.equal(frames_hr[..., 0, 0], moving_clip(index, 5).float()[..., 2, 4] / 255)


def test_scenes_are_parted(tmp_path: Path) -> None:
    """Ch. 3.3.5: no clip holds a cut."""
    bright, dark = moving_clip(0, 4), moving_clip(1, 5) // 8
    write_frames(tmp_path / "film", torch.cat([bright, dark]))
    experiment = prepare(tiny(), tmp_path)
    assert [len(clip) for clip in experiment._sampler.clips] == [4, 5]


def test_validation_is_the_same_each_time_and_of_the_middle(tmp_path: Path) -> None:
    clip = torch.zeros(22, 3, 300, 410, dtype=torch.uint8)
    clip[:, :, 22:-22, 45:-45] = 255
    write_frames(tmp_path / "large", clip)
    recipe = tiny(degradation=Degradation(noise=1.0, noise_deviation=(0.05, 0.05)))
    experiments = [prepare(recipe, tmp_path) for _ in range(2)]
    loss(experiments[0], 3)
    for (first, target), (second, _) in zip(*(e._held for e in experiments), strict=True):
        assert target.shape == (20, 3, 256, 320)
        assert first.shape == (20, 3, 64, 80)
        assert target.min() == 1.0  # the frame is outside
        assert torch.equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_validation_is_the_psnr_of_the_stream(videos: Path, kind: str) -> None:
    experiment = prepare(tiny(kind), videos)
    network = experiment.network.eval()
    assert isinstance(network, VideoNetwork)
    scores = []
    for index in range(3):
        frames_hr = moving_clip(index)[..., 2:66, 4:68].float() / 255
        frames_lr = Degradation().apply(frames_hr[None], 4, torch.Generator().manual_seed(0))[0]
        scores.append(video_psnr(enhance_clip(network, frames_lr), frames_hr))
    assert experiment.validate(network) == pytest.approx(np.mean(scores), abs=1e-4)


def test_a_residual_of_nothing_scores_as_bicubic(videos: Path) -> None:
    experiment = prepare(tiny(), videos)
    with torch.no_grad():
        nn.init.zeros_(experiment.network.srnet.out.weight)  # type: ignore[union-attr, arg-type]
    scores = [
        video_psnr(imresize(frames_lr, 4), frames_hr) for frames_lr, frames_hr in experiment._held
    ]
    assert experiment.validate(experiment.network.eval()) == pytest.approx(
        np.mean(scores), abs=1e-3
    )


def test_a_clip_that_can_be_met_exactly_has_a_score(tmp_path: Path) -> None:
    write_frames(tmp_path / "grey", torch.full((5, 3, 64, 64), 100, dtype=torch.uint8))
    experiment = prepare(tiny(patch=6), tmp_path)
    with torch.no_grad():
        nn.init.zeros_(experiment.network.srnet.out.weight)  # type: ignore[union-attr, arg-type]
    assert experiment.validate(experiment.network.eval()) == 100


def test_photographs_are_set_in_motion(videos: Path, photos: Path) -> None:
    plain = prepare(tiny(), videos)
    assert plain.data == "3 scenes of video"
    mixed = prepare(tiny(photos=str(photos), made_share=0.5, batch=6), videos)
    assert mixed.data == "3 scenes of video, 2 photographs set in motion"
    assert loss(mixed).item() > 0
    alone = prepare(tiny(photos=str(photos), made_share=1.0), videos)
    assert loss(alone).item() not in (loss(plain).item(), loss(mixed).item())


def test_photographs_alone_do_where_all_clips_are_made(tmp_path: Path, photos: Path) -> None:
    write_frames(tmp_path / "only", moving_clip(0, 5))
    experiment = tiny(photos=str(photos), made_share=1.0).prepare(tmp_path, None, CPU)
    assert experiment.data == "0 scenes of video, 2 photographs set in motion"
    assert loss(experiment).item() > 0


def test_photographs_smaller_than_a_patch_are_left_out(videos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (63, 200)).save(tmp_path / "small.png")
    assert prepare(tiny(photos=str(tmp_path)), videos).data == "3 scenes of video"


# --- runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIDEO)
def test_every_recipe_trains(videos: Path, tmp_path: Path, name: str) -> None:
    settings = (*TINY, "codec=jpeg") if name == "frvsr-real" else TINY
    report = run_recipe(
        name,
        videos,
        validation=videos,
        out=tmp_path / "run",
        device="cpu",
        quiet=True,
        init=NO_INIT,
        overrides=settings,
    )
    assert report.step == 4
    info = read_checkpoint_info(tmp_path / "run" / f"{name}.safetensors")
    assert info.name == name
    assert info.training["recipe"]["architecture"] == MODELS[name].architecture
    assert info.training["data"] == "3 scenes of video"
    assert info.training["validation_psnr_y"] == pytest.approx(report.best, abs=1e-4)
    network = load_network(info)
    assert isinstance(network, VideoNetwork)
    assert enhance_clip(network.eval(), random(2, 3, 5, 6)).shape == (2, 3, 20, 24)


@pytest.mark.parametrize("kind", ["frvsr", "sisr"])
def test_the_same_run_makes_the_same_weights_however_often_it_is_stopped(
    videos: Path, photos: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(
        kind,
        photos=str(photos),
        short_share=0.5,
        l1_share=0.3,
        degradation=Degradation(
            blur=(0.5, 2.5), other_kernels=0.3, noise=0.5, compressed=0.5, codec="jpeg"
        ),
    )
    monkeypatch.setitem(RECIPES, "tiny", Recipe("tiny", "", (recipe,)))
    options: dict[str, Any] = {"validation": videos, "device": "cpu", "quiet": True}
    for name in ("one", "two"):
        run_recipe("tiny", videos, out=tmp_path / name, **options)
    for step in range(6):
        run_recipe("tiny", videos, out=tmp_path / "parts", minutes=0, resume=step > 0, **options)
    first = load_file(tmp_path / "one" / "last.safetensors")
    for other in ("two", "parts"):
        second = load_file(tmp_path / other / "last.safetensors")
        for key, value in first.items():
            assert torch.equal(value, second[key]), (other, key)


def test_a_deeper_network_starts_from_what_fits(videos: Path) -> None:
    torch.manual_seed(5)
    own = network_of("frvsr").state_dict()
    made = prepare(tiny(config={"blocks": 2}), videos, init=own).network.state_dict()
    for key, value in own.items():
        assert torch.equal(value, made[key]), key
    with pytest.raises(CheckpointError, match="--init"):
        prepare(tiny(), videos, init={"other": torch.zeros(1)})


SHARED_RECIPE = Recipe("tiny", "", (tiny("frvsr", config={"channels": 2, "blocks": 0}),))
WORKER = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_video_training as tests

tests.torch.set_num_threads(1)
tests.RECIPES["tiny"] = tests.SHARED_RECIPE
tests.run_recipe("tiny", Path(sys.argv[2]), validation=Path(sys.argv[2]), out=Path(sys.argv[3]),
                 device="cpu", quiet=True)
"""


def test_two_processes_train_as_one(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights but for the order of sums."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    here = str(Path(__file__).parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, here, str(videos), str(tmp_path / "both")],
            env=common | {"RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        monkeypatch.setitem(RECIPES, "tiny", SHARED_RECIPE)
        run_recipe(
            "tiny", videos, validation=videos, out=tmp_path / "one", device="cpu", quiet=True
        )
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    both, one = (load_file(tmp_path / name / "last.safetensors") for name in ("both", "one"))
    for key, value in one.items():
        assert torch.allclose(both[key], value, rtol=0, atol=1e-5), key


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "assignment",
    [
        "patch=0",
        "batch=0",
        "frames=0",
        "short_frames=0",
        "short_share=1.5",
        "l1_share=-1",
        "made_share=2",
        "architecture=resnet",
        "made_share=NaN",
        "photos=3",
        "learning_rate=-1",
        "flow_weight=-1",
        "flow_weight=NaN",
    ],
)
def test_settings_that_no_run_can_use(assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(RECIPES["frvsr-10-128"].stages[0], [assignment])
    assert assignment.split("=")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_short_clips_are_no_longer_than_others() -> None:
    recipe = RECIPES["frvsr-10-128"].stages[0]
    assert override(recipe, ["frames=3"]).frames == 3  # without short clips their length is free
    with pytest.raises(UsageError, match="short_frames"):
        override(recipe, ["short_frames=11", "short_share=0.5"])
    assert override(recipe, ["short_frames=10", "short_share=0.5"]).short_frames == 10


@pytest.mark.parametrize(
    "assignment", ["scale=3", "channels=0", "blocks=-1", "limit=0", "architecture=enhancenet"]
)
def test_networks_that_cannot_be(videos: Path, assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(override(tiny(), [assignment]), videos)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assignment", ["scale=2", "architecture=sisr"])
def test_a_recipe_keeps_what_makes_its_model(videos: Path, tmp_path: Path, assignment: str) -> None:
    with pytest.raises(UsageError, match="another model"):
        run_recipe("frvsr-3-64", videos, out=tmp_path / "run", overrides=[assignment], quiet=True)
    assert not (tmp_path / "run").exists()


def test_clips_that_hold_no_patch(videos: Path) -> None:
    with pytest.raises(DatasetError, match="3 frames of 96x96"):
        prepare(tiny(patch=16), videos)
    with pytest.raises(DatasetError, match="7 frames"):
        prepare(tiny(frames=7), videos)


def test_one_video_is_too_few(tmp_path: Path) -> None:
    write_frames(tmp_path / "only", moving_clip(0))
    with pytest.raises(DatasetError, match="one video") as caught:
        tiny().prepare(tmp_path, None, CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(4, 64, 64), (5, 31, 64), (5, 64, 31)])
def test_clips_too_small_to_validate_on(
    videos: Path, tmp_path: Path, size: tuple[int, int, int]
) -> None:
    write_frames(tmp_path / "small", moving_clip(0, *size))
    with pytest.raises(DatasetError, match="5 frames of 32 pixels"):
        tiny().prepare(videos, tmp_path, CPU)


@pytest.mark.parametrize("which", ["data", "validation", "photos"])
def test_folders_that_hold_nothing(videos: Path, tmp_path: Path, which: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    recipe = tiny(photos=str(empty)) if which == "photos" else tiny()
    with pytest.raises(DatasetError, match="empty") as caught:
        recipe.prepare(
            empty if which == "data" else videos, empty if which == "validation" else videos, CPU
        )
    assert "\n" not in str(caught.value)


# --- recipes ---------------------------------------------------------------------------------


def test_recipes_of_the_paper() -> None:
    """Ch. 3.3.5: clips of 10 frames, patches of 256 pixels, batches of 4, a blur of 1.5."""
    assert {"frvsr-3-64", "frvsr-10-128", "sisr", "vsr", "frvsr-real"} == set(VIDEO)
    for name in VIDEO:
        for stage in RECIPES[name].stages:
            assert isinstance(stage, VideoStage)
            if name in ("frvsr-10-128", "vsr"):
                assert (stage.frames, stage.patch * 4, stage.batch) == (10, 256, 4)
            assert stage.flow_weight == 1.0
            if name != "frvsr-real":
                assert stage.degradation == Degradation(blur=(1.5, 1.5))
