"""Benchmarks of generative models: tables 6.2 and 6.3 of dissertation 003.

As ch. 6.8 has it, reconstructions and interpolations are of validation pictures, and all is
compared with test pictures, of which there are as many. ``gaussian`` is the prior for models that
were trained towards one, else the Gaussian fitted to the codes. The line ``data`` has the
validation pictures themselves, so it is what a model without any loss would reach; ``train`` has
training pictures.
"""

from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import Tensor

from enhance_cli.architectures.autoencoder import Autoencoder
from enhance_cli.data.picture_sets import PICTURE_SETS, PictureSets, find_picture_set
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.features import FeatureExtractor
from enhance_cli.engine.generation import (
    decode_codes,
    draw_codes,
    elbo,
    encode_pictures,
    slerp,
    usable_densities,
)
from enhance_cli.errors import UsageError
from enhance_cli.evaluation.benchmarks import BENCHMARKS, Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score
from enhance_cli.evaluation.models import checkpoints, find_roots, load_models, models_of
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.sample_report import SOURCES, report_samples
from enhance_cli.evaluation.set_scores import (
    FeatureSet,
    choose_count,
    choose_features,
    curve_tensors,
    draw_from,
    measure_features,
)
from enhance_cli.levels import to_levels, to_values
from enhance_cli.metrics.spectrum import high_frequency_energy
from enhance_cli.talk import Talk


def open_samples(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Pictures of the dataset itself, and what every model makes in four ways; a case each.

    Raises:
        EnhanceError: for unknown names, and data, features or weights that are absent.
    """
    dataset = request.subject.dataset
    assert dataset is not None
    path = find_picture_set(dataset, find_roots(request))
    sets = PICTURE_SETS[dataset].read(path)
    there = min(len(sets.train), len(sets.validation), len(sets.test))
    count = choose_count(
        request.samples.count,
        there,
        few=f"{path}: its smallest part has {there} pictures",
        what=f"the pictures of {dataset}",
    )
    models = _load_models(request, sets, talk)
    extractor = choose_features(request, talk)
    test, validation, train = (
        draw_from(pictures, count, request.seed)
        for pictures in (sets.test, sets.validation, sets.train)
    )
    judge = _Judge(extractor, test, validation, request.seed)
    cases = [
        # The first case has the features of the reference to compute as well.
        Case("data", partial(judge.score_data, "data", validation), 3 * count),
        Case("train", partial(judge.score_data, "train", train), 2 * count),
    ]
    cases += [
        Case(name, partial(judge.score_model, name, model), 2 * count * len(_sources_of(model)))
        for name, model in models.items()
    ]
    return Evaluation(
        dataset,
        "pictures",
        cases,
        partial(report_samples, request=request, extractor=extractor, count=count),
        [*checkpoints(models), extractor.path],
    )


def _load_models(request: EvaluationRequest, sets: PictureSets, talk: Talk) -> dict[str, Model]:
    """Those asked for, else every model of such pictures that has weights."""
    dataset = str(request.subject.dataset)
    channels, side = sets.test.shape[1:3]
    fitting = models_of("sample", channels=channels, side=side)
    models = load_models(
        "sample",
        request.models,
        usual=fitting,
        baselines=BENCHMARKS[dataset].baselines,
        left="data",
        talk=talk,
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
        numbers, tensors = self._compare(pictures, SOURCES[0], advance)
        values = {**dict.fromkeys(SOURCES), SOURCES[0]: numbers, "elbo": None}
        return {name: Score(values, tensors)}

    def score_model(self, name: str, model: Model, advance: Advance) -> dict[str, Score]:
        """Judge what a model makes in each of the ways that it can, and its likelihood."""
        values: dict[str, Any] = dict.fromkeys(SOURCES)
        tensors: dict[str, Tensor] = {}
        for source, density in _sources_of(model).items():
            pictures = self._make_pictures(model, source, density)
            values[source], curve = self._compare(pictures, source, advance)
            tensors.update(curve)
        bounds = elbo(model, self._test, seed=self._seed)
        size = self._test[0].numel()
        values["elbo"] = None if bounds is None else float(bounds.double().mean()) / size
        return {name: Score(values, tensors)}

    def _make_pictures(self, model: Model, source: str, density: str | None) -> Tensor:
        """As many pictures of a model as there are to validate on, uint8 (N, C, side, side)."""
        if density is None:
            codes = encode_pictures(model, self._validation)
        else:
            network = cast(Autoencoder, model.network)
            codes = draw_codes(network, density, len(self._validation), seed=self._seed)
        if source == "interpolation":
            # The pictures come in random order, so neighbours are random pairs.
            codes = slerp(codes, codes.roll(1, 0), 0.5)
        decoded = torch.cat(list(decode_codes(model, codes)))
        return to_levels(decoded)  # as a file holds them

    def _compare(
        self, pictures: Tensor, source: str, advance: Advance
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Numbers of a set of as many pictures, uint8 (N, C, side, side), and its curve."""
        if self._reference is None:  # a run that is resumed may not need it at all
            self._reference = measure_features(self._extractor, self._test, advance)
        drawn = measure_features(self._extractor, pictures, advance)
        numbers, curve = self._reference.compare(drawn, self._seed)
        advance(len(pictures))
        energy = high_frequency_energy(to_values(pictures))
        # How sharp the pictures are: a multiple of the reference's power at high frequencies.
        numbers["high_frequencies"] = energy / self._energy if self._energy else None
        return numbers, curve_tensors(curve, f"{source} ")


def _sources_of(model: Model) -> dict[str, str | None]:
    """Those of ``SOURCES`` that a model has, with the density that is drawn from, if one is."""
    usable = usable_densities(cast(Autoencoder, model.network))
    sources: dict[str, str | None] = {"reconstruction": None}
    if usable:
        sources["gaussian"] = usable[0]  # the prior where there is one, as in table 6.2
    if "mixture" in usable:
        sources["mixture"] = "mixture"
    return {**sources, "interpolation": None}
