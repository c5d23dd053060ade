"""What DNG files prescribe for their data (opcode lists) is done, or told."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mosaics import OPTIONS, WHITE, scene

from enhance_cli.io.dng import write_dng
from enhance_cli.io.raw import AS_STORED, read_raw

HEIGHT, WIDTH = 40, 48
ALL = (0, 0, HEIGHT, WIDTH)


def opcode(number: int, data: bytes) -> bytes:
    return struct.pack(">IIII", number, 0x01030000, 0, len(data)) + data


def area(
    bounds: tuple[int, ...] = ALL, plane: int = 0, planes: int = 1, steps: tuple[int, int] = (1, 1)
) -> bytes:
    return struct.pack(">8I", *bounds, plane, planes, *steps)


def gain_map(gains: np.ndarray, where: bytes) -> bytes:
    """A map whose first and last points lie at the borders of the picture."""
    down, across, planes = gains.shape
    steps = 1 / max(down - 1, 1), 1 / max(across - 1, 1)
    head = struct.pack(">IIddddI", down, across, *steps, 0, 0, planes)
    return opcode(9, where + head + gains.astype(">f4").tobytes())


@pytest.fixture
def read(
    changed_tags: Callable[..., None], tmp_path: Path
) -> Callable[..., tuple[np.ndarray, list[str]]]:
    """Read a mosaic whose file has opcodes, as a mosaic again, and what is told."""

    def read_with(*opcodes: bytes, tag: int = 51009, levels: np.ndarray | None = None):
        data = struct.pack(">I", len(opcodes)) + b"".join(opcodes)
        changed_tags({tag: (7, len(data), data)})
        write_dng(tmp_path / "a.dng", scene() if levels is None else levels, **OPTIONS)
        told: list[str] = []
        planes = read_raw(tmp_path / "a.dng", AS_STORED, told.append).planes
        mosaic = np.empty((2 * planes.shape[1], 2 * planes.shape[2]))
        for plane, (y, x) in zip(planes, [(0, 0), (0, 1), (1, 1), (1, 0)], strict=True):
            mosaic[y::2, x::2] = plane
        return mosaic, told

    return read_with


def test_gain_maps_of_single_places_of_the_block(read: Callable) -> None:
    """As phones write them: one for each of the four; between its points they are linear."""
    maps = [
        gain_map(
            np.array([[[1.0], [2 + y]], [[3.0], [4 + x]]]), area((y, x, *ALL[2:]), steps=(2, 2))
        )
        for y, x in np.ndindex(2, 2)
    ]
    found, told = read(*maps)
    down, across = (np.arange(HEIGHT) + 0.5) / HEIGHT, (np.arange(WIDTH) + 0.5) / WIDTH
    for y, x in np.ndindex(2, 2):
        v, h = down[y::2, None], across[None, x::2]
        gain = (1 - v) * ((1 - h) + h * (2 + y)) + v * ((1 - h) * 3 + h * (4 + x))
        np.testing.assert_allclose(
            found[y::2, x::2], scene()[y::2, x::2] / WHITE * gain, rtol=1e-4, atol=1e-6
        )
    assert told == []


def test_a_gain_map_of_colours_in_the_third_list(read: Callable) -> None:
    gains = np.array([[[2.0, 3.0, 4.0]]])
    found, told = read(gain_map(gains, area(planes=3)), tag=51022)
    factors = np.tile([[2, 3], [3, 4]], (HEIGHT // 2, WIDTH // 2))
    np.testing.assert_allclose(found, scene() / WHITE * factors, rtol=1e-5)
    assert told == []


@pytest.mark.parametrize("number", [10, 11, 12, 13])
def test_numbers_for_rows_and_columns(number: int, read: Callable) -> None:
    by_row, adds = number in (10, 12), number in (10, 11)
    count = 10 if by_row else 12
    numbers = np.linspace(0.5, 1.5, count)
    where = area((10, 12, 30, 36), steps=(2, 2))
    found, told = read(opcode(number, where + struct.pack(f">I{count}f", count, *numbers)))
    expected = scene() / WHITE
    part = expected[10:30:2, 12:36:2]
    lines = numbers[:, None] if by_row else numbers[None]
    expected[10:30:2, 12:36:2] = part + lines if adds else part * lines
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert told == []


def test_curves_keep_noise_below_black(read: Callable) -> None:
    squares = opcode(8, area() + struct.pack(">I3d", 2, 0, 0.5, 0.5))
    found, _ = read(squares)
    light = scene() / WHITE
    np.testing.assert_allclose(found, (light + light**2) / 2, atol=1e-4)
    table = (np.arange(2**16) * 0.25).astype(">u2").tobytes()
    found, told = read(opcode(7, area() + struct.pack(">I", 2**16) + table))
    np.testing.assert_allclose(found, light / 4, atol=1e-4)
    assert told == []


def test_vignetting_about_the_middle(read: Callable) -> None:
    found, told = read(opcode(3, struct.pack(">7d", 1.0, 0, 0, 0, 0.5, 0.5, 0.5)), tag=51022)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    squares = ((y - HEIGHT / 2) ** 2 + (x - WIDTH / 2) ** 2) / ((HEIGHT**2 + WIDTH**2) / 4)
    np.testing.assert_allclose(found, scene() / WHITE * (1 + squares + squares**5 / 2), rtol=1e-4)
    assert told == []


def test_bad_pixels_get_their_neighbours_mean(read: Callable) -> None:
    levels = np.tile(np.array([[600, 900], [900, 300]], np.uint16), (20, 24))
    spoilt = levels.copy()
    spoilt[5, 7] = spoilt[20, 20] = spoilt[22, 20] = 4095
    spoilt[30:34, 30:34] = 7
    listed = struct.pack(">III", 0, 3, 1) + struct.pack(">6I", 5, 7, 20, 20, 22, 20)
    listed += struct.pack(">4I", 30, 30, 34, 34)
    for number, data in ((5, listed), (4, struct.pack(">II", 7, 0))):
        found, told = read(opcode(number, data), tag=51008, levels=spoilt)
        expected = levels if number == 5 else np.where(spoilt == 7, levels, spoilt)
        np.testing.assert_allclose(found, expected / WHITE, atol=1e-6)
        assert told == []


def test_what_is_not_applied_is_told_once(read: Callable) -> None:
    warp = opcode(1, struct.pack(">I8d", 1, 1, 0, 0, 0, 0, 0, 0.5, 0.5))
    found, told = read(warp, opcode(77, b""), warp, opcode(9, b"short"), tag=51022)
    np.testing.assert_allclose(found, scene() / WHITE, atol=1e-6)
    assert told == [
        "not applied of what the DNG file prescribes: WarpRectilinear, opcode 77, GainMap"
    ]


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", struct.pack(">I", 2**31) + b"\0" * 40, gain_map(np.ones((2, 2, 1)), b"")]
)
def test_damaged_lists_are_survived(
    data: bytes, changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    changed_tags({51009: (7, len(data), data)} if data else {})
    write_dng(tmp_path / "a.dng", scene(), **OPTIONS)
    np.testing.assert_allclose(
        read_raw(tmp_path / "a.dng").planes[0], scene()[::2, ::2] / WHITE, atol=1e-6
    )
