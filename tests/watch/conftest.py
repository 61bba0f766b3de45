"""One browser for all pages of replays."""

from collections.abc import Iterator

import pytest

from isma.watch.browser import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser(1000, 620) as opened:
        yield opened
