"""The sensor's noise against the laws that it is made of."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from enhance_cli.data.sensor import (
    BIT_DEPTHS,
    ISO_RANGE,
    Sensor,
    draw_sensors,
    expose,
    log_uniform,
    normalise,
)

TINY = 1e-4  # of a level: noise that rounding hides


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sensor(count: int = 1, **levels: float) -> Sensor:
    """N equal sensors, quiet unless told otherwise."""
    values = {
        "gain": TINY,
        "read": TINY,
        "tail": 0.14,
        "row": TINY,
        "black": 512.0,
        "white": 16383.0,
    } | levels
    return Sensor(**{name: torch.full((count,), value) for name, value in values.items()})


def flat(light: float, side: int = 256) -> Tensor:
    return torch.full((1, 4, side, side), light)


# --- what is drawn ---------------------------------------------------------------------------


def test_log_uniform_spreads_the_logarithms() -> None:
    drawn = log_uniform(20, 300, 20_000, seeded())
    assert drawn.min() >= 20 * (1 - 1e-6)
    assert drawn.max() <= 300 * (1 + 1e-6)
    place = (drawn.log() - math.log(20)) / math.log(15)
    for quantile in (0.1, 0.25, 0.5, 0.9):
        assert float(place.quantile(quantile)) == pytest.approx(quantile, abs=0.02)
    assert (log_uniform(5, 5, 3, seeded()) - 5).abs().max() < 1e-5


def test_sensors_are_sensible_at_every_iso() -> None:
    for iso in (*ISO_RANGE, 1600.0):
        drawn = draw_sensors(torch.full((3000,), iso), seeded(int(iso)))
        for value in (drawn.gain, drawn.read, drawn.row):
            assert value.isfinite().all()
            assert (value > 0).all()
        assert set(drawn.white.tolist()) == {2.0**bits - 1 for bits in BIT_DEPTHS}
        assert torch.equal(drawn.black, drawn.black.round())
        share = drawn.black / drawn.white
        assert share.min() > 0.014
        assert share.max() < 0.131
        assert drawn.tail.min() >= -0.26
        assert drawn.tail.max() <= 0.102
        # At base ISO a full well fills the range; nothing has fewer than some thousand electrons.
        wells = drawn.white / drawn.gain * iso / 100
        assert wells.min() > 5_000
        assert wells.max() < 200_000


def test_gain_is_proportional_to_iso() -> None:
    isos = torch.tensor([100.0, 800.0, 25_600.0])
    gains = [draw_sensors(iso.expand(50), seeded(5)).gain for iso in isos]
    for iso, gain in zip(isos, gains, strict=True):
        assert torch.allclose(gain, gains[0] * iso / 100, rtol=1e-5)


def test_each_picture_has_its_own_iso() -> None:
    drawn = draw_sensors(torch.tensor([100.0, 25_600.0]).repeat(400), seeded())
    quiet, loud = drawn.gain[::2], drawn.gain[1::2]
    assert loud.log().mean() - quiet.log().mean() == pytest.approx(math.log(256), abs=0.3)


def test_noise_scales_follow_the_gain() -> None:
    """A line in logarithms: slopes 0.74 to 0.91 (read) and 0.79 to 0.88 (row) of the profiles."""
    isos = log_uniform(*ISO_RANGE, 20_000, seeded(1))
    drawn = draw_sensors(isos, seeded(2))
    levels = (drawn.white + 1) / 2**14  # of 14 bits
    x = (drawn.gain / levels).log()
    for scale, low, high in ((drawn.read, 0.74, 0.906), (drawn.row, 0.788, 0.876)):
        y = (scale / levels).log()
        slope = float(((x - x.mean()) * (y - y.mean())).mean() / x.var())
        assert low - 0.03 < slope < high + 0.03


def test_fewer_bits_are_the_same_sensor_in_coarser_levels() -> None:
    drawn = draw_sensors(torch.full((4000,), 800.0), seeded(3))
    relative = {
        bits: [
            float((value / drawn.white)[drawn.white == 2.0**bits - 1].log().mean())
            for value in (drawn.gain, drawn.read, drawn.row)
        ]
        for bits in BIT_DEPTHS
    }
    for bits in (10, 12):
        assert relative[bits] == pytest.approx(relative[14], abs=0.15)


def test_sensors_are_a_function_of_the_generator() -> None:
    iso = torch.full((5,), 400.0)
    one, same, other = (draw_sensors(iso, seeded(seed)) for seed in (1, 1, 2))
    for name in ("gain", "read", "tail", "row", "black", "white"):
        assert torch.equal(getattr(one, name), getattr(same, name)), name
    assert not torch.equal(one.gain, other.gain)


# --- photons ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.5, 4.0, 30.0])
def test_variance_of_photon_noise_is_gain_times_the_mean(gain: float) -> None:
    quiet = sensor(gain=gain)
    means, variances = [], []
    for seed, light in enumerate((0.02, 0.1, 0.3, 0.6)):
        levels = expose(flat(light), quiet, seeded(seed)) - 512
        assert float(levels.mean()) == pytest.approx(light * 15871, rel=0.005)
        means.append(float(levels.mean()))
        variances.append(float(levels.var()) - 1 / 12)  # of rounding
    for mean, variance in zip(means, variances, strict=True):
        assert variance == pytest.approx(gain * mean, rel=0.02)
    slope = (variances[-1] - variances[0]) / (means[-1] - means[0])
    assert slope == pytest.approx(gain, rel=0.03)


def test_photons_come_whole() -> None:
    """Few electrons at a high gain: levels are multiples of it, with Poisson's frequencies."""
    levels = expose(flat(5e-3), sensor(gain=40.0), seeded()) - 512
    electrons = levels / 40
    assert torch.equal(electrons, electrons.round())
    rate = 5e-3 * 15871 / 40
    for count in range(5):
        expected = math.exp(-rate) * rate**count / math.factorial(count)
        assert float((electrons == count).float().mean()) == pytest.approx(expected, abs=0.005)


