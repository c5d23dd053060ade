"""The layers of VGG-19 that losses compare."""

from pathlib import Path

import torch

from enhance_cli.architectures.vgg import Vgg19
from enhance_cli.engine.loss_features import load_loss_features
from enhance_cli.io.image import read_rgb8
from enhance_cli.levels import to_planes, to_values

CPU = torch.device("cpu")


def test_maps_have_the_sizes_of_the_layers() -> None:
    maps = Vgg19()(torch.rand(2, 3, 32, 48))
    assert maps.conv1_1.shape == (2, 64, 32, 48)
    assert maps.conv2_1.shape == (2, 128, 16, 24)
    assert maps.pool2.shape == (2, 128, 8, 12)
    assert maps.conv3_1.shape == (2, 256, 8, 12)


def test_a_plain_picture_has_plain_maps() -> None:
    """Borders are padded by reflection, so they do not show."""
    maps = Vgg19()(torch.full((1, 3, 32, 32), 0.4))
    for map_ in (maps.conv1_1, maps.conv2_1, maps.pool2, maps.conv3_1):
        assert torch.allclose(map_, map_[..., :1, :1].expand_as(map_), atol=1e-4)


def test_the_weights_are_normalised(shared_data: Path) -> None:
    """Mean activations of 1 over many photographs, as by Gatys et al.; here over four."""
    network = load_loss_features(None, roots=[shared_data], cache=Path(), device=CPU)
    paths = sorted((shared_data / "photos_val").glob("*.png"))[:4]
    photos = torch.stack([to_values(to_planes(read_rgb8(path)))[:, :256, :256] for path in paths])
    with torch.no_grad():
        maps = network(photos)
    for map_ in (maps.conv1_1, maps.conv2_1, maps.conv3_1):
        assert 0.7 < float(map_.mean()) < 1.5
