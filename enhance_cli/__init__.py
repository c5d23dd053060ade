"""Enhance dark, small and low-resolution pictures and videos."""

__version__ = "0.1.0"
