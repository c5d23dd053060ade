"""``enhance evaluate``: protocol, published figures, awkward folders."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.metrics
from made_pictures import photo
from PIL import Image

from enhance_cli.data.wear import wear_out
from enhance_cli.levels import to_planes
from enhance_cli.metrics.protocols import score
from enhance_cli.resize import imresize

# Bicubic on these files with this protocol, as published (dissertation 003, table 2.4) to the
# digits that agree: its tables round Set14 x4 down to 26.00.
BICUBIC = {
    ("set5", 4): (28.43, 0.811),
    ("set14", 4): (26.09, 0.705),
    ("set5", 2): (33.68, 0.930),
    ("set14", 2): (30.33, 0.870),
}


@pytest.mark.parametrize(("dataset", "scale"), BICUBIC)
def test_bicubic_figures(dataset: str, scale: int, shared_data: Path, enhance: Callable):
    ran = enhance(
        "evaluate",
        "--dataset",
        dataset,
        f"-x{scale}",
        "--model",
        "bicubic",
        "--json",
        "--data-root",
        shared_data / "benchmarks",
    )
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    result = document["results"][0]
    assert result["model"] == "bicubic"
    assert (document["dataset"], document["protocol"]) == (dataset, "y-crop")
    assert len(result["images"]) == {"set5": 5, "set14": 14}[dataset]
    psnr, ssim = BICUBIC[dataset, scale]
    assert result["mean"]["psnr"] == pytest.approx(psnr, abs=0.006)
    assert result["mean"]["ssim"] == pytest.approx(ssim, abs=0.0006)


# Thesis 002, tables 6.1 and 6.2.
SQUARES = {
    ("set5", 64): (23.13, 0.6621),
    ("set14", 64): (23.43, 0.6385),
    ("set5", 256): (28.88, 0.8185),
    ("set14", 256): (26.09, 0.7261),
}


@pytest.mark.parametrize(("dataset", "side"), SQUARES)
def test_bicubic_figures_of_squares(
    dataset: str, side: int, shared_data: Path, enhance: Callable, tmp_path: Path
):
    """PSNR is the thesis's; its SSIM must have been computed with another window."""
    ran = enhance(
        *("evaluate", "--dataset", dataset, "--protocol", f"thesis-{side}", "--model", "bicubic"),
        *("--json", "--data-root", shared_data / "benchmarks"),
    )
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["protocol"] == f"thesis-{side}"
    psnr, ssim = SQUARES[dataset, side]
    mean = document["results"][0]["mean"]
    assert mean["psnr"] == pytest.approx(psnr, abs=0.04)
    assert mean["ssim"] == pytest.approx(ssim, abs=0.03)


