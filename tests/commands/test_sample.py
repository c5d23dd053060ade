"""``enhance sample`` as its users meet it: samples and interpolations."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pictures import CELL, SIDE, cells, expected_samples, load, noise, save_tiny

from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.generation import slerp
from enhance_cli.io.image import read_image
from enhance_cli.tasks.sample_pictures import (
    MARGIN,
)

Run = Callable[..., object]


# Grids and folders.


def test_no_options_draw_one_grid(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]
):
    ran = enhance("sample", *tiny_autoencoder)
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert ran.err.splitlines() == [
        "samples.png: 64 samples of tiny-rgb, density mixture, temperature 1, seed 0, 146x146"
    ]
    found = cells(tmp_path / "samples.png", 8)
    assert np.array_equal(found, expected_samples(autoencoders["rgb"], 64))
    assert len({cell.tobytes() for cell in found}) == 64
    again = enhance("sample", *tiny_autoencoder)
    assert again.code == 1
    assert "exists already, add --overwrite" in again.err
    assert enhance("sample", *tiny_autoencoder, "--overwrite").code == 0


def test_same_seed_same_bytes_and_grid_and_folder_agree(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list
):
    count = 130  # more than a batch
    for name in ("1.png", "2.png", "1", "2"):
        assert enhance("sample", *tiny_autoencoder, "-n", count, "--seed", 5, "-o", name).code == 0
    assert Path("1.png").read_bytes() == Path("2.png").read_bytes()
    grid = cells(tmp_path / "1.png", 12)
    files = sorted(Path("1").iterdir())
    assert [path.name for path in files] == [f"{number:05}.png" for number in range(count)]
    for number, path in enumerate(files):
        assert path.read_bytes() == (Path("2") / path.name).read_bytes()
        assert np.array_equal(read_image(path).pixels, grid[number])
    assert all((cell == 255).all() for cell in grid[count:])
    enhance("sample", *tiny_autoencoder, "-n", count, "--seed", 6, "-o", "3.png")
    assert Path("1.png").read_bytes() != Path("3.png").read_bytes()


def test_fewer_samples_of_a_seed_are_the_first_of_more(enhance: Run, tiny_autoencoder: list):
    for count in (3, 120):
        assert enhance("sample", *tiny_autoencoder, "-n", count, "-o", str(count)).code == 0
    for name in ("00000.png", "00002.png"):
        assert Path("3", name).read_bytes() == Path("120", name).read_bytes()


def test_json(enhance: Run, tiny_autoencoder: list):
    ran = enhance(
        "sample",
        *tiny_autoencoder,
        "-n",
        3,
        "--seed",
        2,
        "--temperature",
        0.5,
        "--density",
        "gaussian",
        "-o",
        "out",
        "--json",
        "-q",
    )
    assert ran.code == 0
    assert ran.err == ""
    assert json.loads(ran.out) == {
        "kind": "samples",
        "model": "tiny-rgb",
        "density": "gaussian",
        "temperature": 0.5,
        "seed": 2,
        "count": 3,
        "status": "ok",
        "outputs": [f"out/{number:05}.png" for number in range(3)],
    }


def test_a_grid_may_be_a_jpeg(enhance: Run, tiny_autoencoder: list):
    assert enhance("sample", *tiny_autoencoder, "-n", 4, "-o", "grid.jpg").code == 0
    assert read_image(Path("grid.jpg")).pixels.shape == (38, 38, 3)


def test_grey_models_draw_grey(enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]):
    grey = ["--weights", autoencoders["grey"]]
    assert enhance("sample", *grey, "-n", 2, "-o", "grid.png").code == 0
    assert enhance("sample", *grey, "-n", 2, "-o", "folder").code == 0
    assert read_image(Path("grid.png")).pixels.shape == (CELL + MARGIN, 2 * CELL + MARGIN, 1)
    assert read_image(Path("folder/00000.png")).pixels.shape == (SIDE, SIDE, 1)


def test_columns_and_zoom(enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]):
    ran = enhance(
        "sample", *tiny_autoencoder, "-n", 5, "--columns", 3, "--zoom", 4, "-o", "grid.png"
    )
    assert ran.code == 0
    found = cells(Path("grid.png"), 3, 4 * SIDE)
    assert len(found) == 6
    for cell, sample in zip(found, expected_samples(autoencoders["rgb"], 5), strict=False):
        assert np.array_equal(cell, sample.repeat(4, axis=0).repeat(4, axis=1))
    assert (found[5] == 255).all()


def test_densities_and_temperature(
    enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]
):
    for density in ("gaussian", "mixture"):
        ran = enhance(
            "sample",
            *tiny_autoencoder,
            "-n",
            9,
            "--density",
            density,
            "--temperature",
            0.3,
            "-o",
            f"{density}.png",
        )
        assert ran.code == 0
        assert np.array_equal(
            cells(Path(f"{density}.png"), 3),
            expected_samples(autoencoders["rgb"], 9, density, temperature=0.3),
        )
    assert (
        enhance(
            "sample",
            *tiny_autoencoder,
            "-n",
            4,
            "--density",
            "gaussian",
            "--temperature",
            0,
            "-o",
            "still.png",
        ).code
        == 0
    )
    assert len({cell.tobytes() for cell in cells(Path("still.png"), 2)}) == 1


def test_a_vae_is_sampled_from_its_prior(
    enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]
):
    ran = enhance("sample", "--weights", autoencoders["vae"], "-n", 4)
    assert ran.code == 0
    assert "density prior" in ran.err
    assert np.array_equal(
        cells(Path("samples.png"), 2), expected_samples(autoencoders["vae"], 4, "prior")
    )
    refused = enhance("sample", "--weights", autoencoders["vae"], "--density", "mixture")
    assert refused.code == 2
    assert refused.err.splitlines() == [
        "error: --density mixture: model 'tiny-vae' has none, choose from prior"
    ]


def test_a_folder_that_holds_numbered_pictures(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list
):
    assert enhance("sample", *tiny_autoencoder, "-n", 4, "-o", "out").code == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    refused = enhance("sample", *tiny_autoencoder, "-n", 4, "-o", "out", "--seed", 1)
    assert refused.code == 1
    assert refused.err.splitlines() == [
        "error: out: holds 00000.png already, add --overwrite or choose another -o"
    ]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    ran = enhance("sample", *tiny_autoencoder, "-n", 3, "-o", "out", "--seed", 1, "--overwrite")
    assert ran.code == 0
    assert "1 numbered pictures of an earlier run stay" in ran.err
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert [name for name in sorted(after) if after[name] != before[name]] == [
        f"{number:05}.png" for number in range(3)
    ]


def test_a_folder_of_other_files_is_no_hindrance(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list
):
    (tmp_path / "my.pictures").mkdir()
    noise(tmp_path / "my.pictures" / "holiday.png")
    assert enhance("sample", *tiny_autoencoder, "-n", 1, "-o", "my.pictures").code == 0
    assert {path.name for path in (tmp_path / "my.pictures").iterdir()} == {
        "holiday.png",
        "00000.png",
    }


def test_names_are_wide_enough(enhance: Run, tiny_autoencoder: list):
    ran = enhance("sample", *tiny_autoencoder, "-n", 100_001, "-o", "out", "--dry-run", "--json")
    assert ran.code == 0
    names = json.loads(ran.out)["outputs"]
    assert len(names) == 100_001
    assert (names[0], names[-1]) == ("out/000000.png", "out/100000.png")
    assert not Path("out").exists()


def test_dry_run_writes_nothing(tmp_path: Path, enhance: Run, tiny_autoencoder: list):
    noise(tmp_path / "a.png")
    for options in (
        (),
        ("-o", "out"),
        ("--interpolate", "a.png", "a.png"),
        ("--reconstruct", "a.png"),
        ("--reconstruct", "a.png", "-o", "out"),
    ):
        ran = enhance("sample", *tiny_autoencoder, *options, "--dry-run", "--json")
        assert ran.code == 0, ran.err
        document = json.loads(ran.out)
        assert "planned" in (
            document.get("status"),
            *(entry["status"] for entry in document.get("results", ())),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_interrupt_leaves_whole_files(tmp_path: Path, autoencoders: dict[str, Path]):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "enhance_cli", "sample", "-n", "1000000", "-o", out]
    with subprocess.Popen(
        [*command, "--weights", autoencoders["rgb"]],
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as ran:
        try:
            deadline = time.monotonic() + 300  # a busy machine takes minutes to begin
            while len(list(out.glob("*.png"))) < 20 and time.monotonic() < deadline:
                time.sleep(0.05)
            ran.send_signal(signal.SIGINT)
            _, said = ran.communicate(timeout=120)
        finally:
            ran.kill()
    assert ran.returncode == 130
    assert said.decode().splitlines() == ["error: interrupted"]
    names = sorted(path.name for path in out.iterdir())
    assert len(names) >= 20
    assert names == [f"{number:06}.png" for number in range(len(names))]
    assert all(read_image(out / name).height == SIDE for name in names)


def test_the_default_model(
    enhance: Run, tiny_autoencoder: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "weights"
    folder.mkdir()
    path = save_tiny(folder / "faces-vae-blur.safetensors")
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    ran = enhance("sample", "-n", 1, "-v", "--device", "cpu")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[0] == (f"faces-vae-blur from {path}, on cpu in float32")


def test_out_of_memory_halves_the_batch(
    enhance: Run, tiny_autoencoder: list, monkeypatch: pytest.MonkeyPatch
):
    assert enhance("sample", *tiny_autoencoder, "-n", 50, "-o", "whole.png").code == 0
    sizes = []
    run = Model.run

    def cramped(model: Model, inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(len(inputs))
        if len(inputs) > 13:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(model, inputs)

    monkeypatch.setattr(Model, "run", cramped)
    ran = enhance("sample", *tiny_autoencoder, "-n", 50, "-o", "parts.png")
    assert ran.code == 0
    assert sizes == [50, 25, 12, 12, 12, 12, 2]
    assert "going on with 12 pictures at a time" in ran.err
    whole, parts = (
        read_image(Path(f"{name}.png")).pixels.astype(int) for name in ("whole", "parts")
    )
    assert np.abs(whole - parts).max() <= 1


# Interpolations.


def test_an_interpolation_goes_from_end_to_end(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]
):
    paths = [noise(tmp_path / "a.png"), noise(tmp_path / "b.png")]
    ran = enhance("sample", *tiny_autoencoder, "--interpolate", *paths, "--steps", 5, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["kind"] == "interpolation"
    assert document["count"] == 5
    assert document["outputs"] == ["interpolation.png"]
    assert document["density"] is None
    model = load(autoencoders["rgb"])
    ends = torch.stack(
        [torch.from_numpy(read_image(path).pixels).permute(2, 0, 1) / 255 for path in paths]
    )
    with torch.inference_mode():
        first, second = model.network.encode(ends)[0]
        codes = torch.stack([slerp(first, second, share) for share in (0, 0.25, 0.5, 0.75, 1)])
        pictures = model.network.decode(codes)
        assert torch.allclose(pictures[[0, 4]], model.network(ends), atol=1e-6)
    found = torch.from_numpy(np.stack(cells(Path("interpolation.png"), 5)))
    assert (found.permute(0, 3, 1, 2) - 255 * pictures).abs().max() < 0.51
    assert len({cell.numpy().tobytes() for cell in found}) == 5


def test_an_interpolation_into_a_folder(tmp_path: Path, enhance: Run, tiny_autoencoder: list):
    noise(tmp_path / "a.png", 20, 30)
    noise(tmp_path / "b.png", 40, 40, 1)
    ran = enhance("sample", *tiny_autoencoder, "--interpolate", "a.png", "b.png", "-o", "out")
    assert ran.code == 0
    assert len(list(Path("out").iterdir())) == 8
    assert ran.err.splitlines()[:-1] == [
        "a.png: 30x20 pixels cut to the middle 20x20 and resized to 16x16",
        "b.png: 40x40 pixels resized to 16x16",
        "b.png: grey taken as colour",
    ]


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("a.png", "a.png"),
        ("a.png", "./a.png"),
        ("out/00003.png", "out"),
    ],
)
def test_an_interpolation_replaces_neither_end(
    source: str, output: str, tmp_path: Path, enhance: Run, tiny_autoencoder: list
):
    path = noise(tmp_path / source)
    before = path.read_bytes()
    ran = enhance(
        "sample", *tiny_autoencoder, "--interpolate", source, source, "-o", output, "--overwrite"
    )
    assert ran.code == 2
    assert "an input would be replaced, choose another -o" in ran.err
    assert path.read_bytes() == before
    fewer = enhance("sample", *tiny_autoencoder, "--interpolate", source, source, "-o", "other.png")
    assert fewer.code == 0


def test_an_end_may_lie_beside_the_pictures(tmp_path: Path, enhance: Run, tiny_autoencoder: list):
    path = noise(tmp_path / "out" / "00008.png")
    before = path.read_bytes()
    ran = enhance(
        "sample", *tiny_autoencoder, "--interpolate", path, path, "-o", "out", "--overwrite"
    )
    assert ran.code == 0, ran.err
    assert "1 numbered pictures of an earlier run stay" in ran.err
    assert path.read_bytes() == before
