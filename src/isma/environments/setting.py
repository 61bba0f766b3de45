"""Setting of an environment: a scenario laid out, and options checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from isma.environments.checks import check_flag, check_whole, refuse_forks
from isma.environments.coding import Coding
from isma.environments.flat import Flat
from isma.environments.structured import Structured
from isma.errors import OptionError, ScenarioError
from isma.simulator.params import Params, build
from isma.world import files
from isma.world.scenario import Scenario, Visibility
from isma.world.splits import Purpose, split

TRAINING_WORLDS = split(Purpose.TRAIN).seeds
"""Seeds from which worlds are drawn when none is given."""

Source = Scenario | str | Path


class World(NamedTuple):
    """A scenario as arrays, and how it is written."""

    scenario: Scenario
    params: Params
    coding: Coding


def lay_out(
    source: Source, overrides: Mapping[str, Any] | None, flat: bool, rows: int | None
) -> World:
    """Load and build a scenario with fields overridden by name. Raises IsmaError."""
    refuse_forks()
    check_flag("flat", flat)
    if isinstance(source, Scenario):
        scenario = files.override(source, overrides) if overrides else source
    else:
        scenario = files.load(source, overrides)
    if scenario.visibility is Visibility.USER:
        raise ScenarioError(
            'visibility must be "server" or "full" in an environment, where one agent decides for '
            'all users of a server, got "user"'
        )
    params = build(scenario)
    if rows is None:
        return World(scenario, params, _coding(scenario, params, flat, None))
    if not flat:
        raise OptionError(f"rows must not be given without flat=True, got {rows!r}")
    check_whole("rows", rows, 1, params.shape.num_users)
    return World(scenario, params, _coding(scenario, params, flat, int(rows)))


def _coding(scenario: Scenario, params: Params, flat: bool, rows: int | None) -> Coding:
    return Flat.of(scenario, params, rows) if flat else Structured.of(scenario, params)


def check_server(server: int | None, world: World) -> int:
    """Ticks in a decision period of that server, or of any; the run must have two. Raises IsmaError."""
    servers = world.params.shape.num_servers
    if server is None:
        periods = {int(ticks) for ticks in world.params.period_ticks}
        if len(periods) > 1:
            raise OptionError(
                "server must be the number of one, not None, where decision periods differ"
            )
        server = 0
    check_whole("server", server, 0, servers - 1)
    period_ticks = int(world.params.period_ticks[server])
    time = world.scenario.time
    if time.num_ticks < 2 * period_ticks:
        raise ScenarioError(
            f"time.duration_s must be at least two decision periods "
            f"({2 * period_ticks * time.tick_s:g}) in an environment, got {time.duration_s:g}"
        )
    return period_ticks
