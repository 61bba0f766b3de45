"""What all tests of the simulator share."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture
def double() -> Iterator[None]:
    """Double precision, so that two simulators differ by the order of additions alone."""
    with jax.enable_x64(True):
        yield
