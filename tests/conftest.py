"""Where the development data lies; tests that need it skip where it is absent."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"

# The tests' tensors are small: more threads cost more than they bring.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder ``shared/data`` beside the checkout."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("the development data (../shared/data) is not on this machine")
    return data
