"""The lanes of the suite name files that there are, each once."""

from pathlib import Path

import pytest
from helpers.lanes import SLOWEST, THOROUGH

TESTS = Path(__file__).parent


def test_a_lane_names_files_that_there_are() -> None:
    assert [path for path in THOROUGH if not (TESTS / path).is_file()] == []
    assert len(set(THOROUGH)) == len(THOROUGH)


@pytest.mark.parametrize("name", SLOWEST)
def test_what_is_left_to_the_slow_lane_is_there(name: str) -> None:
    path, _, test = name.partition("::")
    assert f"def {test.partition('[')[0]}" in (TESTS / path).read_text()


def test_marked_tests_are_those_of_the_lane(request: pytest.FixtureRequest) -> None:
    marked = {item.path for item in request.session.items if item.get_closest_marker("thorough")}
    asked = {item.path for item in request.session.items}
    assert marked == {TESTS / path for path in THOROUGH} & asked
