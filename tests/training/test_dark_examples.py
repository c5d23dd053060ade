"""What low-light networks are given of dark pictures, and what they should make of them."""

import pytest
import torch
from dark_tasks import direct, loss, random, some_pairs

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.colour import linear_to_srgb, render
from enhance_cli.engine.checkpoint import build
from enhance_cli.training.dark_examples import make_example


@pytest.mark.parametrize(("planes", "grey"), [(4, False), (4, True), (3, False), (3, True)])
def test_the_thesis_s_networks_see_patches(planes: int, grey: bool) -> None:
    """Half the sensor's size for RAW, the file's for sRGB."""
    config = {"width": 1, "latent": 2, "channels_in": planes, "channels_out": 1 if grey else 3}
    task = direct("sid-net", config, planes)
    pairs = next(iter(task.source.validation()))
    example = make_example(pairs, task.model.contract)
    means = torch.nn.functional.avg_pool2d(pairs.clean, 2) if planes == 4 else pairs.clean
    curve = "camera" if planes == 4 else "srgb"
    assert torch.allclose(example.target, render(means, pairs.camera_to_srgb, curve, grey))
    assert torch.equal(example.x, example.target)
    assert example.y.shape == (1, planes, 256, 256)
    assert example.y.min() == 0
    assert example.y.max() <= 1
    if planes == 4:
        assert torch.equal(example.y, pairs.dark.clamp(0, 1))
    else:
        assert torch.allclose(example.y, linear_to_srgb(pairs.dark.clamp(0, 1)))
    estimate = random(*example.target.shape, seed=4) * 2 - 0.5
    assert torch.allclose(
        example.error(estimate), (estimate - example.target).abs().sum((1, 2, 3)), rtol=1e-5
    )
    assert torch.equal(example.show(estimate), estimate.clamp(0, 1))
    assert loss(task).item() > 0


def test_the_error_of_the_clean_picture_is_nothing() -> None:
    for config in ({}, {"colours": 1}, {"source": "srgb"}):
        network = build(
            ARCHITECTURES["sid-fcn"],
            ARCHITECTURES["sid-fcn"].config(width=1, latent=1, **config),
            "meta",
        )
        planes = 3 if "source" in config else 4
        pairs = some_pairs(planes, 32, 2)
        example = make_example(pairs, network.contract)  # type: ignore[arg-type]
        assert example.error(example.x).tolist() == [0, 0]
        assert torch.equal(example.show(example.x), example.target)
        assert (example.error(example.x + 0.01) > 0).all()
