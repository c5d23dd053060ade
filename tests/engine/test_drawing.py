"""Noise that belongs to places, and answers drawn with it in tiles."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from drawing_networks import FAKE_DRAWING, FakeDrawing, FakeDrawingConfig
from torch import Tensor

from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.checkpoint import CheckpointInfo
from enhance_cli.engine.drawing import NoiseField, draw_answer
from enhance_cli.engine.tiled import TilePlan, run_tiled

CPU = torch.device("cpu")


def fake(**settings: object) -> Model:
    network = FakeDrawing(FakeDrawingConfig(**settings)).eval()
    info = cast(CheckpointInfo, FAKE_DRAWING)
    return Model(network, network.contract, CPU, info=info)


def picture(height: int, width: int) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(2)) * 0.6 + 0.2


def draw(model: Model, image: Tensor, tile: int, *, seed: int = 1, sample: int = 0) -> Tensor:
    noise = NoiseField(seed, sample)
    return run_tiled(draw_answer(model, 0.7, noise), image, TilePlan(tile=tile))


def test_any_part_of_a_field_is_cut_from_the_same_noise():
    field = NoiseField(5)
    whole = field.cut(3, (2, 75, 100), 0, 0)
    for top, left, height, width in [(0, 0, 1, 1), (31, 30, 3, 40), (64, 99, 11, 1)]:
        part = field.cut(3, (2, height, width), top, left)
        assert part.equal(whole[:, top : top + height, left : left + width])
    assert whole.mean().abs() < 0.03
    assert (whole.std() - 1).abs() < 0.03


def test_layers_samples_and_seeds_are_independent():
    shape = (1, 64, 64)
    fields = [NoiseField(0), NoiseField(0, 1), NoiseField(1)]
    cuts = [field.cut(layer, shape, 0, 0).flatten() for field in fields for layer in (0, 1)]
    cuts.append(NoiseField(0).cut(0, shape, 0, 64).flatten())
    correlation = torch.corrcoef(torch.stack(cuts))
    assert (correlation - torch.eye(len(cuts))).abs().max() < 0.07


@pytest.mark.parametrize("size", [(70, 41), (5, 33)])
def test_tiles_draw_what_the_whole_draws(size: tuple[int, int]):
    """Where tiling is exact, to the last bits; where it blends, but for what tiles cannot see."""
    image = picture(*size)
    whole = draw(fake(), image, 0)
    torch.testing.assert_close(draw(fake(), image, 16), whole, rtol=0, atol=2e-6)
    blended = draw(fake(tiling="blended"), image, 16)
    other = draw(fake(tiling="blended"), image, 16, sample=1)
    assert (other - whole).square().mean().sqrt() > 0.03
    assert (blended - whole).square().mean().sqrt() < 0.006
    assert (blended - whole).abs().max() < 0.1


def test_fixed_patches_agree_where_they_overlap():
    """With one coarse latent for each patch, what seams leave must not stand out."""
    image = torch.full((3, 45, 61), 0.5)
    drawn = draw(fake(patch=16, tiling="blended"), image, 16)
    assert drawn.shape == (3, 180, 244)
    steps = (drawn[..., 1:] - drawn[..., :-1]).abs().mean((0, 1))
    assert steps.max() < 2 * steps.mean()


def test_same_seed_same_bytes_whatever_the_batch():
    image, model = picture(40, 40), fake()
    first = draw(model, image, 16)
    assert draw(model, image, 16).equal(first)
    assert not draw(model, image, 16, seed=2).equal(first)
    both = run_tiled(draw_answer(model, 0.7, NoiseField(1)), image, TilePlan(tile=16, batch=3))
    torch.testing.assert_close(both, first, rtol=0, atol=1e-6)


def test_grey_and_the_mean_path():
    model = fake()
    assert draw_answer(model, 0.0, NoiseField(1)) is model
    grey = draw_answer(model, 0.5, NoiseField(1)).as_grey()
    result = run_tiled(grey, picture(9, 12)[:1], TilePlan())
    assert result.shape == (1, 36, 48)
    half = replace(grey, dtype=torch.bfloat16)
    again = run_tiled(half, picture(9, 12)[:1], TilePlan())
    torch.testing.assert_close(again, result, rtol=0, atol=0.02)
