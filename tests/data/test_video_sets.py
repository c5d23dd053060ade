"""Video benchmarks: layouts, what is refused, cutting, small frames; and endless scenes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from enhance_cli.data.scenes import PERIOD, make_scene_picture, roll_scene
from enhance_cli.data.video_sets import (
    VIDEO_DATASETS,
    VideoClip,
    count_frames,
    crop_middle,
    holds_clips,
    iterate_frames,
    iterate_pairs,
    iterate_predictions,
    load_clips,
    match_clips,
    numbered_frames,
)
from enhance_cli.errors import DatasetError, InputError
from enhance_cli.subsampling import blur_and_subsample

VID4 = ("calendar", "city", "foliage", "walk")


def frames(
    folder: Path,
    length: int = 5,
    size: tuple[int, int] = (40, 72),
    *,
    seed: int = 0,
    start: int = 0,
    name: str = "{:03}.png",
) -> np.ndarray:
    """Numbered pictures of noise; returns them (T, H, W, 3)."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (length, *size, 3), dtype=np.uint8)
    for index, frame in enumerate(pixels):
        Image.fromarray(frame).save(folder / name.format(start + index))
    return pixels


def vid4(folder: Path, names: Sequence[str] = VID4) -> None:
    for seed, name in enumerate(names):
        frames(folder / name, seed=seed)


@pytest.mark.parametrize("layout", ["Vid4/GT", "vid4/GT", "Vid4/HR", "Vid4"])
def test_layouts_of_vid4(layout: str, tmp_path: Path) -> None:
    vid4(tmp_path / layout)
    clips = load_clips("vid4", [tmp_path / "elsewhere", tmp_path])
    assert [clip.name for clip in clips] == list(VID4)
    assert {clip.frames_lr for clip in clips} == {None}
    assert count_frames(clips[0]) == 5


def test_other_folders_are_overlooked(tmp_path: Path) -> None:
    vid4(tmp_path / "Vid4" / "GT", [*VID4, "archive"])
    assert len(load_clips("vid4", [tmp_path])) == 4


def test_benchmarks_may_lie_beside(tmp_path: Path) -> None:
    frames(tmp_path / "video" / "val" / "bear")
    (tmp_path / "benchmarks").mkdir()
    assert [clip.name for clip in load_clips("video-val", [tmp_path / "benchmarks"])] == ["bear"]


@pytest.mark.parametrize("name", VIDEO_DATASETS)
def test_absent_sets_say_what_to_put_where(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"{name!r} is not in .*: put .* there") as caught:
        load_clips(name, [tmp_path])
    assert "\n" not in str(caught.value)


def test_a_missing_clip(tmp_path: Path) -> None:
    vid4(tmp_path / "Vid4" / "GT", VID4[:3])
    with pytest.raises(DatasetError, match="clip walk is missing, put its frames in"):
        load_clips("vid4", [tmp_path])


def test_too_short(tmp_path: Path) -> None:
    vid4(tmp_path / "Vid4" / "GT", VID4[:3])
    frames(tmp_path / "Vid4" / "GT" / "walk", 4)
    with pytest.raises(DatasetError, match="walk: 4 frames, at least 5"):
        load_clips("vid4", [tmp_path])


def test_numbers(tmp_path: Path) -> None:
    frames(tmp_path / "a", 12, (8, 8), name="{}.png")
    assert [path.stem for path in numbered_frames(tmp_path / "a")] == [str(i) for i in range(12)]
    (tmp_path / "a" / "7.png").unlink()
    with pytest.raises(DatasetError, match=r"frame 7 is missing between 6.png and 8.png"):
        numbered_frames(tmp_path / "a")
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "06.png")
    with pytest.raises(DatasetError, match="has the number 6 as"):
        numbered_frames(tmp_path / "a")
    (tmp_path / "a" / "06.png").unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "cover.png")
    with pytest.raises(DatasetError, match=r"cover.png: has no number"):
        numbered_frames(tmp_path / "a")


def test_mixed_sizes(tmp_path: Path) -> None:
    frames(tmp_path / "a")
    Image.new("RGB", (40, 40)).save(tmp_path / "a" / "003.png")
    with pytest.raises(DatasetError, match=r"003.png: 40x40 pixels, .* before it have 72x40"):
        list(iterate_frames(tmp_path / "a"))


def test_cut_to_multiples_in_the_middle() -> None:
    frame = torch.arange(70 * 101).view(1, 70, 101)
    for unit in (32, 16):
        cut = crop_middle(frame, unit)
        assert cut.shape == (1, 64, 96)
        assert cut[0, 0, 0] == 3 * 101 + 2
    assert crop_middle(frame[:, :63], 32).shape == (1, 32, 96)
    with pytest.raises(DatasetError, match="at least 32x32"):
        crop_middle(frame[:, :31], 32)


def test_small_frames_are_made_by_the_papers_degradation(tmp_path: Path) -> None:
    pixels = frames(tmp_path / "a")
    pairs = list(iterate_pairs(VideoClip("a", tmp_path / "a"), 4))
    assert len(pairs) == 5
    for pair, levels in zip(pairs, pixels, strict=True):
        truth = torch.from_numpy(levels).permute(2, 0, 1)[:, 4:36, 4:68].float() / 255
        assert torch.equal(pair.frame_hr, truth)
        small = blur_and_subsample(truth, 4)
        assert pair.frame_lr.shape == (3, 8, 16)
        assert (pair.frame_lr - small).abs().max() <= 0.5001 / 255
        assert torch.equal((pair.frame_lr * 255).round() / 255, pair.frame_lr)
    assert len(list(iterate_pairs(VideoClip("a", tmp_path / "a"), 4, limit=2))) == 2


