"""The studies of dissertation 003, ch. 3.4, on given weights. To add one: its line in ``STUDIES``.

Where the paper trains a network for each degradation, these run the weights that there are, and
say so.
"""

import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from enhance_cli.data.degradation import compress
from enhance_cli.data.scenes import make_scene_picture, roll_scene
from enhance_cli.data.video_sets import (
    SIGMA,
    FramePair,
    VideoClip,
    iterate_pairs,
    reduce_frame,
)
from enhance_cli.errors import DatasetError, UnknownNameError, UsageError
from enhance_cli.io.image import Picture, write_image
from enhance_cli.levels import quantise, to_pixels
from enhance_cli.metrics.video import ClipScore, error_to_psnr, flicker, frame_error, frame_luma
from enhance_cli.talk import Talk, print_json
from enhance_cli.tasks.score_report import Curve, draw_curves, draw_pictures, write_report
from enhance_cli.tasks.scores import finite, heading, number, print_table, write_csv
from enhance_cli.tasks.video_runs import (
    PROTOCOL,
    Enlarger,
    VideoModels,
    VideoRequest,
    bar_of,
    check_request,
    enlarge_frames,
    find_clips_of,
    frame_bar,
    is_recurrent,
    load_models,
    network_enlarger,
)

_SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  # fig. 3.5 goes from 0 to 5
_NOISE = (0.025, 0.075)
_JPEG = (40, 70)
_SAME_WEIGHTS = "the paper trains a network for each {}; here the given weights meet all of them"


@dataclass
class Outcome:
    """What a study found.

    Attributes:
        table: a header and rows for people.
        results: for JSON.
        csv: a header and rows.
        draw: makes the figures of a page, SVG files with captions.
        notes: lines for people, in JSON too.
        code: exit code.
    """

    table: list[list[str]]
    results: list[dict[str, Any]]
    csv: list[list[Any]]
    draw: Callable[[], list[tuple[bytes, str]]]
    notes: list[str] = field(default_factory=list)
    code: int = 0


@dataclass(frozen=True)
class Study:
    """One entry of ``STUDIES``.

    Attributes:
        summary: what it shows, and which figure or table that is.
        run: measures.
        options: fields of the request that are for some studies only.
    """

    summary: str
    run: Callable[[VideoRequest, Talk], Outcome]
    options: tuple[str, ...] = ()


def run_video_study(request: VideoRequest, talk: Talk) -> int:
    """Run a study, and print a table or JSON, and write CSV and a page.

    Returns:
        The exit code: 1 if a model drifts.

    Raises:
        EnhanceError: for unknown names, absent data or weights, or what cannot be written.
    """
    check_request(request)
    assert request.study is not None
    if request.study not in STUDIES:
        raise UnknownNameError("study", request.study, STUDIES)
    assert request.dataset is not None
    study = STUDIES[request.study]
    for name, option in (("row", "--row"), ("output", "-o")):
        value = getattr(request, name)
        if value is not None and name not in study.options:
            raise UsageError(
                f"{option} {value}: of no use with --study {request.study}, leave it out"
            )
    outcome = study.run(request, talk)
    if request.csv is not None:
        write_csv(request.csv, outcome.csv[0], outcome.csv[1:])
    title = f"{request.dataset}: {study.summary}"
    if request.report is not None:
        write_report(request.report, title, outcome.table[0], outcome.table[1:], outcome.draw())
    if talk.json:
        print_json(
            {
                "dataset": request.dataset,
                "study": request.study,
                "protocol": PROTOCOL,
                "notes": outcome.notes,
                "results": outcome.results,
            }
        )
    else:
        print_table(title, outcome.table, means=False, quiet=talk.quiet)
    for note in outcome.notes:
        talk.console.print(note)
    return outcome.code


def _score(
    pairs: Iterable[FramePair], enlargers: Sequence[Enlarger], advance: Callable[[], None]
) -> list[ClipScore]:
    """Errors of every frame of a clip, for each of what is compared."""
    scores = [ClipScore(with_ssim=False) for _ in enlargers]
    for reference, estimates in enlarge_frames(pairs, enlargers):
        truth = frame_luma(reference)
        for score, estimate in zip(scores, estimates, strict=True):
            score.add(frame_luma(estimate), truth)
        advance()
    return scores


# --- fig. 3.5 and table 3.1: other inputs ---------------------------------------------------------

Pairs = Callable[[VideoClip], Iterator[FramePair]]


