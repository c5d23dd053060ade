"""Experiments, ``enhance evaluate --study NAME``: a file for each, or for two that are alike."""
