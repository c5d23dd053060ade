"""From large frames to small ones: the kernels, that nothing shifts, noise and codecs."""

import math
import sys
from typing import Any

import pytest
import torch
from tensors import random
from torch import Tensor
from torch.nn import functional

from enhance_cli.data.degradation import (
    Degradation,
    LossyCodec,
    area_taps,
    bicubic_taps,
    compress,
    gaussian_taps,
    reduce_frames,
)
from enhance_cli.errors import UsageError
from enhance_cli.levels import quantise
from enhance_cli.resize import imresize
from enhance_cli.subsampling import blur_and_subsample
from enhance_cli.training.recipes import RECIPES

CODECS: tuple[LossyCodec, ...] = ("h264", "jpeg")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(length: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Soft detail (T, 3, H, W), the same in all colours: 4:2:0 takes nothing from it."""
    rough = random(length, 1, -(-height // 8) + 1, -(-width // 8) + 1, seed=seed)
    return imresize(rough, 8)[..., :height, :width].clamp(0, 1).repeat(1, 3, 1, 1)


def taps_of(kernel: str, scale: int) -> Tensor:
    """Every kernel that ``Degradation`` may draw, as it draws it."""
    radius = 4 * scale
    return {
        "gaussian": lambda: gaussian_taps(torch.tensor([1.5]), radius),
        "narrow": lambda: gaussian_taps(torch.tensor([0.0]), radius),
        "area": lambda: area_taps(1, scale, radius),
        "bicubic": lambda: bicubic_taps(1, scale, radius),
    }[kernel]()


KERNELS = ("gaussian", "narrow", "area", "bicubic")


# --- the kernels -----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_are_symmetric_and_of_sum_one(kernel: str, scale: int) -> None:
    taps = taps_of(kernel, scale)
    assert taps.shape == (1, 8 * scale)
    assert taps.sum().item() == pytest.approx(1, abs=1e-6)
    assert torch.allclose(taps, taps.flip(1), rtol=0, atol=1e-7)


def test_every_clip_has_a_gaussian_of_its_own() -> None:
    sigmas = torch.tensor([0.0, 0.5, 1.5, 3.0])
    taps = gaussian_taps(sigmas, 12)
    place = torch.arange(-11.5, 12)
    for row, sigma in zip(taps[1:], sigmas[1:], strict=True):
        expected = torch.exp(-place.square() / (2 * sigma.square()))
        assert torch.allclose(row, expected / expected.sum(), rtol=0, atol=1e-6)
    # No blur: the two pixels in the middle of the cell, in equal parts.
    assert taps[0, 11:13].tolist() == [0.5, 0.5]
    assert taps[0].count_nonzero() == 2
    # The variance that was asked for, where a pixel is fine against it.
    assert (taps[3] * place.square()).sum().sqrt().item() == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_is_imresize_inside(scale: int) -> None:
    frames = random(1, 2, 3, 12 * scale, 14 * scale)
    made = reduce_frames(frames, taps_of("bicubic", scale), scale)
    expected = imresize(frames, 1 / scale)
    inner = (..., slice(2, -2), slice(2, -2))
    assert made.shape == expected.shape == (1, 2, 3, 12, 14)
    assert torch.allclose(made[inner], expected[inner], rtol=0, atol=1e-6)
    # That repeats the border as this does.
    assert torch.allclose(made, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_area_is_the_mean_of_cells(scale: int) -> None:
    frames = random(2, 1, 3, 5 * scale, 7 * scale)
    made = reduce_frames(frames, area_taps(2, scale, 3 * scale), scale)
    cells = functional.avg_pool2d(frames.flatten(0, 1), scale)
    assert torch.allclose(made.flatten(0, 1), cells, rtol=0, atol=1e-6)


# --- nothing shifts --------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_ramp_stays_where_it_is(kernel: str, scale: int) -> None:
    """A small pixel has the ramp's value at the middle of its cell."""
    x, y = torch.arange(24.0 * scale), torch.arange(20.0 * scale)[:, None]
    ramp = (0.1 + 0.006 * x / scale + 0.02 * y / scale)[None, None, None].repeat(1, 1, 3, 1, 1)
    made = reduce_frames(ramp, taps_of(kernel, scale), scale)
    middle = [(torch.arange(n) * scale + (scale - 1) / 2) / scale for n in (24, 20)]
    expected = 0.1 + 0.006 * middle[0] + 0.02 * middle[1][:, None]
    inner = (0, 0, 0, slice(4, -4), slice(4, -4))
    assert torch.allclose(made[inner], expected[4:-4, 4:-4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_reduction_turns_with_the_frame(kernel: str) -> None:
    frame = random(1, 1, 3, 16, 24)
    made = reduce_frames(frame, taps_of(kernel, 4), 4)
    for turn in (lambda f: f.flip(-1), lambda f: f.flip(-2), lambda f: f.transpose(-1, -2)):
        assert torch.allclose(
            reduce_frames(turn(frame), taps_of(kernel, 4), 4), turn(made), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("side", [4, 32])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_constant_frame_stays_constant(kernel: str, side: int) -> None:
    frame = torch.tensor([0.1, 0.5, 1.0]).view(3, 1, 1).expand(2, 3, 3, side, side)
    taps = taps_of(kernel, 4).expand(2, -1)
    made = reduce_frames(frame, taps, 4)
    assert torch.allclose(made, frame[..., ::4, ::4], rtol=0, atol=1e-6)


def test_the_clips_of_a_batch_do_not_mix() -> None:
    frames = random(3, 2, 3, 16, 16)
    taps = gaussian_taps(torch.tensor([0.5, 1.5, 3.0]), 12)
    made = reduce_frames(frames, taps, 4)
    for index in range(3):
        alone = reduce_frames(frames[index : index + 1], taps[index : index + 1], 4)
        assert torch.allclose(made[index], alone[0], rtol=0, atol=1e-6)
        for frame in range(2):
            single = reduce_frames(frames[index, frame][None, None], taps[index : index + 1], 4)
            assert torch.allclose(made[index, frame], single[0, 0], rtol=0, atol=1e-6)


def test_the_margin_holds_what_a_small_pixel_depends_on() -> None:
    """Nearly: of the widest kernels that our recipes draw."""
    for name in ("frvsr-3-64", "frvsr-real"):
        degradation = RECIPES[name].stages[0].degradation  # type: ignore[union-attr, attr-defined]
        scale, margin = 4, degradation.margin
        inside = 3
        side = scale * (2 * margin + inside)
        frames = torch.full((8, 1, 3, side, side), 0.5)
        other = frames.clone()
        other[..., 0, :] = other[..., :, 0] = other[..., -1, :] = other[..., :, -1] = 1.0
        plain = Degradation(blur=degradation.blur, other_kernels=degradation.other_kernels)
        made = plain.apply(other, scale, generator())
        kept = slice(margin, margin + inside)
        assert (made - 0.5).abs()[..., kept, kept].max() < 0.5 / 255 + 0.5 / 255


# --- what is drawn for a clip ----------------------------------------------------------------


def test_the_defaults_are_the_paper_s() -> None:
    frames = random(2, 3, 3, 24, 32)
    made = Degradation().apply(frames, 4, generator())
    expected = quantise(torch.stack([blur_and_subsample(clip, 4) for clip in frames]))
    assert made.shape == (2, 3, 3, 6, 8)
    # A value may lie between two levels.
    assert (made - expected).abs().max() < 1.01 / 255
    assert (made - expected).abs().mean() < 0.01 / 255


@pytest.mark.parametrize(
    "degradation",
    [
        Degradation(),
        Degradation(noise=1.0, noise_deviation=(0.1, 0.1)),
        Degradation(compressed=1.0, codec="jpeg"),
    ],
)
def test_values_are_those_of_8_bits(degradation: Degradation) -> None:
    levels = degradation.apply(random(1, 2, 3, 32, 32), 4, generator()) * 255
    assert torch.allclose(levels, levels.round(), rtol=0, atol=1e-4)
    assert levels.min() >= 0
    assert levels.max() <= 255


def everything(codec: LossyCodec = "jpeg") -> Degradation:
    return Degradation(blur=(0.3, 3.0), other_kernels=0.5, noise=0.5, compressed=0.5, codec=codec)


@pytest.mark.parametrize("codec", CODECS)
def test_the_generator_decides(codec: LossyCodec) -> None:
    if codec == "h264":
        pytest.importorskip("av")
    frames = random(4, 2, 3, 32, 32)
    before = frames.clone()
    first, again, other = (
        everything(codec).apply(frames, 4, generator(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(frames, before)


def test_equal_clips_are_degraded_differently_and_their_frames_alike() -> None:
    frames = picture(1, 64, 64)[None].expand(24, 2, 3, 64, 64)
    made = Degradation(blur=(0.3, 3.0), other_kernels=0.5).apply(frames, 4, generator())
    assert len({tuple(clip[0].flatten().tolist()) for clip in made}) > 8
    assert torch.equal(made[:, 0], made[:, 1])


def test_shares_are_as_asked() -> None:
    count = 400
    # A bright line in the middle of a cell tells kernels from each other.
    frames = torch.zeros(1, 1, 3, 24, 24)
    frames[..., 9:11, :] = 1.0
    frames = frames.expand(count, -1, -1, -1, -1)
    degradation = Degradation(blur=(0.7, 0.7), other_kernels=0.4)
    made = degradation.apply(frames, 4, generator())[:, 0, 0, 2, 2] * 255
    kinds, counts = made.round().unique(return_counts=True)
    expected = {
        round(255 * float(t[0, 15:17].sum())): share
        for t, share in (
            (gaussian_taps(torch.tensor([0.7]), 16), 0.6),
            (area_taps(1, 4, 16), 0.2),
            (bicubic_taps(1, 4, 16), 0.2),
        )
    }
    found = dict(zip(kinds.int().tolist(), counts.tolist(), strict=True))
    assert found.keys() == expected.keys()
    for level, share in expected.items():
        assert found[level] == pytest.approx(share * count, abs=5 * math.sqrt(count) / 2)


def test_noise_is_of_the_deviation_asked_and_of_its_share() -> None:
    grey = torch.full((60, 2, 3, 64, 64), 0.5)
    made = Degradation(noise=0.5, noise_deviation=(0.04, 0.04)).apply(grey, 4, generator())
    deviations = made.std((1, 2, 3, 4))
    noisy = deviations > 0
    assert 15 < int(noisy.sum()) < 45
    assert (deviations[noisy] - 0.04).abs().max() < 0.004
    assert (made[noisy].mean((1, 2, 3, 4)) - 0.5).abs().max() < 0.01
    spread = Degradation(noise=1.0, noise_deviation=(0.01, 0.05)).apply(grey, 4, generator())
    deviations = spread.std((1, 2, 3, 4))
    assert deviations.min() < 0.02 < 0.04 < deviations.max() < 0.055


def test_noise_is_another_in_every_clip_frame_and_colour() -> None:
    grey = torch.full((2, 2, 3, 64, 64), 0.5)
    made = Degradation(noise=1.0, noise_deviation=(0.05, 0.05)).apply(grey, 4, generator())
    likeness = torch.corrcoef(made.reshape(12, -1))
    assert (likeness - torch.eye(12)).abs().max() < 0.3  # 256 values: deviation 0.06


# --- codecs ----------------------------------------------------------------------------------


def loss(frames: Tensor, codec: LossyCodec, strength: float) -> float:
    made = compress(frames, codec, strength)
    assert made.shape == frames.shape
    assert made.dtype == frames.dtype
    return float((made - frames).square().mean().sqrt())


@pytest.mark.parametrize(
    ("codec", "strengths"), [("h264", (1.0, 18.0, 33.0, 48.0)), ("jpeg", (98.0, 80.0, 40.0, 5.0))]
)
def test_codecs_lose_little_at_high_quality_and_more_at_low(
    codec: LossyCodec, strengths: tuple[float, ...]
) -> None:
    if codec == "h264":
        pytest.importorskip("av")
    clip = picture(3, 48, 64)
    losses = [loss(clip, codec, strength) for strength in strengths]
    assert losses == sorted(losses)
    assert losses[0] < 2.5 / 255
    assert losses[-1] > 2 * losses[0]
    assert losses[-1] < 0.2  # still the picture


@pytest.mark.parametrize("size", [(1, 1), (33, 20)])
@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize("codec", CODECS)
def test_codecs_keep_any_size_and_every_frame_in_its_place(
    codec: LossyCodec, length: int, size: tuple[int, int]
) -> None:
    if codec == "h264":
        pytest.importorskip("av")
    levels = torch.linspace(0.1, 0.9, length).view(-1, 1, 1, 1)
    clip = levels.expand(length, 3, *size).contiguous()
    made = compress(clip, codec, 10.0 if codec == "h264" else 95.0)
    assert made.shape == clip.shape
    assert (made - clip).abs().max() < 5 / 255


@pytest.mark.parametrize("codec", CODECS)
def test_codecs_keep_colours(codec: LossyCodec) -> None:
    if codec == "h264":
        pytest.importorskip("av")
    for colour in ((0.8, 0.2, 0.4), (0.1, 0.7, 0.9), (0.95, 0.9, 0.1)):
        clip = torch.tensor(colour).view(1, 3, 1, 1).expand(2, 3, 32, 32)
        made = compress(clip, codec, 10.0 if codec == "h264" else 95.0)
        assert (made - clip).abs().max() < 5 / 255


@pytest.mark.parametrize("codec", CODECS)
def test_codecs_do_not_shift(codec: LossyCodec) -> None:
    if codec == "h264":
        pytest.importorskip("av")
    clip = picture(2, 48, 64)
    made = compress(clip, codec, 5.0 if codec == "h264" else 95.0)
    inner = (..., slice(2, -2), slice(2, -2))
    here = (made - clip)[inner].square().mean()
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        assert (made.roll(shift, (2, 3)) - clip)[inner].square().mean() > 10 * here


def test_a_codec_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    frames = random(1, 1, 3, 8, 8)
    with pytest.raises(UsageError, match="PyAV") as caught:
        Degradation(compressed=1.0).apply(frames, 4, generator())
    assert "\n" not in str(caught.value)
    Degradation().apply(frames, 4, generator())
    Degradation(compressed=1.0, codec="jpeg").apply(frames, 4, generator())


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"other_kernels": 1.1},
        {"noise": -0.1},
        {"compressed": math.nan},
        {"codec": "vp9"},
        {"blur": (2.0, 1.0)},
        {"blur": (-1.0, 1.0)},
        {"blur": (0.0, math.inf)},
        {"blur": (math.nan, 1.0)},
        {"blur": (1.0,)},
        {"noise_deviation": (0.1, 0.05)},
        {"rate_factor": (-1.0, 20.0)},
        {"jpeg_quality": (90.0, 40.0)},
    ],
)
def test_degradations_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Degradation(**settings)


def test_the_small_frames_are_the_size_asked() -> None:
    for scale in (2, 4):
        made = everything().apply(random(3, 2, 3, 8 * scale, 5 * scale), scale, generator())
        assert made.shape == (3, 2, 3, 8, 5)
