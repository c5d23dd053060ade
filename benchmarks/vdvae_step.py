"""One step of the full-size VDVAE-SR networks: seconds and memory, from fresh weights.

    python benchmarks/vdvae_step.py vdvae-sr-64-x4 photos
    python benchmarks/vdvae_step.py vdvae-sr-256-x4 photos --batch 1

The step is that of the recipe, in bf16: the bound of a batch, its gradients, and Adam. A line of
JSON tells the parameters, those that learn, the bound before the step in bits per dimension, the
seconds of the step and the peak of the process's memory.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import torch
from torch import nn

from enhance_cli.engine.device import keep_freed_memory
from enhance_cli.training.overrides import override
from enhance_cli.training.recipes import RECIPES


def main() -> None:
    """Make the step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--batch", type=int, default=1)
    asked = parser.parse_args()
    keep_freed_memory()
    stage = override(RECIPES[asked.recipe].stages[-1], [f"batch={asked.batch}"])
    task = stage.prepare(asked.photos, None, torch.device("cpu"))
    learning = [part for part in task.network.parameters() if part.requires_grad]
    optimiser = task.make_optimiser(learning)
    start, used = time.perf_counter(), time.process_time()
    with torch.autocast("cpu", torch.bfloat16):
        loss = task.loss(0, torch.Generator().manual_seed(0), slice(None))
    loss.backward()  # type: ignore[no-untyped-call]
    norm = float(nn.utils.clip_grad_norm_(learning, stage.optimisation.clip))
    optimiser.step()
    told = {
        "recipe": asked.recipe,
        "batch": asked.batch,
        "parameters": sum(part.numel() for part in task.network.parameters()),
        "learning": sum(part.numel() for part in learning),
        "bits_per_dim": round(float(loss.detach()), 3),
        "gradient": round(norm, 2),
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
