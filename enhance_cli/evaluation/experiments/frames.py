"""PSNR by frame number: fig. 3.7 of dissertation 003."""

from collections.abc import Sequence
from functools import partial

from enhance_cli.architectures.frvsr import Frvsr
from enhance_cli.data.video_sets import VideoClip, iterate_pairs
from enhance_cli.errors import UsageError
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score, Scores
from enhance_cli.evaluation.clips import score_enlargers
from enhance_cli.evaluation.enlargers import clip_files, network_enlarger, open_setup
from enhance_cli.evaluation.experiments.clip_report import report_experiment
from enhance_cli.evaluation.figures import Curve, draw_curves
from enhance_cli.evaluation.models import checkpoints
from enhance_cli.evaluation.report import Figure, Report, number
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.talk import Talk

_SHOWN_FRAMES = (1, 2, 3, 4, 5, 8, 12, 16, 20, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500, 600)


def open_frames(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """How recurrent models get better from frame to frame, from black and from the truth.

    Raises:
        UsageError: if none of the models is recurrent.
    """
    setup = open_setup(request, talk)
    enlargers = [
        network_enlarger(f"{name}, from {start}", model, setup.plan, from_truth=start == "truth")
        for name, model in setup.models.items()
        if isinstance(model.network, Frvsr)  # its estimates feed the next ones
        for start in ("black", "truth")
    ]
    if not enlargers:
        raise UsageError(
            "--study frames: needs a recurrent model (frvsr-...), name one with --model or "
            "--weights"
        )

    def score(clip: VideoClip, advance: Advance) -> dict[str, Score]:
        scores = score_enlargers(iterate_pairs(clip, setup.scale, setup.limit), enlargers, advance)
        return {
            enlarger.name: Score({"psnr": found.frame_psnrs()})
            for enlarger, found in zip(enlargers, scores, strict=True)
        }

    return Evaluation(
        f"{request.subject.dataset} frames",
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


def _report(results: Sequence[Scores], request: EvaluationRequest) -> Report:
    # Up to the end of the shortest clip, so that all points are means of the same clips.
    length = min(len(values["psnr"]) for values in results[0].values)
    curves: dict[str, list[float | None]] = {}
    for result in results:
        each = [values["psnr"][:length] for values in result.values]
        curve = [sum(values) / len(values) for values in zip(*each, strict=True)]
        seen = result.model.endswith("truth")  # of frame 1 it has been shown the answer
        curves[result.model] = [None, *curve[1:]] if seen else [*curve]
    numbers = range(1, length + 1)
    clips = len(results[0].scores)
    return report_experiment(
        request,
        [
            ["frame", *(name.replace(", ", "\n") for name in curves)],
            *(
                [str(frame), *(number(row[frame - 1], "psnr") for row in curves.values())]
                for frame in _SHOWN_FRAMES
                if frame <= length
            ),
        ],
        [
            {
                "model": name.rpartition(", from ")[0],
                "start": name.rpartition(", from ")[2],
                "psnr": row,
            }
            for name, row in curves.items()
        ],
        [
            ["frame", *curves],
            *(list(row) for row in zip(numbers, *curves.values(), strict=True)),
        ],
        lambda: [
            Figure(
                draw_curves(
                    {"": [Curve(name, list(numbers), row) for name, row in curves.items()]},
                    "frame",
                    "PSNR (dB)",
                ),
                f"PSNR by frame number, the mean of {clips} clips, from a black frame and "
                "from the true first frame as the estimate before the first (as figure 3.7)",
            )
        ],
        [
            f"frames 1 to {length}, as many as the shortest clip has; from the truth, frame 1 is "
            "left out"
        ],
    )