def _under_conditions(
    request: VideoRequest,
    talk: Talk,
    clips: Sequence[VideoClip],
    models: VideoModels,
    conditions: Sequence[Pairs],
) -> dict[str, list[float]]:
    """Video PSNR of each model under each condition, the mean over clips."""
    enlargers = models.enlargers()
    found: dict[str, list[float]] = {enlarger.name: [] for enlarger in enlargers}
    with frame_bar(
        f"{request.dataset} {request.study}",
        clips,
        talk,
        rounds=len(conditions),
        limit=request.study_frames,
    ) as advance:
        for pairs in conditions:
            scores = [_score(pairs(clip), enlargers, advance) for clip in clips]
            for index, values in enumerate(found.values()):
                values.append(sum(clip[index].psnr() for clip in scores) / len(scores))
    return found


def _outcome(
    found: dict[str, list[float]], key: str, values: Sequence[float | str], figure: str, note: str
) -> Outcome:
    """The results of several conditions, a column for each."""
    names = [value if isinstance(value, str) else f"{key} {value:g}" for value in values]
    return Outcome(
        [
            ["model", *names],
            *([name, *(number(psnr, "psnr") for psnr in row)] for name, row in found.items()),
        ],
        [
            {
                "model": name,
                "values": [
                    finite({key: value, "psnr": psnr})
                    for value, psnr in zip(values, row, strict=True)
                ],
            }
            for name, row in found.items()
        ],
        [
            ["model", key, "psnr"],
            *(
                [name, value, psnr]
                for name, row in found.items()
                for value, psnr in zip(values, row, strict=True)
            ),
        ],
        lambda: [
            (
                draw_curves(
                    {"": [Curve(name, values, row) for name, row in found.items()]},
                    key,
                    "video PSNR (dB)",
                ),
                figure,
            )
        ],
        [note],
    )


def _study_blur(request: VideoRequest, talk: Talk) -> Outcome:
    clips, models = find_clips_of(request), load_models(request, talk)

    def blurred(clip: VideoClip, sigma: float) -> Iterator[FramePair]:
        return iterate_pairs(clip, models.scale, request.study_frames, sigma)

    found = _under_conditions(
        request, talk, clips, models, [partial(blurred, sigma=sigma) for sigma in _SIGMAS]
    )
    return _outcome(
        found,
        "sigma",
        _SIGMAS,
        "Video PSNR by the blur before sub-sampling, in HR pixels (as figure 3.5)",
        _SAME_WEIGHTS.format("blur"),
    )


def _study_noise(request: VideoRequest, talk: Talk) -> Outcome:
    clips, models = find_clips_of(request), load_models(request, talk)
    changes: dict[str, Callable[[Tensor, str, int], Tensor]] = {
        **{f"noise {deviation:g}": partial(_add_noise, deviation) for deviation in _NOISE},
        **{f"JPEG {quality}": partial(_compress, quality) for quality in _JPEG},
    }

    def changed(
        clip: VideoClip, change: Callable[[Tensor, str, int], Tensor]
    ) -> Iterator[FramePair]:
        pairs = iterate_pairs(clip, models.scale, request.study_frames)
        for index, (frame_hr, frame_lr) in enumerate(pairs):
            yield FramePair(frame_hr, change(frame_lr, clip.name, index))

    found = _under_conditions(
        request,
        talk,
        clips,
        models,
        [partial(changed, change=change) for change in changes.values()],
    )
    return _outcome(
        found,
        "input",
        list(changes),
        "Video PSNR on degraded inputs (as table 3.1)",
        _SAME_WEIGHTS.format("degradation"),
    )


def _add_noise(deviation: float, frame_lr: Tensor, clip: str, index: int) -> Tensor:
    """White noise of the frame's own seed, so that results repeat; rounded to 8 bits."""
    seed = zlib.crc32(f"{clip}/{index}".encode("utf-8", "surrogateescape"))
    noise = torch.randn(frame_lr.shape, generator=torch.Generator().manual_seed(seed))
    return quantise(frame_lr + deviation * noise)


def _compress(quality: int, frame_lr: Tensor, clip: str, index: int) -> Tensor:
    return compress(frame_lr[None], "jpeg", quality)[0]


# --- fig. 3.6: temporal profiles ------------------------------------------------------------------