def test_light_outside_the_range_is_none_or_saturation() -> None:
    light = torch.tensor([-0.5, -1e-6, 0.0, 1.0, 1.7]).repeat(4, 1).view(1, 4, 1, 5)
    levels = expose(light, sensor(), seeded())[0, 0, 0]
    assert levels[:3].tolist() == [512] * 3
    assert levels[3:].tolist() == pytest.approx([16383] * 2, abs=10)


# --- read noise and rows ---------------------------------------------------------------------


def tukey_variance(tail: float) -> float:
    """2 / l^2 (1 / (1 + 2l) - Gamma(l + 1)^2 / Gamma(2l + 2))."""
    return 2 / tail**2 * (1 / (1 + 2 * tail) - math.gamma(tail + 1) ** 2 / math.gamma(2 * tail + 2))


@pytest.mark.parametrize("tail", [0.14, 0.102, -0.026, -0.2])
def test_read_noise_is_tukey_s_lambda(tail: float) -> None:
    noisy = expose(flat(0.0), sensor(read=20.0, tail=tail, black=4000.0), seeded()) - 4000
    assert float(noisy.mean()) == pytest.approx(0, abs=0.4)
    expected = 400 * tukey_variance(tail)
    assert float(noisy.var()) == pytest.approx(expected, rel=0.03 if tail > -0.1 else 0.1)
    for u in (0.6, 0.75, 0.95):  # the quantile function itself
        quantile = 20 * (u**tail - (1 - u) ** tail) / tail
        assert float(noisy.flatten().quantile(u)) == pytest.approx(quantile, abs=1)


def test_a_tail_of_nothing_is_the_logistic_distribution() -> None:
    noisy = expose(flat(0.0), sensor(read=20.0, tail=0.0, black=4000.0), seeded()) - 4000
    assert noisy.isfinite().all()
    for u in (0.6, 0.9, 0.99):
        quantile = 20 * math.log(u / (1 - u))
        assert float(noisy.flatten().quantile(u)) == pytest.approx(quantile, abs=1.5)


def test_smaller_lambdas_have_heavier_tails() -> None:
    def kurtosis(tail: float) -> float:
        noisy = expose(flat(0.0), sensor(read=15.0, tail=tail, black=4000.0), seeded()) - 4000
        centred = noisy - noisy.mean()
        return float((centred**4).mean() / centred.var() ** 2)

    near_gaussian, heavier, heaviest = (kurtosis(tail) for tail in (0.14, 0.0, -0.2))
    assert near_gaussian == pytest.approx(3, abs=0.1)
    assert heavier == pytest.approx(4.2, abs=0.3)  # the logistic's
    assert heaviest > 7


def test_planes_share_the_rows_of_the_sensor() -> None:
    """R and G1 lie in one row of each 2x2 block, B and G2 in the next."""
    noisy = (
        expose(torch.zeros(1, 4, 400, 600), sensor(row=30.0, read=5.0, black=4000.0), seeded())[0]
        - 4000
    )
    rows = noisy.mean(2)
    likeness = torch.corrcoef(rows)
    for one, other in ((0, 1), (2, 3)):
        assert likeness[one, other] > 0.98
    for one, other in ((0, 2), (0, 3), (1, 2), (1, 3)):
        assert likeness[one, other].abs() < 0.2
    assert float(rows.std()) == pytest.approx(30, rel=0.1)
    # From row to row nothing is kept, and columns have nothing in common.
    for line in (rows[0], rows[2]):
        assert torch.corrcoef(torch.stack([line[1:], line[:-1]]))[0, 1].abs() < 0.2
    assert (noisy - rows[..., None]).mean(1).std() < 1