def test_squares_and_a_model(tmp_path: Path, enhance: Callable, tiny_weights: dict):
    """Wide, small and grey pictures become squares; another scale is refused."""
    for index, (height, width, mode) in enumerate([(70, 200, "RGB"), (90, 40, "L")]):
        photo(tmp_path / "T91" / f"{index}.png", height, width, index, mode=mode)
    what = ["evaluate", "--dataset", "t91", "--protocol", "thesis-64", "--data-root", tmp_path]
    ran = enhance(*what, "--weights", tiny_weights[4], "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert [result["model"] for result in document["results"]] == ["bicubic", "tiny-x4"]
    assert "middle 64x64" in document["notes"][0]
    ran = enhance(*what, "--weights", tiny_weights[2])
    assert ran.code == 2
    assert "--protocol thesis-64: is of pictures enlarged 4 times, not 2" in ran.err
    ran = enhance(*what[:1], "--pred", tmp_path, "--gt", tmp_path, *what[3:5])
    assert ran.code == 2
    assert "--protocol thesis-64: makes small pictures of large ones" in ran.err


def test_a_model_beside_bicubic(tmp_path: Path, enhance: Callable, tiny_weights: dict):
    for index in range(2):
        photo(tmp_path / "Set5" / "HR" / f"{index}.png", 66, 50, index)
    ran = enhance(
        "evaluate",
        "--dataset",
        "set5",
        "--weights",
        tiny_weights[4],
        "--data-root",
        tmp_path,
        "--json",
        "--csv",
        tmp_path / "out.csv",
    )
    assert ran.code == 0, ran.err
    results = json.loads(ran.out)["results"]
    assert [result["model"] for result in results] == ["bicubic", "tiny-x4"]
    for result in results:
        numbers = [image["psnr"] for image in result["images"]]
        assert result["mean"]["psnr"] == pytest.approx(sum(numbers) / 2)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["0", "1", "mean"] * 2
    assert float(rows[2]["psnr"]) == results[0]["mean"]["psnr"]


def test_table_for_people(tmp_path: Path, enhance: Callable, tiny_weights: dict):
    photo(tmp_path / "Set5" / "HR" / "bird.png", 64, 64)
    ran = enhance(
        "evaluate", "--dataset", "set5", "--weights", tiny_weights[4], "--data-root", tmp_path
    )
    assert ran.code == 0
    for text in ("bird", "mean", "bicubic", "tiny-x4", "PSNR", "SSIM"):
        assert text in ran.out


def test_page(tmp_path: Path, enhance: Callable, tiny_weights: dict):
    photo(tmp_path / "Set5" / "HR" / "<bird>.png", 64, 64)
    page = tmp_path / "page.html"
    ran = enhance(
        "evaluate",
        "--dataset",
        "set5",
        "--weights",
        tiny_weights[4],
        "--data-root",
        tmp_path,
        "--metrics",
        "psnr,jsd",
        "--report",
        page,
    )
    assert ran.code == 0, ran.err
    for text in ("&lt;bird&gt;", "bicubic", "tiny-x4", "PSNR (dB)", "JSD", "set5 (y-crop)"):
        assert text in page.read_text()
    assert list(tmp_path.glob(".page*")) == []


def test_two_folders(tmp_path: Path, enhance: Callable):
    truth = photo(tmp_path / "gt" / "a.png", 40, 60)
    noisy = np.clip(
        truth.astype(int) + np.random.default_rng(1).integers(-9, 9, truth.shape), 0, 255
    ).astype(np.uint8)
    (tmp_path / "pred").mkdir()
    Image.fromarray(noisy).save(tmp_path / "pred" / "a_x4.png")
    ran = enhance(
        "evaluate",
        "--pred",
        tmp_path / "pred",
        "--gt",
        tmp_path / "gt",
        "--json",
        "--protocol",
        "rgb",
        "--metrics",
        "psnr,ssim,mae",
    )
    assert ran.code == 0, ran.err
    mean = json.loads(ran.out)["results"][0]["mean"]
    assert mean["psnr"] == pytest.approx(
        skimage.metrics.peak_signal_noise_ratio(truth, noisy), abs=1e-9
    )
    assert mean["ssim"] == pytest.approx(
        skimage.metrics.structural_similarity(
            truth,
            noisy,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        ),
        abs=1e-6,
    )
    assert mean["mae"] == pytest.approx(np.abs(truth.astype(int) - noisy).mean() / 255)


def test_border_is_the_scale_unless_given(tmp_path: Path, enhance: Callable):
    truth = photo(tmp_path / "gt" / "a.png", 40, 60)
    framed = truth.copy()
    framed[:4] = framed[-4:] = 0
    framed[:, :4] = framed[:, -4:] = 0
    (tmp_path / "pred").mkdir()
    Image.fromarray(framed).save(tmp_path / "pred" / "a.png")
    arguments = ["evaluate", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt", "--json"]

    def psnr(*more: object) -> float | None:
        return json.loads(enhance(*arguments, *more).out)["results"][0]["mean"]["psnr"]

    assert psnr() is None  # equal within the border: JSON knows no infinity
    assert psnr("-x2") is not None
    assert psnr("-x2", "--border", 4) is None


def test_grey_pictures(tmp_path: Path, enhance: Callable, tiny_weights: dict):
    photo(tmp_path / "Set5" / "HR" / "grey.png", 64, 48, mode="L")
    ran = enhance(
        "evaluate",
        "--dataset",
        "set5",
        "--weights",
        tiny_weights[4],
        "--data-root",
        tmp_path,
        "--json",
        "--protocol",
        "rgb",
    )
    assert ran.code == 0, ran.err


def test_several_checkpoints(
    sample_root: Path, tmp_path: Path, enhance: Callable, tiny_weights: dict
):
    """Each has its column; LPIPS takes a grey picture too."""
    (tmp_path / "nets").symlink_to(sample_root / "nets")
    photo(tmp_path / "Set5" / "HR" / "0.png", 72, 64, 0)
    with Image.open(tmp_path / "Set5" / "HR" / "0.png") as image:
        image.convert("L").save(tmp_path / "Set5" / "HR" / "1.png")
    again = shutil.copy(tiny_weights[4], tmp_path / "again.safetensors")
    weights = ["--weights", tiny_weights[4], "--weights", again]
    options = ["--dataset", "set5", "--metrics", "lpips,psnr", "--data-root", tmp_path, "--json"]
    ran = enhance("evaluate", *options, *weights)
    assert ran.code == 0, ran.err
    results = json.loads(ran.out)["results"]
    assert [result["model"] for result in results] == ["bicubic", "tiny-x4", "tiny-x4*"]
    assert results[1]["mean"] == results[2]["mean"] != results[0]["mean"]


def test_worn_pictures(tmp_path: Path, enhance: Callable):
    """Bicubic enlarges what wear_out has made, and the heading says so."""
    photo(tmp_path / "Set5" / "HR" / "a.png", 64, 48)
    with Image.open(tmp_path / "Set5" / "HR" / "a.png") as image:
        truth = to_planes(np.asarray(image))
    for kind in ("jpeg", "jpeg-90", "noise", "blur", "all"):
        worn = wear_out(kind, truth, 4, "a")
        assert worn.equal(wear_out(kind, truth, 4, "a"))
        assert not worn.equal(imresize(truth, 1 / 4))
        enlarged = imresize(worn.double(), 4).round().clamp(0, 255)
        wanted = score(enlarged / 255, truth.double() / 255, "rgb", 0, ["psnr"])["psnr"]
        ran = enhance(
            *("evaluate", "--dataset", "set5", "--model", "bicubic", "--protocol", "rgb"),
            *("--wear", kind, "--data-root", tmp_path, "--csv", tmp_path / f"{kind}.csv"),
        )
        assert ran.code == 0, ran.err
        assert f"worn by {kind}" in ran.out
        with (tmp_path / f"{kind}.csv").open() as file:
            assert float(next(csv.DictReader(file))["psnr"]) == pytest.approx(wanted, abs=1e-4)


def test_lpips_of_a_dataset(tmp_path: Path, enhance: Callable, shared_data: Path):
    """It is that of the pictures in two folders."""
    photo(tmp_path / "Set5" / "x4" / "a_HR.png", 64, 64)
    photo(tmp_path / "Set5" / "x4" / "a_LR.png", 16, 16)
    with Image.open(tmp_path / "Set5" / "x4" / "a_LR.png") as image:
        enlarged = imresize(to_planes(np.asarray(image)).double(), 4).round().clamp(0, 255)
    (tmp_path / "made").mkdir()
    pixels = enlarged.byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "made" / "a.png")
    (tmp_path / "true").mkdir()
    shutil.copy(tmp_path / "Set5" / "x4" / "a_HR.png", tmp_path / "true" / "a.png")
    (tmp_path / "nets").symlink_to(shared_data / "nets")
    means = []
    for what in (
        ("--dataset", "set5", "--model", "bicubic"),
        ("--pred", tmp_path / "made", "--gt", tmp_path / "true"),
    ):
        ran = enhance("evaluate", *what, "--metrics", "lpips", "--json", "--data-root", tmp_path)
        assert ran.code == 0, ran.err
        means.append(json.loads(ran.out)["results"][0]["mean"]["lpips"])
    assert means[0] == means[1] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "give --dataset NAME, or --pred DIR and --gt DIR"),
        (["--dataset", "set15"], 2, "unknown dataset 'set15' (did you mean"),
        (
            ["--dataset", "set5", "--protocol", "hsv"],
            2,
            "choose from rgb, thesis-256, thesis-64, y-crop",
        ),
        (["--dataset", "set5", "--metrics", "psnr,prd"], 2, "unknown metric 'prd'"),
        (["--dataset", "set5", "--wear", "rain"], 2, "unknown wear 'rain': choose from"),
        (["--dataset", "set5", "--model", "srgan"], 2, "unknown model 'srgan'"),
        (["--dataset", "set5", "--pred", "a", "--gt", "b"], 2, "not both"),
        (["--pred", "a", "--gt", "b"], 1, "a: no such folder"),
    ],
)
def test_wrong_options(arguments: list[str], code: int, text: str, enhance: Callable):
    ran = enhance("evaluate", *arguments)
    assert (ran.code, len(ran.err.splitlines())) == (code, 1), ran.err
    assert text in ran.err


