"""Train GANs with a lens and without one, over several seeds, and draw what came of each.

    python examples/tempered_study.py runs/tempered --mnist mnist.npz --faces faces64.npz
    python examples/tempered_study.py runs/tempered --draw curves.png     # of the runs there are

The experiments are those of dissertation 003, figures 4.5 to 4.9, with WGAN-GP on colour MNIST. A
run that is there is not done again, and one that was stopped goes on. Prints a Markdown table of
how they ended, those that failed too.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot

mpl.use("Agg")

COLOURS = {"lens": "C0", "none": "C1", "fixed": "C2"}
LABELS = {"lens": "with a lens", "none": "without", "fixed": "lens, lambda fixed at 1"}


@dataclass(frozen=True)
class Experiment:
    """One objective on one set of pictures.

    Attributes:
        title: For people.
        family: First part of the recipes' names, before ``-tempered`` and ``-gan``.
        settings: As of ``--set``.
        steps: How long each run is; the lens may change pictures for half of them.
        arms: Which of ``LABELS`` are run.
    """

    title: str
    family: str
    settings: tuple[str, ...] = ()
    steps: int = 2000
    arms: tuple[str, ...] = ("lens", "none")


EXPERIMENTS = {
    "mnist-dcgan": Experiment("DCGAN, MNIST", "mnist", arms=("lens", "none", "fixed")),
    "colour-dcgan": Experiment(
        "DCGAN, colour MNIST", "digits", ("objective=gan", "updates=1", "normalised=true")
    ),
    # LSGAN and WGAN-GP have no batch normalisation (ch. 4.2.4).
    "mnist-lsgan": Experiment("LSGAN, MNIST", "mnist", ("objective=lsgan", "normalised=false")),
    "colour-lsgan": Experiment("LSGAN, colour MNIST", "digits", ("objective=lsgan", "updates=1")),
    "faces-lsgan": Experiment("LSGAN, faces", "faces"),
    "colour-wgan-gp": Experiment("WGAN-GP, colour MNIST", "digits", steps=1000),
}


@dataclass(frozen=True)
class Run:
    """One training: an experiment, one of its arms, and a seed."""

    name: str
    arm: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where its files are."""
        return out / f"{self.name}-{self.arm}-{self.seed}"

    def command(self, out: Path, data: Path) -> list[str]:
        """What trains it, as ``examples/lens_over_time.py`` does."""
        experiment = EXPERIMENTS[self.name]
        recipe = experiment.family + ("-gan" if self.arm == "none" else "-tempered")
        settings = [
            *experiment.settings,
            f"seed={self.seed}",
            f"steps={experiment.steps}",
            f"lens_steps={experiment.steps // 2}",
        ]
        if self.arm == "fixed":
            settings.append("lens_weight=fixed")
        script = Path(__file__).with_name("lens_over_time.py")
        given = [part for setting in settings for part in ("--set", setting)]
        return [sys.executable, str(script), recipe, str(data), "-o", str(self.folder(out)), *given]

    def read(self, out: Path) -> list[dict[str, float]]:
        """What each validation measured; nothing if there was none."""
        table = self.folder(out) / "figures.csv"
        if not table.exists():
            return []
        with table.open(encoding="utf-8") as file:
            rows = csv.DictReader(file)
            return [{key: float(value) for key, value in row.items()} for row in rows]


def runs(seeds: int) -> Iterator[Run]:
    """All of them, first those of the first seed."""
    for seed in range(seeds):
        for name, experiment in EXPERIMENTS.items():
            yield from (Run(name, arm, seed) for arm in experiment.arms)


def draw(out: Path, seeds: int, picture: Path) -> None:
    """Curves of the Frechet distance, a panel for each experiment and a line for each run."""
    figure, panels = pyplot.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for (name, experiment), axes in zip(EXPERIMENTS.items(), panels.flat, strict=True):
        for arm in experiment.arms:
            for seed in range(seeds):
                rows = Run(name, arm, seed).read(out)
                axes.plot(
                    [250 * (index + 1) for index in range(len(rows))],
                    [row["frechet"] for row in rows],
                    color=COLOURS[arm],
                    label=LABELS[arm] if seed == 0 else None,
                    linewidth=1.2,
                )
        axes.set(title=experiment.title, yscale="log", xlabel="step")
        axes.legend(fontsize=8)
    figure.supylabel("Frechet distance")
    figure.savefig(picture, dpi=80)


def tabulate(out: Path, seeds: int) -> str:
    """A row for each arm: the last distance, and modes in brackets, of each seed."""
    titles = " | ".join(f"seed {seed}" for seed in range(seeds))
    lines = [f"| experiment | lens | {titles} |", f"| --- | --- |{' --- |' * seeds}"]
    for name, experiment in EXPERIMENTS.items():
        for arm in experiment.arms:
            cells = [experiment.title, LABELS[arm]]
            for seed in range(seeds):
                rows = Run(name, arm, seed).read(out)
                last = rows[-1] if rows else {}
                modes = f" ({last['modes']:.0f})" if "modes" in last else ""
                distance = last.get("frechet", 0.0)
                shown = f"{distance:,.0f}" if distance >= 10 else f"{distance:.2f}"
                cells.append(f"{shown}{modes}" if rows else "")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Train what is missing, then draw and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--mnist", type=Path, help="mnist.npz: trains the runs with digits")
    parser.add_argument("--faces", type=Path, help="faces of 64x64: trains the runs with them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draw", type=Path, help="picture of the curves")
    asked = parser.parse_args()
    for run in runs(asked.seeds):
        experiment = EXPERIMENTS[run.name]
        data = asked.faces if experiment.family == "faces" else asked.mnist
        if data and len(run.read(asked.out)) < experiment.steps // 250:
            # A run that fails is told by its own message, and the others go on.
            subprocess.run(run.command(asked.out, data), check=False)  # noqa: S603
    if asked.draw:
        draw(asked.out, asked.seeds, asked.draw)
    sys.stdout.write(tabulate(asked.out, asked.seeds) + "\n")


if __name__ == "__main__":
    main()
