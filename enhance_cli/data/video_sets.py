"""Video benchmarks on disk, read frame by frame. To add one: its line in ``VIDEO_DATASETS``.

The protocol is that of dissertation 003, ch. 3.4.8: large frames are cut so that the small ones'
sides are multiples of 8, and the small ones are made by the degradation of ch. 3.3.5.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from enhance_cli.errors import DatasetError, InputError
from enhance_cli.io.image import find_images, read_rgb8
from enhance_cli.io.video import (
    VIDEO_SUFFIXES,
    numbered_pictures,
    probe,
    read_rgb8_frames,
)
from enhance_cli.levels import quantise, to_planes, to_values
from enhance_cli.subsampling import MIDDLE, SIGMA, Phase, blur_and_subsample

MULTIPLE = 8  # that the sides of LR frames are cut to (ch. 3.4.8)
SHORTEST = 5  # the first and last two frames are not counted

_HR_FOLDERS = ("GT", "HR", ".")
_LR_FOLDER = "LR"


@dataclass(frozen=True)
class VideoDataset:
    """A video benchmark.

    Attributes:
        folders: its folder under a data root, in the order to look.
        clips: names of its clips; empty takes all there are.
        layout: what to put where, for the message when it is absent.
    """

    folders: tuple[str, ...]
    clips: tuple[str, ...]
    layout: str


VIDEO_DATASETS: dict[str, VideoDataset] = {
    "vid4": VideoDataset(
        ("Vid4", "vid4"),
        ("calendar", "city", "foliage", "walk"),
        "put Vid4/GT/calendar/000.png ... there, and city, foliage and walk likewise "
        "(Liu and Sun, CVPR 2011)",
    ),
    "video-val": VideoDataset(
        ("video/val",), (), "put video files, or folders of numbered frames, in video/val there"
    ),
}


@dataclass(frozen=True)
class VideoClip:
    """One test clip, not read yet.

    Attributes:
        name: for reports.
        frames: a folder of numbered pictures, or a video file.
        frames_lr: the folder of its small frames; None to make them.
    """

    name: str
    frames: Path
    frames_lr: Path | None = None


class FramePair(NamedTuple):
    """A frame and its truth, (3, ., .) float32 in [0, 1] with the levels of 8 bits."""

    frame_hr: Tensor
    frame_lr: Tensor


def load_clips(name: str, roots: Sequence[Path]) -> list[VideoClip]:
    """The clips of a dataset.

    Under ``ROOT/Vid4`` (or ``vid4``): ``GT/<clip>/NNN.png``, the same in ``HR`` or directly;
    videos may stand for folders of frames. With ``LR/<clip>/NNN.png`` beside them these are the
    small frames, else they are made.

    Args:
        name: key of ``VIDEO_DATASETS``.
        roots: folders to look in, in this order; for one named ``benchmarks`` its parent too.

    Raises:
        DatasetError: if no root has it, a clip is missing, too short or has gaps.
    """
    dataset = VIDEO_DATASETS[name]
    for root in roots:
        for place in (root, root.parent) if root.name == "benchmarks" else (root,):
            for folder in dataset.folders:
                for layout in _HR_FOLDERS:
                    found = _choose(place / folder / layout, dataset.clips)
                    if found:
                        return _with_small(found, place / folder / _LR_FOLDER)
    raise DatasetError(
        f"dataset {name!r} is not in {', '.join(map(str, roots))}: "
        f"{dataset.layout} or name its folder with --data-root"
    )


def find_clip_folders(folder: Path) -> dict[str, Path]:
    """Folders of pictures and video files directly in a folder, by name in lower case."""
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            name, usable = path.name, bool(find_images(path))
        else:
            name, usable = path.stem, path.suffix.lower() in VIDEO_SUFFIXES
        if usable and name.lower() in found:
            raise DatasetError(
                f"{path}: a second clip of this name beside "
                f"{found[name.lower()].name}, remove one of them"
            )
        if usable:
            found[name.lower()] = path
    return found


def holds_clips(folder: Path) -> bool:
    """Whether a folder is one of clips, and not of pictures."""
    return folder.is_dir() and not find_images(folder) and bool(find_clip_folders(folder))


def match_clips(predictions: Path, references: Path) -> list[tuple[VideoClip, Path]]:
    """Reference clips of a folder with the frames made elsewhere for each.

    Raises:
        DatasetError: if a folder is missing or empty, a clip has no prediction, or frames are
            missing.
    """
    for folder in (predictions, references):
        if not folder.is_dir():
            raise DatasetError(f"{folder}: no such folder")
    made = find_clip_folders(predictions)
    pairs = []
    for name, path in find_clip_folders(references).items():
        if name not in made:
            raise DatasetError(f"{path}: no clip of this name in {predictions}")
        for frames in (path, made[name]):
            _check_frames(frames)
        pairs.append((VideoClip(_clip_name(path), path), made[name]))
    if not pairs:
        raise DatasetError(f"{references}: no clips in this folder")
    return pairs


def _choose(folder: Path, names: Sequence[str]) -> list[VideoClip]:
    found = find_clip_folders(folder)
    if names:
        found = {name: found[name] for name in names if name in found}
    missing = [name for name in names if name not in found]
    if found and missing:
        raise DatasetError(
            f"{folder}: clip {', '.join(missing)} is missing, put its frames in "
            f"{folder / missing[0]}"
        )
    for path in found.values():
        _check_frames(path)
    return [VideoClip(_clip_name(path), path) for path in found.values()]


def _clip_name(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _with_small(clips: list[VideoClip], folder: Path) -> list[VideoClip]:
    """The clips with their small frames, where these are given."""
    if not folder.is_dir():
        return clips
    small = find_clip_folders(folder)
    given = []
    for clip in clips:
        path = small.get(clip.name.lower())
        if path is None:
            raise DatasetError(
                f"{folder}: the small frames of {clip.name} are missing, add them "
                f"or remove {folder} to have them made"
            )
        _check_frames(path)
        if (
            clip.frames.is_dir()
            and path.is_dir()
            and (len(find_images(path)) != len(find_images(clip.frames)))
        ):
            raise DatasetError(
                f"{path}: {len(find_images(path))} frames, but {clip.frames} has "
                f"{len(find_images(clip.frames))}"
            )
        given.append(VideoClip(clip.name, clip.frames, path))
    return given


def _check_frames(path: Path) -> None:
    """Complain of a folder with gaps or too few frames; of a video only its reading tells."""
    if path.is_dir() and len(numbered_frames(path)) < SHORTEST:
        raise DatasetError(
            f"{path}: {len(numbered_frames(path))} frames, at least {SHORTEST} are needed"
        )


def numbered_frames(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of the last number in each name.

    Raises:
        DatasetError: if there are no pictures, a name has no number, or a number is missing or
            there twice.
    """
    try:
        return numbered_pictures(folder)
    except InputError as error:
        raise DatasetError(str(error)) from error


