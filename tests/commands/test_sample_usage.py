"""``enhance sample`` with options that cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_pictures import noise

Run = Callable[..., object]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["-n", "0"], 2, "-n 0: must be at least 1"),
        (["-n", "-5"], 2, "-n -5: must be at least 1"),
        (["-n", "many"], 2, "--count"),
        (["-n", "1000000"], 1, "1000000 pictures make a grid of 18002x18002 pixels"),
        (["-n", "4000", "--columns", "1", "-o", "g.jpg"], 1, "JPEG holds at most 65500"),
        (["--temperature", "-0.1"], 2, "--temperature -0.1: must be from 0 to 2"),
        (["--temperature", "2.5"], 2, "--temperature 2.5: must be from 0 to 2"),
        (["--temperature", "nan"], 2, "--temperature nan: must be from 0 to 2"),
        (["--temperature", "inf"], 2, "--temperature inf: must be from 0 to 2"),
        (["--density", "laplace"], 2, "unknown density 'laplace': choose from gaussian, mixture"),
        (
            ["--density", "prior"],
            2,
            "--density prior: model 'tiny-rgb' has none, choose from gaussian, mixture",
        ),
        (["--columns", "0"], 2, "--columns 0: must be at least 1"),
        (["--columns", "3", "-o", "folder"], 2, "--columns 3: is for grids"),
        (["--zoom", "17"], 2, "--zoom 17: must be from 1 to 16"),
        (["--zoom", "0"], 2, "--zoom 0: must be from 1 to 16"),
        (["--steps", "4"], 2, "--steps 4: is for interpolation, not for samples"),
        (["--recursive"], 2, "--recursive: is for reconstructions, not for samples"),
        (["a.png"], 2, "a.png: a picture without a task, put --reconstruct before it"),
        (["--interpolate", "a.png", "a.png", "a.png"], 2, "a.png: a picture without a task"),
        (["--interpolate", "a.png"], 2, "--interpolate"),
        (["--interpolate", "a.png", "gone.png"], 1, "gone.png: no such file"),
        (["--interpolate", "a.png", "a.png", "--steps", "1"], 2, "--steps 1: must be at least 2"),
        (["--interpolate", "a.png", "a.png", "-n", "3"], 2, "-n 3: is for samples"),
        (
            ["--interpolate", "a.png", "a.png", "--density", "mixture"],
            2,
            "--density mixture: is for",
        ),
        (["--interpolate", "a.png", "a.png", "--seed", "1"], 2, "--seed 1: is for samples"),
        (["--reconstruct", "a.png", "--seed", "0"], 2, "--seed 0: is for samples"),
        (["--reconstruct", "a.png", "--temperature", "1"], 2, "--temperature 1.0: is for samples"),
        (["--reconstruct", "a.png", "--interpolate", "a.png", "a.png"], 2, "one at a time"),
        (["--reconstruct", "gone.png"], 1, "gone.png: no such file"),
        (["-o", "grid.xyz"], 1, "cannot write .xyz"),
        (["-o", "file"], 1, "is not a folder"),
        (["-o", "a.png"], 1, "a.png: exists already, add --overwrite"),
        (["--seed", "-1"], 2, "--seed"),
        (["--device", "tpu"], 2, "unknown device 'tpu'"),
        (["--precision", "fp8"], 2, "unknown precision 'fp8'"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], code: int, text: str, tmp_path: Path, enhance: Run, tiny_autoencoder: list
):
    noise(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    device = [] if "--device" in arguments else tiny_autoencoder[2:]
    ran = enhance("sample", *tiny_autoencoder[:2], *device, *arguments)
    assert (ran.code, len(ran.err.splitlines())) == (code, 1), ran.err
    assert text in ran.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("enet-e-x4", "model 'enet-e-x4' is for superres, not for sample"),
        (
            "faces-rae-pg",
            "unknown model 'faces-rae-pg' (did you mean 'faces-rae-gp'?): choose from digits-ae, ",
        ),
    ],
)
def test_models_of_another_task_and_unknown_ones(
    model: str, text: str, enhance: Run, tiny_autoencoder: list
):
    ran = enhance("sample", "--model", model)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert text in ran.err


def test_a_model_with_nothing_to_sample_from(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]
):
    bare = ["--weights", autoencoders["bare"]]
    for options in ((), ("--density", "mixture")):
        ran = enhance("sample", *bare, *options)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1)
        assert "'tiny-bare' has no density to sample from" in ran.err
    noise(tmp_path / "a.png")
    assert enhance("sample", *bare, "--reconstruct", "a.png").code == 0
    assert enhance("sample", *bare, "--interpolate", "a.png", "a.png").code == 0


def test_a_checkpoint_of_another_task(
    enhance: Run, tiny_autoencoder: list, tiny_weights: dict[int, Path]
):
    ran = enhance("sample", "--weights", tiny_weights[4])
    assert ran.code == 1
    assert "a checkpoint for superres, not for sample" in ran.err
