"""Fixtures of the tests of networks."""

import pytest

from enhance_cli.architectures import pix2pix


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pix2Pix with few filters: the published one has 54 million parameters."""
    monkeypatch.setattr(pix2pix, "_WIDTHS", (2, 3, 4, 5, 5, 5, 5))
    monkeypatch.setattr(pix2pix, "LATENT", 6)
