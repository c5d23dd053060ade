"""``enhance evaluate``: benchmarks, experiments, how they are run and how scores are told."""
