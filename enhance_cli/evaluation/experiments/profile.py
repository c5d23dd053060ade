"""Temporal profiles: fig. 3.6 of dissertation 003."""

import re
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from enhance_cli.data.video_sets import VideoClip, iterate_pairs
from enhance_cli.errors import UsageError
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score, Scores, by_case
from enhance_cli.evaluation.enlargers import (
    ClipSetup,
    Enlarger,
    clip_files,
    enlarge_frames,
    open_setup,
)
from enhance_cli.evaluation.experiments.clip_report import report_experiment
from enhance_cli.evaluation.figures import draw_pictures
from enhance_cli.evaluation.models import checkpoints
from enhance_cli.evaluation.report import Figure, Report, decimal, heading, number
from enhance_cli.evaluation.request import EvaluationRequest, StudyOptions
from enhance_cli.io.image import Picture, write_image
from enhance_cli.levels import to_pixels
from enhance_cli.metrics.video import error_to_psnr, flicker, frame_error, frame_luma
from enhance_cli.talk import Talk


def open_profile(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """One row of every frame, the rows of a clip below each other: what flickers is jagged."""
    setup = open_setup(request, talk)
    score = partial(_score_clip, setup, setup.enlargers(), request.study)
    return Evaluation(
        f"{request.subject.dataset} profile",
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
        partial(_report, request=request),
        checkpoints(setup.models),
    )


def _score_clip(
    setup: ClipSetup,
    enlargers: Sequence[Enlarger],
    options: StudyOptions,
    clip: VideoClip,
    advance: Advance,
) -> dict[str, Score]:
    names = ["truth", *(enlarger.name for enlarger in enlargers)]
    rows: list[list[Tensor]] = [[] for _ in names]
    pairs = iterate_pairs(clip, setup.scale, setup.limit)
    for reference, estimates in enlarge_frames(pairs, enlargers):
        height = reference.shape[-2]
        row = height // 2 if options.row is None else options.row
        if row >= height:
            raise UsageError(f"--row {row}: the frames of {clip.name} have rows 0 to {height - 1}")
        for kept, frame in zip(rows, [reference, *estimates], strict=True):
            kept.append(frame[:, row].float())
        advance(1)
    pictures = [torch.stack(kept, 1) for kept in rows]
    truth = frame_luma(pictures[0])
    scores = {}
    for name, picture in zip(names, pictures, strict=True):
        luma, levels = frame_luma(picture), to_pixels(picture)
        path = None
        if options.output is not None:
            path = options.output / re.sub(r"[^\w.-]", "_", f"{clip.name}_{name}.png")
            write_image(path, Picture(levels))
        values = {
            "clip": clip.name,
            "model": name,
            "picture": path and str(path),
            "psnr": error_to_psnr(frame_error(luma, truth)),
            "flicker": flicker(luma[0], truth[0]),
        }
        scores[name] = Score(values, {"levels": torch.from_numpy(levels)})
    return scores


def _report(results: Sequence[Scores], request: EvaluationRequest) -> Report:
    rows = [score.values for _, score in by_case(results)]
    keys = ["clip", "model", "psnr", "flicker"]
    notes = [
        "flicker, which the paper judges by eye: root mean square error of the change from "
        "frame to frame, in levels of 255"
    ]
    if request.study.output is None:
        notes.append("give -o DIR for the pictures, or --report FILE.html")
    return report_experiment(
        request,
        [
            ["clip", "model", f"profile's {heading('psnr')}", "flicker"],
            *(
                [
                    row["clip"],
                    row["model"],
                    number(row["psnr"], "psnr"),
                    decimal(row["flicker"], 3),
                ]
                for row in rows
            ),
        ],
        rows,
        [keys, *([row[key] for key in keys] for row in rows)],
        lambda: [
            Figure(
                draw_pictures(
                    {
                        result.model: result.scores[index].tensors["levels"].numpy()
                        for result in results
                    }
                ),
                f"Temporal profiles of {values['clip']}: one row of every frame, the first frame "
                "at the top (as figure 3.6)",
            )
            for index, values in enumerate(results[0].values)
        ],
        notes,
    )
