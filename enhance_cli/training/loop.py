"""The training loop: one for every network, on a CPU, a GPU or several.

A run is a pure function of recipe, data and seed: step ``n`` draws its batch from a generator
seeded with ``(seed, n)``, so a resumed run repeats no batch and skips none. With several
processes (``torchrun``) each takes its share of the same batch and gradients are averaged.
"""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, get_args

import torch
import torch.distributed
from torch import Tensor, nn

from enhance_cli.errors import EnhanceError
from enhance_cli.training.resume import Curve, RunState, check_folder

Schedule = Literal["cosine", "one-cycle", "constant"]


@dataclass(frozen=True)
class Optimisation:
    """How to descend; part of every recipe.

    Attributes:
        steps: length of the whole schedule.
        learning_rate: its peak.
        schedule: ``cosine`` (linear warm-up, then half a cosine to zero), ``one-cycle`` (half a
            cosine up over 30%, then down to zero) or ``constant`` (after the warm-up).
        warmup: share of the steps spent in the linear warm-up.
        betas: Adam's moment decays.
        clip: largest gradient norm.
        ema: decay of the running average of the parameters, which is what is kept; shortened
            at the start to ``(1 + step) / (10 + step)``.
        validate_every: steps between validations.
        seed: of initialisation and batches.
    """

    steps: int = 20_000
    learning_rate: float = 4e-4
    schedule: Schedule = "cosine"
    warmup: float = 0.04
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 0.5
    ema: float = 0.999
    validate_every: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule {self.schedule!r}: choose from {get_args(Schedule)}")
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be 0 or more, not {self.learning_rate}")
        if not (0 <= self.ema < 1 and self.clip > 0 and 0 <= self.warmup < 1):
            raise ValueError("ema and warmup must be from 0 to below 1, and clip above 0")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers from 0 to 1, not {self.betas}")

    def rate(self, step: int) -> float:
        """Learning rate of a step counted from 0."""
        done = step / self.steps
        if self.schedule == "one-cycle":
            rise = 0.3
            part = done / rise if done < rise else 1 + (done - rise) / (1 - rise)
            return self.learning_rate * (0.5 - 0.5 * math.cos(math.pi * part))
        if done < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup * self.steps + 1)
        if self.schedule == "constant":
            return self.learning_rate
        part = (done - self.warmup) / (1 - self.warmup)
        return self.learning_rate * (0.5 + 0.5 * math.cos(math.pi * part))


class Recipe(Protocol):
    """A system that can be trained; a frozen dataclass, one entry of ``RECIPES``."""

    @property
    def name(self) -> str:
        """Of the recipe and of the model that it makes."""

    @property
    def summary(self) -> str:
        """One line for ``enhance train --list``."""

    @property
    def optimisation(self) -> Optimisation:
        """Schedule and optimiser."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What ``--set`` must not change: with another value it would be another model."""

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "Experiment":
        """Read the data and make the network.

        Args:
            data: file or folder to train on.
            validation: file or folder to validate on; None holds some of ``data`` out.
            device: where pixels and network live.
            init: tensors to start from; those whose name and shape fit are taken.
        """


class Experiment(Protocol):
    """What a recipe makes from its data: a network, its loss and its validation.

    Attributes:
        network: what is trained, on its device.
        data: what it is trained on, in a few words; part of the run's fingerprint.
        unit: of the validation score.
    """

    network: nn.Module
    data: str
    unit: str

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """Mean loss of this process's share of the step's batch."""

    def validate(self, network: nn.Module) -> float:
        """A score where higher is better, on data that is never trained on."""

    def save(self, path: Path, tensors: dict[str, Tensor], step: int, score: float) -> None:
        """Write a checkpoint that the enhancing commands can load."""


