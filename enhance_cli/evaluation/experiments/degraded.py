"""Other inputs than the models were trained for: fig. 3.5 and table 3.1 of dissertation 003."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from enhance_cli.data.degradation import compress
from enhance_cli.data.video_sets import FramePair, VideoClip, iterate_pairs
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score, Scores
from enhance_cli.evaluation.clips import score_enlargers
from enhance_cli.evaluation.enlargers import ClipSetup, clip_files, open_setup
from enhance_cli.evaluation.experiments.clip_report import report_experiment
from enhance_cli.evaluation.figures import Curve, draw_curves
from enhance_cli.evaluation.models import checkpoints
from enhance_cli.evaluation.report import Figure, Report, number
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.levels import quantise
from enhance_cli.talk import Talk

_SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  # fig. 3.5 goes from 0 to 5
_NOISE = (0.025, 0.075)
_JPEG = (40, 70)

Condition = float | str
Pairs = Callable[[ClipSetup, VideoClip], Iterator[FramePair]]


def open_blur(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Small frames made with blur of several sizes before sub-sampling (fig. 3.5)."""
    return _open(
        request,
        talk,
        {sigma: partial(_blurred_pairs, sigma=sigma) for sigma in _SIGMAS},
        key="sigma",
        caption="Video PSNR by the blur before sub-sampling, in HR pixels (as figure 3.5)",
        what="blur",
    )


def open_noise(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Small frames with noise added, or compressed as JPEG (table 3.1)."""
    noise = {f"noise {value:g}": partial(_add_noise, deviation=value) for value in _NOISE}
    jpeg = {f"JPEG {quality}": partial(_compress, quality=quality) for quality in _JPEG}
    return _open(
        request,
        talk,
        {
            name: partial(_changed_pairs, change=change)
            for name, change in chain(noise.items(), jpeg.items())
        },
        key="input",
        caption="Video PSNR on degraded inputs (as table 3.1)",
        what="degradation",
    )


def _blurred_pairs(setup: ClipSetup, clip: VideoClip, sigma: float) -> Iterator[FramePair]:
    return iterate_pairs(clip, setup.scale, setup.limit, sigma)


def _changed_pairs(
    setup: ClipSetup, clip: VideoClip, change: Callable[[Tensor, str], Tensor]
) -> Iterator[FramePair]:
    for index, (frame_hr, frame_lr) in enumerate(iterate_pairs(clip, setup.scale, setup.limit)):
        yield FramePair(frame_hr, change(frame_lr, f"{clip.name}/{index}"))


def _add_noise(frame_lr: Tensor, name: str, deviation: float) -> Tensor:
    """White noise from the frame's own seed, so that results repeat; rounded to 8 bits."""
    seed = zlib.crc32(name.encode("utf-8", "surrogateescape"))
    noise = torch.randn(frame_lr.shape, generator=torch.Generator().manual_seed(seed))
    return quantise(frame_lr + deviation * noise)


def _compress(frame_lr: Tensor, name: str, quality: int) -> Tensor:
    return compress(frame_lr[None], "jpeg", quality)[0]


def _open(
    request: EvaluationRequest,
    talk: Talk,
    conditions: Mapping[float, Pairs] | Mapping[str, Pairs],
    *,
    key: str,
    caption: str,
    what: str,
) -> Evaluation:
    """Every clip under all conditions, so that a clip that fails is missing from all of them."""
    setup = open_setup(request, talk)
    enlargers = setup.enlargers()

    def score(clip: VideoClip, advance: Advance) -> dict[str, Score]:
        found = [
            score_enlargers(pairs(setup, clip), enlargers, advance) for pairs in conditions.values()
        ]
        return {
            enlarger.name: Score({"psnr": [scores[index].psnr() for scores in found]})
            for index, enlarger in enumerate(enlargers)
        }

    return Evaluation(
        f"{request.subject.dataset} {request.subject.study}",
        "frames",
        [
            Case(
                clip.name,
                partial(score, clip),
                setup.steps(clip, len(conditions)),
                clip_files(clip.frames),
            )
            for clip in setup.clips
        ],
        partial(
            _report,
            request=request,
            conditions=list(conditions),
            key=key,
            caption=caption,
            what=what,
        ),
        checkpoints(setup.models),
    )


def _report(
    results: Sequence[Scores],
    request: EvaluationRequest,
    conditions: Sequence[Condition],
    key: str,
    caption: str,
    what: str,
) -> Report:
    """A column for each condition: video PSNR, the mean over the clips."""
    names = [value if isinstance(value, str) else f"{key} {value:g}" for value in conditions]
    found = {
        result.model: [
            sum(numbers) / len(numbers)
            for numbers in zip(*(values["psnr"] for values in result.values), strict=True)
        ]
        for result in results
    }
    each = [
        (name, condition, psnr)
        for name, row in found.items()
        for condition, psnr in zip(conditions, row, strict=True)
    ]
    return report_experiment(
        request,
        [
            ["model", *names],
            *([name, *(number(psnr, "psnr") for psnr in row)] for name, row in found.items()),
        ],
        [
            {
                "model": name,
                "values": [
                    {key: value, "psnr": psnr} for model, value, psnr in each if model == name
                ],
            }
            for name in found
        ],
        [["model", key, "psnr"], *each],
        lambda: [
            Figure(
                draw_curves(
                    {"": [Curve(name, conditions, row) for name, row in found.items()]},
                    key,
                    "video PSNR (dB)",
                ),
                caption,
            )
        ],
        [f"the paper trains a network for each {what}; here the given weights meet all of them"],
    )
