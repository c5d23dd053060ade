"""PSNR by frame number: fig. 3.7 of dissertation 003."""

from functools import partial

from enhance_cli.architectures.frvsr import Frvsr
from enhance_cli.data.video_sets import VideoClip
from enhance_cli.errors import UsageError
from enhance_cli.evaluation.benchmarks import CLIP_PROTOCOL, Measures, study_title
from enhance_cli.evaluation.case import Advance, Evaluation
from enhance_cli.evaluation.clips import add_up_errors, enlarge_frames, network_enlarger, open_setup
from enhance_cli.evaluation.figures import Curve, draw_curves
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table
from enhance_cli.talk import Talk

_SHOWN_FRAMES = (1, 2, 3, 4, 5, 8, 12, 16, 20, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500, 600)


def open_frames(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """How recurrent models get better from frame to frame, from black and from the truth.

    Raises:
        UsageError: if none of the models is recurrent.
    """
    setup = open_setup(request, talk)
    enlargers = [
        network_enlarger(
            f"{name}, from {start}", model, setup.plan, setup.phase, from_truth=start == "truth"
        )
        for name, model in setup.models.items()
        if isinstance(model.network, Frvsr)  # its estimates feed the next ones
        for start in ("black", "truth")
    ]
    if not enlargers:
        raise UsageError(
            "--study frames: needs a recurrent model (frvsr-...), name one with --model or "
            "--weights"
        )
    names = [enlarger.name for enlarger in enlargers]

    def score(clip: VideoClip, advance: Advance) -> dict[str, Score]:
        found = add_up_errors(enlarge_frames(setup.pairs(clip), enlargers), names, advance)
        return {name: {"psnr": errors.frame_psnrs()} for name, errors in found.items()}

    return setup.evaluation(score, partial(_report, request=request))


def _report(results: Results, request: EvaluationRequest) -> ScoreReport:
    # Up to the end of the shortest clip, so that all points are means of the same clips.
    length = min(len(score["psnr"]) for scores in results.values() for score in scores)
    numbers = range(1, length + 1)
    rows: list[Score] = [{"frame": frame} for frame in numbers]
    described, curves = [], []
    for name, scores in results.items():
        each = zip(*(score["psnr"][:length] for score in scores), strict=True)
        means: list[float | None] = [sum(values) / len(values) for values in each]
        model, _, start = name.rpartition(", from ")
        if start == "truth":
            means[0] = None  # it has been shown the answer
        for row, mean in zip(rows, means, strict=True):
            row[name] = mean
        described.append({"model": model, "start": start, "psnr": means})
        curves.append(Curve(name, list(numbers), means))
    clips = max(map(len, results.values()))
    columns = [Column("frame", "frame")]
    columns += [Column(model, model.replace(", ", "\n"), 2) for model in results]
    title = study_title(request)
    caption = (
        f"PSNR by frame number, the mean of {clips} clips, from a black frame and "
        "from the true first frame as the estimate before the first (as figure 3.7)"
    )
    return ScoreReport(
        title,
        {"protocol": CLIP_PROTOCOL},
        described,
        [Table(title, [row for row in rows if row["frame"] in _SHOWN_FRAMES], columns)],
        rows,
        ["frame", *results],
        lambda: [(draw_curves({"": curves}, "frame", "PSNR (dB)"), caption)],
        [
            f"frames 1 to {length}, as many as the shortest clip has; from the truth, frame 1 is "
            "left out"
        ],
    )
