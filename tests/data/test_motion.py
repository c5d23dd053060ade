"""Clips made from photographs: how they move, what hides what, and that the truth is known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.data.motion import Motion, MotionSampler
from enhance_cli.resize import imresize

CALM = Motion(still=0.0, turn=0.0, zoom=0.0, shake=0.0, layered=0.0, blurred=0.0)


def moving(**changes: Any) -> Motion:
    return Motion(**(CALM.__dict__ | changes))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photo(height: int = 200, width: int = 240, seed: int = 0) -> Tensor:
    """Soft detail away from black and white, uint8 (3, H, W)."""
    rough = torch.rand(3, -(-height // 8), -(-width // 8), generator=generator(seed))
    smooth = imresize(rough, 8)[:, :height, :width].clamp(0, 1)
    return (32 + 191 * smooth).round().to(torch.uint8)


def coordinates(height: int = 250, width: int = 250) -> Tensor:
    """Red is the column, green the row: a clip tells by itself where its pixels come from."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows, torch.full_like(rows, 128)]).to(torch.uint8)


def clip_of(
    motion: Motion, source: Tensor, *, length: int = 5, side: int = 24, seed: int = 0
) -> Tensor:
    return MotionSampler([source], motion).clip(length, side, generator(seed))[0]


def flow_of(
    motion: Motion, source: Tensor, *, length: int = 5, side: int = 24, seed: int = 0
) -> Tensor:
    return MotionSampler([source], motion).clip(length, side, generator(seed))[1]


def places(clip: Tensor) -> Tensor:
    """Where every pixel of a clip of ``coordinates`` lies in it: (T, 2, side, side) as x, y.

    To some hundredths of a pixel: torch's bicubic kernel (a = -0.75) bends a ramp that much.
    """
    return clip[:, :2] * 255


def centres(clip: Tensor) -> Tensor:
    return places(clip)[..., 4:-4, 4:-4].mean((2, 3))


# --- what comes out --------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "side"), [(1, 8), (3, 16), (10, 33)])
def test_shape_and_range(length: int, side: int) -> None:
    sampler = MotionSampler([photo(), photo(90, 70, 1)])
    hard = MotionSampler(
        [torch.randint(2, (3, 90, 70), generator=generator()).to(torch.uint8) * 255]
    )
    for seed in range(6):
        for each in (sampler, hard):
            clip, flow = each.clip(length, side, generator(seed))
            assert flow.shape == (length, 2, side, side)
            assert flow.isfinite().all()
            assert flow[0].abs().max() < 1e-4
            assert clip.shape == (length, 3, side, side)
            assert clip.dtype == torch.float32
            assert clip.min() >= 0
            assert clip.max() <= 1


