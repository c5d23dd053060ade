"""The training loop: one for every network, on a CPU, a GPU or several.

A run is a pure function of settings, data and seed: step ``n`` draws its batch from a generator
seeded with ``(seed, n)``, so a resumed run repeats no batch and skips none. With several
processes (``torchrun``) each takes its share of the same batch and gradients are averaged.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.engine.checkpoint import save_checkpoint
from enhance_cli.errors import EnhanceError
from enhance_cli.training.optimisation import step_generator
from enhance_cli.training.processes import Processes, interruptible
from enhance_cli.training.resume import (
    LAST_FILE,
    STATE_FILE,
    Learner,
    RunState,
    TrainingLog,
    check_folder,
)
from enhance_cli.training.stages import TrainingTask


@dataclass(frozen=True)
class Report:
    """The state of a run, for whoever shows its progress.

    Attributes:
        step: Steps done.
        steps: Steps of the whole stage.
        loss: Loss of this step, the mean over the processes.
        learning_rate: Learning rate of this step.
        steps_per_second: Speed since this part of the run began.
        validation: Score of this step, where there was a validation.
        best: Highest score so far.
        signal: Number of the signal by which the user ended the run here; 0 if none did.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    steps_per_second: float
    validation: float | None
    best: float
    signal: int = 0


