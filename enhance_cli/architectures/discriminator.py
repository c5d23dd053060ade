"""The discriminator of EnhanceNet (dissertation 003, ch. 2, table 2.1, right).

It makes no pictures, and only training needs it.
"""

from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (32, 64, 128, 256, 512)
_HIDDEN = 1024
_SLOPE = 0.2  # of LeakyReLU; the text gives none, and this is that of DCGAN, which it follows


class Discriminator(nn.Module):
    """Tells photographs from pictures that a network has made.

    Five pairs of 3x3 convolutions, of stride 1 and of stride 2, have 32, 64, 128, 256 and 512
    maps. Two fully connected layers, 8192 -> 1024 -> 1 for pictures of 128x128, follow them.
    LeakyReLU of slope 0.2 comes after every layer but the last. The sigmoid of the table is left
    to the losses, which are exact only if they take logits.

    Args:
        side: Height and width of the pictures in pixels, a multiple of 32; 128 in the table.

    Raises:
        ValueError: If no network is made for this side.
    """

    def __init__(self, side: int = 128) -> None:
        super().__init__()
        step = 2 ** len(_WIDTHS)
        if side < step or side % step:
            raise ValueError(f"the discriminator takes sides of a multiple of {step}, not {side}")
        self.side = side
        layers: list[nn.Module] = []
        before = 3
        for width in _WIDTHS:
            layers += [nn.Conv2d(before, width, 3, 1, 1), nn.Conv2d(width, width, 3, 2, 1)]
            before = width
        self.convolutions = nn.ModuleList(layers)
        self.hidden = nn.Linear(before * (side // step) ** 2, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 1)
        for layer in (*layers, self.hidden):
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            nn.init.kaiming_normal_(layer.weight, _SLOPE)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N,) of the probability that pictures (N, 3, side, side) in [0, 1] are true."""
        x = pictures
        for convolution in self.convolutions:
            x = functional.leaky_relu(convolution(x), _SLOPE)
        x = functional.leaky_relu(self.hidden(x.flatten(1)), _SLOPE)
        logits: Tensor = self.out(x)
        return logits[:, 0]