def test_the_generator_decides() -> None:
    sampler = MotionSampler([photo(), photo(seed=1)])
    drawn = [sampler.clip(4, 24, generator(seed)) for seed in (3, 3, 4)]
    for first, again, other in zip(*drawn, strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_every_photo_comes_from_everywhere() -> None:
    sources = [coordinates(200, 120), coordinates(60, 250)]
    sources[1][2] = 0
    sampler = MotionSampler(sources, moving(speed=(0.1, 0.2)))
    seen: dict[bool, list[Tensor]] = {True: [], False: []}
    for seed in range(80):
        clip, _ = sampler.clip(1, 16, generator(seed))
        seen[bool(clip[0, 2].mean() > 0.25)].append(centres(clip)[0])
    for first, (height, width) in ((True, (200, 120)), (False, (60, 250))):
        found = torch.stack(seen[first])
        assert len(found) > 20
        size = torch.tensor([width, height])
        assert (found.amin(0) < 9 + 0.15 * size).all()
        assert (found.amax(0) > size - 9 - 0.15 * size).all()


@pytest.mark.parametrize("size", [(24, 24), (24, 100), (25, 24), (31, 30)])
def test_photos_no_larger_than_the_clip(size: tuple[int, int]) -> None:
    """What lies outside is the mirrored photograph: nothing black, nothing undefined."""
    bright = torch.full((3, *size), 200, dtype=torch.uint8)
    wild = Motion(still=0.0, speed=(20.0, 24.0), layered=0.5, blurred=0.5)
    for seed in range(12):
        clip, _ = MotionSampler([bright], wild).clip(6, 24, generator(seed))
        assert torch.allclose(clip, torch.full_like(clip, 200 / 255), rtol=0, atol=1e-4)
        assert clip_of(wild, photo(*size), length=6, seed=seed).isfinite().all()


def test_only_the_photograph_is_seen_where_there_is_room() -> None:
    """No border is mirrored into a clip that the photograph could hold."""
    framed = torch.full((3, 120, 140), 255, dtype=torch.uint8)
    framed[:, 1:-1, 1:-1] = 100
    motion = moving(speed=(1.0, 4.0), turn=0.02, zoom=0.01, shake=1.0)
    mirrored = 0
    for seed in range(60):
        source = coordinates(120, 140)
        position = places(clip_of(motion, source, side=32, length=6, seed=seed))
        steps = [position.diff(dim=3), position.diff(dim=2)]
        # Mirrored, the coordinates would run backwards.
        mirrored += int(steps[0][:, 0].min() < 0.5 or steps[1][:, 1].min() < 0.5)
    assert mirrored == 0


# --- how it moves ----------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.3, 1.0, 5.0])
def test_speed_is_as_asked(speed: float) -> None:
    for seed in range(8):
        path = centres(clip_of(moving(speed=(speed, speed)), coordinates(), seed=seed))
        steps = path.diff(dim=0).norm(dim=1)
        assert steps.tolist() == pytest.approx([speed] * 4, abs=0.07)


def test_speeds_are_drawn_evenly_in_their_logarithm() -> None:
    found = []
    for seed in range(150):
        clip = clip_of(moving(speed=(0.5, 8.0)), coordinates(), length=2, side=16, seed=seed)
        found.append(float(centres(clip).diff(dim=0).norm()))
    speeds = torch.tensor(found).sort().values
    assert 0.43 < speeds[0] < 0.7
    assert 6 < speeds[-1] < 8.07
    assert speeds[75].item() == pytest.approx(2, rel=0.3)


def test_all_directions_occur_and_bend_a_little() -> None:
    turned = []
    quadrants = set()
    for seed in range(40):
        steps = centres(clip_of(moving(speed=(8.0, 8.0)), coordinates(), seed=seed)).diff(dim=0)
        quadrants.add((bool(steps[0, 0] > 0), bool(steps[0, 1] > 0)))
        angle = torch.atan2(steps[:, 1], steps[:, 0])
        change = torch.remainder(angle.diff() + math.pi, 2 * math.pi) - math.pi
        assert change.abs().max() < 0.2
        assert change.std() < 0.04  # smoothly: by the same angle at every frame
        turned.append(float(change.mean()))
    assert len(quadrants) == 4
    assert min(turned) < -0.05
    assert max(turned) > 0.05


def test_still_clips_are_still() -> None:
    clip = clip_of(Motion(still=1.0, layered=0.0, blurred=0.0), photo(), length=8)
    assert torch.equal(clip, clip[:1].expand_as(clip))
    layered = clip_of(Motion(still=1.0, layered=1.0, blurred=1.0), photo(), length=8)
    assert torch.allclose(layered, layered[:1].expand_as(layered), rtol=0, atol=1e-6)


def test_as_many_are_still_as_asked() -> None:
    motion = Motion(speed=(1.0, 2.0), still=0.3, layered=0.0, blurred=0.0)
    still = sum(
        bool((clip[1] - clip[0]).abs().max() < 1e-6)
        for clip in (
            clip_of(motion, photo(60, 60), length=2, side=12, seed=seed) for seed in range(150)
        )
    )
    assert 25 < still < 66


def test_turning_is_within_its_limit_and_smooth() -> None:
    turns = []
    for seed in range(20):
        position = places(
            clip_of(moving(speed=(0.5, 1.0), turn=0.05), coordinates(), side=64, seed=seed)
        )
        along = (position[..., -5] - position[..., 4])[:, :, 4:-4].mean(2)
        angle = torch.atan2(along[:, 1], along[:, 0])
        assert angle[0].abs() < 0.21
        assert angle.diff().std() < 4e-3
        turns.append(float(angle.diff().mean()))
    assert -0.052 < min(turns) < -0.02
    assert 0.02 < max(turns) < 0.052


def test_zooming_is_within_its_limit_and_about_nothing() -> None:
    zooms = []
    for seed in range(20):
        position = places(
            clip_of(moving(speed=(0.5, 1.0), zoom=0.04), coordinates(), side=64, seed=seed)
        )
        along = (position[..., -5] - position[..., 4])[:, :, 4:-4].mean(2)
        size = along.norm(dim=1) / 55
        assert size[2].item() == pytest.approx(1, abs=5e-3)
        assert size.diff().std() < 4e-3
        zooms.append(float(size.diff().mean()))
    assert -0.042 < min(zooms) < -0.015
    assert 0.015 < max(zooms) < 0.042


def test_a_hand_trembles_no_farther_than_asked() -> None:
    farthest = 0.0
    for seed in range(12):
        steady, shaken = (
            centres(
                clip_of(moving(speed=(1.0, 1.0), shake=shake), coordinates(), length=12, seed=seed)
            )
            for shake in (0.0, 2.0)
        )
        # Placing a clip depends on all of its path, so it is compared from its first frame.
        apart = (shaken - shaken[:1]) - (steady - steady[:1])
        assert apart.abs().max() < 4.05  # from one end of its swing to the other
        farthest = max(farthest, float(apart.abs().max()))
    assert farthest > 1


def fetch(clip: Tensor, flow: Tensor) -> Tensor:
    """Every frame but the first, from the one before it by the flow."""
    side = clip.shape[-1]
    grid = torch.arange(side, dtype=torch.float32)
    x, y = grid + flow[1:, 0], grid[:, None] + flow[1:, 1]
    where = (2 * torch.stack([x, y], 3) + 1) / side - 1
    return functional.grid_sample(
        clip[:-1], where, mode="bicubic", padding_mode="border", align_corners=False
    )


def test_the_truth_leads_from_frame_to_frame() -> None:
    motion = moving(speed=(0.5, 2.0), turn=0.01, zoom=0.01, shake=0.5)
    inner = (..., slice(8, -8), slice(8, -8))
    for seed in range(8):
        clip, flow = (
            make(motion, photo(250, 250), side=40, seed=seed) for make in (clip_of, flow_of)
        )
        error = (fetch(clip, flow) - clip[1:])[inner].abs().amax((1, 2, 3))
        unmoved = (clip[:-1] - clip[1:])[inner].abs().amax((1, 2, 3))
        assert error.max() < 0.02
        assert (error < 0.5 * unmoved).all()
        against = (fetch(clip, -flow) - clip[1:])[inner].abs().amax((1, 2, 3))
        assert (against > unmoved).all()


def test_the_truth_is_where_a_pixel_was() -> None:
    """A photograph of coordinates says the same by its colours."""
    motion = moving(speed=(2.0, 6.0), turn=0.02, zoom=0.02, shake=1.0)
    for seed in range(8):
        position, flow = (
            make(motion, coordinates(), side=40, seed=seed)
            for make in (lambda *a, **k: places(clip_of(*a, **k)), flow_of)
        )
        fetched = fetch(position, flow)
        inner = (..., slice(12, -12), slice(12, -12))
        assert (fetched - position[1:])[inner].abs().max() < 0.25


def test_still_clips_have_no_flow() -> None:
    still = Motion(still=1.0, layered=1.0, blurred=1.0)
    assert flow_of(still, photo(), length=8).abs().max() < 1e-4


# --- what is in front ------------------------------------------------------------------------


def layered_clip(seed: int, **changes: Any) -> tuple[Tensor, Tensor]:
    """A green photograph behind, a red one in front: red says what is hidden."""
    sources = [torch.zeros(3, 160, 160, dtype=torch.uint8) for _ in range(2)]
    sources[0][0], sources[1][1] = 255, 255
    motion = moving(layered=1.0, speed=(3.0, 3.0), **changes)
    while True:  # the same photograph may be drawn for both
        clip, flow = MotionSampler(sources, motion).clip(4, 48, generator(seed))
        if clip[:, 0].max() > 0.9 and clip[:, 1].max() > 0.9:
            return clip, flow
        seed += 1000


def test_layers_hide_and_reveal() -> None:
    hidden = revealed = 0
    for seed in range(6):
        clip, _ = layered_clip(seed)
        assert torch.allclose(clip[:, 0] + clip[:, 1], torch.ones(4, 48, 48), rtol=0, atol=0.02)
        assert clip[:, 2].abs().max() < 1e-4
        change = clip[1:, 0] - clip[:-1, 0]
        hidden += int((change > 0.8).sum())
        revealed += int((change < -0.8).sum())
    assert hidden > 50
    assert revealed > 50


def test_edges_of_layers_are_a_few_pixels_wide() -> None:
    """Neither jagged nor a fog: most of a frame is the one or the other."""
    shares = torch.stack([layered_clip(seed)[0][0, 0] for seed in range(6)])
    between = ((shares > 0.1) & (shares < 0.9)).float().mean()
    assert 0.005 < between < 0.3
    assert 0.1 < shares.mean() < 0.9


def test_as_many_are_layered_as_asked() -> None:
    sources = [torch.full((3, 64, 64), level, dtype=torch.uint8) for level in (60, 200)]
    for share in (0.0, 0.5, 1.0):
        sampler = MotionSampler(sources, moving(layered=share))
        clips = [sampler.clip(1, 24, generator(seed))[0] for seed in range(100)]
        mixed = sum(bool(clip.max() - clip.min() > 0.1) for clip in clips)
        # Half of the layers are of the photograph behind them.
        assert mixed == pytest.approx(50 * share, abs=22 * min(share, 0.75) + 1e-6)


def test_the_flow_is_that_of_the_layer_in_front() -> None:
    """Where red is seen, red moves: what stays within its layer is fetched from within it."""
    for seed in range(6):
        clip, flow = layered_clip(seed)
        red = clip[:, :1]
        inside = red[1:] > 0.9
        x = torch.arange(48) + flow[1:, 0]
        y = torch.arange(48)[:, None] + flow[1:, 1]
        within = ((x > 2) & (x < 45) & (y > 2) & (y < 45))[:, None]
        moved = fetch(red, flow)[inside & within]
        assert len(moved) > 20
        assert (moved > 0.7).float().mean() > 0.97
        ways = {tuple(way) for way in flow[1].flatten(1).T.mul(20).round().int().tolist()}
        assert len(ways) > 1


# --- an open shutter -------------------------------------------------------------------------


def stripes(horizontal: bool) -> Tensor:
    wave = (127 + 100 * torch.sin(torch.arange(240) * 2 * math.pi / 8)).to(torch.uint8)
    rows = wave[:, None].expand(240, 240)
    return (rows if horizontal else rows.T).expand(3, 240, 240).contiguous()


def test_blur_is_along_the_motion() -> None:
    """Stripes across the path fade, those along it stay."""
    strength: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(40):
        ways = centres(
            clip_of(
                moving(speed=(5.0, 5.0), blurred=1.0), coordinates(), side=32, length=2, seed=seed
            )
        )
        step = (ways[1] - ways[0]).abs()
        if step.max() < 4 * step.min():
            continue
        for horizontal in (True, False):
            sharp, blurred = (
                clip_of(
                    moving(speed=(5.0, 5.0), blurred=share),
                    stripes(horizontal),
                    side=32,
                    length=2,
                    seed=seed,
                ).std()
                for share in (0.0, 1.0)
            )
            across = bool(step[1] > step[0]) == horizontal
            strength[across].append(float(blurred / sharp))
    assert len(strength[True]) > 5
    assert max(strength[True]) < 0.97
    assert sum(strength[True]) / len(strength[True]) < 0.85
    assert min(strength[False]) > 0.9


def test_an_open_shutter_leaves_speed_as_it_is() -> None:
    for seed in range(6):
        path = centres(clip_of(moving(speed=(3.0, 3.0), blurred=1.0), coordinates(), seed=seed))
        assert path.diff(dim=0).norm(dim=1).tolist() == pytest.approx([3] * 4, abs=0.07)
