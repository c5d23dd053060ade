"""Darkness made from photographs: packing, demosaicing, and the limit without noise."""

import math
from dataclasses import replace

import pytest
import torch
from tensors import random
from torch import Tensor

from enhance_cli.colour import AMPLIFIED_RANGE, TONE_CURVES, apply_matrix, camera_matrices, render
from enhance_cli.data import darkness
from enhance_cli.data.darkness import (
    XYZ_TO_CAMERA,
    Conditions,
    DarkPairs,
    dark_raw,
    dark_srgb,
    draw_conditions,
    expose_raw,
    pack,
    packed_gains,
    raise_contrast,
    through_file,
    unpack,
)
from enhance_cli.data.sensor import ISO_RANGE, RATIO_RANGE, Sensor


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Soft, muted colours, as of photographs: no camera clips them."""
    rough = 0.25 + 0.4 * random(count, 3, 3, 3, seed=seed)
    return torch.nn.functional.interpolate(
        rough, (height, width), mode="bilinear", align_corners=True
    )


def quiet(
    count: int,
    ratio: float = 1.0,
    brightness: float = 1.0,
    highlights: float = 1.0,
    **options: object,
) -> Conditions:
    """A sensor that adds next to nothing: a well of 160 million electrons, 20 bits."""
    taken = draw_conditions(count, seeded(3), ratio=torch.full((count,), ratio), **options)
    level = torch.ones(count)
    sensor = Sensor(
        gain=0.01 * level,
        read=0.01 * level,
        tail=0.14 * level,
        row=0.01 * level,
        black=1e5 * level,
        white=(2.0**24 - 1) * level,
    )
    return replace(
        taken, sensor=sensor, brightness=brightness * level, highlights=highlights * level
    )


# --- packing ---------------------------------------------------------------------------------


def test_pack_takes_the_bayer_samples() -> None:
    """R, G1, B, G2 from the pixels (0,0), (0,1), (1,1), (1,0) of each block."""
    y, x = torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij")
    coloured = torch.stack([100 * colour + 10 * y + x for colour in (1, 2, 3)]).float()
    packed = pack(coloured)
    assert packed.shape == (4, 2, 3)
    assert packed[:, 0, 0].tolist() == [100, 201, 311, 210]
    assert packed[:, 1, 2].tolist() == [124, 225, 335, 234]


def test_unpack_puts_every_sample_where_it_was() -> None:
    image = random(2, 3, 8, 10)
    mosaic = unpack(pack(image))
    assert mosaic.shape == (2, 8, 10)
    for row, column, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        assert torch.equal(mosaic[:, row::2, column::2], image[:, colour, row::2, column::2])
    assert torch.equal(pack(mosaic[:, None].expand(2, 3, 8, 10)), pack(image))
    alone = random(4, 3, 5)
    assert torch.equal(pack(unpack(alone).expand(3, 6, 10)), alone)


# --- conditions ------------------------------------------------------------------------------


def test_conditions_stay_in_their_ranges() -> None:
    taken = draw_conditions(4000, seeded())
    for value, (low, high) in (
        (taken.ratio, RATIO_RANGE),
        (taken.iso, ISO_RANGE),
        (taken.brightness, (0.6, 1.4)),
        (taken.gains[:, 0], (1.2, 3.0)),
        (taken.gains[:, 1], (1.2, 3.2)),
    ):
        assert value.min() >= low * (1 - 1e-5)
        assert value.max() <= high * (1 + 1e-5)
        # Both ends are reached, and no value is the favourite.
        place = (value.log() - math.log(low)) / (math.log(high) - math.log(low))
        assert float(place.mean()) == pytest.approx(0.5, abs=0.03)
        assert float(place.std()) == pytest.approx(12**-0.5, abs=0.03)
    low, high = XYZ_TO_CAMERA.amin(0), XYZ_TO_CAMERA.amax(0)
    assert ((taken.xyz_to_camera >= low - 1e-5) & (taken.xyz_to_camera <= high + 1e-5)).all()
    assert taken.xyz_to_camera.std(0).min() > 0.001


def test_what_is_fixed_is_kept() -> None:
    ratio, iso = torch.tensor([1.0, 100.0, 777.0]), torch.tensor([50.0, 1e5, 200.0])
    taken = draw_conditions(3, seeded(), ratio=ratio, iso=iso, vary_brightness=False)
    assert torch.equal(taken.ratio, ratio)
    assert torch.equal(taken.iso, iso)
    assert torch.equal(taken.brightness, torch.ones(3))
    assert torch.equal(taken.highlights, torch.ones(3))
    # The noise is that of the given ISO.
    louder = draw_conditions(3, seeded(), ratio=ratio, iso=2 * iso)
    assert torch.allclose(louder.sensor.gain, 2 * taken.sensor.gain, rtol=1e-4)


def test_half_of_the_scenes_have_highlights() -> None:
    highlights = draw_conditions(4000, seeded()).highlights
    assert float((highlights == 1).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert highlights.min() == 1
    assert 7.5 < highlights.max() < 8.001


def test_one_camera_is_always_the_same() -> None:
    taken = draw_conditions(500, seeded(), camera="one")
    assert torch.equal(taken.xyz_to_camera, XYZ_TO_CAMERA[:1].expand(500, 3, 3))
    for gain, (low, high) in zip(taken.gains.T, ((1.9, 2.4), (1.5, 1.9)), strict=True):
        assert gain.min() >= low - 1e-4
        assert gain.max() <= high + 1e-4
        assert gain.std() > 0.05


def test_conditions_are_a_function_of_the_generator() -> None:
    one, same, other = (draw_conditions(6, seeded(seed)) for seed in (4, 4, 5))
    for name in ("ratio", "iso", "gains", "xyz_to_camera", "brightness", "highlights"):
        assert torch.equal(getattr(one, name), getattr(same, name)), name
        assert not torch.equal(getattr(one, name), getattr(other, name)), name
    assert torch.equal(one.sensor.gain, same.sensor.gain)


def test_packed_gains_stand_at_their_planes() -> None:
    gains = packed_gains(torch.tensor([[2.0, 3.0], [4.0, 5.0]]))
    assert gains.shape == (2, 4, 1, 1)
    assert gains.flatten(1).tolist() == [[2, 1, 3, 1], [4, 1, 5, 1]]


# --- pairs without noise ---------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 20.0, 300.0])
@pytest.mark.parametrize("camera", ["any", "one"])
def test_without_noise_the_dark_picture_is_the_clean_one(ratio: float, camera: str) -> None:
    photos = smooth(3, 24, 32)
    pairs = dark_raw(photos, quiet(3, ratio, camera=camera), seeded())
    assert pairs.dark.shape == (3, 4, 12, 16)
    assert pairs.clean.shape == photos.shape
    assert torch.allclose(pairs.dark, pack(pairs.clean), rtol=0, atol=2e-3)
    assert pairs.clean.std() > 0.02


def test_an_unbalanced_picture_lacks_the_gains() -> None:
    photos = smooth(3, 24, 32)
    taken = quiet(3, 50.0)
    pairs = dark_raw(photos, taken, seeded(), balanced=False)
    expected = pack(pairs.clean) / packed_gains(taken.gains)
    assert torch.allclose(pairs.dark, expected, rtol=0, atol=2e-3)
    balanced = dark_raw(photos, taken, seeded())
    assert torch.equal(balanced.clean, pairs.clean)
    assert torch.allclose(balanced.dark, pairs.dark * packed_gains(taken.gains))


def test_the_camera_s_curve_gives_back_the_photograph() -> None:
    photos = smooth(4, 16, 20)
    pairs = dark_raw(photos, quiet(4), seeded())
    assert torch.allclose(
        render(pairs.clean, pairs.camera_to_srgb, "camera"), photos, rtol=0, atol=2e-3
    )


def test_of_srgb_the_plain_curve_gives_back_the_photograph() -> None:
    photos = smooth(4, 16, 20)
    pairs = dark_srgb(photos, quiet(4), seeded())
    assert torch.equal(pairs.camera_to_srgb, torch.eye(3).expand(4, 3, 3))
    assert torch.allclose(
        render(pairs.clean, pairs.camera_to_srgb, "srgb"), photos, rtol=0, atol=2e-3
    )
    assert pairs.dark.shape == pairs.clean.shape == photos.shape


def test_without_noise_the_dark_file_is_the_clean_picture() -> None:
    """But for demosaicing, 8 bits and JPEG."""
    photos = smooth(6, 48, 64)
    pairs = dark_srgb(photos, quiet(6), seeded())
    assert (pairs.dark - pairs.clean).abs().mean() < 0.01
    assert (pairs.dark - pairs.clean).abs().max() < 0.15


def test_noiseless_files_are_the_last_of_a_batch() -> None:
    noisy = draw_conditions(
        6, seeded(), ratio=torch.full((6,), 2.0), iso=torch.full((6,), 25_600.0)
    )
    pairs = dark_srgb(smooth(6, 48, 64), noisy, seeded(), noiseless=0.34)
    errors = (pairs.dark.clamp(0, 1) - pairs.clean).abs().mean((1, 2, 3))
    assert (errors[:4] > 0.03).all(), errors
    assert (errors[4:] < 0.012).all(), errors


def test_raised_contrast_makes_photographs_black_and_white() -> None:
    photos = torch.rand(64, 3, 16, 16, generator=seeded())
    harsh = raise_contrast(photos, 0.5, seeded())
    changed = (harsh != photos).flatten(1).any(1)
    assert 20 < int(changed.sum()) < 44
    assert harsh.min() == 0 and harsh.max() == 1
    ends = ((harsh == 0) | (harsh == 1)).float().flatten(1).mean(1)
    assert ends[changed].mean() > 0.6
    # Light stays in order, and what was alike is alike.
    order = photos[changed].flatten(1).argsort(1)
    assert (harsh[changed].flatten(1).gather(1, order).diff() >= 0).all()
    assert torch.equal(raise_contrast(photos, 0.0, seeded()), photos)


def test_white_photographs_stay_white() -> None:
    for pairs in (
        dark_raw(torch.ones(2, 3, 8, 8), quiet(2, 100.0), seeded()),
        dark_srgb(torch.ones(2, 3, 8, 8), quiet(2), seeded()),
    ):
        assert pairs.clean.min() > 0.999
        assert (pairs.dark - 1).abs().max() < 0.02


def test_black_photographs_stay_black() -> None:
    for pairs in (
        dark_raw(torch.zeros(2, 3, 8, 8), quiet(2, 100.0), seeded()),
        dark_srgb(torch.zeros(2, 3, 8, 8), quiet(2), seeded()),
    ):
        assert pairs.clean.abs().max() < 1e-5
        assert pairs.dark.abs().max() < 1e-2


def test_brightness_scales_the_clean_light() -> None:
    photos = smooth(2, 16, 16)
    whole, half = (
        dark_raw(photos, quiet(2, 50.0, brightness), seeded()) for brightness in (1.0, 0.5)
    )
    assert torch.allclose(half.clean, whole.clean / 2, atol=1e-6)
    assert torch.allclose(half.dark, whole.dark / 2, atol=2e-3)


def test_highlights_are_brighter_than_white() -> None:
    """Of a grey photograph only what is above 0.7 (linear) shines: twice as far for white."""
    linear = torch.tensor([0.0, 0.3, 0.69, 0.85, 1.0])
    photos = TONE_CURVES["camera"][0](linear.repeat_interleave(2)).expand(1, 3, 2, 10)
    pairs = dark_raw(photos, quiet(1, 20.0, highlights=3.0), seeded())
    expected = torch.tensor([0.0, 0.3, 0.69, 0.85 * 2, 3.0])
    assert torch.allclose(pairs.dark, expected.expand(1, 4, 1, 5), rtol=0, atol=0.01)
    assert torch.allclose(pairs.clean[0, 0, 0, ::2], expected.clamp(max=1), atol=1e-3)


def test_highlights_keep_their_colour_and_the_order_of_lights() -> None:
    photos = random(2, 3, 16, 16).clamp(min=0.2)
    plain, shining = (
        expose_raw(photos, quiet(2, 100.0, highlights=factor), seeded())[0] for factor in (1.0, 8.0)
    )
    plain, shining = (((levels - 1e5) / (2.0**24 - 1 - 1e5)) for levels in (plain, shining))
    forward, _ = camera_matrices(quiet(2).xyz_to_camera)
    linear = TONE_CURVES["camera"][1](photos)
    factor = 1 + (linear.amax(1, keepdim=True) - 0.7).clamp(min=0) / 0.3 * 7
    expected = pack((apply_matrix(linear * factor, forward)).clamp(min=0))
    expected = expected / packed_gains(quiet(2).gains) / 100
    assert torch.allclose(shining, expected, rtol=0.02, atol=1e-5)
    assert (shining >= plain * 0.97 - 1e-5).all()


def test_each_photograph_has_its_own_conditions() -> None:
    photos = smooth(1, 16, 16).expand(5, 3, 16, 16)
    taken = replace(quiet(5), ratio=torch.tensor([1.0, 5, 25, 100, 300]))
    _, clean, backward = expose_raw(photos, taken, seeded())
    for index in range(5):
        part = replace(
            taken,
            ratio=taken.ratio[index, None],
            gains=taken.gains[index, None],
            xyz_to_camera=taken.xyz_to_camera[index, None],
            brightness=taken.brightness[index, None],
            highlights=taken.highlights[index, None],
            sensor=quiet(1).sensor,
        )
        levels, alone, matrix = expose_raw(photos[:1], part, seeded())
        assert torch.allclose(clean[index], alone[0], atol=1e-6)
        assert torch.allclose(backward[index], matrix[0], atol=1e-4)
        light = (levels - 1e5) / (2.0**24 - 1 - 1e5)
        expected = pack(alone) / packed_gains(part.gains) / part.ratio
        assert torch.allclose(light, expected, rtol=1e-2, atol=1e-5)


# --- noisy pairs -----------------------------------------------------------------------------


def test_darker_is_noisier() -> None:
    photos = smooth(1, 128, 128).expand(4, 3, 128, 128)
    taken = draw_conditions(
        1, seeded(2), iso=torch.tensor([800.0]), ratio=torch.ones(1), vary_brightness=False
    )

    def error(ratio: float) -> float:
        pairs = dark_raw(photos[:1], replace(taken, ratio=torch.tensor([ratio])), seeded())
        return float((pairs.dark - pack(pairs.clean)).abs().mean())

    errors = [error(ratio) for ratio in (1.0, 20.0, 100.0, 300.0)]
    assert errors == sorted(errors)
    assert errors[-1] > 5 * errors[0]


def test_noise_has_no_mean_where_nothing_is_clipped() -> None:
    photos = torch.full((8, 3, 128, 128), 0.5)
    taken = draw_conditions(8, seeded(2), iso=torch.full((8,), 400.0), ratio=torch.full((8,), 20.0))
    pairs = dark_raw(photos, taken, seeded())
    bias = (pairs.dark - pack(pairs.clean)).mean((2, 3))
    assert bias.abs().max() < 0.02
    assert pairs.dark.min() < pairs.dark.mean() - 0.02


def test_dark_pictures_stay_in_their_ranges() -> None:
    photos = random(12, 3, 32, 48)
    taken = draw_conditions(12, seeded(1))
    for pairs, lowest in (
        (dark_raw(photos, taken, seeded()), AMPLIFIED_RANGE[0]),
        (dark_raw(photos, taken, seeded(), balanced=False), AMPLIFIED_RANGE[0]),
        (dark_srgb(photos, taken, seeded()), 0),
    ):
        assert pairs.dark.isfinite().all()
        assert pairs.dark.max() <= AMPLIFIED_RANGE[1]
        assert pairs.dark.min() >= lowest
        assert pairs.clean.min() >= 0
        assert pairs.clean.max() <= 1
        assert pairs.dark.dtype == pairs.clean.dtype == torch.float32
        if lowest:
            assert pairs.dark.min() < 0  # noise below black


@pytest.mark.parametrize("make", [dark_raw, dark_srgb])
def test_pairs_are_a_function_of_their_arguments(make) -> None:  # type: ignore[no-untyped-def]
    photos = random(4, 3, 32, 48)
    kept = photos.clone()
    taken = draw_conditions(4, seeded(1), ratio=torch.full((4,), 20.0))
    state = torch.get_rng_state()
    one, same, other = (make(photos, taken, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.dark, same.dark)
    assert torch.equal(one.clean, other.clean)
    assert not torch.equal(one.dark, other.dark)
    assert torch.equal(photos, kept)
    assert torch.equal(torch.get_rng_state(), state)


def test_some_of_the_pairs() -> None:
    pairs = DarkPairs(random(5, 4, 2, 2), random(5, 3, 4, 4), random(5, 3, 3))
    part = pairs.take(slice(1, None, 2))
    assert torch.equal(part.dark, pairs.dark[[1, 3]])
    assert torch.equal(part.clean, pairs.clean[[1, 3]])
    assert torch.equal(part.camera_to_srgb, pairs.camera_to_srgb[[1, 3]])


def test_at_a_fixed_ratio_files_differ_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set at the ratio 100 must not be all lossless, or all of one quality."""
    seeds = set()

    def spy(camera: Tensor, matrix: Tensor, choices: torch.Generator) -> Tensor:
        seeds.add(choices.initial_seed())
        return through_file(camera, matrix)

    monkeypatch.setattr(darkness, "through_file", spy)
    generator = seeded(7)
    for _ in range(5):
        dark_srgb(smooth(1, 8, 8), quiet(1, 100.0), generator)
    assert len(seeds) == 5


