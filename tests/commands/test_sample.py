"""``enhance sample`` as its users meet it."""

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.autoencoder import Autoencoder, AutoencoderConfig
from enhance_cli.architectures.spec import Contract
from enhance_cli.engine import generation
from enhance_cli.engine.catalogue import Model, load_model
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.engine.generation import decode_codes, draw_codes, slerp
from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.resize import imresize
from enhance_cli.tasks.sample_work import (
    MARGIN,
    GridShape,
    make_grid,
    pair_rows,
    read_square,
    square_columns,
)

Run = Callable[..., object]
SIDE, LATENT = 16, 3
CELL = SIDE + MARGIN


def save_tiny(path: Path, *, fitted: bool = True, **settings: object) -> Path:
    """A checkpoint of a very small autoencoder whose pictures differ from one another."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES["autoencoder"]
    fields = {"side": SIDE, "width": 2, "latent": LATENT, "kernel": 4, "components": 2, **settings}
    network = build(architecture, AutoencoderConfig(**fields))
    assert isinstance(network, Autoencoder)
    with torch.no_grad():
        network.decoder[-1].weight.mul_(20)
        if fitted:
            network.densities.gaussian_mean.fill_(0.5)
            network.densities.gaussian_factor.copy_(2 * torch.eye(LATENT))
            network.densities.mixture_weights.copy_(torch.tensor([0.25, 0.75]))
            network.densities.mixture_means.copy_(torch.tensor([[-3.0, 0, 0], [3, 1, 0]]))
            network.densities.mixture_factors.copy_(torch.eye(LATENT).expand(2, -1, -1))
    save_checkpoint(path, network, architecture, path.stem)
    return path


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints by kind: of colours, of grey, a VAE, and one with nothing to sample from."""
    folder = tmp_path_factory.mktemp("sample-weights")
    return {
        "rgb": save_tiny(folder / "tiny-rgb.safetensors"),
        "grey": save_tiny(folder / "tiny-grey.safetensors", channels=1),
        "vae": save_tiny(
            folder / "tiny-vae.safetensors", fitted=False, posterior="gaussian", prior=True
        ),
        "bare": save_tiny(folder / "tiny-bare.safetensors", fitted=False),
    }


