"""Values of fields as they are typed on the command line."""

import pytest
from helpers.small_worlds import tiny

from isma.errors import ScenarioError
from isma.world import files
from isma.world.vary import points, scalar, vary_from


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        (" 2.5 ", 2.5),
        ("true", True),
        ("3.19 GHz", "3.19 GHz"),
        ("user", "user"),
        ("[1, 2]", [1, 2]),
        ('"7"', "7"),
    ],
)
def test_values_as_typed(text: str, value: object) -> None:
    assert scalar(text) == value


def test_vary_as_typed() -> None:
    found = vary_from(["speed_mps=20 km/h,120 km/h", "users.count=2,3"])
    assert found == {"mobility.speed_mps": ("20 km/h", "120 km/h"), "users.count": (2, 3)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (["speed_mps"], "--vary is written FIELD=v1,v2,..., got 'speed_mps'"),
        (["speed_mps="], "--vary is written FIELD=v1,v2,..."),
        (["speed_mps=1,1"], "values must differ"),
        (["speed_mps=1", "mobility.speed_mps=2"], "names mobility.speed_mps twice"),
        (["sped_mps=1"], "did you mean 'speed_mps'?"),
        (
            ["tasks.interval_s=[1,2],[1,3]"],
            "single numbers or words, got [1,2],[1,3]: compare lists",
        ),
    ],
)
def test_vary_mistakes(text: list[str], said: str) -> None:
    with pytest.raises(ScenarioError) as told:
        vary_from(text)
    assert said in str(told.value)


@pytest.mark.parametrize("varied", ["speed_mps", "mobility.speed_mps"])
def test_what_is_varied_is_not_set_too(varied: str) -> None:
    """The value that was set would be in no world."""
    told = r"^mobility\.speed_mps must be set or varied, not both, got 8 to set: vary it"
    with pytest.raises(ScenarioError, match=told):
        files.load("paper", {"speed_mps": 8}, {varied: (2, 4)})
    assert files.load("paper", {"speed_mps": 8}, ["users.count"]).mobility.speed_mps == 8


@pytest.mark.parametrize(
    "typed",
    ["speed_mps=5,5.0", "clock_hz=2 GHz,2000 MHz", "users=5,5e0", "failures.enabled=true,yes"],
)
def test_two_ways_to_write_one_value(typed: str) -> None:
    with pytest.raises(ScenarioError, match="values must differ, and these are the same world"):
        points(tiny(), vary_from([typed]))


@pytest.mark.parametrize("value", [(0.1, 0.2), [0.1, 0.2], {"a": 1}])
def test_lists_are_no_axis_from_python_either(value: object) -> None:
    with pytest.raises(ScenarioError, match="must be single numbers or words"):
        points(tiny(), {"tasks.interval_s": (value, (0.2, 0.3))})
