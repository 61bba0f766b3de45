"""Which policies run where none are named."""

from isma.world.scale import is_large
from isma.world.scenario import Scenario, Visibility
from isma.world.switches import Migrating

DEFAULT = (
    *("local", "random", "stay", "nearest", "threshold", "greedy", "price"),
    "full-information",
)
"""Names that `isma compare` runs where migrations are free: all rules but those that are `nearest` there."""

BOUND_POLICIES = ("price", "full-information")
"""Policies that `isma bound` runs for comparison with its bound: they show what can be reached."""


def default_for(scenario: Scenario) -> tuple[str, ...]:
    """Names that `isma compare` runs in this scenario.

    `isma2` besides, unless it is `price` there, and no policy that would refuse a city of that size.
    """
    names = list(DEFAULT)
    alone = scenario.visibility is Visibility.USER
    if scenario.migration.kind is not Migrating.FREE and not alone:
        names.insert(names.index("price") + 1, "isma2")
    stations = 0 if scenario.sites.kind == "file" else scenario.sites.count
    if is_large(scenario.users.count or 0, scenario.servers.count or stations):
        names.remove("full-information")
    return tuple(names)
