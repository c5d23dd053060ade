"""Temporal profiles: fig. 3.6 of dissertation 003."""

import re
from functools import partial

import numpy as np
import torch
from torch import Tensor

from enhance_cli.data.video_sets import VideoClip
from enhance_cli.errors import UsageError
from enhance_cli.evaluation.benchmarks import CLIP_PROTOCOL, Measures, study_title
from enhance_cli.evaluation.case import Advance, Evaluation
from enhance_cli.evaluation.clips import enlarge_frames, open_setup
from enhance_cli.evaluation.figures import draw_pictures
from enhance_cli.evaluation.pictures import metric_column
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table, by_case
from enhance_cli.io.image import Picture, write_image
from enhance_cli.levels import to_pixels
from enhance_cli.metrics.video import error_to_psnr, flicker, frame_error, frame_luma
from enhance_cli.talk import Talk


def open_profile(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """One row of every frame, the rows of a clip below each other: what flickers is jagged."""
    setup = open_setup(request, talk)
    enlargers = setup.enlargers()
    names = ["truth", *(enlarger.name for enlarger in enlargers)]

    def score(clip: VideoClip, advance: Advance) -> dict[str, Score]:
        rows: list[list[Tensor]] = [[] for _ in names]
        for reference, estimates in enlarge_frames(setup.pairs(clip), enlargers):
            row = _choose_row(request, clip, reference.shape[-2])
            for kept, frame in zip(rows, [reference, *estimates], strict=True):
                kept.append(frame[:, row].float())
            advance(1)
        pictures = [torch.stack(kept, 1) for kept in rows]
        return {
            name: _score_profile(request, clip, name, picture, pictures[0])
            for name, picture in zip(names, pictures, strict=True)
        }

    return setup.evaluation(score, partial(_report, request=request))


def _choose_row(request: EvaluationRequest, clip: VideoClip, height: int) -> int:
    row = height // 2 if request.study.row is None else request.study.row
    if row >= height:
        raise UsageError(f"--row {row}: the frames of {clip.name} have rows 0 to {height - 1}")
    return row


def _score_profile(
    request: EvaluationRequest, clip: VideoClip, name: str, picture: Tensor, truth: Tensor
) -> Score:
    """Score a profile (3, T, W) against the truth's, and write it if pictures are wanted."""
    path, pixels = None, to_pixels(picture)
    if request.study.output is not None:
        path = request.study.output / re.sub(r"[^\w.-]", "_", f"{clip.name}_{name}.png")
        write_image(path, Picture(pixels))
    luma, reference = frame_luma(picture), frame_luma(truth)
    return {
        "clip": clip.name,
        "model": name,
        "picture": path and str(path),
        "psnr": error_to_psnr(frame_error(luma, reference)),
        "flicker": flicker(luma[0], reference[0]),
        "_pixels": pixels.tolist(),
    }


def _report(results: Results, request: EvaluationRequest) -> ScoreReport:
    rows = by_case(results)
    psnr = metric_column("psnr")
    columns = [
        Column("clip", "clip"),
        Column("model", "model"),
        psnr._replace(heading=f"profile's {psnr.heading}"),
        Column("flicker", "flicker", 3),
    ]

    def draw() -> list[tuple[bytes, str]]:
        figures = []
        for clip in dict.fromkeys(row["clip"] for row in rows):
            profiles = {
                row["model"]: np.array(row["_pixels"], np.uint8)
                for row in rows
                if row["clip"] == clip
            }
            caption = (
                f"Temporal profiles of {clip}: one row of every frame, the first frame "
                "at the top (as figure 3.6)"
            )
            figures.append((draw_pictures(profiles), caption))
        return figures

    notes = [
        "flicker, which the paper judges by eye: root mean square error of the change from "
        "frame to frame, in levels of 255"
    ]
    if request.study.output is None:
        notes.append("give -o DIR for the pictures, or --report FILE.html")
    title = study_title(request)
    return ScoreReport(
        title,
        {"protocol": CLIP_PROTOCOL},
        rows,
        [Table(title, rows, columns)],
        rows,
        [column.key for column in columns],
        draw,
        notes,
    )
