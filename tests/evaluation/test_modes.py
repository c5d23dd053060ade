"""``enhance evaluate --study modes``: what the measures of samples see."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from made_samples import (
    SCORES,
    document,
    write_digits,
)


def test_modes_of_tiny_digits(score: Callable, tmp_path: Path, sample_root: Path):
    write_digits(tmp_path / "more" / "mnist.npz", test=50, train=250)
    (tmp_path / "more" / "nets").symlink_to(sample_root / "nets")
    options = ("--dataset", "mnist", "--study", "modes", "--data-root", tmp_path / "more")
    found = document(score(*options, "--json"))
    assert (found["study"], found["count"]) == ("modes", 25)
    assert [result["classes"] for result in found["results"]] == list(range(1, 11))
    assert set(found["results"][0]) == {"classes"} | SCORES - {"high_frequencies"}
    ran = score(
        *options, "--count", 20, "--csv", tmp_path / "m.csv", "--report", tmp_path / "m.html"
    )
    assert ran.code == 0, ran.err
    assert "F1/8 (precision)" in ran.out
    with (tmp_path / "m.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 10
    assert (tmp_path / "m.html").read_text().count("<figure>") == 3


def test_modes_need_labels_and_pictures(score: Callable, tmp_path: Path):
    ran = score("--dataset", "faces", "--study", "modes")
    assert ran.code == 2 and "add --dataset mnist" in ran.err
    ran = score("--study", "modes")
    assert ran.code == 2 and "add --dataset mnist" in ran.err
    ran = score("--dataset", "mnist", "--study", "modes")
    assert ran.code == 1 and "precision and recall need at least 20" in ran.err


@pytest.mark.slow
def test_modes_of_mnist(score: Callable, shared_data: Path):
    """What fig. 5.5 and 5.12 show: the distance cannot tell dropped from added classes."""
    found = document(
        score(
            "--dataset",
            "mnist",
            "--study",
            "modes",
            "--count",
            500,
            "--json",
            "--data-root",
            shared_data,
        )
    )
    recall = {result["classes"]: result["f8"] for result in found["results"]}
    precision = {result["classes"]: result["f1_8"] for result in found["results"]}
    distance = {result["classes"]: result["frechet"] for result in found["results"]}
    assert all(recall[i] < recall[i + 1] for i in range(1, 5))
    assert recall[1] < 0.5 and min(recall[i] for i in range(5, 11)) > 0.95
    assert min(precision[i] for i in range(2, 6)) > 0.9
    assert precision[10] < precision[7] < precision[5] - 0.04
    assert precision[10] < 0.92
    # Q4 and Q6: of one distance, and on opposite sides of the diagonal.
    assert min(distance, key=distance.__getitem__) == 5
    assert 0.5 < distance[4] / distance[6] < 2
    assert recall[4] < precision[4] - 0.02 and precision[6] < recall[6] - 0.01
