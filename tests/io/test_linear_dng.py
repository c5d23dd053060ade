"""Linear DNG files that come back as they were written."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rawpy

from enhance_cli.errors import OutputError
from enhance_cli.io import linear_dng
from enhance_cli.io.linear_dng import SensorPicture, check_dng, read_colours, write_linear_dng
from enhance_cli.io.raw import srgb_matrix

# Of a Sony A7S II, as Adobe's tables have it.
SONY = np.array([[0.6988, -0.1384, -0.0714], [-0.5631, 1.341, 0.2447], [-0.1485, 0.2204, 0.7318]])
COLOURS = {50721: tuple(SONY.ravel().tolist()), 50778: 21}
GAINS = (2.0, 1.0, 1.6)


@pytest.mark.parametrize("brightest", [1.7, 1.0, 0.01, 1e-6])
def test_light_comes_back_as_fine_as_16_bits_allow(tmp_path: Path, brightest: float) -> None:
    path = tmp_path / "a.dng"
    light = np.linspace(-0.1, 1, 300 * 24 * 3, dtype=np.float32).reshape(300, 24, 3) * brightest
    write_linear_dng(path, SensorPicture(light, GAINS, COLOURS))
    with rawpy.imread(str(path)) as raw:
        levels, white = raw.raw_image_visible[..., :3].copy(), raw.white_level
        np.testing.assert_allclose(raw.camera_whitebalance[:3], GAINS, rtol=1e-5)
    assert white >= 65_535
    assert levels.max() >= 65_534 or white == 65_535 * 4096
    error = levels / white - light.clip(0, 1)
    assert np.abs(error).max() <= 1.01 / white
    assert abs(error.mean()) < 0.02 / white  # dithered, and not cut off


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.dng"
    path.write_bytes(b"old")
    picture = SensorPicture(np.full((24, 24, 3), 0.1, np.float32), GAINS, COLOURS)

    def fill_up(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(linear_dng, "_ROWS", 12)
    monkeypatch.setattr(np.random, "default_rng", lambda _: SimpleNamespace(random=fill_up))
    with pytest.raises(OutputError, match=r"a\.dng: cannot write \(No space"):
        write_linear_dng(path, picture)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_too_large(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="DNG holds at most 4 GB: use --size half"):
        check_dng(tmp_path / "a.dng", 30_000, 30_000)


def test_the_matrix_of_files_that_are_no_dng(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LibRaw's own if it is in use, else one that gives the colours of the matrix in use."""
    (tmp_path / "a.arw").write_bytes(b"no TIFF")
    opened = SimpleNamespace(rgb_xyz_matrix=np.vstack([SONY, np.zeros(3)]))
    monkeypatch.setattr(linear_dng, "open_libraw", lambda _: nullcontext(opened))
    in_use = srgb_matrix(SONY)
    found = read_colours(tmp_path / "a.arw", GAINS, in_use)
    np.testing.assert_allclose(found[50721], SONY.ravel())
    other = np.array([[1.6, -0.5, -0.1], [-0.2, 1.5, -0.3], [0.0, -0.6, 1.6]], np.float32)
    found = read_colours(tmp_path / "a.arw", GAINS, other)
    matrix = np.array(found[50721]).reshape(3, 3)
    np.testing.assert_allclose(srgb_matrix(matrix), other, atol=1e-4)
    seen = matrix @ np.array([0.9505, 1, 1.089])  # white of 6500 K is the card that is grey
    np.testing.assert_allclose(seen, 1 / np.array(GAINS), atol=1e-3)
