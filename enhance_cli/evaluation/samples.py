"""Benchmarks of generative models: tables 6.2 and 6.3 of dissertation 003.

As ch. 6.8 has it, reconstructions and interpolations are of validation pictures, and all is
compared with test pictures, of which there are as many. ``gaussian`` is the prior for models that
were trained towards one, else the Gaussian fitted to the codes. The line ``data`` has the
validation pictures themselves, so it is what a model without any loss would reach; ``train`` has
training pictures. A GAN's generator has only the column ``gaussian``, of its prior. A VDVAE has
that of its priors, and reconstructions.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import cast

import torch
from torch import Tensor

from enhance_cli.architectures.autoencoder import Autoencoder
from enhance_cli.architectures.vdvae import Vdvae
from enhance_cli.data.picture_sets import PICTURE_SETS, find_picture_set
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.features import FeatureExtractor
from enhance_cli.engine.generation import (
    CodeNetwork,
    decode_codes,
    default_density,
    draw_pictures,
    elbo,
    encode_pictures,
    reconstruct_pictures,
    slerp,
    usable_densities,
)
from enhance_cli.errors import UsageError
from enhance_cli.evaluation.benchmarks import BENCHMARKS, Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation
from enhance_cli.evaluation.models import checkpoints, find_roots, load_models, models_of
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table
from enhance_cli.evaluation.set_scores import (
    PRD_COLUMNS,
    FeatureSet,
    choose_count,
    choose_features,
    draw_from,
    draw_precision_recall,
    feature_notes,
    measure_features,
    read_curve,
)
from enhance_cli.levels import to_levels, to_values
from enhance_cli.metrics.spectrum import high_frequency_energy
from enhance_cli.talk import Talk

# Ways to get pictures from a model: the columns of tables 6.2 and 6.3.
SOURCES = ("reconstruction", "gaussian", "mixture", "interpolation")
_SHARP = ("reconstruction", "mixture")
_NUMBERS = ("frechet", *(column.key for column in PRD_COLUMNS), "high_frequencies")


def open_samples(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Pictures of the dataset itself, and what every model makes in four ways; a case each.

    Raises:
        EnhanceError: for unknown names, and data, features or weights that are absent.
    """
    dataset = request.subject.name
    path = find_picture_set(dataset, find_roots(request))
    sets = PICTURE_SETS[dataset].read(path)
    there = min(len(sets.train), len(sets.validation), len(sets.test))
    count = choose_count(
        request.samples.count,
        there,
        few=f"{path}: its smallest part has {there} pictures",
        what=f"the pictures of {dataset}",
    )
    models = load_fitting_models(request, sets.test, talk)
    extractor = choose_features(request, talk)
    test, validation, train = (
        draw_from(pictures, count, request.seed)
        for pictures in (sets.test, sets.validation, sets.train)
    )
    judge = _Judge(extractor, test, validation, request.seed)
    cases = [
        # The first case has the features of the reference to compute as well.
        Case("data", partial(judge.score_data, "data", validation), 3 * count, [path]),
        Case("train", partial(judge.score_data, "train", train), 2 * count, [path]),
    ]
    for name, model in models.items():
        steps = 2 * count * len(_sources_of(model))
        cases.append(Case(name, partial(judge.score_model, name, model), steps, [path]))
    report = partial(_report, request=request, measures=measures, extractor=extractor, count=count)
    weights = [*checkpoints(models), extractor.path]
    return Evaluation(dataset, "pictures", cases, report, weights)


def load_fitting_models(
    request: EvaluationRequest, pictures: Tensor, talk: Talk
) -> dict[str, Model]:
    """Those asked for, else every model with weights that draws such pictures (N, C, side, side).

    Raises:
        UsageError: if one that is asked for draws others.
    """
    dataset = request.subject.name
    channels, side = pictures.shape[1:3]
    fitting = models_of("sample", channels=channels, side=side)
    baselines = BENCHMARKS[dataset].baselines
    models = load_models(
        "sample", request.models, usual=fitting, baselines=baselines, left="data", talk=talk
    )
    for name, model in models.items():
        config = model.info.config
        if (config.channels, config.side) != (channels, side):
            raise UsageError(
                f"model {name!r} draws {config.side}x{config.side} pictures of "
                f"{config.channels} channels, {dataset} has {side}x{side} of {channels}: "
                f"choose from {', '.join(fitting)}"
            )
    return models


