"""Worlds of one policy as a program runs them: drawn, and then advanced by any number of ticks at once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.contract import Memory, Policy
from isma.programs import ProgramIdentity, Programs
from isma.simulator.params import Params
from isma.simulator.rollout import rollout_up_to, run_ticks
from isma.simulator.state import State, reset
from isma.simulator.step import TickOutcome
from isma.world.scenario import Scenario

_MOST_TICKS = 100
_MOST_TASKS = 4_000_000

Moment = tuple[State, Memory, PRNGKeyArray]
"""A world's state, its policy's memory, and the world's key."""
Ticks = Callable[..., tuple[State, Memory, TickOutcome]]
Advance = Callable[[Moment, int], tuple[State, Memory, TickOutcome]]
"""Advances a world by a number of ticks; outcomes are NumPy arrays."""


class Runner(NamedTuple):
    """Runner of worlds, with programs that are kept if any are given."""

    programs: Programs | None = None
    run_identity: ProgramIdentity = None
    """Identity of the program that runs a world, its policy included."""
    draw_identity: ProgramIdentity = None
    """Identity of the program that draws a world."""

    def start(self, scenario: Scenario, params: Params, policy: Policy, seed: int) -> Moment:
        """Draw a world, before its first decision."""
        shape = params.shape
        key, memory_key = jax.random.split(jax.random.key(seed))
        state = self.drawn(params, key)
        return state, policy.init(scenario, shape.num_users, shape.num_servers, memory_key), key

    def drawn(self, params: Params, key: PRNGKeyArray) -> State:
        """Draw a world's state."""
        if self.programs is None:
            return _reset(params, key)
        return self.programs.get(reset, self.draw_identity, params, key)(params, key)

    def kept(self, function: Callable[..., Any], params: Params, *args: Any) -> Any:
        """Result of another function, whose program is kept too; its code must be among `made_of`."""
        if self.programs is None:
            return jax.jit(function)(params, *args)
        return self.programs.get(function, self.run_identity, params, *args)(params, *args)

    def program(self, params: Params, policy: Policy, moment: Moment) -> Ticks:
        """The program of such worlds; compiled, if programs are kept, when it is asked for."""
        if self.programs is None:
            return run_ticks
        args = params, policy, *moment, np.int32(0), most_ticks(params)
        return self.programs.get(rollout_up_to, self.run_identity, *args)

    def advance(self, params: Params, policy: Policy, moment: Moment) -> Advance:
        """Function that advances such worlds by ticks, at most `most_ticks`."""
        most, program = most_ticks(params), self.program(params, policy, moment)

        def run(moment: Moment, num_ticks: int) -> tuple[State, Memory, TickOutcome]:
            state, memory, outcome = program(params, policy, *moment, np.int32(num_ticks), most)
            return state, memory, jax.tree.map(lambda part: np.asarray(part)[:num_ticks], outcome)

        return run


PLAIN = Runner()
"""Keeps programs in this process alone."""


def most_ticks(params: Params) -> int:
    """Most ticks that are run at once: as many as memory allows."""
    tasks = params.shape.num_users * params.shape.tasks_per_tick
    return int(np.clip(_MOST_TASKS // tasks, 1, _MOST_TICKS))


_reset = jax.jit(reset)
