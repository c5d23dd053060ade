"""Which models an evaluation runs, and their loading."""

from collections.abc import Collection, Sequence
from pathlib import Path

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.data.benchmarks import data_roots
from enhance_cli.defaults import SCALE
from enhance_cli.engine.backend import choose_engine
from enhance_cli.engine.catalogue import Model, load_model, speed_up
from enhance_cli.engine.weight_files import cache_folder, find_weights
from enhance_cli.errors import UsageError
from enhance_cli.evaluation.request import EvaluationRequest, ModelChoice
from enhance_cli.talk import Talk


def find_roots(request: EvaluationRequest) -> list[Path]:
    """The folders that datasets are looked for in."""
    return data_roots(request.subject.data_root, cache_folder())


def models_of(task: str, **config: object) -> list[str]:
    """Names of the models of a task, trained or not, whose settings have these values."""
    return [
        name
        for name, spec in MODELS.items()
        if ARCHITECTURES[spec.architecture].task == task
        and all(getattr(spec.config, key) == value for key, value in config.items())
    ]


def load_models(
    task: str,
    choice: ModelChoice,
    *,
    usual: Sequence[str],
    baselines: Collection[str],
    left: str,
    talk: Talk,
) -> dict[str, Model]:
    """Load the models that are asked for, else the usual ones that have been trained.

    Args:
        task: that they must serve.
        choice: names, checkpoint, scale, and what runs them.
        usual: names to take where none is asked for.
        baselines: names among those asked for that need no weights.
        left: what is scored where no usual model has weights, for the line that says so.
        talk: how to say it.

    Returns:
        Models by their names; a star tells those of one name apart.

    Raises:
        EnhanceError: for unknown names, and weights that are absent or do not fit.
    """
    chosen: list[tuple[str | None, Path | None]] = [
        (name, None) for name in choice.names if name not in baselines
    ]
    chosen += [(None, path) for path in choice.weights]
    if not chosen and not choice.names:
        chosen = [(name, None) for name in usual if _is_trained(name)]
        if not chosen:
            talk.console.print(f"no weights for {', '.join(usual)}: {left} only")
    engine = choose_engine(choice.backend, choice.device, choice.precision)
    models: dict[str, Model] = {}
    for name, path in chosen:
        model = load_model(
            task,
            name=name,
            weights=path,
            scale=choice.scale,
            device=engine.device,
            dtype=engine.dtype,
        )
        model = speed_up(model, engine)
        if model.notice:
            talk.console.print(model.notice)
        label, scale = str(model.info.name), model.contract.scale
        if choice.scale not in (None, scale):
            raise UsageError(f"-x{choice.scale}: model {label!r} enlarges by {scale}, leave -x out")
        while label in models or label in baselines:
            label += "*"
        models[label] = model
    return models


def _is_trained(name: str) -> bool:
    found = find_weights(name)
    return found is not None and "untrained" not in found.entry


def load_enlargers(task: str, choice: ModelChoice, talk: Talk) -> tuple[dict[str, Model], int]:
    """Models that enlarge, and the scale that is common to them.

    Raises:
        EnhanceError: as ``load_models``.
        UsageError: if their scales differ.
    """
    usual = models_of(task, scale=choice.scale or SCALE)
    models = load_models(
        task, choice, usual=usual, baselines=("bicubic",), left="bicubic", talk=talk
    )
    scales = {model.contract.scale for model in models.values()}
    if len(scales) > 1:
        raise UsageError("the models have different scales, evaluate them one by one")
    return models, scales.pop() if scales else choice.scale or SCALE


def checkpoints(models: dict[str, Model]) -> list[Path]:
    """The files of weights of some models."""
    return [path for model in models.values() for path in model.info.files]


def net_roots(request: EvaluationRequest) -> list[Path]:
    """Folders that may hold ``nets``: a folder of benchmarks has them beside it."""
    roots = find_roots(request)
    return list(dict.fromkeys(folder for root in roots for folder in (root, root.parent)))
