"""``enhance evaluate`` on dark pictures: baselines, models, and what is written."""

import csv
import json
import math
import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made_pictures import photo
from PIL import Image

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.sid_fcn import SidFcnConfig
from enhance_cli.data.dark_sets import DarkScene, View, load_cases
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.evaluation.baselines import BASELINES
from enhance_cli.io.dng import write_dng
from enhance_cli.metrics import METRICS
from enhance_cli.metrics.distribution import histogram_divergence, luminance_histogram
from enhance_cli.metrics.quality import psnr

RAW_BASELINES = ["libraw", "libraw-denoised", "nl-means"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two photographs to darken, and two pairs of LOL."""
    for seed in range(2):
        photo(tmp_path / "photos_val" / f"p{seed}.png", 48, 48, seed)
        bright = tmp_path / "LOL" / "eval15" / "high" / f"{seed}.png"
        photo(bright, 48, 48, seed)
        dark = Image.open(bright).point(lambda value: value // 10)
        (tmp_path / "LOL" / "eval15" / "low").mkdir(exist_ok=True)
        dark.save(tmp_path / "LOL" / "eval15" / "low" / f"{seed}.png")
    return tmp_path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with very small networks that give little more than their input."""
    folder = tmp_path_factory.mktemp("dark-weights")
    configs = {
        "sid-fcn": SidFcnConfig(width=2, latent=2),
        "sid-fcn-grey": SidFcnConfig(width=2, latent=2, colours=1),
        "sid-fcn-srgb": SidFcnConfig(width=2, latent=2, source="srgb"),
    }
    for name, config in configs.items():
        torch.manual_seed(0)
        architecture = ARCHITECTURES["sid-fcn"]
        save_checkpoint(
            folder / f"{name}.safetensors", build(architecture, config), architecture, name
        )
    return folder


@pytest.fixture(autouse=True)
def _only_tiny_weights(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(weights))


def test_default_model_beside_its_baselines(data: Path, enhance: Callable) -> None:
    table, page = data / "out.csv", data / "out.html"
    ran = enhance(
        "evaluate",
        "--dataset",
        "synthetic-dark",
        "--data-root",
        data,
        "--json",
        "--csv",
        table,
        "--report",
        page,
    )
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert (document["dataset"], document["protocol"]) == ("synthetic-dark", "rgb")
    results = document["results"]
    assert [result["model"] for result in results] == [*RAW_BASELINES, "sid-fcn"]
    for result in results:
        assert [image["name"] for image in result["images"]] == [
            f"p{i}-{ratio}" for i in range(2) for ratio in (100, 250, 300)
        ]
        assert [image["iso"] for image in result["images"]] == [50, 800, 12800, 200, 3200, 25600]
        assert set(result["by_ratio"]) == {"100", "250", "300"}
        for metric in METRICS:
            numbers = [image[metric] for image in result["images"]]
            assert result["mean"][metric] == pytest.approx(sum(numbers) / 6)
            assert result["by_ratio"]["100"][metric] == pytest.approx((numbers[0] + numbers[3]) / 2)
        assert 0 <= result["mean"]["jsd_total"] <= 1
    _check_csv(table, results)
    _check_page(page)


def _check_csv(path: Path, results: list[dict]) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["model", "image", "ratio", "iso", *METRICS]
    means = {(row["model"], row["ratio"]): row for row in rows if row["image"] == "mean"}
    assert len(rows) == 4 * (6 + 4)
    for result in results:
        assert float(means[result["model"], "all"]["psnr"]) == result["mean"]["psnr"]
        assert float(means[result["model"], "250"]["jsd"]) == result["by_ratio"]["250"]["jsd"]


def _check_page(path: Path) -> None:
    page = path.read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing from elsewhere
    assert page.count("<tr>") == 1 + 4 * 4
    figures = [b64decode(code).decode() for code in re.findall(r"base64,([^\"]+)\"", page)]
    assert len(figures) == len(METRICS) + 1
    assert all("<svg" in figure for figure in figures)
    assert "figures 16 and 29" in page and "figure 30" in page


def test_table_for_people(data: Path, enhance: Callable) -> None:
    ran = enhance(
        "evaluate",
        "--dataset",
        "synthetic-dark",
        "--data-root",
        data,
        "--model",
        "libraw",
        "--strategy",
        "fastest",
    )
    assert ran.code == 0, ran.err
    for text in ("libraw", "100", "250", "300", "all", "PSNR (dB)", "JSD, all", "fastest"):
        assert text in ran.out
    assert "nl-means" not in ran.out


def test_the_same_twice(data: Path, enhance: Callable) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        arguments = [
            "evaluate",
            "--dataset",
            "synthetic-dark",
            "--data-root",
            data,
            "--model",
            "sid-fcn",
            "--model",
            "libraw",
            "--metrics",
            "psnr,jsd",
        ]
        assert enhance(*arguments, "--report", data / name).code == 0
        pages.append((data / name).read_bytes())
    assert pages[0] == pages[1]


def test_models_of_different_kinds(data: Path, enhance: Callable) -> None:
    names = ["sid-fcn", "sid-fcn-grey", "sid-fcn-srgb"]
    ran = enhance(
        "evaluate",
        "--dataset",
        "synthetic-dark",
        "--data-root",
        data,
        "--json",
        "--metrics",
        "psnr",
        *(part for name in names for part in ("--model", name)),
    )
    assert ran.code == 0, ran.err
    means = {result["model"]: result["mean"] for result in json.loads(ran.out)["results"]}
    assert list(means) == [
        *(f"{name} (raw)" for name in RAW_BASELINES),
        "sid-fcn",
        *(f"{name} (raw, grey)" for name in RAW_BASELINES),
        "sid-fcn-grey",
        "amplified (srgb)",
        "nl-means (srgb)",
        "sid-fcn-srgb",
    ]
    assert all(set(mean) == {"psnr"} for mean in means.values())


@pytest.mark.parametrize("strategy", ["baseline", "fastest"])
def test_strategies(strategy: str, data: Path, enhance: Callable) -> None:
    ran = enhance(
        "evaluate",
        "--dataset",
        "synthetic-dark",
        "--data-root",
        data,
        "--json",
        "--model",
        "sid-fcn",
        "--model",
        "libraw",
        "--strategy",
        strategy,
    )
    assert ran.code == 0, ran.err


def test_lol_chooses_the_ratio(data: Path, enhance: Callable) -> None:
    ran = enhance(
        "evaluate", "--dataset", "lol", "--data-root", data, "--json", "--report", data / "lol.html"
    )
    assert ran.code == 0, ran.err
    results = json.loads(ran.out)["results"]
    assert [result["model"] for result in results] == ["amplified", "nl-means", "sid-fcn-srgb"]
    for result in results:
        assert result["by_ratio"] == {}
        assert all(image["ratio_chosen"] and image["iso"] is None for image in result["images"])
        assert all(1 < image["ratio"] <= 300 for image in result["images"])
    assert (data / "lol.html").read_text().count("<img") == 1  # no ISO, no figure of it
    wrong = enhance("evaluate", "--dataset", "lol", "--data-root", data, "--model", "sid-fcn")
    assert wrong.code == 2
    assert "--dataset lol has no raw input" in wrong.err


def test_sid(tmp_path: Path, enhance: Callable) -> None:
    ramp = np.arange(48 * 48).reshape(48, 48) % 48 + 1
    for name, level in (("short/10003_00_0.1s.ARW", 2), ("long/10003_00_10s.ARW", 200)):
        path = tmp_path / "SID" / "Sony" / name
        path.parent.mkdir(parents=True)
        write_dng(
            path,
            (512 + level * ramp).astype(np.uint16),
            white=16_383,
            black=512,
            as_shot_neutral=(0.5, 1.0, 0.625),
            color_matrix=np.eye(3),
        )
    (tmp_path / "SID" / "Sony_test_list.txt").write_text(
        "./Sony/short/10003_00_0.1s.ARW ./Sony/long/10003_00_10s.ARW ISO200 F9\n"
    )
    ran = enhance("evaluate", "--dataset", "sid", "--data-root", tmp_path, "--json")
    assert ran.code == 0, ran.err
    libraw = json.loads(ran.out)["results"][0]
    assert (libraw["images"][0]["ratio"], libraw["images"][0]["iso"]) == (100, 200)
    assert libraw["mean"]["psnr"] > 40  # without noise, amplification is all that it takes
    (note,) = json.loads(ran.out)["notes"]
    assert "not with the tables of thesis 000" in note
    assert note in " ".join(ran.err.split())


def test_no_weights_at_all(
    data: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("enhance_cli.evaluation.models.find_weights", lambda name: None)
    ran = enhance("evaluate", "--dataset", "synthetic-dark", "--data-root", data, "--json")
    assert ran.code == 0
    assert "no weights for sid-fcn: baselines only" in ran.err
    assert [result["model"] for result in json.loads(ran.out)["results"]] == RAW_BASELINES


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--dataset", "synthetic-drak"], 2, "did you mean 'synthetic-dark'?"),
        (["--dataset", "sid", "-x4"], 2, "-x 4: of no use with --dataset sid"),
        (["--dataset", "sid", "--gt", "a"], 2, "--gt a: of no use"),
        (["--dataset", "set5", "--strategy", "fastest"], 2, "--strategy fastest: of no use"),
        (["--dataset", "lol", "--strategy", "faster"], 2, "unknown strategy 'faster'"),
        (["--dataset", "lol", "--strategy", "fastest", "--tile", "64"], 2, "one of the two out"),
        (["--dataset", "lol", "--model", "libraw"], 2, "no baseline for srgb input"),
        (["--dataset", "lol", "--metrics", "fid"], 2, "unknown metric 'fid'"),
        (["--dataset", "lol", "--protocol", "hsv"], 2, "unknown protocol 'hsv'"),
        (["--dataset", "lol", "--model", "enet-e-x4"], 2, "is for superres, not for lowlight"),
        (["--dataset", "sid"], 1, "'sid' is not in"),
    ],
)
def test_wrong_options(
    arguments: list[str], code: int, text: str, tmp_path: Path, enhance: Callable
) -> None:
    ran = enhance("evaluate", *arguments, "--data-root", tmp_path)
    assert (ran.code, len(ran.err.splitlines())) == (code, 1), ran.err
    assert text in ran.err