def _study_profile(request: VideoRequest, talk: Talk) -> Outcome:
    clips, models = find_clips_of(request), load_models(request, talk)
    enlargers = models.enlargers()
    profiles: dict[str, dict[str, Tensor]] = {}
    with frame_bar(
        f"{request.dataset} profile", clips, talk, limit=request.study_frames
    ) as advance:
        for clip in clips:
            pairs = iterate_pairs(clip, models.scale, request.study_frames)
            profiles[clip.name] = _take_profiles(request, clip, pairs, enlargers, advance)
    results: list[dict[str, Any]] = []
    for clip_name, pictures in profiles.items():
        truth = frame_luma(pictures["truth"])
        for name, picture in pictures.items():
            luma = frame_luma(picture)
            path = _write_profile(request, clip_name, name, picture)
            results.append(
                {
                    "clip": clip_name,
                    "model": name,
                    "picture": path,
                    "psnr": error_to_psnr(frame_error(luma, truth)),
                    "flicker": flicker(luma[0], truth[0]),
                }
            )
    keys = ["clip", "model", "psnr", "flicker"]
    notes = [
        "flicker, which the paper judges by eye: root mean square error of the change from "
        "frame to frame, in levels of 255"
    ]
    if request.output is None:
        notes.append("give -o DIR for the pictures, or --report FILE.html")
    return Outcome(
        [
            ["clip", "model", f"profile's {heading('psnr')}", "flicker"],
            *(
                [row["clip"], row["model"], number(row["psnr"], "psnr"), f"{row['flicker']:.3f}"]
                for row in results
            ),
        ],
        [finite(row) for row in results],
        [keys, *([row[key] for key in keys] for row in results)],
        lambda: [
            (
                draw_pictures({name: to_pixels(picture) for name, picture in pictures.items()}),
                f"Temporal profiles of {clip_name}: one row of every frame, the first frame at "
                "the top (as figure 3.6)",
            )
            for clip_name, pictures in profiles.items()
        ],
        notes,
    )


def _take_profiles(
    request: VideoRequest,
    clip: VideoClip,
    pairs: Iterable[FramePair],
    enlargers: Sequence[Enlarger],
    advance: Callable[[], None],
) -> dict[str, Tensor]:
    """The same row of every frame, below each other: (3, T, W) by name, the truth's first."""
    names = ["truth", *(enlarger.name for enlarger in enlargers)]
    rows: list[list[Tensor]] = [[] for _ in names]
    for reference, estimates in enlarge_frames(pairs, enlargers):
        height = reference.shape[-2]
        row = height // 2 if request.row is None else request.row
        if row >= height:
            raise UsageError(f"--row {row}: the frames of {clip.name} have rows 0 to {height - 1}")
        for kept, frame in zip(rows, [reference, *estimates], strict=True):
            kept.append(frame[:, row].float())
        advance()
    return {name: torch.stack(kept, 1) for name, kept in zip(names, rows, strict=True)}


def _write_profile(request: VideoRequest, clip: str, name: str, picture: Tensor) -> str | None:
    if request.output is None:
        return None
    path = request.output / re.sub(r"[^\w.-]", "_", f"{clip}_{name}.png")
    write_image(path, Picture(to_pixels(picture)))
    return str(path)


# --- fig. 3.7: PSNR by frame number ---------------------------------------------------------------

_SHOWN_FRAMES = (1, 2, 3, 4, 5, 8, 12, 16, 20, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500, 600)


def _study_frames(request: VideoRequest, talk: Talk) -> Outcome:
    clips, models = find_clips_of(request), load_models(request, talk)
    recurrent = {name: model for name, model in models.networks.items() if is_recurrent(model)}
    if not recurrent:
        raise UsageError(
            "--study frames: needs a recurrent model (frvsr-...), name one with "
            "--model or --weights"
        )
    enlargers = [
        network_enlarger(f"{name}, from {start}", model, models.plan, from_truth=start == "truth")
        for name, model in recurrent.items()
        for start in ("black", "truth")
    ]
    with frame_bar(f"{request.dataset} frames", clips, talk, limit=request.study_frames) as advance:
        scores = [
            _score(iterate_pairs(clip, models.scale, request.study_frames), enlargers, advance)
            for clip in clips
        ]
    # Up to the end of the shortest clip, so that all points are means of the same clips.
    length = min(len(clip[0].errors) for clip in scores)
    curves: dict[str, list[float | None]] = {}
    for index, enlarger in enumerate(enlargers):
        each = [clip[index].frame_psnrs()[:length] for clip in scores]
        curves[enlarger.name] = [sum(values) / len(values) for values in zip(*each, strict=True)]
        if enlarger.name.endswith("truth"):  # it has been shown the answer
            curves[enlarger.name][0] = None
    shown = [frame for frame in _SHOWN_FRAMES if frame <= length]
    numbers = range(1, length + 1)
    return Outcome(
        [
            ["frame", *(name.replace(", ", "\n") for name in curves)],
            *([str(frame), *(_db(row[frame - 1]) for row in curves.values())] for frame in shown),
        ],
        [
            {
                "model": name.rpartition(", from ")[0],
                "start": name.rpartition(", from ")[2],
                "psnr": [finite({"": psnr})[""] for psnr in row],
            }
            for name, row in curves.items()
        ],
        [
            ["frame", *curves],
            *(
                [
                    frame,
                    *("" if row[frame - 1] is None else row[frame - 1] for row in curves.values()),
                ]
                for frame in numbers
            ),
        ],
        lambda: [
            (
                draw_curves(
                    {"": [Curve(name, list(numbers), row) for name, row in curves.items()]},
                    "frame",
                    "PSNR (dB)",
                ),
                f"PSNR by frame number, the mean of {len(clips)} clips, from a black frame and "
                "from the true first frame as the estimate before the first (as figure 3.7)",
            )
        ],
        [
            f"frames 1 to {length}, as many as the shortest clip has; from the truth, frame 1 is "
            "left out"
        ],
    )


