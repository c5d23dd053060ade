"""Prediction and merging time of the thesis's strategies on a 1424x2128 packed picture.

Beside them are tiles as the network itself wants them.

    python benchmarks/strategies.py [--model sid-net-small] [--threads 2]

The network has fresh weights: its time does not depend on them. What is not spent in the network
is cutting, copying and merging; the thesis's table 9 and 10 have the figures of a GPU.
"""

import argparse
import json
import time

import torch
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.engine.checkpoint import build
from enhance_cli.engine.device import keep_freed_memory
from enhance_cli.engine.runnable import Runnable
from enhance_cli.engine.strategies import STRATEGIES, choose_plan
from enhance_cli.engine.tiled import run_tiled


def run_case(model: str, strategy: str | None, image: Tensor) -> dict[str, float | str]:
    """Seconds of one picture: in all, and outside of the network."""
    spec = MODELS[model]
    network = build(ARCHITECTURES[spec.architecture], spec.config).eval()
    network.to(memory_format=torch.channels_last)
    inside, patches = 0.0, 0

    def timed(batch: Tensor) -> Tensor:
        nonlocal inside, patches
        start = time.perf_counter()
        result: Tensor = network(batch)
        inside += time.perf_counter() - start
        patches += len(batch)
        return result

    start = time.perf_counter()
    run_tiled(
        Runnable(timed, network.contract, torch.device("cpu")),
        image,
        choose_plan(strategy, None),
        levels=torch.uint8,
    )
    total = time.perf_counter() - start
    return {
        "model": model,
        "strategy": strategy or "none",
        "patches": patches,
        "seconds": round(total, 2),
        "merging_s": round(total - inside, 2),
        "merging_share": round(1 - inside / total, 4),
    }


def main() -> None:
    """Print one line of JSON per strategy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="sid-net-small")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--height", type=int, default=1424)
    parser.add_argument("--width", type=int, default=2128)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    channels = build(
        ARCHITECTURES[MODELS[arguments.model].architecture], MODELS[arguments.model].config, "meta"
    ).contract.channels_in
    image = torch.rand(channels, arguments.height, arguments.width)
    for strategy in (None, *STRATEGIES):
        print(json.dumps(run_case(arguments.model, strategy, image)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
