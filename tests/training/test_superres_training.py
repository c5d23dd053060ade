"""Training of super-resolution: its loss, its validation, where it begins, its photographs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_tasks import CPU, PLAN, photo, super_resolution, tiny_stage, write_photo
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.data.patches import PatchSampler, load_photos, small_copies, soft_copies
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.errors import DatasetError
from enhance_cli.resize import imresize
from enhance_cli.training import superres
from enhance_cli.training.optimisation import Optimisation, step_generator
from enhance_cli.training.overrides import override
from enhance_cli.training.superres import SuperResolution, reduce_photos

SHORT = tiny_stage(optimisation=Optimisation(steps=4, validate_every=2))
SHORT_X2 = tiny_stage(2, optimisation=SHORT.optimisation)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        write_photo(tmp_path / "photos" / f"{index}.png", photo(index, 50, 45))
    return tmp_path / "photos"


# --- loss and validation ----------------------------------------------------------------------


def bicubic_only(task: SuperResolution) -> SuperResolution:
    nn.init.zeros_(task.network.out.weight)  # type: ignore[union-attr, arg-type]
    return task


def test_loss_is_l1_then_the_squared_error() -> None:
    stage = tiny_stage(l1_share=0.5)
    task = bicubic_only(super_resolution(stage))
    sampler = PatchSampler([photo(1), photo(2)], 4, stage.patch, CPU)
    for step in range(PLAN.steps):
        frame_lr, frame_hr = sampler.batch(stage.batch, step_generator(0, step))
        error = imresize(frame_lr, 4) - frame_hr
        expected = error.abs().mean() if step < 4 else error.square().mean()
        made = task.loss(step, step_generator(0, step), slice(None))
        assert made.item() == pytest.approx(expected.item(), rel=1e-5)


def test_losses_of_the_shares_average_to_the_loss() -> None:
    task = super_resolution()
    for step in (0, PLAN.steps - 1):
        losses = [
            task.loss(step, step_generator(0, step), share)
            for share in (slice(None), slice(0, None, 2), slice(1, None, 2))
        ]
        assert losses[0].item() == pytest.approx((losses[1] + losses[2]).item() / 2, rel=1e-5)


def test_the_losses_know_step_and_scale_and_are_shifted_anew() -> None:
    told = []

    class Listening:
        adversary = None

        def losses(self, made: Tensor, true: Tensor, shift: tuple[int, int], step: int) -> tuple:
            told.append((shift, step))
            return (made - true).abs().mean(), None

    task = super_resolution(tiny_stage(l1_share=0.5))
    task.criterion = Listening()  # type: ignore[assignment]
    for step in range(PLAN.steps):
        task.losses(step, step_generator(0, step), slice(None))
    assert [step for _, step in told] == [0, 1, 2, 3]  # after four of L1
    assert len({shift for shift, _ in told}) > 2
    for scale in (2, 4):
        assert tiny_stage(scale).make_criterion(Path(), CPU).scale == scale


def test_copies_and_the_share_of_flat_patches_reach_the_sampler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, part in enumerate(("train", "train", "held")):
        write_photo(tmp_path / part / f"{index}.png", photo(index, 100, 90))
    given: list[Any] = []

    def draw(photos: list[Tensor], *settings: Any) -> PatchSampler:
        given.append((photos, settings))
        return PatchSampler(photos, *settings)

    monkeypatch.setattr(superres, "PatchSampler", draw)
    stage = tiny_stage(small_copies=2, soft_share=0.3, flat_share=0.4)
    stage.prepare(tmp_path / "train", tmp_path / "held", CPU)
    ((pictures, settings),) = given
    photos = load_photos(tmp_path / "train")
    sharp = [*photos, *small_copies(photos, 2, PLAN.seed)]
    expected = [*sharp, *soft_copies(sharp, 0.3, PLAN.seed)]
    assert len(pictures) == len(expected) > len(sharp) == 6
    assert all(map(torch.equal, pictures, expected))
    assert settings == (4, stage.patch, CPU, 0.4)


def test_validation_is_the_published_measure(shared_data: Path) -> None:
    """A residual of zero scores what bicubic does on Set5."""
    held = load_photos(shared_data / "benchmarks" / "Set5" / "x4")[::2]  # HR sorts before LR
    assert [photo.shape[-1] for photo in held] == [512, 288, 256, 280, 228]
    made = super_resolution()
    pairs = PatchSampler([photo(1)], 4, made.stage.patch, CPU)
    task = bicubic_only(
        SuperResolution(
            made.stage, made.network, pairs, "", made.criterion, reduce_photos(held, 4), CPU
        )
    )
    with torch.no_grad():
        assert task.validate(task.network) == pytest.approx(28.43, abs=0.005)


# --- starting weights -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_starting_from_another_scale_takes_what_fits(
    photos: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    architecture = ARCHITECTURES["enhancenet"]
    torch.manual_seed(7)
    larger = build(architecture, SHORT.config)
    path = tmp_path / "x4.safetensors"
    save_checkpoint(path, larger, architecture, "x4", dtype=dtype)
    tensors = load_file(path)
    prepared = SHORT_X2.prepare(photos, None, CPU, tensors)
    own = prepared.network.state_dict()
    assert set(tensors) - set(own) == {"up2.weight", "up2.bias"}
    for key, value in own.items():
        assert torch.equal(value, tensors[key].float()), key
    back = SHORT.prepare(photos, None, CPU, dict(own)).network.state_dict()
    fresh = SHORT.prepare(photos, None, CPU).network.state_dict()
    for key, value in back.items():
        assert torch.equal(value, (fresh if key.startswith("up2") else own)[key]), key


def test_the_seed_makes_the_starting_weights(photos: Path) -> None:
    def start(seed: int) -> Tensor:
        torch.rand(seed + 1)  # whatever was drawn before
        changed = override(SHORT, [f"seed={seed}"])
        weight: Tensor = changed.prepare(photos, None, CPU).network.state_dict()["head.weight"]
        return weight

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


# --- photographs ------------------------------------------------------------------------------


def paint(folder: Path, count: int, size: int = 36) -> None:
    """Photographs that can be told apart by their red: number ``i`` is all ``5 * i``."""
    for index in range(count):
        image = torch.full((3, size, size), 128, dtype=torch.uint8)
        image[0] = 5 * index
        write_photo(folder / f"{index:03}.png", image)


def colours_seen(prepared: Any, folder_scale: int = 4) -> tuple[set[int], set[int]]:
    """The numbers of the photographs in many training batches, and in validation."""
    trained: set[int] = set()
    validated: set[int] = set()

    class Spy(torch.nn.Module):
        def forward(self, frame: Tensor) -> Tensor:
            found = (frame[:, 0, 3, 3] * 255 / 5).round().int().tolist()
            (trained if frame.shape[-1] == 8 else validated).update(found)
            return imresize(frame, folder_scale)

    prepared.network = Spy()
    for step in range(60):
        prepared.loss(step, step_generator(0, step), slice(None))
    prepared.validate(prepared.network)
    return trained, validated


@pytest.mark.parametrize("count", [2, 20, 21, 41])
def test_held_out_photographs_are_never_trained_on(tmp_path: Path, count: int) -> None:
    paint(tmp_path, count)
    prepared = SHORT.prepare(tmp_path, None, CPU)
    trained, validated = colours_seen(prepared)
    assert not trained & validated
    assert trained | validated == set(range(count))
    assert len(validated) == -(-count // 20)
    assert prepared.data == f"{len(trained)} photographs"


def test_a_folder_to_validate_on_leaves_all_others_to_train_on(tmp_path: Path) -> None:
    paint(tmp_path / "both", 5)
    (tmp_path / "held").mkdir()
    for index in (1, 4):
        name = f"{index:03}.png"
        (tmp_path / "both" / name).rename(tmp_path / "held" / name)
    trained, validated = colours_seen(SHORT.prepare(tmp_path / "both", tmp_path / "held", CPU))
    assert trained == {0, 2, 3}
    assert validated == {1, 4}


def test_a_single_photograph_is_too_few(tmp_path: Path) -> None:
    write_photo(tmp_path / "one" / "a.png", photo(0))
    with pytest.raises(DatasetError, match="too few"):
        SHORT.prepare(tmp_path / "one", None, CPU)
    SHORT.prepare(tmp_path / "one", tmp_path / "one", CPU)


@pytest.mark.parametrize("part", ["data", "validation"])
def test_a_folder_without_photographs(photos: Path, tmp_path: Path, part: str) -> None:
    (tmp_path / "none").mkdir()
    folders = {"data": photos, "validation": photos} | {part: tmp_path / "none"}
    with pytest.raises(DatasetError, match="none"):
        SHORT.prepare(folders["data"], folders["validation"], CPU)


def test_photographs_smaller_than_a_patch(tmp_path: Path) -> None:
    for index in range(3):
        write_photo(tmp_path / "photos" / f"{index}.png", photo(index, 31, 80))
    with pytest.raises(DatasetError, match="32x32"):
        SHORT.prepare(tmp_path / "photos", None, CPU)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(torch.zeros(3, 40, 40, dtype=torch.uint8), id="black"),
        pytest.param(torch.full((3, 40, 40), 255, dtype=torch.uint8), id="white"),
        pytest.param(photo(5, 8, 8), id="nothing left within the border"),
        pytest.param(photo(5, 3, 60), id="smaller than the scale"),
    ],
)
def test_an_awkward_validation_photograph_does_not_spoil_the_score(
    photos: Path, tmp_path: Path, image: Tensor
) -> None:
    """One infinite or undefined score would make the best checkpoint the first one, or none."""
    write_photo(tmp_path / "held" / "a.png", photo(8))
    write_photo(tmp_path / "held" / "b.png", image)
    prepared = SHORT.prepare(photos, tmp_path / "held", CPU)
    torch.nn.init.zeros_(prepared.network.out.weight)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        score = prepared.validate(prepared.network)
    assert 5 < score < 101


def test_only_awkward_photographs_to_validate_on_is_an_error(photos: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "held" / "a.png", photo(5, 7, 7))
    with pytest.raises(DatasetError):
        SHORT.prepare(photos, tmp_path / "held", CPU)
