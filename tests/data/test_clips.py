"""Clips to train on: found, read, fairly drawn, and aligned with their small versions."""

import sys
import wave
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from enhance_cli.architectures.warping import enlarge_flow, warp
from enhance_cli.data.clips import (
    ClipSampler,
    clip_batch,
    find_clips,
    read_clip,
    split_scenes,
)
from enhance_cli.data.degradation import Degradation
from enhance_cli.data.motion import Motion, MotionSampler
from enhance_cli.errors import DatasetError, InputError
from enhance_cli.resize import imresize

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texture(length: int, height: int, width: int, seed: int = 0) -> Tensor:
    """uint8 (T, 3, H, W), every frame another, none near black or white."""
    rough = torch.rand(length, 3, -(-height // 8), -(-width // 8), generator=generator(seed))
    smooth = imresize(rough, 8)[..., :height, :width].clamp(0, 1)
    return (64 + 128 * smooth).round().to(torch.uint8)


def coordinates(length: int, height: int, width: int) -> Tensor:
    """Red is the column, green the row, blue the frame."""
    frames, rows, columns = torch.meshgrid(
        torch.arange(length), torch.arange(height), torch.arange(width), indexing="ij"
    )
    return torch.stack([columns, rows, frames], 1).to(torch.uint8)


def write_frames(folder: Path, clip: Tensor) -> Path:
    folder.mkdir(parents=True)
    for index, frame in enumerate(clip):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{index:03}.png")
    return folder


def write_video(path: Path, clip: Tensor, codec: str = "ffv1") -> Path:
    """Lossless, but for the way to the codec's colours."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = clip.shape[-2:]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for frame in clip:
            picture = av.VideoFrame.from_ndarray(
                frame.permute(1, 2, 0).contiguous().numpy(), format="rgb24"
            )
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def sampler_of(clips: Sequence[Tensor], **options: Any) -> ClipSampler:
    options = {"motion": None, "made_share": 0.0, "side": 8, "length": 3, "device": CPU} | options
    return ClipSampler(clips, **options)


# --- finding and reading ---------------------------------------------------------------------


def test_videos_and_folders_of_frames_are_found(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MKV", "deep/c.webm", "notes.txt", ".hidden.mp4", "sound.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    clip = texture(2, 8, 8)
    write_frames(tmp_path / "walk", clip)
    write_frames(tmp_path / "deep" / "city", clip)
    write_frames(tmp_path / "odd.mp4", clip)  # a folder, whatever it is called
    found = [str(path.relative_to(tmp_path)) for path in find_clips(tmp_path)]
    assert found == ["a.MKV", "b.mp4", "deep/c.webm", "deep/city", "odd.mp4", "walk"]


def test_a_folder_of_frames_is_itself_a_clip(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "walk", texture(2, 8, 8))
    assert find_clips(folder) == [folder]


@pytest.mark.parametrize("content", ["nothing", "text", "absent", "a file"])
def test_no_clips_at_all(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "clips"
    if content == "a file":
        folder.touch()
    elif content != "absent":
        folder.mkdir()
    if content == "text":
        (folder / "notes.txt").touch()
    with pytest.raises(DatasetError, match="clips") as caught:
        find_clips(folder)
    assert "\n" not in str(caught.value)


def test_frames_are_read_in_name_order(tmp_path: Path) -> None:
    clip = texture(4, 10, 14)
    folder = write_frames(tmp_path / "walk", clip)
    made = read_clip(folder)
    assert made.dtype == torch.uint8
    assert made.is_contiguous()
    assert torch.equal(made, clip)
    assert torch.equal(read_clip(folder, 2), clip[:2])
    assert torch.equal(read_clip(folder, 9), clip)


def test_videos_are_read_whole_or_to_a_limit(tmp_path: Path) -> None:
    clip = texture(5, 16, 22)
    path = write_video(tmp_path / "walk.mkv", clip)
    assert torch.equal(read_clip(path), clip)
    assert torch.equal(read_clip(path, 3), clip[:3])
    assert torch.equal(read_clip(path, 5), clip)
    made = read_clip(write_video(tmp_path / "walk.mp4", clip, "libx264"))
    assert made.shape == clip.shape
    assert (made.float() - clip.float()).abs().mean() < 12


def test_frames_of_several_sizes(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "walk", texture(2, 8, 8))
    Image.new("RGB", (8, 9)).save(folder / "002.png")
    with pytest.raises(DatasetError, match=r"walk.*one size") as caught:
        read_clip(folder)
    assert "\n" not in str(caught.value)
    assert len(read_clip(folder, 2)) == 2


def test_a_broken_frame_is_named(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "walk", texture(2, 8, 8))
    (folder / "001.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"001\.png"):
        read_clip(folder)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 50])
def test_a_file_that_is_no_video(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("av")
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.mp4") as caught:
        read_clip(path)
    assert "\n" not in str(caught.value)


def test_a_file_with_sound_alone(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / "song.avi"
    with wave.open(str(path), "wb") as song:
        song.setnchannels(1)
        song.setsampwidth(2)
        song.setframerate(8000)
        song.writeframes(bytes(8000))
    with pytest.raises(InputError, match=r"song\.avi.*no video"):
        read_clip(path)


def test_without_pyav_folders_still_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    clip = texture(2, 8, 8)
    assert torch.equal(read_clip(write_frames(tmp_path / "walk", clip)), clip)
    (tmp_path / "film.mp4").touch()
    with pytest.raises(InputError, match=r"film\.mp4.*PyAV") as caught:
        read_clip(tmp_path / "film.mp4")
    assert "\n" not in str(caught.value)


def test_cuts_part_a_clip() -> None:
    scenes = [
        texture(1, 32, 32, seed).expand(length, -1, -1, -1) // (1 + 3 * (seed % 2))
        for seed, length in ((0, 4), (1, 1), (2, 6))
    ]
    parts = split_scenes(torch.cat(scenes))
    assert [len(part) for part in parts] == [4, 1, 6]
    for part, scene in zip(parts, scenes, strict=True):
        assert torch.equal(part, scene)
    whole = torch.cat(scenes)[:1]
    assert [len(part) for part in split_scenes(whole)] == [1]


# --- drawing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [(2, 20, 20), (5, 7, 20), (5, 20, 7)])
def test_clips_too_short_or_too_small(clip: tuple[int, int, int]) -> None:
    with pytest.raises(DatasetError, match="3 frames of 8x8") as caught:
        sampler_of([texture(*clip)])
    assert "\n" not in str(caught.value)
    large = texture(3, 8, 8)
    assert len(sampler_of([texture(*clip), large]).clips) == 1


def test_no_clips_and_no_photographs() -> None:
    with pytest.raises(DatasetError):
        sampler_of([])
    motion = MotionSampler([texture(1, 40, 40)[0]])
    with pytest.raises(DatasetError):
        sampler_of([], motion=motion, made_share=0.9)
    made = sampler_of([], motion=motion, made_share=1.0).batch(3, 3, 8, generator())[0]
    assert made.shape == (3, 3, 3, 8, 8)


@pytest.mark.parametrize("strides", [(1,), (1, 1, 2), (3,), (2, 3)])
def test_a_clip_exactly_as_large_as_needed(strides: tuple[int, ...]) -> None:
    frames = 2 * min(strides) + 1
    clip = coordinates(frames, 8, 8)
    made = sampler_of([clip], strides=strides).batch(30, 3, 8, generator())[0] * 255
    assert made.shape == (30, 3, 3, 8, 8)
    for patch in made:
        seen = patch[:, 2, 0, 0].round().int().tolist()
        assert sorted(seen) == [0, min(strides), 2 * min(strides)]
        assert sorted(patch[0, 0].round().int().flatten().tolist()) == sorted(8 * list(range(8)))


def test_a_clip_too_short_for_every_stride_is_left_out() -> None:
    with pytest.raises(DatasetError):
        sampler_of([coordinates(4, 8, 8)], strides=(2,))


def test_frames_follow_each_other_unless_asked_otherwise() -> None:
    """Dissertation 003, ch. 3.3.5: clips are of consecutive frames."""
    made = sampler_of([coordinates(9, 20, 30)]).batch(40, 3, 8, generator())[0]
    times = (made * 255).round().int()[:, :, 2, 0, 0]
    assert set(times.diff(dim=1).unique().tolist()) == {1, -1}


def test_patches_are_cut_from_frames_of_one_stride_at_one_place() -> None:
    made = sampler_of([coordinates(9, 20, 30)], strides=(1, 2)).batch(100, 3, 8, generator())[0]
    levels = (made * 255).round().int()
    steps = set()
    for patch in levels:
        frames = patch[:, 2]
        assert (frames == frames[:, :1, :1]).all()
        step = frames[:, 0, 0].diff()
        assert step[0] == step[1]
        steps.add(int(step[0]))
        assert (patch[:, :2] == patch[:1, :2]).all()  # nothing turns within a clip
        for axis in (0, 1):
            values = patch[0, axis].unique()
            assert len(values) == 8
            assert values[-1] - values[0] == 7
    assert steps == {1, 2, -1, -2}


def test_all_places_and_orientations_occur() -> None:
    clip = coordinates(6, 12, 14)
    made = sampler_of([clip], strides=(1,)).batch(800, 3, 8, generator())[0]
    levels = (made * 255).round().int()
    assert set(levels[:, :, 2].amin((1, 2, 3)).tolist()) == set(range(4))
    assert set(levels[:, 0, 0].amin((1, 2)).tolist()) == set(range(7))
    assert set(levels[:, 0, 1].amin((1, 2)).tolist()) == set(range(5))
    seen: Counter[tuple[int, ...]] = Counter()
    for patch in levels:
        across, down = (
            patch[0, :2, 0, 1] - patch[0, :2, 0, 0],
            patch[0, :2, 1, 0] - patch[0, :2, 0, 0],
        )
        back = int(patch[1, 2, 0, 0] - patch[0, 2, 0, 0])
        seen[(*across.tolist(), *down.tolist(), back)] += 1
    assert len(seen) == 16  # eight orientations, forwards and backwards
    assert min(seen.values()) > 25  # 50 are expected, with a deviation of 7


def test_large_clips_come_more_often() -> None:
    clips = [coordinates(3, 8, 8), coordinates(3, 16, 16), coordinates(12, 16, 16)]
    for index, clip in enumerate(clips):
        clip[:, 2] = index
    made = sampler_of(clips).batch(1500, 3, 8, generator())[0]
    counts = (made[:, 0, 2, 0, 0] * 255).round().int().bincount().tolist()
    for count, expected in zip(counts, (1, 4, 8), strict=True):
        assert count == pytest.approx(1500 * expected / 13, rel=0.25)


def test_photographs_in_motion_come_as_often_as_asked() -> None:
    photo = torch.full((3, 40, 40), 200, dtype=torch.uint8)
    clips = [torch.full((3, 3, 8, 8), 50, dtype=torch.uint8)]
    for share in (0.0, 0.3, 1.0):
        sampler = sampler_of(clips, motion=MotionSampler([photo], Motion()), made_share=share)
        made = sampler.batch(100, 3, 8, generator())[0]
        assert made.shape == (100, 3, 3, 8, 8)
        found = int((made[:, 0, 0, 0, 0] > 0.5).sum())
        assert found == pytest.approx(100 * share, abs=20 * (0 < share < 1))


def test_the_generator_decides() -> None:
    sampler = sampler_of(
        [texture(9, 30, 40)], motion=MotionSampler([texture(1, 40, 40)[0]]), made_share=0.5
    )
    batches = [sampler.batch(6, 3, 8, generator(seed))[0] for seed in (1, 1, 2)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])
    assert batches[0].dtype == torch.float32


def test_the_flow_of_made_clips_comes_with_them() -> None:
    """And lands the small frame before on the small frame."""
    smooth = imresize(torch.rand(3, 12, 12, generator=generator()), 16).clamp(0, 1)
    photo = (smooth * 255).to(torch.uint8)
    sampler = sampler_of(
        [texture(3, 64, 64)],
        side=64,
        made_share=0.5,
        motion=MotionSampler([photo], Motion(speed=(4.0, 8.0), still=0.0, layered=0.0, blurred=0)),
    )
    batch = clip_batch(
        sampler, Degradation(), count=12, length=3, patch=8, scale=4, generator=generator(1)
    )
    assert batch.flow.shape == (12, 3, 2, 8, 8)
    assert 2 < int(batch.known.sum()) < 10
    assert not batch.flow[~batch.known].any()
    assert batch.flow[:, 0].abs().max() < 1e-4
    made = batch.part(slice(None))
    flow = made.flow[made.known][:, 1:].flatten(0, 1)
    assert 0.8 < flow.norm(dim=1).mean() < 2.5  # LR pixels
    for frames, scale in ((made.frames_lr, 1), (made.frames_hr, 4)):
        before, now = (
            frames[made.known][:, part].flatten(0, 1) for part in (slice(None, -1), slice(1, None))
        )
        inner = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
        still = (before - now)[inner].abs().mean()
        left = (warp(before, enlarge_flow(flow, scale)) - now)[inner].abs().mean()
        assert left < 0.15 * still


# --- pairs -----------------------------------------------------------------------------------


def pair_of(
    clip: Tensor,
    degradation: Degradation,
    scale: int,
    *,
    patch: int = 6,
    count: int = 4,
    length: int = 3,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    side = (patch + 2 * degradation.margin) * scale
    sampler = sampler_of([clip], side=side, length=length)
    batch = clip_batch(
        sampler,
        degradation,
        count=count,
        length=length,
        patch=patch,
        scale=scale,
        generator=generator(seed),
    )
    return batch.frames_lr, batch.frames_hr


@pytest.mark.parametrize(
    "degradation", [Degradation(), Degradation(blur=(0.7, 0.7)), Degradation(other_kernels=1.0)]
)
@pytest.mark.parametrize("scale", [2, 4])
def test_lr_is_the_degraded_hr_inside(degradation: Degradation, scale: int) -> None:
    frames_lr, frames_hr = pair_of(texture(5, 80, 90), degradation, scale)
    assert frames_lr.shape == (4, 3, 3, 6, 6)
    assert frames_hr.shape == (4, 3, 3, 6 * scale, 6 * scale)
    inner = (..., slice(2, -2), slice(2, -2))
    for shift in ((0, 0), (0, 1), (1, 0), (-1, 0), (0, -1)):
        errors = []
        # Which of its kernels a clip has met is not known: the nearest must be very near.
        for seed in range(8):
            made = degradation.apply(frames_hr.roll(shift, (-2, -1)), scale, generator(seed))
            errors.append((made - frames_lr)[inner].abs().amax((1, 2, 3, 4)))
        nearest = torch.stack(errors).amin(0) * 255
        if shift == (0, 0):
            assert nearest.max() < 2.1
        else:  # the test would see a pixel of misalignment
            assert nearest.min() > 2.5


@pytest.mark.parametrize("scale", [2, 4])
def test_lr_borders_are_those_of_a_larger_frame(scale: int) -> None:
    """What lies just outside the patch is seen through the blur, not its repeated border."""
    clip = texture(3, 14 * scale, 14 * scale)
    frames_lr, frames_hr = pair_of(clip, Degradation(), scale, count=8)
    whole = Degradation().apply(clip[None].float() / 255, scale, generator())[0]
    wanted = whole[..., 4:10, 4:10]
    for patch_lr, patch_hr in zip(frames_lr, frames_hr, strict=True):
        matches = []
        for turn in range(4):
            for flip in (False, True):
                for back in (False, True):
                    hr = torch.rot90(
                        clip[..., 4 * scale : 10 * scale, 4 * scale : 10 * scale], turn, (-2, -1)
                    )
                    lr = torch.rot90(wanted, turn, (-2, -1))
                    hr, lr = (v.flip(-1) if flip else v for v in (hr, lr))
                    hr, lr = (v.flip(0) if back else v for v in (hr, lr))
                    if torch.equal((patch_hr * 255).round().to(torch.uint8), hr):
                        matches.append(lr)
        (lr,) = matches
        assert (patch_lr - lr).abs().max() < 1.01 / 255


def test_a_pair_is_repeatable_and_each_clip_is_degraded_for_itself() -> None:
    degradation = Degradation(
        blur=(0.5, 2.5), other_kernels=0.3, noise=0.5, compressed=0.5, codec="jpeg"
    )
    clip = texture(6, 80, 90)
    pairs = [pair_of(clip, degradation, 4, seed=seed) for seed in (0, 0, 1)]
    for first, again, other in zip(*pairs, strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
