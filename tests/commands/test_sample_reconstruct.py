"""``enhance sample --reconstruct``: pictures of the user's through an autoencoder."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pictures import cells, load, noise

from enhance_cli.architectures.spec import Contract
from enhance_cli.io.image import read_image
from enhance_cli.tasks.sample_pictures import (
    read_square,
)

Run = Callable[..., object]


def reconstruct(path: Path, weights: Path) -> np.ndarray:
    values = torch.from_numpy(read_image(path).pixels).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        result = load(weights).network(values)[0]
    return result.permute(1, 2, 0).numpy() * 255


def test_reconstructions_lie_below_their_inputs(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]
):
    paths = [noise(tmp_path / f"{name}.png") for name in "abcde"]
    ran = enhance(
        "sample",
        *tiny_autoencoder,
        "--reconstruct",
        *paths,
        "--columns",
        3,
        "-o",
        "out.png",
        "--json",
    )
    assert ran.code == 0, ran.err
    assert [entry["input"] for entry in json.loads(ran.out)["results"]] == list(map(str, paths))
    found = cells(tmp_path / "out.png", 3)
    above, below = found[:3] + found[6:9], found[3:6] + found[9:]
    for path, given, restored in zip(paths, above, below, strict=False):
        assert np.array_equal(given, read_image(path).pixels)
        assert np.abs(restored - reconstruct(path, autoencoders["rgb"])).max() < 0.51
    assert (above[5] == 255).all()
    assert (below[5] == 255).all()


def test_reconstructions_into_a_folder(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list, autoencoders: dict[str, Path]
):
    source = noise(tmp_path / "in" / "a.jpg")
    before = source.read_bytes()
    ran = enhance("sample", *tiny_autoencoder, "--reconstruct", "in", "-o", "in")
    assert ran.code == 0, ran.err
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"a.jpg", "a_reconstructed.png"}
    assert source.read_bytes() == before
    result = read_image(tmp_path / "in" / "a_reconstructed.png").pixels
    assert np.abs(result - reconstruct(source, autoencoders["rgb"])).max() < 0.51
    again = enhance("sample", *tiny_autoencoder, "--reconstruct", source, "-o", "in")
    assert again.code == 1
    assert "a_reconstructed.png: exists already, add --overwrite" in again.err
    assert (
        enhance(
            "sample", *tiny_autoencoder, "--reconstruct", source, "-o", "in", "--overwrite"
        ).code
        == 0
    )


def test_globs_repeated_options_and_folders(tmp_path: Path, enhance: Run, tiny_autoencoder: list):
    for name in ("1.png", "2.png", "more/3.png", "more/deep/4.png"):
        noise(tmp_path / name)
    ran = enhance(
        "sample",
        *tiny_autoencoder,
        "--reconstruct",
        "[0-9].png",
        "--reconstruct",
        "more",
        "-r",
        "--json",
        "-o",
        "out",
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["outputs"] == [
        "out/1_reconstructed.png",
        "out/2_reconstructed.png",
        "out/3_reconstructed.png",
        "out/deep/4_reconstructed.png",
    ]


def test_one_bad_file_stops_no_other(tmp_path: Path, enhance: Run, tiny_autoencoder: list):
    noise(tmp_path / "a.png")
    noise(tmp_path / "c.png")
    (tmp_path / "b.png").write_text("no picture")
    for output in ("grid.png", "out"):
        ran = enhance(
            "sample",
            *tiny_autoencoder,
            "--reconstruct",
            "a.png",
            "b.png",
            "c.png",
            "gone.png",
            "-o",
            output,
            "--json",
        )
        assert ran.code == 1
        document = json.loads(ran.out)
        assert (document["count"], document["failed"]) == (2, 2)
        assert [entry["status"] for entry in document["results"]] == [
            "ok",
            "ok",
            "failed",
            "failed",
        ]
        errors = [line for line in ran.err.splitlines() if line.startswith("error")]
        assert len(errors) == 2
        assert "b.png" in " ".join(errors)
        assert "gone.png" in " ".join(errors)
        assert ran.err.splitlines()[-1] == "2 of 4 inputs failed"
    assert len(cells(tmp_path / "grid.png", 2)) == 4
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_nothing_but_bad_files_make_no_grid(tmp_path: Path, enhance: Run, tiny_autoencoder: list):
    (tmp_path / "b.png").write_text("no picture")
    ran = enhance("sample", *tiny_autoencoder, "--reconstruct", "b.png")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_double_stems_get_two_names_in_a_folder_and_are_fine_in_a_grid(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list
):
    noise(tmp_path / "a.png")
    noise(tmp_path / "a.bmp")
    ran = enhance("sample", *tiny_autoencoder, "--reconstruct", "a.png", "a.bmp", "-o", "out")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_bmp_reconstructed.png",
        "a_reconstructed.png",
    ]
    ran = enhance("sample", *tiny_autoencoder, "--reconstruct", "a.png", "a.bmp", "-o", "grid.png")
    assert ran.code == 0, ran.err


def test_an_input_is_never_replaced(tmp_path: Path, enhance: Run, tiny_autoencoder: list):
    source = noise(tmp_path / "a.png")
    noise(tmp_path / "b.png")
    before = source.read_bytes()
    ran = enhance(
        "sample", *tiny_autoencoder, "--reconstruct", "a.png", "b.png", "-o", "a.png", "--overwrite"
    )
    assert ran.code == 2
    assert "an input would be replaced" in ran.err
    assert source.read_bytes() == before


def test_memory_that_ends_while_reading_fails_one_file(
    tmp_path: Path, enhance: Run, tiny_autoencoder: list, monkeypatch: pytest.MonkeyPatch
):
    def cramped(path: Path, contract: Contract) -> tuple[torch.Tensor, list[str]]:
        if path.name == "a.png":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return read_square(path, contract)

    noise(tmp_path / "a.png")
    noise(tmp_path / "b.png")
    monkeypatch.setattr("enhance_cli.tasks.sample_reconstruct.read_square", cramped)
    ran = enhance("sample", *tiny_autoencoder, "--reconstruct", "a.png", "b.png", "-o", "out")
    assert ran.code == 1
    assert "a.png: too large for the memory" in ran.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b_reconstructed.png"]