def _db(psnr: float | None) -> str:
    return "" if psnr is None else number(psnr, "psnr")


# --- drift: long runs -----------------------------------------------------------------------------

_DRIFT_FRAMES = 600
_DRIFT_LIMIT = 0.1  # dB
_HIGHEST = 100.0  # dB, taken for a perfect estimate
# Down and to the right, in HR pixels per frame: 1/4 and 3/4 of an LR pixel at x4.
_SCENES = {"static": (0, 0), "panning": (1, 3)}


def _study_drift(request: VideoRequest, talk: Talk) -> Outcome:
    clip, models = find_clips_of(request)[0], load_models(request, talk)
    enlargers = models.enlargers()
    length = request.study_frames or _DRIFT_FRAMES
    picture = _first_frame(clip, models.scale)
    results: list[dict[str, Any]] = []
    with bar_of(f"{request.dataset} drift", length * len(_SCENES), talk) as advance:
        for scene, velocity in _SCENES.items():
            pairs = (
                FramePair(frame, reduce_frame(frame, models.scale))
                for frame in roll_scene(picture, length, velocity)
            )
            for enlarger, score in zip(enlargers, _score(pairs, enlargers, advance), strict=True):
                psnrs = [min(psnr, _HIGHEST) for psnr in score.frame_psnrs()]
                results.append(
                    {"model": enlarger.name, "scene": scene, **judge_drift(psnrs), "psnr": psnrs}
                )
    drifting = [f"{row['model']} ({row['scene']})" for row in results if row["drifts"]]
    early, late = _spans(length)
    verdict = f"drifts: {', '.join(drifting)}" if drifting else "nothing drifts"
    by_scene = {
        scene: [
            Curve(row["model"], list(range(1, length + 1)), row["psnr"])
            for row in results
            if row["scene"] == scene
        ]
        for scene in _SCENES
    }
    return Outcome(
        [
            ["model", "scene", f"{_span(early)} (dB)", f"{_span(late)} (dB)", "change (dB)", ""],
            *(
                [
                    row["model"],
                    row["scene"],
                    number(row["early"], "psnr"),
                    number(row["late"], "psnr"),
                    f"{row['change']:+.3f}",
                    "drifts" if row["drifts"] else "steady",
                ]
                for row in results
            ),
        ],
        [
            {**finite(row), "psnr": [finite({"": psnr})[""] for psnr in row["psnr"]]}
            for row in results
        ],
        [
            ["model", "scene", "frame", "psnr"],
            *(
                [row["model"], row["scene"], frame, psnr]
                for row in results
                for frame, psnr in enumerate(row["psnr"], 1)
            ),
        ],
        lambda: [
            (
                draw_curves(by_scene, "frame", "PSNR (dB)", marked=False),
                f"PSNR over {length} frames of a still and of a moving scene made of "
                f"{clip.name}'s first frame",
            )
        ],
        [
            f"{verdict}; a model drifts if the PSNR of {_span(late)} is more than "
            f"{_DRIFT_LIMIT} dB below that of {_span(early)}"
        ],
        1 if drifting else 0,
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


def _span(frames: slice) -> str:
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
    return {
        "early": early,
        "late": late,
        "change": change,
        "drifts": not (math.isfinite(change) and change >= -_DRIFT_LIMIT),
    }


# --- the table ------------------------------------------------------------------------------------

STUDIES: dict[str, Study] = {
    "profile": Study("temporal profiles (fig. 3.6)", _study_profile, ("row", "output")),
    "frames": Study("PSNR by frame number (fig. 3.7)", _study_frames),
    "blur": Study("blur sizes (fig. 3.5)", _study_blur),
    "noise": Study("noise and JPEG (table 3.1)", _study_noise),
    "drift": Study("drift over long runs", _study_drift),
}
