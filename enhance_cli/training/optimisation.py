"""How a stage descends: its steps, its learning rates, and which of its weights are kept."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from enhance_cli.defaults import MOST_SEED

Schedule = Literal["cosine", "one-cycle", "constant", "milestone"]
Keep = Literal["best", "last"]


@dataclass(frozen=True)
class Optimisation:
    """Optimiser, schedule of the learning rate, and averaging of the weights of one stage.

    Attributes:
        steps: Number of steps of the stage.
        horizon: Length in steps of the schedule where that is longer than the stage, which then
            ends on the way; 0 makes the schedule as long as the stage.
        learning_rate: The highest learning rate of the schedule.
        schedule: ``cosine`` is a linear warm-up, then half a cosine down to zero. ``one-cycle``
            is half a cosine up over the first 30% of the steps, then half a cosine down to zero.
            ``constant`` stays at the highest rate after the warm-up. ``milestone`` is constant
            too, until the rate is multiplied by ``drop`` (thesis 000, ch. 6.1.6).
        warmup: Share of the steps that the linear warm-up takes.
        milestone: Share of the steps after which the schedule ``milestone`` lowers the rate.
        drop: Factor by which it does.
        betas: Decays of Adam's two moments.
        clip: Gradients whose norm is larger are scaled down to it.
        skip: Where it is not 0, a step whose gradient has a larger norm, or none that is finite,
            changes nothing (Child 2020, sec. 3.2).
        ema: Decay of the exponential running average of the weights, which is what is validated
            and kept. At the start it is shortened to ``(1 + step) / (10 + step)``; 0 keeps the
            weights themselves.
        last_epochs: Where it is not 0, the mean of the weights at the ends of so many last epochs
            takes the place of the running average, which must be 0 then.
        epoch: Number of steps of an epoch, for ``last_epochs``.
        validate_every: Number of steps between two validations; the last step has one as well.
        keep: Whether the stage's result is the average with the ``best`` validation score, or
            the ``last`` one.
        seed: Seed of the first weights and of the batches.
    """

    steps: int = 20_000
    horizon: int = 0
    learning_rate: float = 4e-4
    schedule: Schedule = "cosine"
    warmup: float = 0.04
    milestone: float = 0.5
    drop: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 0.5
    skip: float = 0.0
    ema: float = 0.999
    last_epochs: int = 0
    epoch: int = 1
    validate_every: int = 1000
    keep: Keep = "best"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "validate_every", "epoch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, choices in (("schedule", Schedule), ("keep", Keep)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} {getattr(self, name)!r}: choose from {get_args(choices)}")
        if self.horizon != 0 and self.horizon < self.steps:
            raise ValueError(
                f"horizon ({self.horizon}) must be 0 or at least steps ({self.steps}): set both"
            )
        if not 0 <= self.seed <= MOST_SEED:
            raise ValueError(f"seed must be from 0 to {MOST_SEED}, not {self.seed}")
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be 0 or more, not {self.learning_rate}")
        if not (0 <= self.ema < 1 and self.clip > 0 and 0 <= self.warmup < 1):
            raise ValueError("ema and warmup must be from 0 to below 1, and clip above 0")
        if not 0 <= self.skip < math.inf:
            raise ValueError(f"skip must be 0 or more, not {self.skip}")
        if not (0 <= self.milestone <= 1 and 0 <= self.drop <= 1):
            raise ValueError("milestone and drop must be from 0 to 1")
        if self.last_epochs < 0 or (self.last_epochs and self.ema):
            raise ValueError("last_epochs must be 0 or more, and ema 0 where it is more")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers from 0 to 1, not {self.betas}")

    def rate(self, step: int) -> float:
        """The learning rate of a step counted from 0."""
        steps = self.horizon or self.steps
        done = step / steps
        if self.schedule == "one-cycle":
            rise = 0.3
            part = done / rise if done < rise else 1 + (done - rise) / (1 - rise)
            return self.learning_rate * (0.5 - 0.5 * math.cos(math.pi * part))
        if done < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup * steps + 1)
        if self.schedule == "milestone" and done >= self.milestone:
            return self.learning_rate * self.drop
        if self.schedule != "cosine":
            return self.learning_rate
        part = (done - self.warmup) / (1 - self.warmup)
        return self.learning_rate * (0.5 + 0.5 * math.cos(math.pi * part))

    def average_share(self, step: int) -> float:
        """The share that the weights have in the average after a step counted from 1.

        With ``last_epochs`` the average follows the weights until the first of the epochs that
        count has ended; from then on it is the mean over the ends of these epochs so far.
        """
        if not self.last_epochs:
            return 1 - min(self.ema, (1 + step) / (10 + step))
        counted = min(self.last_epochs, (self.steps - 1) // self.epoch + 1)
        first = self.steps - (counted - 1) * self.epoch
        if step <= first:
            return 1.0
        ended, within = divmod(step - first, self.epoch)
        return 0.0 if within else 1 / (ended + 1)


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step, the same in every process and after every resumption."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 7919 + 17)