# --- files -----------------------------------------------------------------------------------


def test_a_lossless_file_only_rounds_to_8_bits() -> None:
    camera = smooth(2, 16, 16)
    matrix = torch.eye(3).expand(2, 3, 3)
    made = through_file(camera, matrix)
    assert torch.equal((made * 255).round() / 255, made)
    assert (made - render(camera, matrix, "srgb")).abs().max() <= 0.5 / 255 + 1e-6


def test_files_clip_what_they_cannot_hold() -> None:
    camera = torch.tensor([-0.3, 0.0, 1.0, 2.5]).expand(1, 3, 2, 4)
    made = through_file(camera, torch.eye(3)[None])
    assert made[0, 0, 0].tolist() == [0, 0, 1, 1]


def test_most_files_are_jpeg_and_some_are_not() -> None:
    camera = random(40, 3, 16, 16)
    matrix = torch.eye(3).expand(40, 3, 3)
    lossless = through_file(camera, matrix)
    made = through_file(camera, matrix, seeded(1))
    same = sum(torch.equal(one, two) for one, two in zip(made, lossless, strict=True))
    assert 3 <= same <= 20
    assert made.shape == lossless.shape
    assert 0.01 < (made - lossless).abs().mean() < 0.2
    assert torch.equal(made, through_file(camera, matrix, seeded(1)))
    assert not torch.equal(made, through_file(camera, matrix, seeded(2)))


def test_the_second_half_of_srgb_files_were_reduced_and_not_demosaiced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pixel-fine detail survives there; in the first half demosaicing blurs it."""
    monkeypatch.setattr(darkness, "_LOSSLESS", 1.0)
    photos = torch.rand(1, 3, 16, 16, generator=seeded()).expand(5, 3, 16, 16) * 0.6
    pairs = dark_srgb(photos, quiet(5, 1.0), seeded())
    errors = (pairs.dark - pairs.clean).abs().flatten(1).mean(1)
    assert (errors[:3] > 0.05).all()
    assert (errors[3:] < 0.01).all()
