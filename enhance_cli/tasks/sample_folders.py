"""Score a folder of generated pictures against a folder of others, and pairs of pictures by LPIPS.

Measures of whole sets (``SET_MEASURES``) take files of any names and numbers; LPIPS takes pairs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enhance_cli.data.benchmarks import data_roots, match_folders
from enhance_cli.engine.catalogue import cache_folder
from enhance_cli.engine.device import choose_device
from enhance_cli.engine.features import (
    FeatureExtractor,
    PerceptualDistance,
    load_perceptual_distance,
)
from enhance_cli.errors import DatasetError, UnknownNameError, UsageError
from enhance_cli.io.image import find_images, read_image, read_rgb8
from enhance_cli.levels import to_planes, to_values
from enhance_cli.metrics import METRICS
from enhance_cli.metrics.distribution import LEVELS, histogram_divergence, luminance_histogram
from enhance_cli.metrics.frechet import FeatureStatistics, frechet_distance
from enhance_cli.metrics.prd import CLUSTERS, PrecisionRecall, balance, precision_recall_curve
from enhance_cli.metrics.protocols import PROTOCOLS, score
from enhance_cli.talk import Talk, print_json
from enhance_cli.tasks.sample_scores import (
    PRD_AXES,
    UNIT,
    choose_features,
    feature_notes,
    finite_features,
    net_roots,
    picture_bar,
    prd_curve_of,
    prd_numbers,
)
from enhance_cli.tasks.score_report import Publication, draw_curves, publish, write_report
from enhance_cli.tasks.scores import Scores, print_table, write_csv

SET_MEASURES = ("frechet", "fid", "prd", "jsd")
LPIPS = "lpips"
# Their names alone say that ``enhance evaluate`` is to come here; jsd is of pairs too.
NAMES = ("frechet", "fid", "prd", LPIPS)
_LEAST = {"frechet": 2, "fid": 2, "prd": CLUSTERS, "jsd": 1}
_HEADINGS = {
    "f8": "F8 (recall)",
    "f1_8": "F1/8 (precision)",
    "max_precision": "max precision",
    "max_recall": "max recall",
    "jsd": "JSD of luminance",
}
_PIXELS_AT_ONCE = 1 << 20
_AT_ONCE = 50


@dataclass(frozen=True)
class FoldersRequest:
    """The options of ``enhance evaluate --pred --gt`` for these measures; see its help."""

    predictions: Path | None
    references: Path | None
    metrics: Sequence[str]
    features: str | None = None
    seed: int | None = None
    protocol: str | None = None
    border: int | None = None
    data_root: Path | None = None
    csv: Path | None = None
    report: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class PictureSet:
    """What is kept of the pictures of a folder.

    Attributes:
        features: (N, D); (0, D) where none are wanted.
        histogram: of luminance, of all pictures.
    """

    features: Tensor
    histogram: Tensor


def run_evaluate_folders(request: FoldersRequest, talk: Talk) -> int:
    """Score, and print a table or JSON, and write CSV and a page.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for unknown names, absent features, folders that do not suit, damaged
            pictures, or what cannot be written.
    """
    if request.predictions is None or request.references is None:
        raise UsageError(f"--metrics {','.join(request.metrics)}: give --pred DIR and --gt DIR")
    known = list(dict.fromkeys([*SET_MEASURES, *METRICS, LPIPS]))
    for name in request.metrics:
        if name not in known:
            raise UnknownNameError("metric", name, known)
    of_pairs = [name for name in request.metrics if name == LPIPS or name not in SET_MEASURES]
    of_sets = [name for name in request.metrics if name in SET_MEASURES and name not in METRICS]
    if of_pairs and of_sets:
        raise UsageError(
            f"--metrics {','.join(request.metrics)}: {' and '.join(of_pairs)} compare pictures in "
            f"pairs, {' and '.join(of_sets)} whole sets: ask for them one after the other"
        )
    if of_pairs:
        return _score_pairs(request, request.predictions, request.references, talk)
    return _score_sets(request, request.predictions, request.references, talk)


def _refuse(request: FoldersRequest, options: dict[str, object]) -> None:
    for option, value in options.items():
        if value is not None:
            raise UsageError(
                f"{option} {value}: of no use with --metrics "
                f"{','.join(request.metrics)}, leave it out"
            )


# --- whole sets -----------------------------------------------------------------------------------


def _score_sets(request: FoldersRequest, predictions: Path, references: Path, talk: Talk) -> int:
    _refuse(request, {"--protocol": request.protocol, "--border": request.border})
    files = [_find(folder, request.metrics) for folder in (predictions, references)]
    # Features are wanted, since jsd alone does not lead here.
    extractor = choose_features(
        request.features,
        data_roots(request.data_root, cache_folder()),
        choose_device(request.device),
        talk,
    )
    if "fid" in request.metrics and extractor.name != "FID":
        raise UsageError(
            f"--metrics fid: {extractor.path.name} gives no FID, which is of the "
            "official Inception weights: ask for frechet, or for --features inception"
        )
    with picture_bar(predictions.name, sum(map(len, files)), talk) as advance:
        made, reference = (_read_set(paths, extractor, advance) for paths in files)
    numbers, curve, notes = _measure(request, extractor, made, reference)
    _tell(request, predictions, references, numbers, curve, extractor, notes, talk)
    return 0


def _find(folder: Path, metrics: Sequence[str]) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    found = find_images(folder)
    if not found:
        raise DatasetError(f"{folder}: no pictures in this folder")
    wanting = max(metrics, key=lambda name: _LEAST[name])
    if len(found) < _LEAST[wanting]:
        why = " (its clusters)" if wanting == "prd" else ""
        raise DatasetError(
            f"{folder}: too few pictures for {wanting}, which needs at least {_LEAST[wanting]}"
            f"{why}, not {len(found)}: give more or leave {wanting} out"
        )
    return found


def _read_set(
    files: Sequence[Path], extractor: FeatureExtractor, advance: Callable[[int], None]
) -> PictureSet:
    histogram = torch.zeros(LEVELS, dtype=torch.int64)

    def batches() -> Iterator[Tensor]:
        for batch in _read_batches(files):
            for picture in batch:
                histogram.add_(luminance_histogram(picture, 255.0))
            yield to_values(batch)

    return PictureSet(finite_features(extractor, batches(), advance), histogram)


def _read_batches(files: Sequence[Path]) -> Iterator[Tensor]:
    """uint8 (n, 3, H, W), as many as follow each other in one size and are not too much."""
    batch: list[Tensor] = []
    for path in files:
        picture = _read_rgb(path)
        room = min(_AT_ONCE, _PIXELS_AT_ONCE // picture[0].numel())
        if batch and (batch[0].shape != picture.shape or len(batch) >= room):
            yield torch.stack(batch)
            batch = []
        batch.append(picture)
    if batch:
        yield torch.stack(batch)


def _read_rgb(path: Path) -> Tensor:
    """uint8 (3, H, W)."""
    return to_planes(read_rgb8(path))


def _measure(
    request: FoldersRequest, extractor: FeatureExtractor, made: PictureSet, reference: PictureSet
) -> tuple[dict[str, float | None], PrecisionRecall | None, list[str]]:
    numbers: dict[str, float | None] = {}
    curve = None
    seed = request.seed or 0
    notes = feature_notes(extractor, min(len(made.features), len(reference.features)))
    for metric in request.metrics:
        if metric == "jsd":
            numbers[metric] = histogram_divergence(made.histogram, reference.histogram)
        elif metric == "prd":
            both = balance(made.features, reference.features, seed)
            curve = precision_recall_curve(both.second, both.first, seed=seed)
            numbers.update(prd_numbers(curve))
            notes += [both.note] if both.note else []
        else:
            numbers[metric] = frechet_distance(
                *(FeatureStatistics.from_features(part.features) for part in (made, reference))
            )
    return numbers, curve, notes


def _tell(
    request: FoldersRequest,
    predictions: Path,
    references: Path,
    numbers: dict[str, float | None],
    curve: PrecisionRecall | None,
    extractor: FeatureExtractor,
    notes: Sequence[str],
    talk: Talk,
) -> None:
    header = ["pictures", *(_HEADINGS.get(name, extractor.name) for name in numbers)]
    row = [
        predictions.name,
        *(f"{value:.{1 if name in ('fid', 'frechet') else 4}f}" for name, value in numbers.items()),
    ]
    title = f"{predictions} against {references}"
    if request.csv is not None:
        write_csv(request.csv, ["model", *numbers], [[predictions.name, *numbers.values()]])
    if request.report is not None:
        figures = (
            []
            if curve is None
            else [
                (
                    draw_curves(
                        {"": [prd_curve_of(predictions.name, curve)]},
                        *PRD_AXES,
                        marked=False,
                        limits=UNIT,
                    ),
                    "Precision and recall",
                )
            ]
        )
        write_report(request.report, title, header, [row], figures, notes)
    if talk.json:
        print_json(
            {
                "dataset": str(references),
                "protocol": "sets",
                "features": extractor.name,
                "seed": request.seed or 0,
                "notes": list(notes),
                "results": [{"model": predictions.name, **numbers}],
            }
        )
    else:
        print_table(title, [header, row], means=False, quiet=talk.quiet)
    for note in notes:
        talk.console.print(note)


# --- pairs ----------------------------------------------------------------------------------------


def _score_pairs(request: FoldersRequest, predictions: Path, references: Path, talk: Talk) -> int:
    _refuse(request, {"--seed": request.seed})
    protocol = request.protocol or "rgb"
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    if request.features not in (None, "squeezenet"):
        raise UsageError(f"--features {request.features}: lpips has weights for squeezenet only")
    pairs = match_folders(predictions, references)
    distance = load_perceptual_distance(
        roots=net_roots(data_roots(request.data_root, cache_folder())),
        cache=cache_folder(),
        device=choose_device(request.device),
    )
    result = Scores(predictions.name)
    with picture_bar(predictions.name, len(pairs), talk) as advance:
        for pair in pairs:
            assert pair.source is not None
            numbers = _score_pair(request, protocol, distance, pair.source, pair.reference)
            result.images.append({"name": pair.name, **numbers})
            advance(1)
    publish(
        [result],
        Publication(
            title=f"{references} ({protocol})",
            dataset=str(references),
            protocol=protocol,
            kind="image",
            metrics=request.metrics,
            csv=request.csv,
            report=request.report,
            notes=[
                f"lpips: {distance.name}, of the whole picture in RGB; compare it only with "
                "figures of the same network"
            ],
        ),
        talk,
    )
    return 0


def _score_pair(
    request: FoldersRequest,
    protocol: str,
    distance: PerceptualDistance,
    source: Path,
    reference: Path,
) -> dict[str, Any]:
    """In the order of ``metrics``."""
    others = [name for name in request.metrics if name != LPIPS]
    try:
        known = score(_read(source), _read(reference), protocol, request.border or 0, others)
        known[LPIPS] = float(
            distance(*(to_values(_read_rgb(path)[None]) for path in (source, reference)))
        )
    except ValueError as error:
        raise DatasetError(f"{source}: {error}") from error
    return {name: known[name] for name in request.metrics}


def _read(path: Path) -> Tensor:
    """(C, H, W) in [0, 1], C = 1 or 3."""
    return to_values(to_planes(read_image(path).pixels), torch.float64)
