"""The corrections that a DNG file prescribes for its data, as lists of operations.

DNG specification 1.4, chapter 7. The first list belongs to the values as they are stored, the
second to light on a scale of 0 (black) to 1 (white), the third to the colours after demosaicing.
What changes levels at their places is applied to the mosaic here, from whichever list. What moves
pixels, such as the correction of a lens's distortion, is not applied.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from enhance_cli.io.dng_tags import DngTags

_LISTS = (51008, 51009, 51022)  # the tags OpcodeList1, OpcodeList2 and OpcodeList3
_FIX_VIGNETTE_RADIAL, _FIX_BAD_CONSTANT, _FIX_BAD_LIST = 3, 4, 5
_TRIM_BOUNDS, _MAP_TABLE, _MAP_POLYNOMIAL, _GAIN_MAP = 6, 7, 8, 9
_DELTA_PER_ROW, _DELTA_PER_COLUMN, _SCALE_PER_ROW, _SCALE_PER_COLUMN = 10, 11, 12, 13
_NAMES = {
    1: "WarpRectilinear",
    2: "WarpFisheye",
    _FIX_VIGNETTE_RADIAL: "FixVignetteRadial",
    _FIX_BAD_CONSTANT: "FixBadPixelsConstant",
    _FIX_BAD_LIST: "FixBadPixelsList",
    _TRIM_BOUNDS: "TrimBounds",
    _MAP_TABLE: "MapTable",
    _MAP_POLYNOMIAL: "MapPolynomial",
    _GAIN_MAP: "GainMap",
    _DELTA_PER_ROW: "DeltaPerRow",
    _DELTA_PER_COLUMN: "DeltaPerColumn",
    _SCALE_PER_ROW: "ScalePerRow",
    _SCALE_PER_COLUMN: "ScalePerColumn",
    14: "WarpRectilinear2",
}
_MOST = 1000  # operations in a list; more are in damaged files only

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class _Opcode:
    """One operation: the list it stands in (0, 1, 2), its number and its parameters."""

    list: int
    number: int
    data: bytes

    @property
    def name(self) -> str:
        return _NAMES.get(self.number, f"opcode {self.number}")


@dataclass(frozen=True)
class Sensor:
    """What the operations must know of a mosaic.

    Attributes:
        colours: uint8 (p, p), the colours of the block that repeats from the first pixel on.
        origin: the row and column of the visible area's first pixel on the sensor.
        linear: whether the file has all colours at each pixel, of which the mosaic is a choice.
    """

    colours: NDArray[np.uint8]
    origin: tuple[int, int]
    linear: bool = False


def find_bad_pixels(tags: DngTags, stored: NDArray[np.uint16], sensor: Sensor) -> NDArray[np.bool_]:
    """The pixels that a file calls bad, (H, W).

    Args:
        tags: the tags of the file.
        stored: (H, W), the levels of the visible area.
        sensor: where they lie.
    """
    bad = np.zeros(stored.shape, bool)
    for opcode in _read(tags):
        # Only the first list is about the whole sensor.
        top, left = sensor.origin if opcode.list == 0 else (0, 0)
        if opcode.number == _FIX_BAD_CONSTANT and len(opcode.data) >= 8:
            bad |= stored == struct.unpack_from(">I", opcode.data)[0]
        elif opcode.number == _FIX_BAD_LIST and len(opcode.data) >= 12:
            _, points, areas = struct.unpack_from(">III", opcode.data)
            numbers = np.frombuffer(opcode.data[12:], ">u4", (len(opcode.data) - 12) // 4)
            numbers = numbers.astype(np.int64)
            places = numbers[: 2 * points].reshape(-1, 2) - (top, left)
            inside = ((places >= 0) & (places < stored.shape)).all(axis=1)
            bad[tuple(places[inside].T)] = True
            found = numbers[2 * points :][: 4 * areas]
            for area in found[: len(found) // 4 * 4].reshape(-1, 4) - (top, left, top, left):
                first, start, last, stop = area.clip(min=0)
                bad[first:last, start:stop] = True
    return bad


def apply_opcodes(tags: DngTags, values: Plane, sensor: Sensor) -> list[str]:
    """Apply what changes levels to a mosaic, in place.

    Args:
        tags: the tags of the file.
        values: (H, W), the visible area; black is 0 and white is 1.
        sensor: its colours.

    Returns:
        The names of the operations that were not applied.
    """
    left_out = []
    for opcode in _read(tags):
        if opcode.number in (_FIX_BAD_CONSTANT, _FIX_BAD_LIST):
            continue
        change = _CHANGES.get(opcode.number)
        try:
            if opcode.list == 0 or change is None or not change(opcode, values, sensor):
                left_out.append(opcode.name)
        except (struct.error, ValueError, IndexError):  # too short for what it announces
            left_out.append(opcode.name)
    return list(dict.fromkeys(left_out))


def _read(tags: DngTags) -> list[_Opcode]:
    found = []
    for index, tag in enumerate(_LISTS):
        data, at = tags.data(tag), 4
        count = struct.unpack_from(">I", data)[0] if len(data) >= 4 else 0
        for _ in range(min(count, _MOST)):
            if at + 16 > len(data):
                break
            number, _, _, size = struct.unpack_from(">IIII", data, at)
            found.append(_Opcode(index, number, data[at + 16 : at + 16 + size]))
            at += 16 + size
    return found


@dataclass(frozen=True)
class _Target:
    """The pixels that an operation is for: rows and columns of an area, in steps, of some planes.

    The second list knows one plane, the mosaic. In the third, and in files without a mosaic, the
    planes are the colours.
    """

    rows: slice
    columns: slice
    plane: int
    planes: int

    SIZE = 32

    @classmethod
    def read(cls, data: bytes) -> "_Target":
        top, left, bottom, right, plane, planes, down, across = struct.unpack_from(">8I", data)
        return cls(
            slice(top, bottom, max(down, 1)), slice(left, right, max(across, 1)), plane, planes
        )

    def each(self, opcode: _Opcode, size: tuple[int, ...], sensor: Sensor) -> "list[_Part]":
        """The pixels, one part for each plane and each place of the block that it concerns."""
        rows, columns = (
            np.arange(*part.indices(side))
            for part, side in zip((self.rows, self.columns), size, strict=True)
        )
        if opcode.list < 2 and not sensor.linear:
            return [_Part(rows, columns, 0)]
        period = len(sensor.colours)
        parts = []
        for y, x in product(range(period), repeat=2):
            plane = int(sensor.colours[y, x]) - self.plane
            if 0 <= plane < self.planes:
                here = rows[rows % period == y], columns[columns % period == x]
                parts.append(_Part(*here, plane))
        return parts


@dataclass(frozen=True)
class _Part:
    """Rows and columns of pixels, and the number of their plane within an operation."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    plane: int

    @property
    def pixels(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return self.rows[:, None], self.columns[None]


def _gain_map(opcode: _Opcode, values: Plane, sensor: Sensor) -> bool:
    target = _Target.read(opcode.data)
    down, across, step_y, step_x, start_y, start_x, planes = struct.unpack_from(
        ">IIddddI", opcode.data, _Target.SIZE
    )
    begin = _Target.SIZE + 44
    gains = np.frombuffer(opcode.data[begin:], ">f4", down * across * planes)
    gains = gains.reshape(down, across, planes).astype(np.float32)
    if not gains.size or not np.isfinite(gains).all() or gains.min() < 0:
        return False
    height, width = values.shape
    for part in target.each(opcode, values.shape, sensor):
        plane = gains[:, :, min(part.plane, planes - 1)]
        y = _points((part.rows + 0.5) / height, start_y, step_y, down)
        x = _points((part.columns + 0.5) / width, start_x, step_x, across)
        values[part.pixels] *= _bilinear(plane, y, x)
    return True


def _points(at: NDArray[np.float64], start: float, step: float, count: int) -> NDArray[np.float64]:
    """Places between 0 and 1 in units of the points of a map, which ends with its last point."""
    if count == 1 or step <= 0:
        return np.zeros(len(at))
    return ((at - start) / step).clip(0, count - 1)


def _bilinear(plane: Plane, y: NDArray[np.float64], x: NDArray[np.float64]) -> Plane:
    """Interpolate between the points of a map at all rows ``y`` and columns ``x``."""
    across = np.array([np.interp(x, np.arange(plane.shape[1]), line) for line in plane])
    first = np.minimum(y.astype(int), len(plane) - 1)
    second = np.minimum(first + 1, len(plane) - 1)
    share = (y - first)[:, None]
    mixed = across[first] * (1 - share) + across[second] * share
    return np.asarray(mixed, np.float32)


def _per_line(
    combine: Callable[[Plane, Plane], Plane], by_row: bool
) -> Callable[[_Opcode, Plane, Sensor], bool]:
    """An operation with a number for each row, or for each column, of its area."""

    def change(opcode: _Opcode, values: Plane, sensor: Sensor) -> bool:
        target = _Target.read(opcode.data)
        (count,) = struct.unpack_from(">I", opcode.data, _Target.SIZE)
        numbers = np.frombuffer(opcode.data[_Target.SIZE + 4 :], ">f4", count).astype(np.float32)
        lines = target.rows if by_row else target.columns
        if not np.isfinite(numbers).all():
            return False
        for part in target.each(opcode, values.shape, sensor):
            own = part.rows if by_row else part.columns
            mine = numbers[(own - lines.start) // lines.step]
            mine = mine[:, None] if by_row else mine[None]
            values[part.pixels] = combine(values[part.pixels], mine)
        return True

    return change


def _map_levels(opcode: _Opcode, values: Plane, sensor: Sensor) -> bool:
    """Run levels through a curve. Below black it goes on as it begins, so that noise keeps its
    mean; above white it stays a step from white."""
    target = _Target.read(opcode.data)
    (count,) = struct.unpack_from(">I", opcode.data, _Target.SIZE)
    data = opcode.data[_Target.SIZE + 4 :]
    at = np.linspace(0, 1, 2**16)
    if opcode.number == _MAP_TABLE:
        table = np.frombuffer(data, ">u2", count) / (2**16 - 1)
        curve = table[np.minimum(np.arange(2**16), count - 1)]
    else:
        factors = np.frombuffer(data, ">f8", count + 1)
        curve = np.polynomial.polynomial.polyval(at, factors).clip(0, 1)
    if not np.isfinite(curve).all():
        return False
    slope = (curve[256] - curve[0]) / at[256]
    for part in target.each(opcode, values.shape, sensor):
        old = values[part.pixels]
        new = np.interp(old, at, curve) + slope * np.minimum(old, 0) + np.maximum(old - 1, 0)
        values[part.pixels] = new
    return True


def _vignette(opcode: _Opcode, values: Plane, sensor: Sensor) -> bool:
    *factors, x, y = struct.unpack_from(">7d", opcode.data)
    height, width = values.shape
    across = np.arange(width) + 0.5 - x * width
    down = np.arange(height)[:, None] + 0.5 - y * height
    farthest = max(x, 1 - x) ** 2 * width**2 + max(y, 1 - y) ** 2 * height**2
    squares = ((across**2 + down**2) / farthest).astype(np.float32)
    gain = np.polynomial.polynomial.polyval(squares, np.array([1, *factors], np.float32))
    if not np.isfinite(gain).all() or gain.min() < 0:
        return False
    values *= gain
    return True


_CHANGES: dict[int, Callable[[_Opcode, Plane, Sensor], bool]] = {
    _FIX_VIGNETTE_RADIAL: _vignette,
    _MAP_TABLE: _map_levels,
    _MAP_POLYNOMIAL: _map_levels,
    _GAIN_MAP: _gain_map,
    _DELTA_PER_ROW: _per_line(np.add, by_row=True),
    _DELTA_PER_COLUMN: _per_line(np.add, by_row=False),
    _SCALE_PER_ROW: _per_line(np.multiply, by_row=True),
    _SCALE_PER_COLUMN: _per_line(np.multiply, by_row=False),
}
