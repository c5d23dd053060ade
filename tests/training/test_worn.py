"""Training on photographs that are worn out at every step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_tasks import CPU, tiny_stage

from enhance_cli.data.wear import Wear
from enhance_cli.errors import DatasetError
from enhance_cli.resize import imresize
from enhance_cli.training.optimisation import step_generator
from enhance_cli.training.worn import WornStage


def stage(wear: Wear) -> WornStage:
    """A stage of a tiny network for x2."""
    tiny = tiny_stage(2)
    return WornStage(
        architecture=tiny.architecture, config=tiny.config, patch=8, batch=4, wear=wear
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photographs of soft noise."""
    random = np.random.default_rng(3)
    for index in range(2):
        small = Image.fromarray(random.integers(0, 256, (16, 20, 3), np.uint8))
        small.resize((80, 64), Image.Resampling.BICUBIC).save(tmp_path / f"{index}.png")
    return tmp_path


def test_what_only_bicubic_has_worn_fits_its_photograph(photos: Path) -> None:
    pairs = stage(Wear(plain=1.0)).prepare(photos, None, CPU)._pairs
    worn, target = pairs.batch(4, step_generator(0, 0))
    assert worn.shape == (4, 3, 8, 8)
    assert target.shape == (4, 3, 16, 16)
    # Away from the border, beyond which the patch alone knows nothing.
    inner = slice(2, -2)
    expected = imresize(target, 1 / 2)[..., inner, inner].clamp(0, 1)
    assert torch.allclose(worn[..., inner, inner], expected, rtol=0, atol=0.6 / 255)


def test_no_patch_is_worn_twice_alike_and_a_step_always_is(photos: Path) -> None:
    task = stage(Wear(plain=0.0)).prepare(photos, None, CPU)
    with torch.autocast("cpu", torch.bfloat16):  # As the loop of training has it.
        first, again, next_step = (
            task._pairs.batch(4, step_generator(0, step))[0] for step in (0, 0, 1)
        )
        loss = task.loss(0, step_generator(0, 0), slice(None))
    assert torch.equal(first, again)
    assert not torch.equal(first, next_step)
    assert torch.isfinite(loss)


def test_it_is_validated_on_worn_pictures(photos: Path) -> None:
    """They are the same at each call, and harder than bicubic ones."""
    task = stage(Wear()).prepare(photos, photos, CPU)
    torch.nn.init.zeros_(task.network.out.weight)  # type: ignore[union-attr, arg-type]
    clean = tiny_stage(2).prepare(photos, photos, CPU)
    torch.nn.init.zeros_(clean.network.out.weight)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        score, same, unworn = (one.validate(one.network) for one in (task, task, clean))
    assert score == same
    assert score < unworn - 1


def test_photographs_that_are_too_small(tmp_path: Path) -> None:
    for index in range(2):
        Image.new("RGB", (44, 100)).save(tmp_path / f"{index}.png")
    with pytest.raises(DatasetError, match="48x48"):
        stage(Wear()).prepare(tmp_path, None, CPU)
    Image.new("RGB", (64, 64)).save(tmp_path / "2.png")
    held = tmp_path / "held"
    held.mkdir()
    Image.new("RGB", (30, 64)).save(held / "small.png")
    with pytest.raises(DatasetError, match="has 32 pixels on both sides"):
        stage(Wear()).prepare(tmp_path, held, CPU)
