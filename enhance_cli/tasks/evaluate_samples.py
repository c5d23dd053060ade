"""Score generative models: tables 6.2 and 6.3 of dissertation 003 on pictures held out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.autoencoder import Autoencoder
from enhance_cli.data.benchmarks import data_roots
from enhance_cli.data.picture_sets import PICTURE_SETS, PictureSets, find_picture_set
from enhance_cli.engine.catalogue import Model, cache_folder, find_weights, load_model
from enhance_cli.engine.device import choose_device, choose_dtype
from enhance_cli.engine.generation import (
    decode_codes,
    draw_codes,
    elbo,
    encode_pictures,
    slerp,
    usable_densities,
)
from enhance_cli.errors import DatasetError, UnknownNameError, UsageError
from enhance_cli.levels import to_levels
from enhance_cli.metrics.prd import CLUSTERS
from enhance_cli.talk import Talk, print_json
from enhance_cli.tasks.sample_scores import (
    PRD_AXES,
    UNIT,
    Reference,
    SampleEvaluationRequest,
    SetScore,
    choose_features,
    csv_cells,
    decimal,
    draw_from,
    feature_notes,
    make_reference,
    picture_bar,
    prd_curve_of,
)
from enhance_cli.tasks.score_report import draw_curves, write_report
from enhance_cli.tasks.scores import print_table, write_csv

PROTOCOL = "table-6.2"
# The columns of tables 6.2 and 6.3.
SOURCES = ("reconstruction", "gaussian", "mixture", "interpolation")
_SHARP = ("reconstruction", "mixture")


@dataclass(frozen=True)
class SampleScores:
    """What one model reached.

    Attributes:
        model: its name, or ``data`` and ``train`` for pictures of the dataset itself.
        sets: a score for each of ``SOURCES``; None where there is nothing to score.
        elbo: in nats per value of a picture; None where it has none.
    """

    model: str
    sets: dict[str, SetScore | None]
    elbo: float | None = None


def run_evaluate_samples(request: SampleEvaluationRequest, talk: Talk) -> int:
    """Score, and print tables or JSON, and write CSV and a page.

    As ch. 6.8 has it, reconstructions and interpolations are of validation pictures, and all is
    compared with test pictures, of which there are as many. ``gaussian`` is the prior for models
    that were trained towards one, else the Gaussian fitted to the codes. The line ``data`` has
    the validation pictures themselves, so it is what a model without any loss would reach;
    ``train`` has training pictures.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for unknown names, absent data, features or weights, or what cannot be
            written.
    """
    if request.dataset not in PICTURE_SETS:
        raise UnknownNameError("dataset", request.dataset, PICTURE_SETS)
    roots = data_roots(request.data_root, cache_folder())
    path = find_picture_set(request.dataset, roots)
    sets = PICTURE_SETS[request.dataset].read(path)
    count = _choose_count(request, sets, path)
    models = _load_models(request, sets, talk)
    extractor = choose_features(request.features, roots, choose_device(request.device), talk)
    test, validation, train = (
        draw_from(pictures, count, request.seed)
        for pictures in (sets.test, sets.validation, sets.train)
    )
    total = count * (1 + 2 * (2 + sum(len(_sources_of(model)) for model in models.values())))
    with picture_bar(request.dataset, total, talk) as advance:
        reference = make_reference(extractor, test, request.seed, advance)
        results = [
            _score_data("data", reference, validation, advance),
            _score_data("train", reference, train, advance),
        ]
        results += [
            _score_model(name, model, reference, validation, test, advance)
            for name, model in models.items()
        ]
    notes = feature_notes(extractor, count)
    _tell(request, results, extractor.name, count, notes, talk)
    return 0


def _choose_count(request: SampleEvaluationRequest, sets: PictureSets, path: Path) -> int:
    there = min(len(sets.train), len(sets.validation), len(sets.test))
    if there < CLUSTERS:
        raise DatasetError(
            f"{path}: its smallest part has {there} pictures, precision and recall "
            f"need at least {CLUSTERS}"
        )
    if request.count is None:
        return there
    if not CLUSTERS <= request.count <= there:
        raise UsageError(
            f"--count {request.count}: must be from {CLUSTERS} (the clusters of "
            f"precision and recall) to {there} (the pictures of {request.dataset})"
        )
    return request.count


def _load_models(
    request: SampleEvaluationRequest, sets: PictureSets, talk: Talk
) -> dict[str, Model]:
    """Those asked for, else every model of such pictures that has weights."""
    channels, side = sets.test.shape[1:3]
    device = choose_device(request.device)
    fitting = [
        name
        for name, spec in MODELS.items()
        if ARCHITECTURES[spec.architecture].task == "sample"
        and (spec.config.channels, spec.config.side) == (channels, side)
    ]
    chosen: list[tuple[str | None, Path | None]] = [(name, None) for name in request.models]
    if request.weights is not None:
        chosen.append((None, request.weights))
    if not chosen:
        found = [weights for weights in map(find_weights, fitting) if weights is not None]
        chosen = [(weights.name, None) for weights in found if "untrained" not in weights.entry]
        if not chosen:
            talk.console.print(f"no weights for {', '.join(fitting)}: data only")
    models: dict[str, Model] = {}
    for name, path in chosen:
        model = load_model(
            "sample",
            name=name,
            weights=path,
            device=device,
            dtype=choose_dtype(request.precision, device),
        )
        config, label = model.info.config, model.info.name
        if (config.channels, config.side) != (channels, side):
            raise UsageError(
                f"model {label!r} draws {config.side}x{config.side} pictures of "
                f"{config.channels} channels, {request.dataset} has {side}x{side} of {channels}: "
                f"choose from {', '.join(fitting)}"
            )
        while label in models:
            label += "*"
        models[label] = model
    return models


def _sources_of(model: Model) -> dict[str, str]:
    """Those of ``SOURCES`` that a model has, with the density that is drawn from."""
    usable = usable_densities(cast(Autoencoder, model.network))
    # The prior comes first where there is one, as in the column N of table 6.2.
    known = {
        "reconstruction": "",
        "gaussian": usable[0] if usable else "",
        "mixture": "mixture" if "mixture" in usable else "",
        "interpolation": "",
    }
    return {
        source: density
        for source, density in known.items()
        if density or source in ("reconstruction", "interpolation")
    }


def _make_pictures(
    model: Model, source: str, density: str, validation: Tensor, seed: int
) -> Tensor:
    """As many pictures of a model as there are to validate on, uint8 (N, C, side, side)."""
    if density:
        codes = draw_codes(cast(Autoencoder, model.network), density, len(validation), seed=seed)
    else:
        codes = encode_pictures(model, validation)
    if source == "interpolation":
        # The pictures come in random order, so neighbours are random pairs, and none is its own.
        codes = slerp(codes, codes.roll(1, 0), 0.5)
    return torch.cat([to_levels(part) for part in decode_codes(model, codes)])


def _score_model(
    name: str,
    model: Model,
    reference: Reference,
    validation: Tensor,
    test: Tensor,
    advance: Callable[[int], None],
) -> SampleScores:
    sets: dict[str, SetScore | None] = dict.fromkeys(SOURCES)
    for source, density in _sources_of(model).items():
        pictures = _make_pictures(model, source, density, validation, reference.seed)
        sets[source] = reference.score(pictures, advance)
    bounds = elbo(model, test, seed=reference.seed)
    return SampleScores(
        name, sets, None if bounds is None else float(bounds.double().mean()) / test[0].numel()
    )


def _score_data(
    name: str, reference: Reference, pictures: Tensor, advance: Callable[[int], None]
) -> SampleScores:
    sets: dict[str, SetScore | None] = dict.fromkeys(SOURCES)
    sets["reconstruction"] = reference.score(pictures, advance)
    return SampleScores(name, sets)


# --- what is told ---------------------------------------------------------------------------------


def _tell(
    request: SampleEvaluationRequest,
    results: Sequence[SampleScores],
    measure: str,
    count: int,
    notes: Sequence[str],
    talk: Talk,
) -> None:
    if request.csv is not None:
        write_csv(request.csv, *_csv(results))
    pictures = f"{request.dataset}, {count} pictures"
    distances, shares = _distance_table(results), _share_table(results)
    if request.report is not None:
        table = [one + two[1:] for one, two in zip(distances, shares, strict=True)]
        write_report(
            request.report,
            f"{pictures}: {measure}, precision and recall",
            table[0],
            table[1:],
            _draw(results),
            notes,
        )
    if talk.json:
        print_json(
            {
                "dataset": request.dataset,
                "protocol": PROTOCOL,
                "features": measure,
                "count": count,
                "seed": request.seed,
                "notes": list(notes),
                "results": [_describe(result) for result in results],
            }
        )
    else:
        print_table(
            f"{pictures}: {measure} (as table 6.2)", distances, means=False, quiet=talk.quiet
        )
        print_table(
            f"{pictures}: precision F1/8 / recall F8 (as table 6.3)",
            shares,
            means=False,
            quiet=talk.quiet,
        )
    for note in notes:
        talk.console.print(note)


def _describe(result: SampleScores) -> dict[str, Any]:
    return {
        "model": result.model,
        **{source: score and score.numbers() for source, score in result.sets.items()},
        "elbo": result.elbo,
    }


def _csv(results: Sequence[SampleScores]) -> tuple[list[str], list[list[Any]]]:
    """A line for each model and source; the bound is in all lines of a model."""
    known = [
        (result, source, score.numbers())
        for result in results
        for source, score in result.sets.items()
        if score is not None
    ]
    return (
        ["model", "source", *known[0][2], "elbo"],
        [
            [result.model, source, *csv_cells([*numbers.values(), result.elbo])]
            for result, source, numbers in known
        ],
    )


def _distance_table(results: Sequence[SampleScores]) -> list[list[str]]:
    """Table 6.2; and beside it how sharp, and how likely."""
    with_elbo = any(result.elbo is not None for result in results)
    rows = [
        [
            "model",
            *SOURCES,
            *(f"high frequencies,\n{source}" for source in _SHARP),
            *(["ELBO\n(nats/dim)"] if with_elbo else []),
        ]
    ]
    for result in results:
        sharp = [result.sets[source] for source in _SHARP]
        rows.append(
            [
                result.model,
                *(decimal(score.frechet if score else None, 1) for score in result.sets.values()),
                *(decimal(score.detail if score else None, 3) for score in sharp),
                *([decimal(result.elbo, 4)] if with_elbo else []),
            ]
        )
    return rows


def _share_table(results: Sequence[SampleScores]) -> list[list[str]]:
    """Table 6.3."""
    return [
        ["model", *(f"{source},\nprecision / recall" for source in SOURCES)],
        *(
            [
                result.model,
                *(
                    f"{score.curve.f1_8:.2f} / {score.curve.f8:.2f}" if score else ""
                    for score in result.sets.values()
                ),
            ]
            for result in results
        ),
    ]


def _draw(results: Sequence[SampleScores]) -> list[tuple[bytes, str]]:
    """Two panels of curves at a time, the lines of data last, so that models keep their colours."""
    results = [*results[2:], *results[:2]]
    figures = []
    for pair in (SOURCES[:2], SOURCES[2:]):
        panels = {
            source: [
                prd_curve_of(result.model, score.curve)
                for result in results
                if (score := result.sets[source]) is not None
            ]
            for source in pair
        }
        panels = {source: curves for source, curves in panels.items() if curves}
        if panels:
            figures.append(
                (
                    draw_curves(panels, *PRD_AXES, marked=False, limits=UNIT),
                    f"Precision and recall: {' and '.join(panels)}",
                )
            )
    return figures
