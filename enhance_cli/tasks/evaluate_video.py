"""Score video models, and clips made elsewhere, by the protocol of dissertation 003, ch. 3.4."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from enhance_cli.data.video_sets import (
    VideoClip,
    iterate_pairs,
    iterate_predictions,
    match_clips,
)
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.metrics.protocols import cut_border
from enhance_cli.metrics.video import ClipScore, frame_luma
from enhance_cli.talk import Talk
from enhance_cli.tasks.score_report import Publication, publish
from enhance_cli.tasks.scores import Scores
from enhance_cli.tasks.video_runs import (
    VideoRequest,
    check_request,
    enlarge_frames,
    find_clips_of,
    frame_bar,
    load_models,
)


def run_evaluate_video(request: VideoRequest, talk: Talk) -> int:
    """Score, and print a table, JSON or CSV.

    Large frames are cut so that the small ones' sides are multiples of 8; the small ones are
    blurred (sigma 1.5), sub-sampled and rounded to 8 bits; estimates are rounded to 8 bits; of
    each clip all frames but the first and last two count: PSNR of BT.601 luma from the squared
    error over all their pixels, and the mean SSIM of luma. The paper names no further border, so
    none is cut off unless ``border`` says so. A dataset's mean is that over its clips.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for unknown names, absent data or weights, or clips that do not match.
    """
    check_request(request)
    if request.dataset is not None:
        results = _score_models(request, talk)
    elif request.predictions is not None and request.references is not None:
        results = _score_folder(request, request.predictions, request.references, talk)
    else:
        raise UsageError("give --dataset NAME, or --pred DIR and --gt DIR")
    publish(
        results,
        Publication(
            title=_title(request),
            dataset=request.dataset or str(request.references),
            protocol=request.protocol,
            kind="clip",
            metrics=request.metrics,
            csv=request.csv,
            report=request.report,
        ),
        talk,
    )
    return 0


def _score_models(request: VideoRequest, talk: Talk) -> list[Scores]:
    clips, models = find_clips_of(request), load_models(request, talk)
    enlargers = models.enlargers()
    results = [Scores(name) for name in models.names()]
    with frame_bar(f"{request.dataset} x{models.scale}", clips, talk) as advance:
        for clip in clips:
            scores = [_new_score(request) for _ in enlargers]
            frames = enlarge_frames(iterate_pairs(clip, models.scale), enlargers)
            for reference, estimates in frames:
                _add(request, clip, scores, estimates, reference)
                advance()
            for result, score in zip(results, scores, strict=True):
                result.images.append(_numbers(request, clip, score))
    return results


def _score_folder(
    request: VideoRequest, predictions: Path, references: Path, talk: Talk
) -> list[Scores]:
    result = Scores(predictions.name)
    pairs = match_clips(predictions, references)
    with frame_bar(predictions.name, [clip for clip, _ in pairs], talk) as advance:
        for clip, made in pairs:
            score = _new_score(request)
            for estimate, reference in iterate_predictions(clip, made, request.scale or 4):
                _add(request, clip, [score], [estimate], reference)
                advance()
            result.images.append(_numbers(request, clip, score))
    return [result]


def _new_score(request: VideoRequest) -> ClipScore:
    return ClipScore(with_ssim="ssim" in request.metrics)


def _add(
    request: VideoRequest,
    clip: VideoClip,
    scores: Sequence[ClipScore],
    estimates: Iterable[Tensor],
    reference: Tensor,
) -> None:
    border = request.border or 0
    truth = cut_border(frame_luma(reference), border)
    if not truth.numel():
        raise DatasetError(f"{clip.name}: nothing is left inside a border of {border} pixels")
    try:
        for score, estimate in zip(scores, estimates, strict=True):
            score.add(cut_border(frame_luma(estimate), border), truth)
    except ValueError as error:
        raise DatasetError(f"{clip.name}: {error}") from error


def _numbers(request: VideoRequest, clip: VideoClip, score: ClipScore) -> dict[str, Any]:
    measures = {"psnr": score.psnr, "ssim": score.ssim}
    return {"name": clip.name, **{metric: measures[metric]() for metric in request.metrics}}


def _title(request: VideoRequest) -> str:
    return f"{request.dataset or request.references} ({request.protocol})"
