"""A stage of video training: its losses, its clips, its validation, and data that it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_video import CPU, KINDS, loss, moving_clip, prepare, tiny, write_frames
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.data.clips import ClipBatch, ClipSampler, clip_batch
from enhance_cli.data.degradation import Degradation
from enhance_cli.engine.recurrent import enhance_clip
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.metrics.video import video_psnr
from enhance_cli.resize import imresize
from enhance_cli.training.optimisation import step_generator
from enhance_cli.training.unroll import run_clip
from enhance_cli.training.video import VideoSuperResolution


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


def test_fnet_alone_is_aligned_first(videos: Path, video_photos: Path) -> None:
    """Then known flow is used, then none is given: by the shares of the recipe."""
    recipe = tiny(
        "frvsr",
        photos=str(video_photos),
        align_share=0.34,
        given_share=0.33,
        batch=4,
        flow_frames="hr",
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


def test_photographs_are_set_in_motion(videos: Path, video_photos: Path) -> None:
    plain = prepare(tiny(), videos)
    assert plain.data == "3 scenes of video"
    mixed = prepare(tiny(photos=str(video_photos), made_share=0.5, batch=6), videos)
    assert mixed.data == "3 scenes of video, 2 photographs set in motion"
    assert loss(mixed).item() > 0
    alone = prepare(tiny(photos=str(video_photos), made_share=1.0), videos)
    assert loss(alone).item() not in (loss(plain).item(), loss(mixed).item())


def test_photographs_alone_do_where_all_clips_are_made(tmp_path: Path, video_photos: Path) -> None:
    write_frames(tmp_path / "only", moving_clip(0, 5))
    experiment = tiny(photos=str(video_photos), made_share=1.0).prepare(tmp_path, None, CPU)
    assert experiment.data == "0 scenes of video, 2 photographs set in motion"
    assert loss(experiment).item() > 0


def test_photographs_smaller_than_a_patch_are_left_out(videos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (63, 200)).save(tmp_path / "small.png")
    assert prepare(tiny(photos=str(tmp_path)), videos).data == "3 scenes of video"


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