def count_frames(clip: VideoClip) -> int:
    """How many frames a clip has, for a progress bar; 0 where a video does not say."""
    if clip.frames.is_dir():
        return len(find_images(clip.frames))
    try:
        return probe(clip.frames).frames or 0
    except InputError:  # reading it will say
        return 0


def iterate_frames(path: Path) -> Iterator[Tensor]:
    """Frames of a folder or of a video, one at a time: uint8 (3, H, W).

    Raises:
        DatasetError: if the frames are of several sizes.
        InputError: if a picture or video cannot be read, or PyAV is missing for a video.
    """
    size: tuple[int, ...] | None = None
    pictures = numbered_frames(path) if path.is_dir() else []
    for index, pixels in enumerate(
        map(read_rgb8, pictures) if pictures else read_rgb8_frames(path)
    ):
        if size is not None and pixels.shape != size:
            where = pictures[index] if pictures else f"{path}, frame {index + 1}"
            raise DatasetError(
                f"{where}: {pixels.shape[1]}x{pixels.shape[0]} pixels, but the "
                f"frames before it have {size[1]}x{size[0]}"
            )
        size = pixels.shape
        yield to_planes(pixels)


def crop_middle(frame: Tensor, unit: int) -> Tensor:
    """Cut the middle of a frame (..., H, W) so that its sides are multiples of a unit (ch. 3.4.8).

    Args:
        frame: of any type.
        unit: in pixels; estimates are judged on multiples of ``MULTIPLE`` times the scale.

    Raises:
        DatasetError: if a side of the frame is shorter than the unit.
    """
    height, width = (side // unit * unit for side in frame.shape[-2:])
    if not (height and width):
        raise DatasetError(
            f"frames of {frame.shape[-1]}x{frame.shape[-2]} pixels: at least "
            f"{unit}x{unit} are needed"
        )
    top, left = (frame.shape[-2] - height) // 2, (frame.shape[-1] - width) // 2
    return frame[..., top : top + height, left : left + width]


def make_small_frame(
    frame_hr: Tensor, scale: int, sigma: float = SIGMA, phase: Phase = MIDDLE
) -> Tensor:
    """The small frame (3, H / s, W / s) of a large one in [0, 1], rounded to 8 bits (ch. 3.3.5)."""
    return quantise(blur_and_subsample(frame_hr, scale, sigma, phase))


def iterate_pairs(
    clip: VideoClip,
    scale: int,
    limit: int | None = None,
    sigma: float | None = None,
    phase: Phase = MIDDLE,
) -> Iterator[FramePair]:
    """Frames of a clip and their truth, cut by the rule of ch. 3.4.8, one at a time.

    Args:
        clip: to read.
        scale: HR pixels per LR pixel.
        limit: frames at most.
        sigma: of the blur; the paper's unless given. A number makes the small frames even where
            there are some.
        phase: where in their cells the small frames sample, if they are made.

    Raises:
        DatasetError: if there are fewer than 5 frames, they are too small or of several sizes,
            or the small ones do not fit the large ones.
    """
    count = 0
    for pair in (
        _made_pairs(clip, scale, SIGMA if sigma is None else sigma, phase)
        if (sigma is not None or clip.frames_lr is None)
        else _given_pairs(clip, scale)
    ):
        if limit is not None and count == limit:
            return
        count += 1
        yield pair
    if count < SHORTEST:
        raise DatasetError(f"{clip.frames}: {count} frames, at least {SHORTEST} are needed")


def _made_pairs(clip: VideoClip, scale: int, sigma: float, phase: Phase) -> Iterator[FramePair]:
    for frame in iterate_frames(clip.frames):
        frame_hr = to_values(_cut(clip.frames, frame, MULTIPLE * scale))
        yield FramePair(frame_hr, make_small_frame(frame_hr, scale, sigma, phase))


def _given_pairs(clip: VideoClip, scale: int) -> Iterator[FramePair]:
    assert clip.frames_lr is not None
    large, small = iterate_frames(clip.frames), iterate_frames(clip.frames_lr)
    try:
        for frame, frame_lr in zip(large, small, strict=True):
            if tuple(side * scale for side in frame_lr.shape[-2:]) != tuple(frame.shape[-2:]):
                raise DatasetError(
                    f"{clip.frames_lr}: {frame_lr.shape[-1]}x{frame_lr.shape[-2]} is not "
                    f"1/{scale} of {clip.frames}, {frame.shape[-1]}x{frame.shape[-2]}"
                )
            cut_lr = to_values(_cut(clip.frames_lr, frame_lr, MULTIPLE))
            # Cut where the small frame is, which need not be the middle to a pixel.
            top, left = (
                scale * ((side - kept) // 2)
                for side, kept in zip(frame_lr.shape[-2:], cut_lr.shape[-2:], strict=True)
            )
            height, width = (scale * side for side in cut_lr.shape[-2:])
            yield FramePair(to_values(frame[:, top : top + height, left : left + width]), cut_lr)
    except ValueError as error:
        raise DatasetError(f"{clip.frames_lr}: not as many frames as {clip.frames}") from error


def _cut(path: Path, frame: Tensor, unit: int) -> Tensor:
    try:
        return crop_middle(frame, unit)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def iterate_predictions(
    clip: VideoClip, predictions: Path, scale: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Estimates made elsewhere and their truth, both cut by the rule of ch. 3.4.8.

    Estimates may have the size of the whole frames, or that of the frames already cut.

    Returns:
        Pairs (3, H, W) float32 in [0, 1], estimate first.

    Raises:
        DatasetError: if there are fewer than 5 frames, or sizes or numbers differ.
    """
    count = 0
    unit = MULTIPLE * scale
    made, truth = iterate_frames(predictions), iterate_frames(clip.frames)
    try:
        for estimate, reference in zip(made, truth, strict=True):
            cut = _cut(clip.frames, reference, unit)
            if estimate.shape == reference.shape:
                estimate = crop_middle(estimate, unit)
            elif estimate.shape != cut.shape:
                raise DatasetError(
                    f"{predictions}: sizes differ: {estimate.shape[-1]}x{estimate.shape[-2]} "
                    f"against {reference.shape[-1]}x{reference.shape[-2]}"
                )
            count += 1
            yield to_values(estimate), to_values(cut)
    except ValueError as error:
        raise DatasetError(f"{predictions}: not as many frames as {clip.frames}") from error
    if count < SHORTEST:
        raise DatasetError(f"{clip.frames}: {count} frames, at least {SHORTEST} are needed")