def test_small_frames_that_are_given(tmp_path: Path) -> None:
    vid4(tmp_path / "Vid4" / "GT")
    for name in VID4:
        small = frames(tmp_path / "Vid4" / "LR" / name, size=(10, 18), seed=9)
    clip = load_clips("vid4", [tmp_path])[3]
    assert clip.frames_lr is not None
    pairs = list(iterate_pairs(clip, 4))
    large = np.asarray(Image.open(clip.frames / "000.png"))
    assert np.array_equal(
        (pairs[0].frame_lr * 255).round().permute(1, 2, 0).numpy(), small[0][1:9, 1:17]
    )
    assert np.array_equal(
        (pairs[0].frame_hr * 255).round().permute(1, 2, 0).numpy(), large[4:36, 4:68]
    )
    # A study of the blur makes its own.
    made = next(iter(iterate_pairs(clip, 4, sigma=1.5)))
    assert not torch.equal(made.frame_lr, pairs[0].frame_lr)
    with pytest.raises(DatasetError, match="18x10 is not 1/2 of .*, 72x40"):
        list(iterate_pairs(clip, 2))


def test_small_frames_must_be_complete(tmp_path: Path) -> None:
    vid4(tmp_path / "Vid4" / "GT")
    frames(tmp_path / "Vid4" / "LR" / "calendar", 6, (10, 18))
    with pytest.raises(DatasetError, match="6 frames, but .*calendar has 5"):
        load_clips("vid4", [tmp_path])
    (tmp_path / "Vid4" / "LR" / "calendar" / "005.png").unlink()
    with pytest.raises(DatasetError, match="small frames of city are missing"):
        load_clips("vid4", [tmp_path])


def test_video_files(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    folder = tmp_path / "video" / "val"
    folder.mkdir(parents=True)

    def write(path: Path, length: int) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 32, "bgr0"
            for value in range(length):
                picture = np.full((32, 64, 3), 40 * value, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))

    write(folder / "made.mkv", 6)
    (clip,) = load_clips("video-val", [tmp_path])
    assert (clip.name, clip.frames.suffix) == ("made", ".mkv")
    assert [int(frame[0, 0, 0]) for frame in iterate_frames(clip.frames)] == [
        0,
        40,
        80,
        120,
        160,
        200,
    ]
    write(folder / "made.mkv", 3)
    with pytest.raises(DatasetError, match="made.mkv: 3 frames, at least 5"):
        list(iterate_pairs(clip, 4))
    (folder / "made.mkv").write_bytes(b"nothing")
    assert count_frames(clip) == 0
    with pytest.raises(InputError, match=r"made.mkv"):
        list(iterate_pairs(clip, 4))


def test_two_clips_of_one_name(tmp_path: Path) -> None:
    frames(tmp_path / "video" / "val" / "a")
    (tmp_path / "video" / "val" / "A.mp4").touch()
    with pytest.raises(DatasetError, match="a second clip of this name"):
        load_clips("video-val", [tmp_path])


def test_folders_of_clips(tmp_path: Path) -> None:
    frames(tmp_path / "gt" / "a")
    assert holds_clips(tmp_path / "gt")
    assert not holds_clips(tmp_path / "gt" / "a")
    assert not holds_clips(tmp_path / "absent")
    frames(tmp_path / "pred" / "a")
    ((clip, made),) = match_clips(tmp_path / "pred", tmp_path / "gt")
    assert (clip.name, made) == ("a", tmp_path / "pred" / "a")
    frames(tmp_path / "gt" / "b")
    with pytest.raises(DatasetError, match="b: no clip of this name in"):
        match_clips(tmp_path / "pred", tmp_path / "gt")
    with pytest.raises(DatasetError, match="no such folder"):
        match_clips(tmp_path / "absent", tmp_path / "gt")


def test_predictions_whole_or_already_cut(tmp_path: Path) -> None:
    whole = frames(tmp_path / "gt")
    frames(tmp_path / "whole")
    for index, frame in enumerate(whole):
        (tmp_path / "cut").mkdir(exist_ok=True)
        Image.fromarray(frame[4:36, 4:68]).save(tmp_path / "cut" / f"{index}.png")
    clip = VideoClip("a", tmp_path / "gt")
    for name in ("whole", "cut"):
        for estimate, reference in iterate_predictions(clip, tmp_path / name, 4):
            assert torch.equal(estimate, reference)
    frames(tmp_path / "small", size=(40, 64))
    with pytest.raises(DatasetError, match="sizes differ: 64x40 against 72x40"):
        list(iterate_predictions(clip, tmp_path / "small", 4))
    frames(tmp_path / "long", 6)
    with pytest.raises(DatasetError, match="not as many frames"):
        list(iterate_predictions(clip, tmp_path / "long", 4))


@pytest.mark.parametrize(("height", "side"), [(80, 160), (239, 160), (240, 480), (600, 480)])
def test_scenes_go_on_at_their_borders(height: int, side: int) -> None:
    frame = torch.arange(height, dtype=torch.float32).view(1, height, 1).expand(3, -1, 300)
    picture = make_scene_picture(frame)
    assert picture.shape == (3, side, side)
    steps = (picture - picture.roll(1, -2)).abs()
    assert steps.max() == 1


def test_pans_are_exact_and_come_back() -> None:
    picture = torch.rand(3, 160, 160, generator=torch.Generator().manual_seed(0))
    scene = list(roll_scene(picture, PERIOD + 1, (1, 3)))
    assert torch.equal(scene[0], scene[PERIOD])
    assert torch.equal(scene[1][:, 1:, 3:], scene[0][:, :-1, :-3])
    assert all(torch.equal(frame, picture) for frame in roll_scene(picture, 3, (0, 0)))
    with pytest.raises(DatasetError, match="at least 80x80"):
        make_scene_picture(picture[:, :79])
