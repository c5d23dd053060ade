"""The networks that serve one size, which may be another than they make themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from enhance_cli.engine.catalogue import Model, ModelOptions, scales_of
from enhance_cli.sizes import FrameSize, WantedSize, enlarged_by


@dataclass(frozen=True)
class Networks:
    """The networks for the inputs of one command.

    Attributes:
        size: the size of the results.
        models: the networks, those of smaller scales first.
    """

    size: WantedSize
    models: Sequence[Model]

    @property
    def header(self) -> dict[str, Any]:
        """What the JSON document says of them for all inputs alike."""
        times = self.size.times
        told: dict[str, Any] = {}
        if len(self.models) == 1:
            told["model"] = self.models[0].info.name
        if times is None:
            told["size"] = self.size.tag.removeprefix("_")
        else:
            told["scale"] = int(times) if times.denominator == 1 else float(times)
        return told

    def reaching(self, size: FrameSize) -> Model:
        """The network with the smallest scale that reaches a size, else the one with the largest.

        Resampling to a smaller size keeps what a network knows, and to a larger one adds nothing.
        """
        reach = (model for model in self.models if model.contract.scale >= size.factor)
        return next(reach, self.models[-1])

    def tell(self, say: Callable[[str], object], known: Sequence[Model] = ()) -> None:
        """Say what users should know of how the networks run, each line once.

        Args:
            say: is called with each line.
            known: networks of which it has been said already.
        """
        said = {model.notice for model in known}
        for text in dict.fromkeys(model.notice for model in self.models):
            if text and text not in said:
                say(text)

    def row(self, model: Model) -> dict[str, Any]:
        """What the JSON document says of the network that served one input."""
        return {} if len(self.models) == 1 else {"model": model.info.name}


def load_networks(options: ModelOptions, task: str, size: WantedSize | None) -> Networks:
    """Load the networks that a size needs.

    Args:
        options: which model runs, and where and how.
        task: the task that it must serve.
        size: the size of the results; None stands for that which the network makes.

    Returns:
        One network where the enlargement is known, else one for each scale that there is.

    Raises:
        EnhanceError: see :meth:`ModelOptions.load`.
    """
    if size is None or size.times is not None:
        model = options.load(task, None if size is None else size.times)
        return Networks(size or enlarged_by(model.contract.scale), [model])
    scales = scales_of(task, options)
    if not scales:
        return Networks(size, [options.load(task)])
    return Networks(size, [options.load(task, scale) for scale in scales])
