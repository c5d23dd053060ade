"""``enhance sample`` with the generator of a GAN, which draws and takes no pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_pictures import cells, expected_samples, noise, save_tiny_generator

from enhance_cli.io.image import read_image

Run = Callable[..., object]


@pytest.fixture
def generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return save_tiny_generator(tmp_path / "tiny-gan.safetensors")


def test_samples_are_drawn_from_the_prior(enhance: Run, generator: Path):
    ran = enhance("sample", "--weights", generator, "-n", 130, "--seed", 3, "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert (told["model"], told["density"], told["seed"]) == ("tiny-gan", "prior", 3)
    found = cells(Path("samples.png"), 12, side=28)
    expected = expected_samples(generator, 130, "prior", seed=3)
    assert expected[0].shape == (28, 28, 3)
    assert np.array_equal(found[:130], expected)
    assert len({cell.tobytes() for cell in expected}) == 130


def test_a_folder_holds_the_same_bytes_for_the_same_seed(enhance: Run, generator: Path):
    for name in ("a", "b"):
        assert enhance("sample", "--weights", generator, "-n", 3, "-o", name).code == 0
    for path in sorted(Path("a").iterdir()):
        assert path.read_bytes() == (Path("b") / path.name).read_bytes()
    ran = enhance("sample", "--weights", generator, "-n", 3, "--temperature", 0, "-o", "calm")
    assert ran.code == 0, ran.err
    calm = [read_image(path).pixels for path in Path("calm").iterdir()]
    assert all(np.array_equal(pixels, calm[0]) for pixels in calm)


def test_densities_that_no_generator_has(enhance: Run, generator: Path):
    ran = enhance("sample", "--weights", generator, "--density", "mixture")
    assert ran.code == 2
    assert "--density mixture: model 'tiny-gan' has none, choose from prior" in ran.err


@pytest.mark.parametrize("option", ["--reconstruct", "--interpolate"])
def test_pictures_cannot_go_in(enhance: Run, generator: Path, option: str):
    given = [noise(Path(name)) for name in ("a.png", "b.png")]
    ran = enhance("sample", "--weights", generator, option, *given)
    assert ran.code == 2
    assert "model 'tiny-gan' draws samples alone, it has no encoder" in ran.err
    assert f"leave {option} out or choose an autoencoder" in ran.err
    assert not list(Path().glob("*s.png"))