@dataclass(frozen=True)
class _Run:
    """What the steps of a run share: its task, where it computes and where it writes.

    Attributes:
        saved: The checkpoints written so far, and the steps that they have behind them.
    """

    task: TrainingTask
    out: Path
    name: str
    notes: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype
    processes: Processes
    saved: dict[str, int] = field(default_factory=dict)

    def autocast(self) -> torch.autocast:
        """The context in which losses are computed, in the run's precision."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def save(
        self, file: str, tensors: Mapping[str, Tensor], step: int, score: float | None
    ) -> None:
        """Write a checkpoint of some values of the network that the other commands can load."""
        self.saved[file] = step
        if self.processes.rank != 0:
            return
        task = self.task
        score = score if score is not None and math.isfinite(score) else None
        # The model may be a part of what is trained: its tensors without the part's name.
        prefix = next(
            f"{name}." if name else ""
            for name, module in task.network.named_modules()
            if module is task.model
        )
        save_checkpoint(
            self.out / file,
            task.model,
            ARCHITECTURES[task.stage.architecture],
            self.name,
            tensors={k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)},
            training={
                "recipe": {"name": self.name, **task.stage.settings()},
                "data": task.data,
                "step": step,
                **self.notes,
                **task.notes(step, score),
            },
        )


def train(
    task: TrainingTask,
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
    notes: Mapping[str, Any] | None = None,
) -> Report:
    """Run or continue a task until its last step, its time or Ctrl-C.

    Writes into ``out``: ``{name}.safetensors`` (the average that the stage keeps),
    ``last.safetensors`` (the newest average), ``state.safetensors`` (what resuming needs) and
    ``curve.csv`` (the losses and scores).

    Args:
        task: Network (already on ``device``), loss and validation.
        out: Folder of the run.
        name: Name of the model.
        fingerprint: Text of all settings; a state with another one is refused.
        device: Where to compute.
        dtype: float32, or the reduced precision of autocast.
        resume: Whether to continue from ``out/state.safetensors``.
        seconds: Time after which to stop, resumably; at least one step is made.
        save_every_seconds: Age at which the state is saved again.
        report_every_seconds: Shortest time between two reports that tell of no validation.
        report: Called with the state of the run.
        notes: Further entries for the checkpoints' description of their training.

    Returns:
        The last report; its ``step`` is below ``steps`` if the run was cut short.

    Raises:
        CheckpointError: If there is nothing to resume from, or it is of other settings.
        OutputError: If a run lies in ``out`` already and is not to be resumed.
        UsageError: If the batch cannot be shared evenly among the processes.
        EnhanceError: If the loss stops being finite.
    """
    check_folder(out, resume)
    plan, network, rival = task.stage.optimisation, task.network, task.adversary
    run = _Run(task, out, name, notes or {}, device, dtype, Processes(device))
    run.processes.check_batch(task.stage.batch)
    state = RunState(
        network=network,
        optimiser=_make_optimiser(task, network),
        average={k: v.detach().clone() for k, v in network.state_dict().items()},
        adversary=None if rival is None else Learner(rival, _make_optimiser(task, rival)),
    )
    if resume:
        state.restore(out / STATE_FILE, fingerprint)
        run.saved[LAST_FILE] = state.step
    main = run.processes.rank == 0
    log = TrainingLog(out / "curve.csv", state.step, task.columns) if main else None
    before, start = state.seconds, time.monotonic()
    first_step, saved, reported = state.step, start, -math.inf
    latest = Report(state.step, plan.steps, math.nan, 0.0, 0.0, None, state.best)
    stop = False

    with interruptible() as signalled, closing(log) if log else nullcontext():
        while state.step < plan.steps and not stop:
            rate = plan.rate(state.step)
            loss = _descend(run, state, rate)
            now = time.monotonic()
            state.seconds = before + now - start
            stop = run.processes.agree(bool(signalled()) or now - start > seconds, device)
            ended = state.step == plan.steps
            due = ended or stop or time.monotonic() - saved > save_every_seconds
            judged = ended or state.step % plan.validate_every == 0
            # Reading the loss waits for a GPU, so there it is not done at every step.
            if due or judged or device.type == "cpu":
                _check_losses(run, state)
            score, kept = None, state.average
            if judged:
                mean = float(torch.stack(state.losses).mean())
                score, kept = _validate(run, state)
                state.losses.clear()
                if log:
                    figures = task.notes(state.step, score)
                    more = [figures[name] for name in task.columns]
                    log.add(state.step, state.seconds, rate, mean, score, more)
            if due or judged or time.monotonic() - reported > report_every_seconds:
                speed = (state.step - first_step) / (time.monotonic() - start)
                latest = Report(state.step, plan.steps, float(loss), rate, speed, score, state.best)
                report(latest)
                reported = time.monotonic()
            if due:
                if main:
                    state.save(out / STATE_FILE, fingerprint)
                run.save(LAST_FILE, kept, state.step, score)
                saved = time.monotonic()
        latest = replace(latest, signal=signalled())
    run.processes.wait()
    return latest


def _check_losses(run: _Run, state: RunState) -> None:
    """See that all losses since the last row of the log are numbers, before anything is saved.

    Raises:
        EnhanceError: If one is not, or one of its gradients; it says what has been kept.
    """
    total = float(torch.stack(state.losses).sum())
    if math.isfinite(total):
        return
    kept = "no checkpoint had been written yet"
    if run.saved:
        file = max(run.saved, key=lambda name: run.saved[name])
        kept = f"{run.out / file} is kept, of step {run.saved[file]}"
    or_exact = "" if run.dtype == torch.float32 else " or use --precision fp32"
    raise EnhanceError(
        f"{run.name}: the loss is {total} at step {state.step}; {kept}: lower the learning "
        f"rate (--set learning_rate=...){or_exact}"
    )


def _make_optimiser(task: TrainingTask, network: nn.Module) -> torch.optim.Optimizer:
    return task.make_optimiser([p for p in network.parameters() if p.requires_grad])


def _descend(run: _Run, state: RunState, rate: float) -> Tensor:
    """Make one step of all optimisers and of the average; returns the detached loss."""
    plan, rival, part = run.task.stage.optimisation, state.adversary, run.processes.share
    state.network.train()
    generator = step_generator(plan.seed, state.step)
    others: list[Tensor] = []
    updates = iter(run.task.earlier_updates(state.step, generator, part))
    while True:
        with run.autocast():
            earlier = next(updates, None)
        if earlier is None:
            break
        assert rival is not None
        others.append(_apply(run, rival.optimiser, earlier, rate))
    with run.autocast():
        loss, adversary_loss = run.task.losses(state.step, generator, part)
    loss = _apply(run, state.optimiser, loss, rate)
    if rival is not None:
        if adversary_loss is not None:
            others.append(_apply(run, rival.optimiser, adversary_loss, rate))
        run.processes.average(list(rival.network.buffers()))
    if others:
        # What has spoilt the adversary counts as a loss that is no number, too.
        loss = loss.where(torch.stack(others).isfinite().all(), math.nan)
    state.step += 1
    state.losses.append(loss)
    share = plan.average_share(state.step)
    with torch.no_grad():
        for key, value in state.network.state_dict().items() if share else ():
            if value.is_floating_point():
                state.average[key].lerp_(value, share)
            else:
                state.average[key].copy_(value)
    return loss


def _apply(run: _Run, optimiser: torch.optim.Optimizer, loss: Tensor, rate: float) -> Tensor:
    """Descend a loss once; returns it detached, as the mean over the processes.

    It is returned as NaN if a gradient is not finite, which spoils the weights.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    loss = loss.detach()
    run.processes.average([p.grad for p in parameters if p.grad is not None] + [loss])
    plan = run.task.stage.optimisation
    norm = nn.utils.clip_grad_norm_(parameters, plan.clip)
    if not plan.skip or norm <= plan.skip:
        optimiser.step()
    return loss if plan.skip else loss.where(norm.isfinite(), math.nan)


def _validate(run: _Run, state: RunState) -> tuple[float, dict[str, Tensor]]:
    """Score the average, in every process alike, and keep it if it is the stage's result so far.

    Returns:
        The score, and the tensors that were scored, with what validation put into buffers.
    """
    live = {k: v.detach().clone() for k, v in state.network.state_dict().items()}
    state.network.load_state_dict(state.average)
    state.network.eval()
    with torch.no_grad():
        score = run.task.validate(state.network)
    kept = {k: v.detach().clone() for k, v in state.network.state_dict().items()}
    state.network.load_state_dict(live)
    better = score > state.best
    if better:
        state.best = score
    if better or run.task.stage.optimisation.keep == "last":
        run.save(f"{run.name}.safetensors", kept, state.step, score)
    return score, kept