@dataclass(frozen=True)
class Report:
    """State of a run, given to the progress callback.

    Attributes:
        step: steps done.
        steps: of the whole schedule.
        loss: of this step, the mean over the processes.
        learning_rate: of this step.
        steps_per_second: since this part of the run began.
        validation: score of this step, where there was a validation.
        best: highest score so far.
        interrupted: whether the user ended the run here.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    steps_per_second: float
    validation: float | None
    best: float
    interrupted: bool = False


class _Processes:
    """The processes of one run; alone unless started by ``torchrun``."""

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.count > 1 and not torch.distributed.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            torch.distributed.init_process_group(backend)

    @property
    def share(self) -> slice:
        """This process's items of a batch."""
        return slice(self.rank, None, self.count)

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in one message."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, flag: bool, device: torch.device) -> bool:
        """True where any process says so, so that all stop at the same step."""
        if self.count == 1:
            return flag
        vote = torch.tensor(float(flag), device=device)
        torch.distributed.all_reduce(vote)
        return bool(vote > 0)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM into a question that the loop asks between steps."""
    asked = False

    def ask(_signal: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        restore()  # a second one ends the program at once

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield lambda: asked
    finally:
        restore()


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step; any process can make them."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 7919 + 17)


def train(
    experiment: Experiment,
    plan: Optimisation,
    out: Path,
    name: str,
    *,
    fingerprint: str,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    resume: bool = False,
    seconds: float = math.inf,
    save_every_seconds: float = 60.0,
    report_every_seconds: float = 0.25,
    report: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Run or continue an experiment until its last step, its time or Ctrl-C.

    Writes into ``out``: ``{name}.safetensors`` (the average with the best validation score),
    ``last.safetensors`` (the newest average), ``state.safetensors`` (for resuming) and
    ``curve.csv``.

    Args:
        experiment: network (already on ``device``), loss and validation.
        plan: schedule and optimiser.
        out: folder of the run.
        name: the model's name.
        fingerprint: text of recipe and settings; a state with another one is refused.
        device: where to compute.
        dtype: float32, or the reduced precision of autocast.
        resume: continue from ``out/state.safetensors``.
        seconds: stop, resumably, after so long.
        save_every_seconds: age at which the state is saved again.
        report_every_seconds: least time between two reports, validations apart.
        report: called with the state of the run.

    Returns:
        The last report; ``step < steps`` if the run was cut short.

    Raises:
        CheckpointError: if there is nothing to resume from, or it is of other settings.
        OutputError: if a run lies in ``out`` already and is not to be resumed.
        EnhanceError: if the loss stops being finite.
    """
    check_folder(out, resume)
    processes = _Processes(device)
    network = experiment.network
    parameters = [p for p in network.parameters() if p.requires_grad]
    state = RunState(
        network=network,
        optimiser=torch.optim.Adam(parameters, lr=plan.learning_rate, betas=plan.betas),
        average={k: v.detach().clone() for k, v in network.state_dict().items()},
    )
    state_path = out / "state.safetensors"
    if resume:
        state.restore(state_path, fingerprint)
    curve = Curve(out / "curve.csv", state.step) if processes.rank == 0 else None
    before, start = state.seconds, time.monotonic()
    first_step, saved, reported = state.step, start, -math.inf
    latest = Report(state.step, plan.steps, math.nan, 0.0, 0.0, None, state.best)

    with _interruptible() as interrupted, closing(curve) if curve else nullcontext():
        while state.step < plan.steps:
            rate = plan.rate(state.step)
            loss = _descend(experiment, plan, state, parameters, processes, device, dtype, rate)
            state.losses.append(loss)
            now = time.monotonic()
            state.seconds = before + now - start
            stop = processes.agree(interrupted() or now - start > seconds, device)
            ended = state.step == plan.steps
            score: float | None = None
            if ended or state.step % plan.validate_every == 0:
                score = _validate(experiment, plan, state, processes, out, name)
            if stop or score is not None:
                mean = float(torch.stack(state.losses).mean())
                if not math.isfinite(mean):
                    raise EnhanceError(
                        f"{name}: the loss is {mean} at step {state.step}, lower the learning "
                        "rate (--set learning_rate=...) or use --precision fp32"
                    )
            if score is not None:
                state.losses.clear()
                if curve:
                    curve.add(
                        state.step,
                        f"{state.seconds:.1f}",
                        f"{rate:.3e}",
                        f"{mean:.6g}",
                        f"{score:.4f}",
                    )
            due = ended or stop or time.monotonic() - saved > save_every_seconds
            # Reading the loss waits for the GPU, so it is not done at every step.
            if due or score is not None or time.monotonic() - reported > report_every_seconds:
                latest = Report(
                    state.step,
                    plan.steps,
                    float(loss),
                    rate,
                    (state.step - first_step) / (time.monotonic() - start),
                    score,
                    state.best,
                )
                report(latest)
                reported = time.monotonic()
            if due and processes.rank == 0 and math.isfinite(latest.loss):
                state.save(state_path, fingerprint)
                experiment.save(
                    out / "last.safetensors",
                    state.average,
                    state.step,
                    math.nan if score is None else score,
                )
                saved = time.monotonic()
            if stop:
                latest = replace(latest, interrupted=interrupted())
                break
    return latest


def _descend(
    experiment: Experiment,
    plan: Optimisation,
    state: RunState,
    parameters: list[nn.Parameter],
    processes: _Processes,
    device: torch.device,
    dtype: torch.dtype,
    rate: float,
) -> Tensor:
    """One step of Adam and of the average; returns the detached loss."""
    state.network.train()
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.optimiser.zero_grad(set_to_none=True)
    generator = step_generator(plan.seed, state.step)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        loss = experiment.loss(state.step, generator, processes.share)
    loss.backward()  # type: ignore[no-untyped-call]
    loss = loss.detach()
    processes.average([p.grad for p in parameters if p.grad is not None] + [loss])
    nn.utils.clip_grad_norm_(parameters, plan.clip)
    state.optimiser.step()
    state.step += 1
    decay = min(plan.ema, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for key, value in state.network.state_dict().items():
            if value.is_floating_point():
                state.average[key].lerp_(value, 1 - decay)
            else:
                state.average[key].copy_(value)
    return loss


def _validate(
    experiment: Experiment,
    plan: Optimisation,
    state: RunState,
    processes: _Processes,
    out: Path,
    name: str,
) -> float:
    """Score the average on every process alike; the first keeps it if it is the best."""
    live = {k: v.detach().clone() for k, v in state.network.state_dict().items()}
    state.network.load_state_dict(state.average)
    state.network.eval()
    with torch.no_grad():
        score = experiment.validate(state.network)
    state.network.load_state_dict(live)
    if score > state.best:
        state.best = score
        if processes.rank == 0:
            experiment.save(out / f"{name}.safetensors", state.average, state.step, score)
    return score
