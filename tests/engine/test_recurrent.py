"""Video networks over streams: the same as over clips, in tiles, and from a saved state."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from video_networks import make_network

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.frvsr import VideoState
from enhance_cli.engine.catalogue import Model, load_model
from enhance_cli.engine.checkpoint import save_checkpoint
from enhance_cli.engine.recurrent import (
    FrameEnlarger,
    enhance_clip,
    load_state,
    save_state,
    with_following,
)
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import CheckpointError, UsageError
from enhance_cli.subsampling import shift_to_phase

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["frvsr", "frvsr-dc", "vsr", "sisr"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A tiny network whose memory counts."""
    # A clip of noise would not be trusted otherwise.
    network = make_network(request.param, tolerance=10.0, noise_floor=1.0)
    with torch.no_grad():
        network.srnet.out.weight.mul_(10)
        if request.param in ("frvsr", "vsr"):
            network.fnet.out.weight.mul_(50)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, network, ARCHITECTURES[request.param], "tiny")
    return load_model("video", weights=path, device=CPU)


def clip(count: int = 4, height: int = 25, width: int = 33) -> Tensor:
    still = torch.rand(1, 3, height, width + count, generator=torch.Generator().manual_seed(1))
    return torch.cat([still[..., place : place + width] for place in range(count)])


def stream(model: Model, frames: Tensor, plan: TilePlan) -> Tensor:
    enlarger = FrameEnlarger(model, plan)
    state, results = None, []
    for frame, following in with_following(frames, model.contract.lookahead):
        result, state = enlarger.step(frame, state, following)
        results.append(result)
    return torch.stack(results)


@pytest.mark.parametrize("lookahead", [0, 1])
def test_with_following(lookahead: int) -> None:
    for count in range(4):
        wanted = [(i, i + 1 if lookahead and i + 1 < count else None) for i in range(count)]
        assert list(with_following(range(count), lookahead)) == wanted


def test_with_following_holds_one_frame_back() -> None:
    taken: list[int] = []

    def frames() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    pairs = with_following(frames(), 1)
    assert next(pairs) == (0, 1) and taken == [0, 1]
    assert next(pairs) == (1, 2) and taken == [0, 1, 2]


@pytest.mark.parametrize("tile", [0, 24])
def test_a_stream_is_the_clip(model: Model, tile: int | None) -> None:
    frames = clip()
    result = stream(model, frames, TilePlan(tile=tile))
    assert result.shape == (4, 3, 100, 132)
    torch.testing.assert_close(result, enhance_clip(model.network, frames), atol=1e-5, rtol=0)


def test_the_memory_counts(model: Model) -> None:
    frames = clip()
    alone = stream(model, frames[1:2], TilePlan())[0]
    differs = not torch.allclose(stream(model, frames, TilePlan())[1], alone, atol=1e-3)
    assert differs == (model.info.architecture.name != "sisr")


def test_one_pixel(model: Model) -> None:
    assert stream(model, torch.rand(3, 3, 1, 1), TilePlan(tile=0)).shape == (3, 3, 4, 4)


def test_too_small_a_tile_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="--tile 3: must be at least"):
        stream(model, clip(), TilePlan(tile=3))


def test_reduced_precision_stays_close(model: Model) -> None:
    low = replace(model, dtype=torch.bfloat16)
    result = stream(low, clip(), TilePlan())
    assert result.dtype == torch.float32
    assert (result - stream(model, clip(), TilePlan())).abs().mean() < 0.02


@pytest.mark.parametrize(("whole", "first", "sides"), [(False, 64, [32]), (True, None, [256, 40])])
def test_a_smaller_tile_is_remembered(
    whole: bool,
    first: int | None,
    sides: list[int],
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or else every frame of a long video would run out of memory first.

    A GPU is given whole frames unless tiles are asked for, which a CPU can only pretend.
    """
    if whole:
        monkeypatch.setattr(FrameEnlarger, "_is_whole", lambda self, plan: not plan.tile)
    network = model.network.srnet
    forward, failures = network.forward, 0

    def cramped(features: Tensor) -> Tensor:
        nonlocal failures
        if max(features.shape[-2:]) > 40:
            failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(features)

    monkeypatch.setattr(network, "forward", cramped)
    said: list[str] = []
    enlarger = FrameEnlarger(model, TilePlan(tile=first), said.append)
    state = None
    for frame in clip(height=60, width=80):
        frame_hr, state = enlarger.step(frame, state)
    assert frame_hr.shape == (3, 240, 320)
    assert failures == len(said) == len(sides)
    assert all(f"of {side} pixels" in text for side, text in zip(sides, said, strict=True))
    assert enlarger.tile_side == sides[-1]


def test_a_saved_state_goes_on_bit_for_bit(model: Model, tmp_path: Path) -> None:
    frames = clip(5)
    enlarger = FrameEnlarger(model, TilePlan())
    state = None
    for frame in frames[:3]:
        _, state = enlarger.step(frame, state)
    assert isinstance(state, VideoState)
    save_state(tmp_path / "state.safetensors", state, [0.04, 1 / 3])
    again, cuts = load_state(tmp_path / "state.safetensors", CPU)
    assert cuts == [0.04, 1 / 3]
    assert again is not None
    assert all(torch.equal(one, other) for one, other in zip(state, again, strict=True))
    for frame in frames[3:]:
        one, state = enlarger.step(frame, state)
        other, again = enlarger.step(frame, again)
        assert torch.equal(one, other)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_no_state_can_be_saved(tmp_path: Path) -> None:
    save_state(tmp_path / "state.safetensors", None)
    assert load_state(tmp_path / "state.safetensors", CPU) == (None, [])


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "no cuts", "no frame"])
def test_a_damaged_state_is_one_line(damage: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "state.safetensors"
    state = VideoState(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 16, 16))
    if damage != "missing":
        save_state(path, state)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "no cuts":
        save_file({"frame_lr": state.frame_lr, "frame_hr": state.frame_hr}, path)
    elif damage == "no frame":
        save_file({"frame_lr": state.frame_lr}, path, metadata={"cuts": "[]"})
    with pytest.raises(CheckpointError, match="missing or damaged, start over with --overwrite"):
        load_state(path, CPU)


def test_estimates_move_to_the_phase_and_the_memory_stays(model: Model) -> None:
    frame, *_ = clip()
    middle, state = FrameEnlarger(model, TilePlan()).step(frame, None)
    first, same = FrameEnlarger(model, TilePlan(), phase="first").step(frame, None)
    assert torch.equal(first, shift_to_phase(middle, 4, "first").clamp(0, 1))
    assert all(torch.equal(one, other) for one, other in zip(state, same, strict=True))
