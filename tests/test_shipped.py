"""The shipped weights: golden outputs, and the figures that the manifest states."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from enhance_cli.engine.catalogue import read_manifest
from enhance_cli.engine.checkpoint import read_checkpoint_info

PROJECT = Path(__file__).resolve().parents[1]
GOLDEN = PROJECT / "tests" / "golden"
MANIFEST = read_manifest(PROJECT / "weights")


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["enet-e-x2", "enet-e-x4"])
def test_golden_output(name: str, make: ModuleType):
    result = make.enlarge(name).permute(1, 2, 0).numpy().astype(int)
    with Image.open(GOLDEN / f"{name}.png") as image:
        golden = np.asarray(image).astype(int)
    assert result.shape == golden.shape
    assert np.abs(result - golden).max() <= 1


def test_the_manifest_names_every_file_and_no_other():
    files = {path.stem for path in (PROJECT / "weights").glob("*.safetensors")}
    assert files == set(MANIFEST)
    for name, entry in MANIFEST.items():
        assert entry.keys() >= {"sha256", "architecture", "task", "recipe", "data", "licence",
                                "steps", "scores", "validation"}
        info = read_checkpoint_info(PROJECT / "weights" / f"{name}.safetensors")
        assert (info.name, info.architecture.name, info.architecture.task) == (
            name, entry["architecture"], entry["task"])
        assert info.training["step"] == entry["steps"]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["set5", "set14"])
@pytest.mark.parametrize("name", sorted(MANIFEST))
def test_the_manifest_states_what_evaluate_measures(
    name: str, dataset: str, shared_data: Path, enhance: Callable
):
    ran = enhance("evaluate", "--dataset", dataset, "--model", name, "--json",
                  "--data-root", shared_data / "benchmarks")
    assert ran.code == 0, ran.err
    bicubic, model = (result["mean"] for result in json.loads(ran.out)["results"])
    stated = MANIFEST[name]["scores"][dataset]
    assert model["psnr"] == pytest.approx(stated["psnr"], abs=0.006)
    assert model["ssim"] == pytest.approx(stated["ssim"], abs=0.0002)
    assert model["psnr"] > bicubic["psnr"] + 1.5  # what it is for