@pytest.fixture
def tiny(
    networks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[object]:
    """Options for the tiny network of colours; the working folder is empty."""
    monkeypatch.chdir(tmp_path)
    return ["--weights", networks["rgb"], "--device", "cpu"]


def load(path: Path) -> Model:
    return load_model("sample", weights=path, device=torch.device("cpu"))


def expected_samples(
    path: Path, count: int, density: str = "mixture", **options: float
) -> list[np.ndarray]:
    """Samples by the engine alone, (side, side, C) uint8."""
    model = load(path)
    codes = draw_codes(model.network, density, count, **options)
    values = torch.cat(list(decode_codes(model, codes)))
    return list((values * 255).round().byte().permute(0, 2, 3, 1).numpy())


def cells(path: Path, columns: int, side: int = SIDE) -> list[np.ndarray]:
    """The places of a grid row by row; its margins must be white."""
    pixels = read_image(path).pixels
    step = side + MARGIN
    rows = (pixels.shape[0] - MARGIN) // step
    assert pixels.shape[:2] == (rows * step + MARGIN, columns * step + MARGIN)
    inside = np.zeros(pixels.shape[:2], bool)
    found = []
    for row in range(rows):
        for column in range(columns):
            place = np.s_[
                row * step + MARGIN : (row + 1) * step, column * step + MARGIN : (column + 1) * step
            ]
            inside[place] = True
            found.append(pixels[place])
    assert (pixels[~inside] == 255).all()
    return found


def noise(
    path: Path,
    height: int = SIDE,
    width: int = SIDE,
    channels: int = 3,
    dtype: type = np.uint8,
    **fields: object,
) -> Path:
    top = np.iinfo(dtype).max
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    pixels = rng.integers(0, top, (height, width, channels), dtype=dtype, endpoint=True)
    write_image(path, Picture(pixels, **fields))
    return path


# Grids and folders.


def test_no_options_draw_one_grid(
    tmp_path: Path, enhance: Run, tiny: list, networks: dict[str, Path]
):
    ran = enhance("sample", *tiny)
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert ran.err.splitlines() == [
        "samples.png: 64 samples of tiny-rgb, density mixture, temperature 1, seed 0, 146x146"
    ]
    found = cells(tmp_path / "samples.png", 8)
    assert np.array_equal(found, expected_samples(networks["rgb"], 64))
    assert len({cell.tobytes() for cell in found}) == 64
    again = enhance("sample", *tiny)
    assert again.code == 1
    assert "exists already, add --overwrite" in again.err
    assert enhance("sample", *tiny, "--overwrite").code == 0


def test_same_seed_same_bytes_and_grid_and_folder_agree(tmp_path: Path, enhance: Run, tiny: list):
    count = 130  # more than a batch
    for name in ("1.png", "2.png", "1", "2"):
        assert enhance("sample", *tiny, "-n", count, "--seed", 5, "-o", name).code == 0
    assert Path("1.png").read_bytes() == Path("2.png").read_bytes()
    grid = cells(tmp_path / "1.png", 12)
    files = sorted(Path("1").iterdir())
    assert [path.name for path in files] == [f"{number:05}.png" for number in range(count)]
    for number, path in enumerate(files):
        assert path.read_bytes() == (Path("2") / path.name).read_bytes()
        assert np.array_equal(read_image(path).pixels, grid[number])
    assert all((cell == 255).all() for cell in grid[count:])
    enhance("sample", *tiny, "-n", count, "--seed", 6, "-o", "3.png")
    assert Path("1.png").read_bytes() != Path("3.png").read_bytes()


def test_fewer_samples_of_a_seed_are_the_first_of_more(enhance: Run, tiny: list):
    for count in (3, 120):
        assert enhance("sample", *tiny, "-n", count, "-o", str(count)).code == 0
    for name in ("00000.png", "00002.png"):
        assert Path("3", name).read_bytes() == Path("120", name).read_bytes()


def test_json(enhance: Run, tiny: list):
    ran = enhance(
        "sample",
        *tiny,
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


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp", ".bmp"])
def test_every_format_of_a_grid(suffix: str, enhance: Run, tiny: list):
    assert enhance("sample", *tiny, "-n", 4, "-o", f"grid{suffix}").code == 0
    assert read_image(Path(f"grid{suffix}")).pixels.shape == (38, 38, 3)


def test_grey_models_draw_grey(enhance: Run, tiny: list, networks: dict[str, Path]):
    grey = ["--weights", networks["grey"]]
    assert enhance("sample", *grey, "-n", 2, "-o", "grid.png").code == 0
    assert enhance("sample", *grey, "-n", 2, "-o", "folder").code == 0
    assert read_image(Path("grid.png")).pixels.shape == (CELL + MARGIN, 2 * CELL + MARGIN, 1)
    assert read_image(Path("folder/00000.png")).pixels.shape == (SIDE, SIDE, 1)


def test_columns_and_zoom(enhance: Run, tiny: list, networks: dict[str, Path]):
    ran = enhance("sample", *tiny, "-n", 5, "--columns", 3, "--zoom", 4, "-o", "grid.png")
    assert ran.code == 0
    found = cells(Path("grid.png"), 3, 4 * SIDE)
    assert len(found) == 6
    for cell, sample in zip(found, expected_samples(networks["rgb"], 5), strict=False):
        assert np.array_equal(cell, sample.repeat(4, axis=0).repeat(4, axis=1))
    assert (found[5] == 255).all()


def test_densities_and_temperature(enhance: Run, tiny: list, networks: dict[str, Path]):
    for density in ("gaussian", "mixture"):
        ran = enhance(
            "sample",
            *tiny,
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
            expected_samples(networks["rgb"], 9, density, temperature=0.3),
        )
    assert (
        enhance(
            "sample", *tiny, "-n", 4, "--density", "gaussian", "--temperature", 0, "-o", "still.png"
        ).code
        == 0
    )
    assert len({cell.tobytes() for cell in cells(Path("still.png"), 2)}) == 1


def test_a_vae_is_sampled_from_its_prior(enhance: Run, tiny: list, networks: dict[str, Path]):
    ran = enhance("sample", "--weights", networks["vae"], "-n", 4)
    assert ran.code == 0
    assert "density prior" in ran.err
    assert np.array_equal(
        cells(Path("samples.png"), 2), expected_samples(networks["vae"], 4, "prior")
    )
    refused = enhance("sample", "--weights", networks["vae"], "--density", "mixture")
    assert refused.code == 2
    assert refused.err.splitlines() == [
        "error: --density mixture: model 'tiny-vae' has none, choose from prior"
    ]


def test_a_folder_that_holds_numbered_pictures(tmp_path: Path, enhance: Run, tiny: list):
    assert enhance("sample", *tiny, "-n", 4, "-o", "out").code == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    refused = enhance("sample", *tiny, "-n", 4, "-o", "out", "--seed", 1)
    assert refused.code == 1
    assert refused.err.splitlines() == [
        "error: out: holds 00000.png already, add --overwrite or choose another -o"
    ]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    ran = enhance("sample", *tiny, "-n", 3, "-o", "out", "--seed", 1, "--overwrite")
    assert ran.code == 0
    assert "1 numbered pictures of an earlier run stay" in ran.err
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert [name for name in sorted(after) if after[name] != before[name]] == [
        f"{number:05}.png" for number in range(3)
    ]


def test_a_folder_of_other_files_is_no_hindrance(tmp_path: Path, enhance: Run, tiny: list):
    (tmp_path / "my.pictures").mkdir()
    noise(tmp_path / "my.pictures" / "holiday.png")
    assert enhance("sample", *tiny, "-n", 1, "-o", "my.pictures").code == 0
    assert {path.name for path in (tmp_path / "my.pictures").iterdir()} == {
        "holiday.png",
        "00000.png",
    }


def test_names_are_wide_enough(enhance: Run, tiny: list):
    ran = enhance("sample", *tiny, "-n", 100_001, "-o", "out", "--dry-run", "--json")
    assert ran.code == 0
    names = json.loads(ran.out)["outputs"]
    assert len(names) == 100_001
    assert (names[0], names[-1]) == ("out/000000.png", "out/100000.png")
    assert not Path("out").exists()


def test_dry_run_writes_nothing(tmp_path: Path, enhance: Run, tiny: list):
    noise(tmp_path / "a.png")
    for options in (
        (),
        ("-o", "out"),
        ("--interpolate", "a.png", "a.png"),
        ("--reconstruct", "a.png"),
        ("--reconstruct", "a.png", "-o", "out"),
    ):
        ran = enhance("sample", *tiny, *options, "--dry-run", "--json")
        assert ran.code == 0, ran.err
        document = json.loads(ran.out)
        assert "planned" in (
            document.get("status"),
            *(entry["status"] for entry in document.get("results", ())),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_interrupt_leaves_whole_files(tmp_path: Path, networks: dict[str, Path]):
    out = tmp_path / "out"
    ran = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "enhance_cli",
            "sample",
            "--weights",
            networks["rgb"],
            "-n",
            "1000000",
            "-o",
            out,
        ],
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(out.glob("*.png"))) < 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        ran.send_signal(signal.SIGINT)
        _, said = ran.communicate(timeout=60)
    finally:
        ran.kill()
    assert ran.returncode == 130
    assert said.decode().splitlines() == ["error: interrupted"]
    names = sorted(path.name for path in out.iterdir())
    assert len(names) >= 20
    assert names == [f"{number:06}.png" for number in range(len(names))]
    assert all(read_image(out / name).height == SIDE for name in names)


def test_the_default_model(
    enhance: Run, tiny: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "weights"
    folder.mkdir()
    path = save_tiny(folder / "faces-vae-blur.safetensors")
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    ran = enhance("sample", "-n", 1, "-v", "--device", "cpu")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[0] == (f"faces-vae-blur from {path}, on cpu in float32")


# Interpolations.


def test_an_interpolation_goes_from_end_to_end(
    tmp_path: Path, enhance: Run, tiny: list, networks: dict[str, Path]
):
    paths = [noise(tmp_path / "a.png"), noise(tmp_path / "b.png")]
    ran = enhance("sample", *tiny, "--interpolate", *paths, "--steps", 5, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["kind"] == "interpolation"
    assert document["count"] == 5
    assert document["outputs"] == ["interpolation.png"]
    assert document["density"] is None
    model = load(networks["rgb"])
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


def test_an_interpolation_into_a_folder(tmp_path: Path, enhance: Run, tiny: list):
    noise(tmp_path / "a.png", 20, 30)
    noise(tmp_path / "b.png", 40, 40, 1)
    ran = enhance("sample", *tiny, "--interpolate", "a.png", "b.png", "-o", "out")
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
    source: str, output: str, tmp_path: Path, enhance: Run, tiny: list
):
    path = noise(tmp_path / source)
    before = path.read_bytes()
    ran = enhance("sample", *tiny, "--interpolate", source, source, "-o", output, "--overwrite")
    assert ran.code == 2
    assert "an input would be replaced, choose another -o" in ran.err
    assert path.read_bytes() == before
    fewer = enhance("sample", *tiny, "--interpolate", source, source, "-o", "other.png")
    assert fewer.code == 0


def test_an_end_may_lie_beside_the_pictures(tmp_path: Path, enhance: Run, tiny: list):
    path = noise(tmp_path / "out" / "00008.png")
    before = path.read_bytes()
    ran = enhance("sample", *tiny, "--interpolate", path, path, "-o", "out", "--overwrite")
    assert ran.code == 0, ran.err
    assert "1 numbered pictures of an earlier run stay" in ran.err
    assert path.read_bytes() == before


# Reconstructions.


def reconstruct(path: Path, weights: Path) -> np.ndarray:
    values = torch.from_numpy(read_image(path).pixels).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        result = load(weights).network(values)[0]
    return result.permute(1, 2, 0).numpy() * 255


def test_reconstructions_lie_below_their_inputs(
    tmp_path: Path, enhance: Run, tiny: list, networks: dict[str, Path]
):
    paths = [noise(tmp_path / f"{name}.png") for name in "abcde"]
    ran = enhance(
        "sample", *tiny, "--reconstruct", *paths, "--columns", 3, "-o", "out.png", "--json"
    )
    assert ran.code == 0, ran.err
    assert [entry["input"] for entry in json.loads(ran.out)["results"]] == list(map(str, paths))
    found = cells(tmp_path / "out.png", 3)
    above, below = found[:3] + found[6:9], found[3:6] + found[9:]
    for path, given, restored in zip(paths, above, below, strict=False):
        assert np.array_equal(given, read_image(path).pixels)
        assert np.abs(restored - reconstruct(path, networks["rgb"])).max() < 0.51
    assert (above[5] == 255).all()
    assert (below[5] == 255).all()


def test_reconstructions_into_a_folder(
    tmp_path: Path, enhance: Run, tiny: list, networks: dict[str, Path]
):
    source = noise(tmp_path / "in" / "a.jpg")
    before = source.read_bytes()
    ran = enhance("sample", *tiny, "--reconstruct", "in", "-o", "in")
    assert ran.code == 0, ran.err
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"a.jpg", "a_reconstructed.png"}
    assert source.read_bytes() == before
    result = read_image(tmp_path / "in" / "a_reconstructed.png").pixels
    assert np.abs(result - reconstruct(source, networks["rgb"])).max() < 0.51
    again = enhance("sample", *tiny, "--reconstruct", source, "-o", "in")
    assert again.code == 1
    assert "a_reconstructed.png: exists already, add --overwrite" in again.err
    assert enhance("sample", *tiny, "--reconstruct", source, "-o", "in", "--overwrite").code == 0


def test_globs_repeated_options_and_folders(tmp_path: Path, enhance: Run, tiny: list):
    for name in ("1.png", "2.png", "more/3.png", "more/deep/4.png"):
        noise(tmp_path / name)
    ran = enhance(
        "sample",
        *tiny,
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


def test_one_bad_file_stops_no_other(tmp_path: Path, enhance: Run, tiny: list):
    noise(tmp_path / "a.png")
    noise(tmp_path / "c.png")
    (tmp_path / "b.png").write_text("no picture")
    for output in ("grid.png", "out"):
        ran = enhance(
            "sample",
            *tiny,
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


def test_nothing_but_bad_files_make_no_grid(tmp_path: Path, enhance: Run, tiny: list):
    (tmp_path / "b.png").write_text("no picture")
    ran = enhance("sample", *tiny, "--reconstruct", "b.png")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_double_stems_are_refused_in_a_folder_and_fine_in_a_grid(
    tmp_path: Path, enhance: Run, tiny: list
):
    noise(tmp_path / "a.png")
    noise(tmp_path / "a.bmp")
    ran = enhance("sample", *tiny, "--reconstruct", "a.png", "a.bmp", "-o", "out")
    assert ran.code == 1
    assert "a.png is written to out/a_reconstructed.png already" in ran.err
    ran = enhance("sample", *tiny, "--reconstruct", "a.png", "a.bmp", "-o", "grid.png")
    assert ran.code == 0, ran.err


def test_an_input_is_never_replaced(tmp_path: Path, enhance: Run, tiny: list):
    source = noise(tmp_path / "a.png")
    noise(tmp_path / "b.png")
    before = source.read_bytes()
    ran = enhance("sample", *tiny, "--reconstruct", "a.png", "b.png", "-o", "a.png", "--overwrite")
    assert ran.code == 2
    assert "an input would be replaced" in ran.err
    assert source.read_bytes() == before


def test_memory_that_ends_while_reading_fails_one_file(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    def cramped(path: Path, contract: Contract) -> tuple[torch.Tensor, list[str]]:
        if path.name == "a.png":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return read_square(path, contract)

    noise(tmp_path / "a.png")
    noise(tmp_path / "b.png")
    monkeypatch.setattr("enhance_cli.tasks.sample.read_square", cramped)
    ran = enhance("sample", *tiny, "--reconstruct", "a.png", "b.png", "-o", "out")
    assert ran.code == 1
    assert "a.png: too large for the memory" in ran.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b_reconstructed.png"]


def test_out_of_memory_halves_the_batch(enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch):
    assert enhance("sample", *tiny, "-n", 50, "-o", "whole.png").code == 0
    sizes = []
    run = generation._run

    def cramped(model: Model, function: Callable, values: torch.Tensor) -> torch.Tensor:
        sizes.append(len(values))
        if len(values) > 13:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(model, function, values)

    monkeypatch.setattr(generation, "_run", cramped)
    ran = enhance("sample", *tiny, "-n", 50, "-o", "parts.png")
    assert ran.code == 0
    assert sizes == [50, 25, 12, 12, 12, 12, 2]
    assert "going on with 12 at a time" in ran.err
    whole, parts = (
        read_image(Path(f"{name}.png")).pixels.astype(int) for name in ("whole", "parts")
    )
    assert np.abs(whole - parts).max() <= 1


# Wrong usage.


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
    arguments: list[str], code: int, text: str, tmp_path: Path, enhance: Run, tiny: list
):
    noise(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    device = [] if "--device" in arguments else tiny[2:]
    ran = enhance("sample", *tiny[:2], *device, *arguments)
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
def test_models_of_another_task_and_unknown_ones(model: str, text: str, enhance: Run, tiny: list):
    ran = enhance("sample", "--model", model)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert text in ran.err


def test_a_model_with_nothing_to_sample_from(
    tmp_path: Path, enhance: Run, tiny: list, networks: dict[str, Path]
):
    bare = ["--weights", networks["bare"]]
    for options in ((), ("--density", "mixture")):
        ran = enhance("sample", *bare, *options)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1)
        assert "'tiny-bare' has no density to sample from" in ran.err
    noise(tmp_path / "a.png")
    assert enhance("sample", *bare, "--reconstruct", "a.png").code == 0
    assert enhance("sample", *bare, "--interpolate", "a.png", "a.png").code == 0


def test_a_checkpoint_of_another_task(enhance: Run, tiny: list, tiny_weights: dict[int, Path]):
    ran = enhance("sample", "--weights", tiny_weights[4])
    assert ran.code == 1
    assert "a checkpoint for superres, not for sample" in ran.err


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom enhance_cli.app import main\nsys.argv = ['enhance', 'sample', '--help']\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code\n"
        "assert not {'torch', 'numpy', 'PIL', 'safetensors'} & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--interpolate" in ran.stdout


# The pieces.


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 10, 63, 64, 65, 1000])
def test_columns_of_a_square(count: int):
    columns = square_columns(count)
    assert columns == int(np.ceil(np.sqrt(count)))
    assert 0 <= columns - int(np.ceil(count / columns)) <= 1


def test_grid_shape_is_that_of_the_grid():
    for count in (1, 4, 7):
        for columns in (1, 3, 8):
            picture = np.zeros((5, 5, 1), np.uint8)
            grid = make_grid([picture] * count, columns)
            shape = GridShape(count, columns, 5)
            assert grid.shape == (shape.height, shape.width, 1)
            assert (grid == 0).sum() == count * 25


def test_pairs_are_filled_up():
    above, below = ([np.full((1, 1, 1), base + i, np.uint8) for i in range(3)] for base in (0, 10))
    places = pair_rows(above, below, 2)
    assert [None if p is None else int(p[0, 0, 0]) for p in places] == [
        0,
        1,
        10,
        11,
        2,
        None,
        12,
        None,
    ]


def contract(side: int, channels: int) -> Contract:
    return Contract(scale=1, channels_in=channels, channels_out=channels, patch_size=side)


def test_a_picture_of_the_right_size_is_not_changed(tmp_path: Path):
    path = noise(tmp_path / "a.png")
    values, notices = read_square(path, contract(SIDE, 3))
    assert notices == []
    assert torch.equal(values, torch.from_numpy(read_image(path).pixels).permute(2, 0, 1) / 255)


@pytest.mark.parametrize(("height", "width"), [(49, 49), (31, 77), (200, 15), (7, 9), (1, 1)])
def test_other_sizes_are_cut_to_the_middle_and_resized(height: int, width: int, tmp_path: Path):
    path = noise(tmp_path / "a.png", height, width)
    values, _ = read_square(path, contract(SIDE, 3))
    shorter = min(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    pixels = read_image(path).pixels[top : top + shorter, left : left + shorter]
    expected = imresize(torch.from_numpy(pixels).permute(2, 0, 1).double() / 255, SIDE / shorter)
    assert values.shape == (3, SIDE, SIDE)
    assert torch.allclose(values.double(), expected.clamp(0, 1)[:, :SIDE, :SIDE], atol=1e-5)


def test_every_side_is_met(tmp_path: Path):
    # side / length * length is not always side in floating point.
    for length in [*range(1, 60), 98, 113, 196, 395]:
        write_image(tmp_path / "a.bmp", Picture(np.zeros((length, length, 1), np.uint8)))
        assert read_square(tmp_path / "a.bmp", contract(28, 1))[0].shape == (1, 28, 28)


def test_sixteen_bits_keep_their_precision(tmp_path: Path):
    path = noise(tmp_path / "a.png", dtype=np.uint16)
    values, _ = read_square(path, contract(SIDE, 3))
    assert np.allclose(values.permute(1, 2, 0), read_image(path).pixels / 65535, atol=1e-6)


def test_colours_become_luma_and_grey_is_repeated(tmp_path: Path):
    colour, grey = noise(tmp_path / "colour.png"), noise(tmp_path / "grey.png", channels=1)
    values, notices = read_square(colour, contract(SIDE, 1))
    luma = read_image(colour).pixels @ np.array([0.299, 0.587, 0.114]) / 255
    assert np.allclose(values[0], luma, atol=1e-4)
    assert notices == ["colours turned to grey"]
    values, notices = read_square(grey, contract(SIDE, 3))
    assert torch.equal(values[0], values[2])
    assert np.allclose(values[1], read_image(grey).pixels[..., 0] / 255)
    assert notices == ["grey taken as colour"]


def test_what_is_transparent_lies_on_white(tmp_path: Path):
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:, :8], alpha[:, 8] = 0, 51
    path = noise(tmp_path / "a.png", alpha=alpha)
    values, notices = read_square(path, contract(SIDE, 3))
    pixels = torch.from_numpy(read_image(path).pixels).permute(2, 0, 1) / 255
    assert notices == ["transparency placed on white"]
    assert (values[:, :, :8] == 1).all()
    assert torch.allclose(values[:, :, 8], 0.2 * pixels[:, :, 8] + 0.8)
    assert torch.equal(values[:, :, 9:], pixels[:, :, 9:])
    assert (
        read_square(noise(tmp_path / "b.png", alpha=np.full_like(alpha, 255)), contract(SIDE, 3))[1]
        == []
    )
