"""Workers of a Ray cluster: the same jobs, done on several machines.

Ray tells its makers how it is used unless it is told not to, so it is told.
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from enhance_cli.errors import DeviceError, describe
from enhance_cli.io.isolation import portable
from enhance_cli.io.jobs import Job
from enhance_cli.tasks.attempt import Outcome
from enhance_cli.tasks.workers import Hands, Listener, Setting, StartError, Worker, WorkerDiedError

_STARTING = 300.0  # seconds until a worker must have found a place and loaded its model
_RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it warns of its plans
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # It tells of deaths on stdout, which holds JSON.
    "RAY_worker_niceness": "0",  # of a cluster that is started here; by default all others go first
}
_REACHING = 10.0  # seconds until somebody must answer at an address
_OURS = "ENHANCE_"  # how the names of environment variables begin that workers get


def find_ray_workers(
    address: str, devices: Sequence[str], setting: Setting, each: int
) -> list[Callable[[], Worker]]:
    """What starts the workers of a cluster.

    There is one for each of several devices; for ``auto`` or ``cuda`` alone one for each GPU of
    the cluster, where it has some; and else one for each of its machines.

    Args:
        address: of the cluster, or ``local`` for a new one on this machine.
        devices: the names of the devices.
        setting: with what workers begin.
        each: how many workers there are in place of each.

    Raises:
        DeviceError: if Ray is missing, or the cluster cannot be reached.
    """
    for name, value in _RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise DeviceError(
            f"--ray {address}: Ray is not installed, run pip install 'enhance-cli[ray]'"
        ) from error
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
    if address == "local":  # Its workers find this very program.
        passed_on["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        _reach(address)
        ray.init(
            address=address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": passed_on},
            ignore_reinit_error=True,
        )
    except Exception as error:
        raise DeviceError(
            f"--ray {address}: no cluster to work in ({describe(error)}), see ray status, or give "
            "local"
        ) from error
    finally:
        for number, handler in before.items():  # Ray takes them for itself.
            signal.signal(number, handler)
    cluster: Any = ray
    nodes = [node["Resources"] for node in cluster.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    if len(devices) > 1:
        names = [name.partition(":")[0] for name in devices]
    elif devices[0].startswith(("auto", "cuda")) and gpus:
        names = ["cuda"] * gpus
    else:
        names = list(devices) * len(nodes)
    cores = int(min(node.get("CPU", 1) for node in nodes))
    crowd = -(-each * len(names) // len(nodes))  # how many share a machine
    threads = max(1, cores // crowd)
    own = replace(setting, folder=os.getcwd())
    starts: list[Callable[[], Worker]] = []
    for name in names * each:
        needs: dict[str, float]
        needs = {"num_gpus": 1 / each, "num_cpus": 0} if name == "cuda" else {"num_cpus": threads}
        made = replace(own, device=name, threads=None if name == "cuda" else threads)
        starts.append(partial(RayWorker, made, needs))
    return starts


def _reach(address: str) -> None:
    """Ask whether anybody is there, for Ray waits for minutes.

    Raises:
        OSError, ValueError: if not, or if it is no address.
    """
    if address not in ("local", "auto"):
        host, _, port = address.removeprefix("ray://").rpartition(":")
        with socket.create_connection((host, int(port)), _REACHING):
            pass


class _Actor:
    """What runs in the process of a worker."""

    def begin(self, setting: Setting) -> None:
        """Load the model; not when the actor is made, for Ray takes what fails there for a death.

        Raises:
            Exception: whatever fails, as one that can be sent.
        """
        try:
            self._hands = Hands(setting)
        except Exception as error:
            raise portable(error) from None

    def do(self, job: Job, again: bool) -> tuple[tuple[Outcome, float], list[str]]:
        """See :meth:`Hands.do`; gives the lines that are to be printed, too."""
        lines: list[str] = []
        return self._hands.do(job, again, lambda *_: None, lines.append), lines


class RayWorker:
    """A worker in a Ray cluster, as :class:`~enhance_cli.tasks.workers.Worker`.

    Its lines are printed when the job is done, and it shows no progress within a job.

    Args:
        setting: with what it begins.
        needs: the resources that it takes, as options of Ray.
    """

    def __init__(self, setting: Setting, needs: dict[str, float]) -> None:
        import ray

        actor: Any = ray.remote(_Actor)
        self._actor = actor.options(scheduling_strategy="SPREAD", **needs).remote()
        self._beginning = self._actor.begin.remote(setting)
        self._begun = False

    def do(self, job: Job, again: bool, listener: Listener) -> tuple[Outcome, float]:
        """See :class:`Worker`.

        Raises:
            StartError: if the cluster has no room for the worker.
        """
        if not self._begun:
            self._begin()
        done, lines = self._get(self._actor.do.remote(job, again), None)
        for line in lines:
            listener.say(line)
        return done  # type: ignore[no-any-return]

    def _begin(self) -> None:
        import ray

        try:
            self._get(self._beginning, _STARTING)
        except (WorkerDiedError, ray.exceptions.GetTimeoutError) as error:
            raise StartError(f"the Ray cluster starts none ({_first_line(error)})") from error
        self._begun = True

    def end(self) -> None:
        """See :class:`Worker`."""
        import ray

        ray.kill(self._actor)

    def _get(self, reference: Any, timeout: float | None) -> Any:
        import ray

        try:
            return ray.get(reference, timeout=timeout)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ray.exceptions.RayError):  # The program is not there.
                raise WorkerDiedError(_first_line(error.cause)) from error
            raise error.cause from error
        except ray.exceptions.GetTimeoutError:
            raise
        except ray.exceptions.RayError as error:
            raise WorkerDiedError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".:")
