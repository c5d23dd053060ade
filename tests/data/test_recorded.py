"""Training patches of recorded pairs: aligned to the pixel however they are turned."""

from pathlib import Path

import numpy as np
import pytest
import torch

from enhance_cli.colour import SRGB_TO_XYZ, linear_to_srgb
from enhance_cli.data.darkness import demosaic, pack
from enhance_cli.data.recorded import RecordedSampler
from enhance_cli.data.sid import SidPair, load_sid_pairs
from enhance_cli.errors import DatasetError
from enhance_cli.io.dng import write_dng

pytest.importorskip("rawpy")

GAINS, RATIO = (2.0, 1.0, 1.6), 8.0
OPTIONS = {
    "white": 16_383,
    "black": 512,
    "as_shot_neutral": tuple(1 / gain for gain in GAINS),
    "color_matrix": np.linalg.inv(SRGB_TO_XYZ.double().numpy()),
}


def write_pair(folder: Path, scene: str, size: tuple[int, int] = (64, 80)) -> None:
    """A dark and a bright exposure of a smooth scene without noise."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    light = 0.1 + 0.3 * rows / size[0] + 0.2 * columns / size[1]  # linear, white-balanced
    gains = np.ones(size)
    gains[::2, ::2], gains[1::2, 1::2] = GAINS[0], GAINS[2]
    for kind, ratio, seconds in (("long", 1.0, 0.8), ("short", RATIO, 0.1)):
        levels = np.round(light / gains / ratio * (16_383 - 512) + 512).astype(np.uint16)
        (folder / "Sony" / kind).mkdir(parents=True, exist_ok=True)
        write_dng(folder / "Sony" / kind / f"{scene}_00_{seconds}s.ARW", levels, **OPTIONS)


@pytest.fixture
def pairs(tmp_path: Path) -> list[SidPair]:
    for scene in ("00001", "00002"):
        write_pair(tmp_path, scene)
    return load_sid_pairs(tmp_path, "train")


def test_turned_and_flipped_patches_stay_aligned(pairs: list[SidPair]):
    sampler = RecordedSampler(pairs, 16)
    generator = torch.Generator().manual_seed(1)
    seen = set()
    for _ in range(12):
        batch = sampler.batch(4, generator, srgb=False, balanced=True)
        assert batch.dark.shape == (4, 4, 8, 8) and batch.clean.shape == (4, 3, 16, 16)
        # At each sensor pixel the clean picture has the value that the mosaic measured there;
        # a mosaic out of phase would be wrong by a gain of 1.6 or 2.
        torch.testing.assert_close(batch.dark, pack(batch.clean), atol=6e-3, rtol=0)
        slopes = batch.clean[:, 1, -1, 0] > batch.clean[:, 1, 0, 0]
        seen |= {
            (bool(a), bool(b))
            for a, b in zip(slopes, batch.clean[:, 1, 0, -1] > batch.clean[:, 1, 0, 0], strict=True)
        }
    assert len(seen) == 4  # every way round occurs


def test_without_balance_the_gains_are_still_there(pairs: list[SidPair]):
    sampler = RecordedSampler(pairs, 16)
    kinds = {"srgb": False}
    one = sampler.batch(3, torch.Generator().manual_seed(5), balanced=False, **kinds)
    two = sampler.batch(3, torch.Generator().manual_seed(5), balanced=True, **kinds)
    gains = torch.tensor([2.0, 1.0, 1.6, 1.0]).view(1, 4, 1, 1)
    torch.testing.assert_close(one.dark * gains, two.dark, atol=1e-4, rtol=0)


def test_srgb_is_the_same_scene_in_eight_bits(pairs: list[SidPair]):
    sampler = RecordedSampler(pairs, 16)
    generator = torch.Generator().manual_seed(2)
    batch = sampler.batch(4, generator, srgb=True, balanced=False)
    assert batch.dark.shape == batch.clean.shape == (4, 3, 16, 16)
    shown = linear_to_srgb(batch.dark / RATIO) * 255
    torch.testing.assert_close(shown, shown.round(), atol=1e-2, rtol=0)
    inner = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(batch.dark[inner], batch.clean[inner], atol=0.02, rtol=0)


def test_the_middle_is_always_the_same(pairs: list[SidPair]):
    sampler = RecordedSampler(pairs, 32)
    first, again = (sampler.middle(srgb=False, balanced=True) for _ in range(2))
    assert len(first) == 2
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a.dark, b.dark, atol=0, rtol=0)
        torch.testing.assert_close(
            demosaic(a.dark)[..., 2:-2, 2:-2], a.clean[..., 2:-2, 2:-2], atol=6e-3, rtol=0
        )


def test_a_picture_smaller_than_a_patch_is_named(pairs: list[SidPair]):
    with pytest.raises(DatasetError, match="00001_00_0.1s.ARW: smaller than a patch of 64"):
        RecordedSampler(pairs, 64)
