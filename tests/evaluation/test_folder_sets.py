"""``enhance evaluate`` for whole folders of pictures, and LPIPS of pairs."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_samples import (
    bars,
    document,
    fill,
)
from PIL import Image


def test_equal_folders(score: Callable, tmp_path: Path):
    """Under other names and in another order."""
    fill(tmp_path / "a", 22, 5)
    (tmp_path / "b").mkdir()
    for index, path in enumerate(sorted((tmp_path / "a").iterdir())):
        (tmp_path / "b" / f"{(7 * index) % 22:02}-of-22.png").write_bytes(path.read_bytes())
    found = document(
        score(
            "--pred",
            tmp_path / "a",
            "--gt",
            tmp_path / "b",
            "--metrics",
            "frechet,prd,jsd",
            "--json",
        )
    )
    result = found["results"][0]
    assert result.pop("frechet") == pytest.approx(0, abs=1e-6)
    assert result.pop("model") == "a"
    assert result.pop("jsd") == 0
    assert result == {
        key: pytest.approx(1, abs=1e-9) for key in ("f8", "f1_8", "max_precision", "max_recall")
    }


def test_precision_is_of_the_predictions(score: Callable, tmp_path: Path):
    """Half of what is drawn is nothing like the reference: precision falls, recall does not."""
    fill(tmp_path / "gt", 20, 5)
    fill(tmp_path / "pred", 20, 5)
    for path in list((tmp_path / "gt").iterdir()):
        (tmp_path / "gt" / f"again-{path.name}").write_bytes(path.read_bytes())
    rng = np.random.default_rng(0)
    for index in range(20):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(
            tmp_path / "pred" / f"noise{index}.png"
        )
    result = document(
        score(
            "--pred", tmp_path / "pred", "--gt", tmp_path / "gt", "--metrics", "prd,jsd", "--json"
        )
    )["results"][0]
    assert result["max_precision"] == pytest.approx(0.5, abs=0.03)
    assert result["max_recall"] == pytest.approx(1, abs=0.03)
    assert result["f8"] > result["f1_8"]
    assert 0 < result["jsd"] < 1


def test_folders_of_other_sizes_and_kinds(score: Callable, tmp_path: Path):
    """Grey and transparent files, odd sides; the larger folder is drawn from, and it is said."""
    fill(tmp_path / "gt", 24, 5)
    fill(tmp_path / "pred", 20, 6)
    Image.fromarray(bars(1, 1)[0]).save(tmp_path / "pred" / "grey.png")
    Image.fromarray(bars(1, 1, 4, 65)[0]).save(tmp_path / "pred" / "alpha.png")
    options = ("--pred", tmp_path / "pred", "--gt", tmp_path / "gt")
    ran = score(
        *options,
        "--metrics",
        "frechet,prd",
        "--csv",
        tmp_path / "f.csv",
        "--report",
        tmp_path / "f.html",
    )
    assert ran.code == 0, ran.err
    assert "22 and 24 pictures" in ran.err and "22 of the 24 were drawn" in ran.err
    assert "22 pictures for 512 features" in ran.err
    assert "Frechet distance" in ran.out and "(SqueezeNet" in ran.out
    with (tmp_path / "f.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert list(row) == ["model", "frechet", "f8", "f1_8", "max_precision", "max_recall"]
    assert (tmp_path / "f.html").read_text().count("<figure>") == 1
    alone = document(score(*options, "--metrics", "frechet", "--json"))
    assert alone["results"][0]["frechet"] == float(row["frechet"])  # of all pictures
    assert len(alone["notes"]) == 2


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--metrics", "frechet,psnr"], 2, "psnr compare pictures in pairs, frechet whole sets"),
        (["--metrics", "lpips,prd"], 2, "lpips compare pictures in pairs, prd whole sets"),
        (["--metrics", "frechet,sharp"], 2, "unknown metric 'sharp'"),
        (["--metrics", "fid"], 2, "gives no FID"),
        (["--metrics", "lpips", "--features", "inception"], 2, "weights for squeezenet only"),
        (["--metrics", "lpips", "--protocol", "cmyk"], 2, "unknown protocol 'cmyk'"),
        (["--metrics", "prd", "--protocol", "rgb"], 2, "--protocol rgb: of no use"),
        (["--metrics", "lpips", "--seed", 3], 2, "--seed 3: of no use with --metrics lpips"),
        (["--metrics", "prd", "--count", 3], 2, "--count 3: of no use with --pred and --gt"),
        (["--metrics", "prd", "--model", "digits-ae"], 2, "--model digits-ae: of no use"),
        (["--metrics", "psnr", "--seed", 3], 2, "--seed 3: of no use with --pred and --gt"),
        (["--metrics", "prd", "--gt", "one"], 1, "one: too few pictures for prd"),
        (["--metrics", "frechet", "--gt", "one"], 1, "needs at least 2, not 1"),
        (["--metrics", "frechet", "--gt", "empty"], 1, "empty: no pictures in this folder"),
        (["--metrics", "frechet", "--gt", "absent"], 1, "absent: no such folder"),
        (["--metrics", "frechet", "--gt", "bad"], 1, "005.png"),
        (["--metrics", "lpips", "--gt", "other"], 1, "sizes differ"),
    ],
)
def test_folders_that_do_not_suit(
    score: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list,
    code: int,
    said: str,
):
    monkeypatch.chdir(tmp_path)
    for name, count in (("good", 21), ("bad", 21), ("one", 1), ("empty", 0)):
        fill(tmp_path / name, count, 1)
    fill(tmp_path / "other", 21, 1, side=41)
    whole = (tmp_path / "bad" / "005.png").read_bytes()
    (tmp_path / "bad" / "005.png").write_bytes(whole[: len(whole) // 2])
    ran = score("--pred", "good", "--gt", "good", *options, "--csv", "out.csv")
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


def test_one_folder_is_not_enough(score: Callable, tmp_path: Path):
    ran = score("--pred", tmp_path, "--metrics", "frechet")
    assert ran.code == 2 and "give --pred DIR and --gt DIR" in ran.err


def test_lpips_of_pairs(score: Callable, tmp_path: Path):
    """0 for equal pictures, the more the more they differ; psnr beside it, of RGB."""
    fill(tmp_path / "gt", 3, 5)
    for name, step in (("same", 0), ("near", 8), ("far", 60)):
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(1)
        for path in (tmp_path / "gt").iterdir():
            pixels = np.asarray(Image.open(path)).astype(int)
            noisy = pixels + rng.integers(-step, step + 1, pixels.shape)
            Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(
                tmp_path / name / path.name
            )
    means = []
    for name in ("same", "near", "far"):
        ran = score(
            "--pred", tmp_path / name, "--gt", tmp_path / "gt", "--metrics", "psnr,lpips", "--json"
        )
        found = document(ran)
        assert found["protocol"] == "rgb"
        assert list(found["results"][0]["mean"]) == ["psnr", "lpips"]
        assert len(found["results"][0]["images"]) == 3
        assert "SqueezeNet 1.1" in found["notes"][0] and found["notes"][0] in ran.err
        means.append(found["results"][0]["mean"]["lpips"])
    assert means[0] == pytest.approx(0, abs=1e-6)
    assert means[0] < means[1] < means[2]
