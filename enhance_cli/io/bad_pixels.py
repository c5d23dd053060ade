"""Finds the pixels of a sensor that tell nothing, hot and dead ones, and repairs them.

A lens spreads the smallest point of light over several pixels, whatever their colours. A bad pixel
stands alone: neither the nearest pixels of its own colour nor those of other colours around it
rise or fall with it. It gets the mean of its neighbours of the same colour, without the largest
and the smallest. This is a fixed operation.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

# How far a pixel must lie beyond its neighbours of the same colour: so many standard deviations of
# the noise at that level, and so many times the range of these neighbours, which is wide in
# textures. The most extreme neighbour may be a bad pixel too, and does not count.
_DEVIATIONS, _RANGES = 4.0, 3.0
# The pixels around a point of light rise by this share of its own rise or more, in total. With a
# blur of a deviation of half a pixel, sharper than lenses are, it is 0.45 for red light. Of their
# total rise so many deviations may be noise; and of the sum of all changes, up or down, which are
# large in textures. That sum is on the mean 5.6 / sqrt(8) = 2 for seven pixels of noise.
_SPREAD, _RISE_DEVIATIONS, _CHANGE_DEVIATIONS = 0.3, 1.5, 3.0
_NEIGHBOURS, _REACH = 8, 4  # of the same colour, and how many rows and columns away
_AROUND = [at for at in product((-1, 0, 1), repeat=2) if at != (0, 0)]
_LIGHT_LEVELS = 24  # at which noise is measured, from some of the pixels
_SAMPLES = 200_000

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class _Noise:
    """The standard deviation of the noise of one kind of pixels at rising levels of light.

    Attributes:
        light: the levels.
        deviations: from the median of the differences between pixels and their neighbours, in
            which textures count as noise.
        least: from their smallest fifth, in which textures hardly count.
    """

    light: NDArray[np.float64]
    deviations: NDArray[np.float64]
    least: NDArray[np.float64]


@dataclass(frozen=True)
class _Suspects:
    """Pixels at one place of the block that lie far beyond their neighbours.

    Attributes:
        rows, columns: where they are in the mosaic.
        light: what their neighbours hold.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    light: Plane


def repair_alone(values: Plane, colours: NDArray[np.uint8]) -> int:
    """Repair the pixels of a mosaic that stand out alone, in place.

    Args:
        values: (H, W), the mosaic.
        colours: (p, p), the colours of the block that repeats from the first pixel on.

    Returns:
        How many pixels were repaired.
    """
    if min(values.shape) <= 2 * _REACH:
        return 0
    padded = np.pad(values, 2 * _REACH, "reflect")  # neighbours have neighbours
    suspects, noise = {}, {}
    for place in np.ndindex(*colours.shape):
        suspects[place], noise[place] = _find_suspects(padded, values.shape, colours, place)
    count = 0
    for place, found in suspects.items():
        alone = _are_alone(padded, colours, place, found, noise)
        values[found.rows[alone], found.columns[alone]] = found.light[alone]
        count += int(alone.sum())
    return count


def fill(values: Plane, colours: NDArray[np.uint8], bad: NDArray[np.bool_]) -> None:
    """Give bad pixels the mean of the good ones among their neighbours, in place.

    Args:
        values: (H, W), the mosaic.
        colours: (p, p), the colours of the block that repeats from the first pixel on.
        bad: (H, W), which pixels are bad. One without a good neighbour stays.
    """
    if min(values.shape) <= _REACH:
        return
    padded, good = (np.pad(plane, _REACH, "reflect") for plane in (values, ~bad))
    period = len(colours)
    for y, x in np.ndindex(*colours.shape):
        rows, columns = np.nonzero(bad[y::period, x::period])
        rows, columns = rows * period + y, columns * period + x
        light, known = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
        for dy, dx in _same_neighbours(colours, y, x):
            at = rows + _REACH + dy, columns + _REACH + dx
            light += np.where(good[at], padded[at], 0)
            known += good[at]
        found = known > 0
        values[rows[found], columns[found]] = light[found] / known[found]