def test_noises_of_two_pictures_are_apart() -> None:
    loud = sensor(2, gain=5.0, read=10.0, row=10.0, black=3000.0)
    first, second = expose(torch.full((2, 4, 64, 64), 0.1), loud, seeded())
    likeness = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))
    assert likeness[0, 1].abs() < 0.05
    assert torch.corrcoef(torch.stack([first.mean(2)[0], second.mean(2)[0]]))[0, 1].abs() < 0.5


def test_each_picture_has_its_own_sensor() -> None:
    both = Sensor(
        *(
            torch.tensor(pair)
            for pair in (
                [0.1, 20.0],
                [1.0, 30.0],
                [0.1, 0.0],
                [0.5, 5.0],
                [64.0, 2000.0],
                [1023.0, 16383.0],
            )
        )
    )
    light = torch.full((2, 4, 128, 128), 0.5)
    quiet, loud = expose(light, both, seeded())
    assert float(quiet.mean()) == pytest.approx(64 + 0.5 * 959, rel=0.01)
    assert float(loud.mean()) == pytest.approx(2000 + 0.5 * 14383, rel=0.01)
    assert loud.std() > 5 * quiet.std()
    expected = 20 * 0.5 * 14383 + 900 * math.pi**2 / 3 + 25
    assert float(loud.var()) == pytest.approx(expected, rel=0.05)


# --- levels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("white", [2.0**bits - 1 for bits in BIT_DEPTHS])
def test_levels_are_whole_and_in_range(white: float) -> None:
    loud = sensor(gain=20.0, read=200.0, tail=-0.2, row=50.0, black=20.0, white=white)
    light = torch.linspace(-0.1, 1.1, 4 * 64 * 64).view(1, 4, 64, 64)
    levels = expose(light, loud, seeded())
    assert levels.dtype == torch.float32
    assert torch.equal(levels, levels.round())
    assert levels.min() == 0
    assert levels.max() == white


def test_a_quiet_sensor_rounds_to_the_nearest_level() -> None:
    light = torch.linspace(0, 0.05, 400).view(1, 4, 10, 10)
    levels = expose(light, sensor(gain=1e-6, white=1023.0, black=64.0), seeded())
    assert (levels - (64 + light * 959)).abs().max() <= 0.56


def test_noise_below_black_is_negative() -> None:
    loud = sensor(read=50.0, black=2000.0)
    values = normalise(expose(flat(0.0), loud, seeded()), loud)
    assert float((values < 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(values.mean()) == pytest.approx(0, abs=1e-4)


def test_normalise_puts_black_at_nothing_and_white_at_one() -> None:
    both = Sensor(
        *(torch.ones(2) for _ in range(4)),
        torch.tensor([512.0, 64.0]),
        torch.tensor([16383.0, 1023.0]),
    )
    levels = torch.tensor([[512.0, 16383, 0], [64, 1023, 0]]).view(2, 1, 1, 3)
    values = normalise(levels, both).flatten().tolist()
    assert values == pytest.approx([0, 1, -512 / 15871, 0, 1, -64 / 959])


def test_without_noise_the_light_comes_back() -> None:
    light = torch.rand(2, 4, 30, 20, generator=seeded(4))
    quiet = sensor(2)
    back = normalise(expose(light, quiet, seeded()), quiet)
    assert torch.allclose(back, light, rtol=0, atol=6 * math.sqrt(TINY / 15871) + 1 / 15871)


def test_a_picture_is_a_function_of_light_sensor_and_generator() -> None:
    loud = draw_sensors(torch.full((2,), 3200.0), seeded(9))
    light = torch.rand(2, 4, 20, 30, generator=seeded(8))
    kept = light.clone()
    one, same, other = (expose(light, loud, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(light, kept)
    state = torch.get_rng_state()
    expose(light, loud, seeded(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_light_of_any_layout_is_taken() -> None:
    loud = sensor(2, gain=4.0, read=3.0)
    light = torch.rand(2, 4, 8, 6, generator=seeded())
    plain = expose(light, loud, seeded(1))
    for other in (
        light.contiguous(memory_format=torch.channels_last),
        light.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2),
    ):
        assert torch.equal(expose(other, loud, seeded(1)), plain)
    assert torch.equal(expose(light, replace(loud, gain=loud.gain.double()), seeded(1)), plain)


def test_no_exact_zero_or_one_reaches_the_quantile_function() -> None:
    """Heavy tails stay finite: not even the rarest number of many is infinite."""
    loud = sensor(read=1.0, tail=-0.26, black=8000.0)
    noisy = expose(flat(0.0, 700), loud, seeded()) - 8000
    bound = (1e-6**-0.26 - 1) / 0.26
    assert noisy.abs().max() <= bound + 1
    assert noisy.abs().max() > bound / 3
