"""Where dark pictures come from: noise, files of half size, and photographs that are no use."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dark_tasks import CPU, PLAIN, loss, prepare, tiny, write_photos
from PIL import Image
from torch import Tensor

from enhance_cli.data.darkness import pack
from enhance_cli.errors import DatasetError
from enhance_cli.training.dark_sources import Mixture
from enhance_cli.training.objectives import HybridObjective
from enhance_cli.training.optimisation import step_generator


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def test_srgb_is_validated_on_both_kinds_of_files(photos: Path) -> None:
    pairs = list(prepare(tiny(config={"source": "srgb"}), photos).source.validation())
    assert [len(pair.dark) for pair in pairs] == [2, 2, 2]
    assert [len(pair.dark) for pair in prepare(tiny(), photos).source.validation()] == [1, 1, 1]


def test_validation_is_the_same_each_time(photos: Path) -> None:
    one, other = (prepare(tiny(seed_of), photos) for seed_of in (PLAIN, HybridObjective()))
    loss(one, 3)
    for first, second, again in zip(
        one.source.validation(), other.source.validation(), one.source.validation(), strict=True
    ):
        assert torch.equal(first.dark, second.dark)
        assert torch.equal(first.dark, again.dark)
        assert torch.equal(first.clean, second.clean)


def test_batches_are_of_the_recipe_s_patch_and_ratios(photos: Path) -> None:
    task = prepare(tiny(low_ratio=2.0, high_ratio=3.0, batch=6, patch=64), photos)
    pairs = task.source.draw(6, step_generator(1, 0))
    assert pairs.dark.shape == (6, 4, 32, 32)
    assert pairs.clean.shape == (6, 3, 64, 64)
    # At so small a ratio the dark picture resembles the clean one.
    likeness = torch.corrcoef(torch.stack([pairs.dark.flatten(), pack(pairs.clean).flatten()]))
    assert likeness[0, 1] > 0.7


def test_ratios_and_isos_of_a_mixture() -> None:
    mixture = Mixture(1.0, 4.0, dark=0.25, low_iso=0.5)
    drawn = mixture.draw_ratios(2000, torch.Generator().manual_seed(0))
    dark = drawn > 4
    assert float(dark.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert drawn[~dark].min() >= 1
    assert drawn[dark].min() >= 20
    assert drawn[dark].max() <= 300
    spread = Mixture(4.0, 8.0).draw_ratios(2000, torch.Generator().manual_seed(0)).log2()
    assert float(spread.mean()) == pytest.approx(2.5, abs=0.05)
    assert 2 <= spread.min() <= spread.max() <= 3
    isos = mixture.draw_isos(2000, torch.Generator().manual_seed(0))
    # A third of the logarithms from 50 to 25,600 lie below 400.
    assert float((isos <= 400).float().mean()) == pytest.approx(0.5 + 0.5 / 3, abs=0.03)
    assert 50 <= isos.min() <= isos.max() <= 25_600


def test_fine_photographs_are_of_half_the_size(tmp_path: Path) -> None:
    """A checkerboard of single pixels becomes its mean."""
    board = np.indices((80, 80)).sum(0) % 2 * 200
    for index in range(2):
        Image.fromarray(np.repeat(board[..., None], 3, 2).astype(np.uint8)).save(
            tmp_path / f"{index}.png"
        )
    spread = []
    for share in (0.0, 1.0):
        task = prepare(tiny(fine_share=share, batch=4, patch=32), tmp_path)
        clean = task.source.draw(4, step_generator(1, 0)).clean
        assert clean.shape == (4, 3, 32, 32)
        spread.append(float(clean.std((2, 3)).max()))
    assert spread[0] > 0.1
    assert spread[1] < 1e-3


@pytest.mark.parametrize("source", ["raw", "srgb"])
def test_noise_is_another_at_every_step(tmp_path: Path, source: str) -> None:
    """Or a network could learn it by heart."""
    for index in range(2):
        Image.new("RGB", (40, 40), (120, 120, 120)).save(tmp_path / f"{index}.png")
    recipe = tiny(config={"source": source}, low_ratio=20.0, high_ratio=20.0, batch=16)
    task = prepare(recipe, tmp_path)

    def noise(step: int) -> Tensor:
        dark = task.source.draw(16, step_generator(1, step)).dark
        centred = dark - dark.mean((2, 3), keepdim=True)
        return (centred / (centred.std((2, 3), keepdim=True) + 1e-6)).flatten()

    assert torch.equal(noise(0), noise(0))
    first, second = noise(0), noise(1)
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.1
    # Nor is it the same for the pictures of a batch.
    halves = first.view(2, -1)
    assert torch.corrcoef(halves)[0, 1].abs() < 0.1


def test_photographs_that_hold_no_patch(photos: Path) -> None:
    with pytest.raises(DatasetError, match="128x128"):
        prepare(tiny(patch=128), photos)


def test_photographs_too_small_to_validate_on(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (31, 200)).save(tmp_path / "small.png")
    with pytest.raises(DatasetError, match="as large as 32"):
        tiny().prepare(photos, tmp_path, CPU)


def test_held_out_photographs_are_cut_in_the_middle(photos: Path, tmp_path: Path) -> None:
    pixels = np.zeros((33, 100, 3), np.uint8)
    pixels[:, 2:98] = 255
    Image.fromarray(pixels).save(tmp_path / "framed.png")
    (pairs,) = tiny().prepare(photos, tmp_path, CPU).source.validation()
    assert pairs.clean.shape == (1, 3, 32, 96)
    assert pairs.clean.min() > 0.99  # the frame is outside


@pytest.mark.parametrize(("share", "counts"), [(0.0, 1), (0.5, 2), (1.0, 1)])
def test_files_of_half_size_are_not_demosaiced(tmp_path: Path, share: float, counts: int) -> None:
    """Thesis 000, ch. 2: neighbours come from blocks of their own, so their noise is not alike."""
    for index in range(2):
        Image.new("RGB", (64, 64), (120, 120, 120)).save(tmp_path / f"{index}.png")
    stage = tiny(config={"source": "srgb"}, low_ratio=100.0, high_ratio=100.0, batch=8, patch=64)
    task = prepare(replace(stage, reduced_share=share), tmp_path)
    dark = task.source.draw(8, step_generator(1, 0)).dark
    assert dark.shape == (8, 3, 64, 64)
    alike = []
    for picture in dark:
        green = picture[1] - picture[1].mean()
        alike.append(float((green[:, 1:] * green[:, :-1]).mean() / green.square().mean()))
    reduced = round(8 * share)
    whole_files, half_files = alike[: 8 - reduced], alike[8 - reduced :]
    if whole_files:
        assert min(whole_files) > 0.15, whole_files
    if half_files:
        assert min(half_files) < 0.05, half_files  # JPEG makes others alike
    assert [len(pair.dark) for pair in task.source.validation()] == [counts] * 2