def _same_neighbours(colours: NDArray[np.uint8], y: int, x: int) -> list[tuple[int, int]]:
    """How far the nearest pixels of the same colour lie from a place of the block."""
    period = len(colours)
    reach = range(-_REACH, _REACH + 1)
    same = [
        (dy, dx)
        for dy, dx in product(reach, reach)
        if (dy or dx)
        and colours[(y + dy) % period, (x + dx) % period] == colours[y % period, x % period]
    ]
    return sorted(same, key=lambda at: at[0] ** 2 + at[1] ** 2)[:_NEIGHBOURS]


def _find_suspects(
    padded: Plane, size: tuple[int, ...], colours: NDArray[np.uint8], place: tuple[int, int]
) -> tuple[_Suspects, _Noise]:
    period, margin = len(colours), 2 * _REACH
    (height, width), (y, x) = size, place

    def shifted(dy: int, dx: int) -> Plane:
        top, left = margin + y + dy, margin + x + dx
        return padded[top : top + height - y : period, left : left + width - x : period]

    here = shifted(0, 0)
    most, least = np.full_like(here, -np.inf), np.full_like(here, np.inf)
    upper, lower = most.copy(), least.copy()  # the second largest and the second smallest
    light = np.zeros_like(here)
    for offset in _same_neighbours(colours, y, x):
        other = shifted(*offset)
        light += other
        np.maximum(upper, np.minimum(most, other), out=upper)
        np.maximum(most, other, out=most)
        np.minimum(lower, np.maximum(least, other), out=lower)
        np.minimum(least, other, out=least)
    light = (light - most - least) / np.float32(_NEIGHBOURS - 2)
    noise = _measure_noise(here, light)
    beyond = np.maximum(here - upper, lower - here)
    suspicious = beyond > np.maximum(
        np.float32(_DEVIATIONS * noise.deviations.min()), _RANGES * (upper - lower)
    )
    rows, columns = np.nonzero(suspicious)
    deviation = np.interp(light[rows, columns], noise.light, noise.deviations)
    sure = beyond[rows, columns] > _DEVIATIONS * deviation
    rows, columns = rows[sure], columns[sure]
    found = _Suspects(rows * period + y, columns * period + x, light[rows, columns])
    return found, noise


def _measure_noise(here: Plane, light: Plane) -> _Noise:
    step = max(1, round((here.size / _SAMPLES) ** 0.5))
    differences = np.abs(here - light)[::step, ::step].ravel() / (1 + 1 / (_NEIGHBOURS - 2)) ** 0.5
    order = np.argsort(light[::step, ::step], axis=None)
    parts = [part for part in np.array_split(order, _LIGHT_LEVELS) if len(part)]
    sampled = light[::step, ::step].ravel()
    # Of the absolute values of normal deviates the median is 0.6745, the smallest fifth ends at
    # 0.2533.
    fifth, median = np.array([np.quantile(differences[part], (0.2, 0.5)) for part in parts]).T
    deviations = median / 0.6745
    return _Noise(
        np.array([sampled[part].mean() for part in parts]),
        deviations,
        np.minimum(fifth / 0.2533, deviations),
    )


def _are_alone(
    padded: Plane,
    colours: NDArray[np.uint8],
    place: tuple[int, int],
    found: _Suspects,
    noise: dict[tuple[int, int], _Noise],
) -> NDArray[np.bool_]:
    """Whether the pixels around each suspect stay as they would be without it."""
    period, margin = len(colours), 2 * _REACH
    rows, columns = found.rows + margin, found.columns + margin
    change = padded[rows, columns] - found.light
    others, variance = [], np.zeros(len(rows))
    for dy, dx in _AROUND:
        y, x = (place[0] + dy) % period, (place[1] + dx) % period
        around = [
            padded[rows + dy + ny, columns + dx + nx] for ny, nx in _same_neighbours(colours, y, x)
        ]
        usual = np.median(around, axis=0)
        others.append((padded[rows + dy, columns + dx] - usual) * np.sign(change))
        variance += np.interp(usual, noise[y, x].light, noise[y, x].least) ** 2
    # One of them may be a bad pixel too, so the largest does not count.
    size = np.sort(np.abs(others), axis=0)[:-1].sum(axis=0)
    rise = np.sum(others, axis=0) - np.max(others, axis=0)
    allowed, deviation = _SPREAD * np.abs(change), np.sqrt(variance)
    alone: NDArray[np.bool_] = (rise <= np.maximum(allowed, _RISE_DEVIATIONS * deviation)) & (
        size <= np.maximum(allowed, _CHANGE_DEVIATIONS * deviation)
    )
    return alone
