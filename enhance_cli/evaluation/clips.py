"""Benchmarks of video super-resolution, by the protocol of dissertation 003, ch. 3.4.

Large frames are cut so that the small ones' sides are multiples of 8; the small ones are blurred
(sigma 1.5), sub-sampled and rounded to 8 bits; estimates are rounded to 8 bits. ``--phase`` says
which pixel of its cell a small frame samples, both of those that are made and of those that a
dataset brings along; estimates are moved accordingly, the truth never. Of each clip all
frames but the first and last two count: PSNR of BT.601 luma from the squared error over all their
pixels, and the mean SSIM of luma. The paper names no further border, so none is cut off unless
``--border`` says so. A dataset's mean is that over its clips.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from enhance_cli.architectures.frvsr import VideoState
from enhance_cli.data.video_sets import (
    FramePair,
    VideoClip,
    count_frames,
    iterate_pairs,
    iterate_predictions,
    load_clips,
    match_clips,
)
from enhance_cli.defaults import SCALE
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.recurrent import FrameEnlarger, with_following
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import DatasetError
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation
from enhance_cli.evaluation.models import checkpoints, find_roots, load_enlargers
from enhance_cli.evaluation.pictures import report_pictures
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Results, Score, ScoreReport
from enhance_cli.io.image import find_images
from enhance_cli.levels import quantise
from enhance_cli.metrics.protocols import cut_border
from enhance_cli.metrics.video import ClipScore, frame_luma
from enhance_cli.resize import imresize
from enhance_cli.subsampling import (
    MIDDLE,
    Phase,
    find_phase,
    shift_from_phase,
    shift_to_phase,
)
from enhance_cli.talk import Talk

# Small frame (3, h, w) and the one after it, or None at the end -> large frame in [0, 1].
Step = Callable[[Tensor, Tensor | None], Tensor]
# Of each frame the truth (3, H, W) and some estimates, in [0, 1] with the levels of 8 bits.
Frames = Iterable[tuple[Tensor, Sequence[Tensor]]]


class Enlarger(NamedTuple):
    """One of the ways to enlarge that are compared.

    Attributes:
        name: for tables.
        start: begins a clip, given its first frame and that frame's truth (which only figure 3.7
            makes use of); the steps of one clip share a memory.
    """

    name: str
    start: Callable[[FramePair], Step]


def bicubic_enlarger(scale: int, phase: Phase = MIDDLE) -> Enlarger:
    """The baseline: no memory, in floating point, and moved to the phase of the small frames."""

    def step(frame_lr: Tensor, following: Tensor | None) -> Tensor:
        return shift_to_phase(imresize(frame_lr.double(), scale), scale, phase)

    return Enlarger("bicubic", lambda first: step)


def network_enlarger(
    name: str, model: Model, plan: TilePlan, phase: Phase = MIDDLE, *, from_truth: bool = False
) -> Enlarger:
    """A network with a memory for each clip.

    Args:
        name: for tables.
        model: of task ``video``.
        plan: of its tiles.
        phase: of the small frames.
        from_truth: whether the estimate before the first frame is that frame's truth, not black.
    """
    engine = FrameEnlarger(model, plan, phase=phase)

    def start(first: FramePair) -> Step:
        state: VideoState | None = None
        if from_truth:
            truth = shift_from_phase(first.frame_hr[None], model.contract.scale, phase).clamp(0, 1)
            state = VideoState(first.frame_lr[None].to(model.device), truth.to(model.device))

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
    """Run a clip through all that is compared, with no more than two frames in memory."""
    steps: list[Step] = []
    for pair, following in with_following(pairs, 1):
        if not steps:
            steps = [enlarger.start(pair) for enlarger in enlargers]
        after = None if following is None else following.frame_lr
        yield pair.frame_hr, [quantise(step(pair.frame_lr, after)) for step in steps]


def add_up_errors(
    frames: Frames, names: Sequence[str], advance: Advance, border: int = 0, *, ssim: bool = False
) -> dict[str, ClipScore]:
    """Errors of every frame of a clip, by the names of the estimates.

    Args:
        frames: of one clip.
        names: of the estimates that each of them has.
        advance: told of every frame.
        border: pixels that are cut off at each side.
        ssim: whether structural similarity is wanted too, which takes much longer.

    Raises:
        DatasetError: if an estimate has another size than the truth, or too little is left.
    """
    scores = {name: ClipScore(with_ssim=ssim) for name in names}
    for reference, estimates in frames:
        truth = cut_border(frame_luma(reference), border)
        if not truth.numel():
            raise DatasetError(f"nothing is left inside a border of {border} pixels")
        try:
            for score, estimate in zip(scores.values(), estimates, strict=True):
                score.add(cut_border(frame_luma(estimate), border), truth)
        except ValueError as error:
            raise DatasetError(str(error)) from error
        advance(1)
    return scores


@dataclass(frozen=True)
class ClipSetup:
    """The clips of a dataset, none of them read yet, and the models to enlarge them with.

    Attributes:
        request: that they were chosen by.
        clips: to be enlarged.
        models: by name; ``scale`` is common to them.
        counts_frames: whether a progress bar wants to know the number of frames.
    """

    request: EvaluationRequest
    clips: list[VideoClip]
    models: dict[str, Model]
    scale: int
    counts_frames: bool

    @property
    def plan(self) -> TilePlan:
        """How the models tile frames."""
        return TilePlan(tile=self.request.models.tile)

    @property
    def phase(self) -> Phase:
        """Which pixel of their cells the small frames sample."""
        return find_phase(self.request.comparison.phase or MIDDLE)

    def enlargers(self) -> list[Enlarger]:
        """Bicubic enlargement, then the models."""
        networks = (
            network_enlarger(*named, self.plan, self.phase) for named in self.models.items()
        )
        return [bicubic_enlarger(self.scale, self.phase), *networks]

    def pairs(self, clip: VideoClip, sigma: float | None = None) -> Iterator[FramePair]:
        """Frames of a clip, as many as a study looks at; ``sigma`` as of ``iterate_pairs``."""
        return iterate_pairs(clip, self.scale, self.request.study.frames, sigma, self.phase)

    def evaluation(
        self,
        score: Callable[[VideoClip, Advance], dict[str, Score]],
        report: Callable[[Results], ScoreReport],
        rounds: int = 1,
    ) -> Evaluation:
        """The evaluation that scores clip after clip, going through each ``rounds`` times."""
        cases = []
        for clip in self.clips:
            count = count_frames(clip) if self.counts_frames else 0
            steps = rounds * min(count, self.request.study.frames or count) or None
            files = clip_files(clip.frames, clip.frames_lr)
            cases.append(Case(clip.name, partial(score, clip), steps, files))
        title = f"{self.request.subject.name} {self.request.subject.study or f'x{self.scale}'}"
        title += self.request.conditions
        return Evaluation(title, "frames", cases, report, checkpoints(self.models))


def open_setup(request: EvaluationRequest, talk: Talk) -> ClipSetup:
    """The clips of the dataset that is asked for, and the models asked for.

    Raises:
        EnhanceError: for unknown names, and data or weights that are absent.
    """
    clips = load_clips(request.subject.name, find_roots(request))
    models, scale = load_enlargers("video", request.models, talk)
    return ClipSetup(request, clips, models, scale, talk.shows_progress)


def clip_files(*places: Path | None) -> list[Path]:
    """Video files as they are, and the pictures of folders of frames."""
    known = [place for place in places if place is not None]
    return [path for place in known for path in (find_images(place) if place.is_dir() else [place])]


def open_clips(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """The clips of a dataset, enlarged by bicubic interpolation and by every model.

    Raises:
        EnhanceError: for unknown names, and data or weights that are absent.
    """
    setup = open_setup(request, talk)
    enlargers = setup.enlargers()

    def score(clip: VideoClip, advance: Advance) -> dict[str, Score]:
        frames = enlarge_frames(setup.pairs(clip), enlargers)
        return _score_clip(clip, [one.name for one in enlargers], frames, measures, advance)

    report = partial(report_pictures, request=request, measures=measures, kind="clip")
    return setup.evaluation(score, report)


def open_clip_folders(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Clips made elsewhere, paired with their truth by name.

    Raises:
        DatasetError: for folders that do not match.
    """
    predictions, references = request.subject.folders
    scale = request.models.scale or SCALE
    # The frames made elsewhere stand where a dataset has its small frames.
    clips = [
        VideoClip(clip.name, clip.frames, made)
        for clip, made in match_clips(predictions, references)
    ]

    def score(clip: VideoClip, advance: Advance) -> dict[str, Score]:
        assert clip.frames_lr is not None
        pairs = iterate_predictions(clip, clip.frames_lr, scale)
        frames = ((reference, [estimate]) for estimate, reference in pairs)
        return _score_clip(clip, [predictions.name], frames, measures, advance)

    report = partial(report_pictures, request=request, measures=measures, kind="clip")
    return ClipSetup(request, clips, {}, scale, talk.shows_progress).evaluation(score, report)


def _score_clip(
    clip: VideoClip, names: Sequence[str], frames: Frames, measures: Measures, advance: Advance
) -> dict[str, Score]:
    metrics = measures.metrics
    found = add_up_errors(frames, names, advance, measures.border or 0, ssim="ssim" in metrics)
    return {
        name: {"name": clip.name, **{metric: getattr(score, metric)() for metric in metrics}}
        for name, score in found.items()
    }
