"""Decisions are timed in the program that runs worlds, with every server due, and with none."""

import jax
import numpy as np
from helpers.small_worlds import SERVERS, tiny
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation
from isma.policies.rules.follow import Nearest
from isma.programs import Programs
from isma.simulator.params import build
from isma.simulator.runner import Runner
from isma.simulator.timing import decision_ms

TRACED: list[str] = []
DUE: list[int] = []


class Watched(Nearest):
    """Notes when it is traced, and for how many servers it decides."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        TRACED.append("act")
        jax.debug.callback(lambda due: DUE.append(int(np.sum(due))), observation.due)
        return super().act(memory, observation, key)


def test_a_decision_is_that_of_all_servers_and_nothing_is_compiled_for_it() -> None:
    scenario = tiny()
    params, policy, runner = build(scenario), Watched(), Runner(Programs())
    runner.program(params, policy, runner.start(scenario, params, policy, 0))
    compiled = len(TRACED)
    times_ms = decision_ms(scenario, params, policy, 30, runner)
    jax.effects_barrier()
    assert len(TRACED) == compiled > 0
    assert np.isfinite(times_ms).all()
    assert min(times_ms) >= 0
    # First 30 ticks in which some are due; then none in a tick without, and all in each other.
    first_of_all = next(place for place in range(len(DUE)) if set(DUE[place:]) == {SERVERS})
    assert len(DUE) - first_of_all > 5
    assert first_of_all <= 30