class _Judge:
    """Compares sets of pictures with the test pictures.

    Args:
        extractor: of the features that are compared.
        test: the reference, uint8 (N, C, side, side).
        validation: as many pictures, for models to reconstruct.
        seed: of all draws and clusterings.
    """

    def __init__(
        self, extractor: FeatureExtractor, test: Tensor, validation: Tensor, seed: int
    ) -> None:
        self._extractor, self._seed = extractor, seed
        self._test, self._validation = test, validation
        self._reference: FeatureSet | None = None

    @cached_property
    def _energy(self) -> float:
        return high_frequency_energy(to_values(self._test))

    def score_data(self, name: str, pictures: Tensor, advance: Advance) -> dict[str, Score]:
        """Judge pictures of the dataset, in the column of reconstructions."""
        found = {SOURCES[0]: self._compare(pictures, advance)}
        return {name: {**dict.fromkeys(SOURCES), **found, "elbo": None}}

    def score_model(self, name: str, model: Model, advance: Advance) -> dict[str, Score]:
        """Judge what a model makes in each of the ways that it can, and its likelihood."""
        found = {
            source: self._compare(self._make_pictures(model, source, density), advance)
            for source, density in _sources_of(model).items()
        }
        bounds = elbo(model, self._test, seed=self._seed) if _encodes(model) else None
        size = self._test[0].numel()
        bound = None if bounds is None else float(bounds.double().mean()) / size
        return {name: {**dict.fromkeys(SOURCES), **found, "elbo": bound}}

    def _make_pictures(self, model: Model, source: str, density: str | None) -> Tensor:
        """As many pictures of a model as there are to validate on, uint8 (N, C, side, side)."""
        if density is not None:
            return draw_samples(model, len(self._validation), self._seed, density)
        if isinstance(model.network, Vdvae):
            return _as_levels(reconstruct_pictures(model, [self._validation]))
        codes = encode_pictures(model, self._validation)
        if source == "interpolation":
            # The pictures come in random order, so neighbours are random pairs.
            codes = slerp(codes, codes.roll(1, 0), 0.5)
        return _as_levels(decode_codes(model, codes))

    def _compare(self, pictures: Tensor, advance: Advance) -> Score:
        if self._reference is None:  # a run that is resumed may not need it at all
            self._reference = measure_features(self._extractor, self._test, advance)
        drawn = measure_features(self._extractor, pictures, advance)
        found = self._reference.compare(drawn, self._seed)
        # How sharp the pictures are: a multiple of the reference's power at high frequencies.
        energy = high_frequency_energy(to_values(pictures))
        found["high_frequencies"] = energy / self._energy if self._energy else None
        advance(len(pictures))
        return found


def draw_samples(model: Model, count: int, seed: int, density: str | None = None) -> Tensor:
    """Samples of a model as a file would hold them, uint8 (N, C, side, side).

    Args:
        model: what draws.
        count: how many are drawn.
        seed: of their codes.
        density: what codes are drawn from; None is the model's default.
    """
    density = density or default_density(cast(CodeNetwork, model.network))
    return _as_levels(draw_pictures(model, density, count, seed=seed))


def _as_levels(batches: Iterable[Tensor]) -> Tensor:
    return torch.cat([to_levels(part) for part in batches])


def _sources_of(model: Model) -> dict[str, str | None]:
    """Those of ``SOURCES`` that a model has, with the density that is drawn from, if one is."""
    usable = usable_densities(cast(CodeNetwork, model.network))
    sources: dict[str, str | None] = {"reconstruction": None}
    if usable:
        sources["gaussian"] = usable[0]  # the prior where there is one, as in table 6.2
    if "mixture" in usable:
        sources["mixture"] = "mixture"
    if isinstance(model.network, Autoencoder):
        sources["interpolation"] = None
    return sources if _encodes(model) else {"gaussian": sources["gaussian"]}


def _encodes(model: Model) -> bool:
    """Whether a model takes pictures, so that it can reconstruct them."""
    return isinstance(model.network, Autoencoder | Vdvae)


# --- what is told ---------------------------------------------------------------------------------


def _report(
    results: Results,
    request: EvaluationRequest,
    measures: Measures,
    extractor: FeatureExtractor,
    count: int,
) -> ScoreReport:
    """Two tables with a line for each model and a column for each way to get pictures."""
    rows = [{"model": model, **score} for model, (score,) in results.items()]
    lines, told = [], []
    for row in rows:
        line: Score = {"model": row["model"], "elbo": row["elbo"]}
        for source in filter(row.get, SOURCES):
            numbers = row[source]
            lines.append({**row, "source": source, **numbers})
            line[source] = numbers["frechet"]
            line[f"{source} sharp"] = numbers["high_frequencies"]
            line[f"{source} shares"] = f"{numbers['f1_8']:.2f} / {numbers['f8']:.2f}"
        told.append(line)
    model = Column("model", "model")
    distances = [model, *(Column(source, source, 1) for source in SOURCES)]
    distances += [Column(f"{source} sharp", f"high frequencies,\n{source}", 3) for source in _SHARP]
    if any(row["elbo"] is not None for row in rows):
        distances.append(Column("elbo", "ELBO\n(nats/dim)", 4))
    shares = [Column(f"{source} shares", f"{source},\nprecision / recall") for source in SOURCES]
    title = f"{request.subject.name}, {count} pictures"
    return ScoreReport(
        f"{title}: {extractor.name}, precision and recall",
        {
            "protocol": measures.protocol,
            "features": extractor.name,
            "count": count,
            "seed": request.seed,
        },
        rows,
        [
            Table(f"{title}: {extractor.name} (as table 6.2)", told, distances),
            Table(f"{title}: precision F1/8 / recall F8 (as table 6.3)", told, [model, *shares]),
        ],
        lines,
        ["model", "source", *_NUMBERS, "elbo"],
        lambda: _draw(rows),
        feature_notes(extractor, count),
    )


def _draw(rows: Sequence[Score]) -> list[tuple[bytes, str]]:
    """Two panels of curves at a time; data comes last, so that models keep their colours."""
    ordered = sorted(rows, key=lambda row: row["model"] in ("data", "train"))
    figures = []
    for pair in (SOURCES[:2], SOURCES[2:]):
        panels = {
            source: [read_curve(row["model"], row[source]) for row in ordered if row[source]]
            for source in pair
        }
        panels = {source: curves for source, curves in panels.items() if curves}
        if panels:
            caption = f"Precision and recall: {' and '.join(panels)}"
            figures.append(draw_precision_recall(panels, caption))
    return figures
