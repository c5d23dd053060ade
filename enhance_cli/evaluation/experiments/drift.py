"""Long runs: does a recurrent model get worse the longer it feeds on its own estimates?"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

from torch import Tensor

from enhance_cli.data.scenes import make_scene_picture, roll_scene
from enhance_cli.data.video_sets import FramePair, VideoClip, iterate_pairs, make_small_frame
from enhance_cli.errors import DatasetError
from enhance_cli.evaluation.benchmarks import CLIP_PROTOCOL, Measures, study_title
from enhance_cli.evaluation.case import Advance, Case, Evaluation
from enhance_cli.evaluation.clips import add_up_errors, clip_files, enlarge_frames, open_setup
from enhance_cli.evaluation.figures import Curve, draw_curves
from enhance_cli.evaluation.models import checkpoints
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table, by_case
from enhance_cli.subsampling import SIGMA
from enhance_cli.talk import Talk

_LENGTH = 600  # frames, unless --study-frames says otherwise
_LIMIT = 0.1  # dB
_HIGHEST = 100.0  # dB, taken for a perfect estimate
# Down and to the right, in HR pixels per frame: 1/4 and 3/4 of an LR pixel at x4.
_SCENES = {"static": (0, 0), "panning": (1, 3)}


def open_drift(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """A still and a moving scene, both made of the first frame of the first clip.

    Raises:
        DatasetError: if that frame is too small.
    """
    setup = open_setup(request, talk)
    clip, enlargers = setup.clips[0], setup.enlargers()
    length = request.study.frames or _LENGTH
    picture = _first_frame(clip, setup.scale)

    def score(scene: str, advance: Advance) -> dict[str, Score]:
        pairs = (
            FramePair(frame, make_small_frame(frame, setup.scale, phase=setup.phase))
            for frame in roll_scene(picture, length, _SCENES[scene])
        )
        names = [enlarger.name for enlarger in enlargers]
        scores: dict[str, Score] = {}
        for name, found in add_up_errors(enlarge_frames(pairs, enlargers), names, advance).items():
            psnrs = [min(psnr, _HIGHEST) for psnr in found.frame_psnrs()]
            judged = judge_drift(psnrs)
            scores[name] = {"model": name, "scene": scene, **judged, "psnr": psnrs}
        return scores

    files = clip_files(clip.frames)
    return Evaluation(
        f"{request.subject.name} drift",
        "frames",
        [Case(scene, partial(score, scene), length, files) for scene in _SCENES],
        partial(_report, request=request, length=length, clip=clip.name),
        checkpoints(setup.models),
    )


def _first_frame(clip: VideoClip, scale: int) -> Tensor:
    pair = next(islice(iterate_pairs(clip, scale, sigma=SIGMA), 1))
    try:
        return make_scene_picture(pair.frame_hr)
    except DatasetError as error:
        raise DatasetError(f"{clip.frames}: {error}") from error


def _spans(length: int) -> tuple[slice, slice]:
    """What is compared: frames 20 to 120 of 600 with the last 100, and in proportion."""
    start, count = length // 30, length // 6
    return slice(start, start + count), slice(length - count, length)


def _name_span(frames: slice) -> str:
    return f"frames {frames.start + 1} to {frames.stop}"


def judge_drift(psnrs: Sequence[float]) -> dict[str, Any]:
    """Whether a long run gets worse.

    Args:
        psnrs: of every frame, in dB, at least 6.

    Returns:
        ``early`` and ``late`` means, their ``change``, and whether it ``drifts``; what is not a
        number drifts.
    """
    early, late = (sum(psnrs[span]) / len(psnrs[span]) for span in _spans(len(psnrs)))
    change = late - early
    drifts = not (math.isfinite(change) and change >= -_LIMIT)
    return {"early": early, "late": late, "change": change, "drifts": drifts}


def _report(
    results: Results,
    request: EvaluationRequest,
    length: int,
    clip: str,
) -> ScoreReport:
    rows = by_case(results)
    early, late = map(_name_span, _spans(length))
    told = [
        {
            **row,
            "change": f"{row['change']:+.3f}",
            "verdict": "drifts" if row["drifts"] else "steady",
        }
        for row in rows
    ]
    columns = [
        Column("model", "model"),
        Column("scene", "scene"),
        Column("early", f"{early} (dB)", 2),
        Column("late", f"{late} (dB)", 2),
        Column("change", "change (dB)"),
        Column("verdict", ""),
    ]
    curves: dict[str, list[Curve]] = {}
    lines = []
    for row in rows:
        curve = Curve(row["model"], list(range(1, length + 1)), row["psnr"])
        curves.setdefault(row["scene"], []).append(curve)
        lines += [{**row, "frame": n, "psnr": psnr} for n, psnr in enumerate(row["psnr"], 1)]
    drifting = [f"{row['model']} ({row['scene']})" for row in rows if row["drifts"]]
    verdict = f"drifts: {', '.join(drifting)}" if drifting else "nothing drifts"
    title = study_title(request)
    caption = (
        f"PSNR over {length} frames of a still and of a moving scene made of {clip}'s first frame"
    )
    return ScoreReport(
        title,
        {"protocol": CLIP_PROTOCOL},
        rows,
        [Table(title, told, columns)],
        lines,
        ["model", "scene", "frame", "psnr"],
        lambda: [(draw_curves(curves, "frame", "PSNR (dB)", marked=False), caption)],
        [
            f"{verdict}; a model drifts if the PSNR of {late} is more than {_LIMIT} dB below "
            f"that of {early}"
        ],
        1 if drifting else 0,
    )
