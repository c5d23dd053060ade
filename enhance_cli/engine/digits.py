"""Judge drawn digits by the classifier that was trained for it (dissertation 003, ch. 4.4)."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from enhance_cli.architectures.digit_classifier import CLASSES, SIDE, DigitClassifier
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.engine.weight_files import find_weights
from enhance_cli.errors import CheckpointError
from enhance_cli.levels import to_values

CLASSIFIER = "digits-classifier"
MEASURE = "Frechet distance (digits-classifier)"
_AT_ONCE = 500


def load_classifier(device: torch.device) -> DigitClassifier:
    """The classifier in evaluation mode.

    Raises:
        CheckpointError: If its weights are missing or damaged.
    """
    found = find_weights(CLASSIFIER)
    if found is None:
        raise CheckpointError(
            f"no weights for {CLASSIFIER!r}, which judges drawn digits: train it "
            f"(enhance train {CLASSIFIER}) and put it where models are looked for"
        )
    network = load_network(read_checkpoint_info(found.path))
    return cast(DigitClassifier, network).eval().to(device)


def describe_digits(classifier: DigitClassifier, pictures: Tensor) -> Tensor:
    """Features of pictures of one or three digits, a digit in each channel.

    Args:
        classifier: Whose features are taken.
        pictures: uint8 (N, C, 28, 28).

    Returns:
        (N, C * D) float32 on the CPU: those of the channels one after the other.
    """
    return _per_channel(classifier.describe, pictures, classifier).flatten(1)


def read_digits_of(classifier: DigitClassifier, pictures: Tensor) -> Tensor:
    """The digit that each channel shows, int64 (N, C) on the CPU, for uint8 (N, C, 28, 28)."""
    return _per_channel(classifier, pictures, classifier).argmax(2)


def number_combinations(digits: Tensor) -> Tensor:
    """A number (N,) from 0 to 10^C - 1 for each combination of digits, int64 (N, C)."""
    places: Tensor = CLASSES ** torch.arange(digits.shape[1])
    return (digits * places).sum(1)


def count_modes(digits: Tensor) -> int:
    """How many of the 10^C combinations of digits, int64 (N, C), come at least once."""
    return len(torch.unique(number_combinations(digits)))


@torch.inference_mode()
def _per_channel(
    function: Callable[[Tensor], Tensor], pictures: Tensor, classifier: DigitClassifier
) -> Tensor:
    """(N, C, values) of a function of single digits."""
    device = next(classifier.parameters()).device
    channels = pictures.shape[1]
    found = [
        function(to_values(part.to(device)).reshape(-1, 1, SIDE, SIDE)).float().cpu()
        for part in pictures.split(_AT_ONCE)  # type: ignore[no-untyped-call]
    ]
    return torch.cat(found).reshape(len(pictures), channels, -1)
