"""Benchmarks of video super-resolution, by the protocol of dissertation 003, ch. 3.4.

Large frames are cut so that the small ones' sides are multiples of 8; the small ones are blurred
(sigma 1.5), sub-sampled and rounded to 8 bits; estimates are rounded to 8 bits. Of each clip all
frames but the first and last two count: PSNR of BT.601 luma from the squared error over all their
pixels, and the mean SSIM of luma. The paper names no further border, so none is cut off unless
``--border`` says so. A dataset's mean is that over its clips.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from enhance_cli.data.video_sets import (
    FramePair,
    VideoClip,
    count_frames,
    iterate_pairs,
    iterate_predictions,
    match_clips,
)
from enhance_cli.defaults import SCALE
from enhance_cli.errors import DatasetError
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score
from enhance_cli.evaluation.enlargers import (
    Enlarger,
    clip_files,
    enlarge_frames,
    open_setup,
)
from enhance_cli.evaluation.models import checkpoints
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.tables import report_pictures
from enhance_cli.metrics.protocols import cut_border
from enhance_cli.metrics.video import ClipScore, frame_luma
from enhance_cli.talk import Talk

Frames = Iterable[tuple[Tensor, Sequence[Tensor]]]  # truth (3, H, W) and estimates, in [0, 1]


def open_clips(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """The clips of a dataset, enlarged by bicubic interpolation and by every model.

    Raises:
        EnhanceError: for unknown names, and data or weights that are absent.
    """
    setup = open_setup(request, talk)
    enlargers = setup.enlargers()

    def score(clip: VideoClip, advance: Advance) -> dict[str, Score]:
        frames = enlarge_frames(iterate_pairs(clip, setup.scale), enlargers)
        names = [enlarger.name for enlarger in enlargers]
        return _score_clip(clip.name, names, frames, measures, advance)

    return Evaluation(
        f"{request.subject.dataset} x{setup.scale}",
        "frames",
        [
            Case(
                clip.name,
                partial(score, clip),
                setup.steps(clip),
                clip_files(clip.frames, clip.frames_lr),
            )
            for clip in setup.clips
        ],
        partial(report_pictures, request=request, measures=measures, kind="clip"),
        checkpoints(setup.models),
    )


def open_clip_folders(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Clips made elsewhere, paired with their truth by name.

    Raises:
        DatasetError: for folders that do not match.
    """
    predictions, references = request.subject.predictions, request.subject.references
    assert predictions is not None
    assert references is not None
    name, scale = predictions.name, request.models.scale or SCALE

    def score(clip: VideoClip, made: Path, advance: Advance) -> dict[str, Score]:
        pairs = iterate_predictions(clip, made, scale)
        frames = ((reference, [estimate]) for estimate, reference in pairs)
        return _score_clip(clip.name, [name], frames, measures, advance)

    return Evaluation(
        name,
        "frames",
        [
            Case(
                clip.name,
                partial(score, clip, made),
                count_frames(clip) or None if talk.shows_progress else None,
                clip_files(clip.frames, made),
            )
            for clip, made in match_clips(predictions, references)
        ],
        partial(report_pictures, request=request, measures=measures, kind="clip"),
    )


def _score_clip(
    clip: str, names: Sequence[str], frames: Frames, measures: Measures, advance: Advance
) -> dict[str, Score]:
    scores = add_up_errors(
        frames,
        len(names),
        advance,
        border=measures.border or 0,
        with_ssim="ssim" in measures.metrics,
    )
    return {
        name: Score(
            {"name": clip, **{metric: getattr(score, metric)() for metric in measures.metrics}}
        )
        for name, score in zip(names, scores, strict=True)
    }


def add_up_errors(
    frames: Frames, count: int, advance: Advance, *, border: int = 0, with_ssim: bool = False
) -> list[ClipScore]:
    """Errors of every frame of a clip, for each of ``count`` estimates.

    Args:
        frames: of one clip.
        count: how many estimates each of them has.
        advance: told of every frame.
        border: pixels that are cut off at each side.
        with_ssim: whether structural similarity is wanted too, which takes much longer.

    Raises:
        DatasetError: if an estimate has another size than the truth, or too little is left.
    """
    scores = [ClipScore(with_ssim=with_ssim) for _ in range(count)]
    for reference, estimates in frames:
        truth = cut_border(frame_luma(reference), border)
        if not truth.numel():
            raise DatasetError(f"nothing is left inside a border of {border} pixels")
        try:
            for score, estimate in zip(scores, estimates, strict=True):
                score.add(cut_border(frame_luma(estimate), border), truth)
        except ValueError as error:
            raise DatasetError(str(error)) from error
        advance(1)
    return scores


def score_enlargers(
    pairs: Iterator[FramePair], enlargers: Sequence[Enlarger], advance: Advance
) -> list[ClipScore]:
    """Errors of every frame of a clip, for each of what is compared."""
    return add_up_errors(enlarge_frames(pairs, enlargers), len(enlargers), advance)