def test_absent_dataset_says_what_to_put_where(tmp_path: Path, enhance: Callable):
    ran = enhance("evaluate", "--dataset", "set14", "--data-root", tmp_path)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert f"not in {tmp_path}: put Set14/x4/NAME_HR.png and NAME_LR.png there" in ran.err


def test_datasets_are_found_by_environment(
    tmp_path: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ENHANCE_DATA", str(tmp_path))
    photo(tmp_path / "Set5" / "image_SRF_4" / "baby_HR.png", 32, 32)
    photo(tmp_path / "Set5" / "image_SRF_4" / "baby_LR.png", 8, 8)
    ran = enhance("evaluate", "--dataset", "set5", "--model", "bicubic", "--json")
    assert ran.code == 0, ran.err
    assert [image["name"] for image in json.loads(ran.out)["results"][0]["images"]] == ["baby"]


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"a_HR.png": (32, 32)}, "its LR picture a_LR.png is missing"),
        ({"a_HR.png": (32, 32), "a_LR.png": (12, 8)}, "is not 1/4 of its reference"),
        ({"a_HR.png": (8, 8), "a_LR.png": (2, 2)}, "a: "),
    ],
)
def test_bad_datasets(files: dict, text: str, tmp_path: Path, enhance: Callable):
    folder = tmp_path / "Set5" / "x4"
    folder.mkdir(parents=True)
    for name, (height, width) in files.items():
        Image.new("RGB", (width, height)).save(folder / name)
    ran = enhance("evaluate", "--dataset", "set5", "--model", "bicubic", "--data-root", tmp_path)
    assert ran.code == 1
    assert text in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("pred", "gt", "text"),
    [
        ([], ["a.png"], "no picture of this name"),
        (["a.png"], [], "no pictures in this folder"),
    ],
)
def test_folders_that_do_not_match(
    pred: list[str], gt: list[str], text: str, tmp_path: Path, enhance: Callable
):
    for folder, names in (("pred", pred), ("gt", gt)):
        (tmp_path / folder).mkdir()
        for name in names:
            photo(tmp_path / folder / name, 32, 32)
    ran = enhance("evaluate", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt")
    assert ran.code == 1
    assert text in ran.err


def test_folders_of_different_sizes(tmp_path: Path, enhance: Callable):
    photo(tmp_path / "pred" / "a.png", 32, 32)
    photo(tmp_path / "gt" / "a.png", 32, 40)
    ran = enhance("evaluate", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt")
    assert ran.code == 1
    assert "sizes differ: 32x32 against 40x32" in ran.err


def test_pictures_that_differ_by_their_ending_are_paired_by_full_name(
    tmp_path: Path, enhance: Callable
):
    for seed, name in enumerate(("s_x1.png", "s_x2.png")):
        photo(tmp_path / "gt" / name, 40, 40, seed)
        photo(tmp_path / "pred" / name, 40, 40, seed)
    arguments = ["evaluate", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt", "--json"]
    ran = enhance(*arguments)
    images = json.loads(ran.out)["results"][0]["images"]
    assert [(image["name"], image["psnr"]) for image in images] == [("s_x1", None), ("s_x2", None)]
    (tmp_path / "gt" / "s_x1.png").rename(tmp_path / "gt" / "s.png")
    ran = enhance(*arguments)
    assert ran.code == 1
    assert "which picture belongs to which is unclear" in ran.err


def test_nothing_to_measure(tmp_path: Path, enhance: Callable):
    for folder in ("gt", "pred"):
        photo(tmp_path / folder / "a.png", 20, 20)
    arguments = ["evaluate", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt"]
    assert "nothing is left" in enhance(*arguments, "--border", 10, "--metrics", "psnr").err
    assert "names none" in enhance(*arguments, "--metrics", "").err
