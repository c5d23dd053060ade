"""Other inputs than the models were trained for: fig. 3.5 and table 3.1 of dissertation 003."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from enhance_cli.data.degradation import compress
from enhance_cli.data.video_sets import FramePair, VideoClip
from enhance_cli.evaluation.benchmarks import CLIP_PROTOCOL, Measures, study_title
from enhance_cli.evaluation.case import Advance, Evaluation
from enhance_cli.evaluation.clips import ClipSetup, add_up_errors, enlarge_frames, open_setup
from enhance_cli.evaluation.figures import Curve, draw_curves
from enhance_cli.evaluation.pictures import metric_column
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table
from enhance_cli.levels import quantise
from enhance_cli.talk import Talk

_SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  # fig. 3.5 goes from 0 to 5
_NOISE = (0.025, 0.075)
_JPEG = (40, 70)
_SAME_WEIGHTS = "here the given weights meet all of them"

Pairs = Callable[[VideoClip], Iterator[FramePair]]


def open_blur(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Small frames made with blur of several sizes before sub-sampling (fig. 3.5)."""
    setup = open_setup(request, talk)
    conditions: dict[float | str, Pairs] = {
        sigma: partial(setup.pairs, sigma=sigma) for sigma in _SIGMAS
    }
    caption = "Video PSNR by the blur before sub-sampling, in HR pixels (as figure 3.5)"
    return _open(setup, conditions, "sigma", "blur", caption)


def open_noise(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Small frames with noise added, or compressed as JPEG (table 3.1)."""
    setup = open_setup(request, talk)
    changes = {f"noise {deviation:g}": partial(_add_noise, deviation) for deviation in _NOISE}
    changes |= {f"JPEG {quality}": partial(_compress, quality) for quality in _JPEG}

    def changed(clip: VideoClip, change: Callable[[Tensor, str], Tensor]) -> Iterator[FramePair]:
        for index, (frame_hr, frame_lr) in enumerate(setup.pairs(clip)):
            yield FramePair(frame_hr, change(frame_lr, f"{clip.name}/{index}"))

    conditions: dict[float | str, Pairs] = {
        name: partial(changed, change=change) for name, change in changes.items()
    }
    caption = "Video PSNR on degraded inputs (as table 3.1)"
    return _open(setup, conditions, "input", "degradation", caption)


def _add_noise(deviation: float, frame_lr: Tensor, name: str) -> Tensor:
    """White noise from the frame's own seed, so that results repeat; rounded to 8 bits."""
    seed = zlib.crc32(name.encode("utf-8", "surrogateescape"))
    noise = torch.randn(frame_lr.shape, generator=torch.Generator().manual_seed(seed))
    return quantise(frame_lr + deviation * noise)


def _compress(quality: int, frame_lr: Tensor, name: str) -> Tensor:
    return compress(frame_lr[None], "jpeg", quality)[0]


def _open(
    setup: ClipSetup,
    conditions: Mapping[float | str, Pairs],
    key: str,
    what: str,
    caption: str,
) -> Evaluation:
    """Every clip under all conditions, so that a clip that fails is missing from all of them."""
    enlargers = setup.enlargers()
    names = [enlarger.name for enlarger in enlargers]

    def score(clip: VideoClip, advance: Advance) -> dict[str, Score]:
        found = [
            add_up_errors(enlarge_frames(pairs(clip), enlargers), names, advance)
            for pairs in conditions.values()
        ]
        return {name: {"psnr": [errors[name].psnr() for errors in found]} for name in names}

    def report(results: Results) -> ScoreReport:
        """A column for each condition: video PSNR, the mean over the clips."""
        columns = [Column("model", "model")]
        for value in conditions:
            heading = value if isinstance(value, str) else f"{key} {value:g}"
            columns.append(metric_column("psnr")._replace(key=str(value), heading=heading))
        table, described, curves = [], [], []
        rows: list[Score] = []
        for model, scores in results.items():
            each = zip(*(score["psnr"] for score in scores), strict=True)
            means = [sum(numbers) / len(numbers) for numbers in each]
            found = dict(zip(conditions, means, strict=True))
            pairs = [{key: value, "psnr": psnr} for value, psnr in found.items()]
            described.append({"model": model, "values": pairs})
            rows += [{"model": model, **pair} for pair in pairs]
            table.append({"model": model, **{str(value): psnr for value, psnr in found.items()}})
            curves.append(Curve(model, list(conditions), means))
        title = study_title(setup.request)
        return ScoreReport(
            title,
            {"protocol": CLIP_PROTOCOL},
            described,
            [Table(title, table, columns)],
            rows,
            ["model", key, "psnr"],
            lambda: [(draw_curves({"": curves}, key, "video PSNR (dB)"), caption)],
            [f"the paper trains a network for each {what}; {_SAME_WEIGHTS}"],
        )

    return setup.evaluation(score, report, rounds=len(conditions))
