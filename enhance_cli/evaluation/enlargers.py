"""What the evaluations of video compare: ways to enlarge a clip, one frame after the other."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from enhance_cli.architectures.frvsr import VideoState
from enhance_cli.data.video_sets import FramePair, VideoClip, count_frames, load_clips
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.recurrent import FrameEnlarger, with_following
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.evaluation.models import find_roots, load_enlargers
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.io.image import find_images
from enhance_cli.levels import quantise
from enhance_cli.resize import imresize
from enhance_cli.talk import Talk

BICUBIC = "bicubic"

# Small frame (3, h, w) and the one after it, or None at the end -> large frame in [0, 1].
Step = Callable[[Tensor, Tensor | None], Tensor]


class Enlarger(NamedTuple):
    """One of the ways to enlarge that are compared.

    Attributes:
        name: for tables.
        start: begins a clip, given its first frame and that frame's truth (which only figure 3.7
            makes use of); the steps of one clip share a memory.
    """

    name: str
    start: Callable[[FramePair], Step]


@dataclass(frozen=True)
class ClipSetup:
    """The clips of a dataset, and the models to enlarge them with.

    Attributes:
        clips: none of them read yet.
        models: by name.
        scale: common to all models.
        plan: of the models' tiles.
        limit: how many frames of each clip are looked at; None for all.
        shows_progress: whether a progress bar wants to know the number of frames.
    """

    clips: list[VideoClip]
    models: dict[str, Model]
    scale: int
    plan: TilePlan
    limit: int | None
    shows_progress: bool

    def enlargers(self) -> list[Enlarger]:
        """Bicubic enlargement, then the models."""
        return [
            bicubic_enlarger(self.scale),
            *(network_enlarger(name, model, self.plan) for name, model in self.models.items()),
        ]

    def steps(self, clip: VideoClip, rounds: int = 1) -> int | None:
        """How many frames are run if a clip is gone through so often; None if nobody knows."""
        count = count_frames(clip) if self.shows_progress else 0
        return rounds * min(count, self.limit or count) or None


def open_setup(request: EvaluationRequest, talk: Talk) -> ClipSetup:
    """The clips of the dataset that is asked for, and the models asked for.

    Raises:
        EnhanceError: for unknown names, and data or weights that are absent.
    """
    assert request.subject.dataset is not None
    clips = load_clips(request.subject.dataset, find_roots(request))
    models, scale = load_enlargers("video", request.models, talk)
    plan = TilePlan(tile=request.models.tile)
    return ClipSetup(clips, models, scale, plan, request.study.frames, talk.shows_progress)


def clip_files(*places: Path | None) -> list[Path]:
    """Video files as they are, and the pictures of folders of frames."""
    known = [place for place in places if place is not None]
    return [path for place in known for path in (find_images(place) if place.is_dir() else [place])]


def bicubic_enlarger(scale: int) -> Enlarger:
    """The baseline: no memory, in floating point."""

    def step(frame_lr: Tensor, following: Tensor | None) -> Tensor:
        return imresize(frame_lr.double(), scale)

    return Enlarger(BICUBIC, lambda first: step)


def network_enlarger(
    name: str, model: Model, plan: TilePlan, *, from_truth: bool = False
) -> Enlarger:
    """A network with a memory for each clip.

    Args:
        name: for tables.
        model: of task ``video``.
        plan: of its tiles.
        from_truth: whether the estimate before the first frame is that frame's truth, not black.
    """
    engine = FrameEnlarger(model, plan)

    def start(first: FramePair) -> Step:
        state: VideoState | None = None
        if from_truth:
            state = VideoState(
                first.frame_lr[None].to(model.device), first.frame_hr[None].to(model.device)
            )

        def step(frame_lr: Tensor, following: Tensor | None) -> Tensor:
            nonlocal state
            after = following if model.contract.lookahead else None
            frame_hr, state = engine.step(frame_lr, state, after)
            return frame_hr.float().cpu()

        return step

    return Enlarger(name, start)


def enlarge_frames(
    pairs: Iterable[FramePair], enlargers: Sequence[Enlarger]
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Run a clip through all that is compared, with no more than two frames in memory.

    Returns:
        For each frame the truth (3, H, W) and the estimates, rounded to 8 bits, in [0, 1].
    """
    steps: list[Step] = []
    for pair, following in with_following(pairs, 1):
        if not steps:
            steps = [enlarger.start(pair) for enlarger in enlargers]
        after = None if following is None else following.frame_lr
        yield pair.frame_hr, [quantise(step(pair.frame_lr, after)) for step in steps]