# --- the baselines by themselves


def scene(view: View, folder: Path) -> DarkScene:
    photo(folder / "photos_val" / "p.png", 96, 96, 3)
    return load_cases("synthetic-dark", view, [folder])[0].load()


@pytest.mark.parametrize("view", [View(), View(half=True), View(grey=True)])
def test_without_noise_libraw_is_the_reference(view: View, tmp_path: Path) -> None:
    taken = scene(view, tmp_path)
    gains = torch.tensor([taken.gains[0], 1, taken.gains[2]]).view(3, 1, 1)
    light = (taken.clean / gains).numpy()
    mosaic = light[1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = light[0, ::2, ::2], light[2, 1::2, 1::2]
    path = tmp_path / "clean.dng"
    write_dng(
        path,
        (mosaic * 16_383).round().astype(np.uint16),
        white=16_383,
        as_shot_neutral=tuple((1 / gains.flatten()).tolist()),
        color_matrix=np.eye(3),
    )
    clean = DarkScene(
        view,
        taken.planes,
        taken.gains,
        taken.camera_to_srgb,
        taken.clean,
        taken.clean_to_srgb,
        path,
    )
    shown = BASELINES["raw"]["libraw"](clean, 1.0)
    assert psnr(shown, clean.reference(), 1.0) > 38


@pytest.mark.parametrize("view", [View(), View("srgb"), View("srgb", grey=True)])
def test_denoising_helps(view: View, tmp_path: Path) -> None:
    taken = scene(view, tmp_path)
    names = list(BASELINES[view.source])
    quality = {
        name: psnr(BASELINES[view.source][name](taken, 100.0), taken.reference(), 1.0)
        for name in names
    }
    assert all(quality[name] > quality[names[0]] for name in names[1:]), quality


def test_jsd_of_a_set_is_not_the_mean_of_its_pictures(data: Path, enhance: Callable) -> None:
    ran = enhance(
        "evaluate",
        "--dataset",
        "synthetic-dark",
        "--data-root",
        data,
        "--json",
        "--model",
        "libraw",
        "--metrics",
        "jsd",
    )
    mean = json.loads(ran.out)["results"][0]["mean"]
    counts = [torch.zeros(256, dtype=torch.long) for _ in range(2)]
    for case in load_cases("synthetic-dark", View(), [data]):
        taken = case.load()
        shown = BASELINES["raw"]["libraw"](taken, case.ratio)
        counts[0] += luminance_histogram(shown, 1.0)
        counts[1] += luminance_histogram(taken.reference(), 1.0)
    assert mean["jsd_total"] == pytest.approx(histogram_divergence(*counts))
    assert not math.isclose(mean["jsd_total"], mean["jsd"])
