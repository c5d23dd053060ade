"""A classifier of handwritten digits, which judges drawn ones (dissertation 003, ch. 4)."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.spec import Architecture, Contract

SIDE, CLASSES = 28, 10


@dataclass(frozen=True)
class DigitClassifierConfig:
    """Hyperparameters.

    Attributes:
        width: Maps of the first convolution; the second has twice, the third four times as many.
        features: Values of the layer before the last, which stand for a digit where sets of
            digits are compared.

    Raises:
        ValueError: If one of them is below 1.
    """

    width: int = 16
    features: int = 64

    def __post_init__(self) -> None:
        if min(self.width, self.features) < 1:
            raise ValueError("width and features must be at least 1")


class DigitClassifier(nn.Module):
    """Three convolutions of 3x3 and stride 2 with ReLU, and two dense layers."""

    def __init__(self, config: DigitClassifierConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.contract = Contract(
            scale=1,
            channels_in=1,
            channels_out=1,
            colour="grey",
            patch_size=SIDE,
            tiling="forbidden",
        )
        self.convolutions = nn.Sequential()
        for before, after in ((1, width), (width, 2 * width), (2 * width, 4 * width)):
            self.convolutions.append(nn.Conv2d(before, after, 3, 2, 1))
            self.convolutions.append(nn.ReLU())
        self.hidden = nn.Linear(4 * width * 4 * 4, config.features)
        self.classes = nn.Linear(config.features, CLASSES)

    def describe(self, digits: Tensor) -> Tensor:
        """The features (N, D), not negative, of digits (N, 1, 28, 28) in [0, 1], white on black."""
        return functional.relu(self.hidden(self.convolutions(digits).flatten(1)))

    def forward(self, digits: Tensor) -> Tensor:
        """Logits (N, 10) of the digits 0 to 9 for pictures (N, 1, 28, 28) in [0, 1]."""
        logits: Tensor = self.classes(self.describe(digits))
        return logits


DIGIT_CLASSIFIER = Architecture(
    name="digit-classifier",
    task="evaluate",
    config=DigitClassifierConfig,
    build=DigitClassifier,
    source="a small convolutional network, trained here",
)
