"""Training on pairs of a teacher: which target a patch has, and what is held out."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_tasks import CPU, tiny_stage

from enhance_cli.errors import DatasetError
from enhance_cli.training.distillation import DistillationStage
from enhance_cli.training.optimisation import step_generator
from enhance_cli.training.superres import SuperResolution


def prepare(
    folder: Path,
    teacher_share: float,
    scale: int = 2,
    margin: float = 100.0,
    true_colours: bool = False,
) -> SuperResolution:
    """A task on 40 grey pairs: the teacher's pictures are white, the true ones black."""
    side = 18
    save_file(
        {
            "input": torch.full((40, 3, side, side), 128, dtype=torch.uint8),
            "teacher": torch.full((40, 3, 2 * side, 2 * side), 255, dtype=torch.uint8),
            "truth": torch.zeros((40, 3, 2 * side, 2 * side), dtype=torch.uint8),
            "photo": torch.arange(40),
        },
        folder / "pairs.safetensors",
    )
    tiny = tiny_stage(scale)
    stage = DistillationStage(
        architecture=tiny.architecture,
        config=tiny.config,
        patch=8,
        batch=64,
        l1_share=1.0,
        teacher_share=teacher_share,
        teacher_margin=margin,
        true_colours=true_colours,
    )
    return stage.prepare(folder, None, CPU)


def share_of_the_teacher(task: SuperResolution) -> float:
    """Which part of the targets is white, by the loss."""
    torch.nn.init.zeros_(task.network.out.weight)  # type: ignore[union-attr, arg-type]
    losses = [
        float(task.loss(step, step_generator(0, step), slice(None)).detach()) for step in range(8)
    ]
    # What bicubic makes of a grey of 128/255 misses white by 127/255, and black by 128/255.
    return (128 / 255 - sum(losses) / 8) * 255


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_targets_are_the_teacher_s_to_the_share(tmp_path: Path, share: float) -> None:
    assert share_of_the_teacher(prepare(tmp_path, share)) == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize(("margin", "share"), [(-0.1, 0.0), (0.0, 1.0)])
def test_a_teacher_that_paints_is_heeded_only_within_the_margin(
    tmp_path: Path, margin: float, share: float
) -> None:
    # White instead of black misses by 255, and the grey of 128/255 that bicubic makes by 128.
    worse = 20 * math.log10(255 / 128)
    task = prepare(tmp_path, 1.0, margin=worse + margin + 0.05)
    assert share_of_the_teacher(task) == pytest.approx(share, abs=0.01)


def test_a_teacher_that_is_too_bright_gets_the_colours_of_the_truth(tmp_path: Path) -> None:
    task = prepare(tmp_path, 1.0, true_colours=True)
    assert share_of_the_teacher(task) == pytest.approx(0, abs=0.01)


def test_every_twentieth_photograph_is_for_validation_against_the_truth(tmp_path: Path) -> None:
    task = prepare(tmp_path, 1.0)
    assert task.data == "38 pairs"
    torch.nn.init.zeros_(task.network.out.weight)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        score = task.validate(task.network)
    # Luma of the grey against that of black, 219 steps of the grey's share of white apart.
    assert score == pytest.approx(-20 * math.log10(219 / 255 * 128 / 255), abs=0.01)


def test_pairs_of_another_scale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="pairs for x2, but the network enlarges by 4"):
        prepare(tmp_path, 1.0, scale=4)
