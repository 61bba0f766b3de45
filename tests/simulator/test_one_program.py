"""A run is one program: nothing that a chunk hands to the next makes the compiler start again."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from helpers.small_worlds import EVERYTHING, tiny
from jax.api_util import shaped_abstractify

from isma.contract import Memory
from isma.evaluation.cell import chunk_ticks
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import rollout, run_ticks
from isma.simulator.runner import most_ticks
from isma.simulator.state import reset
from isma.world import files
from isma.world.scenario import Scenario

SHORT: dict[str, Any] = {"users.count": 5, "duration_s": 20, "warmup_s": 5}
WORLDS = {
    "paper": tiny(),
    "everything": tiny(EVERYTHING),
    "road": files.load("highway", SHORT),
    "campus": files.load("campus", SHORT),
}


@pytest.mark.parametrize("world", WORLDS)
def test_a_state_has_the_types_that_it_was_drawn_with(world: str) -> None:
    """Weak types too: they make another program of the same shapes."""
    scenario: Scenario = WORLDS[world]
    params, key = build(scenario), jax.random.key(0)
    before = jax.eval_shape(reset, params, key)
    local = registry.get("local")
    run = lambda state: rollout(params, local, state, Memory.none(), key, 2)[0]  # noqa: E731
    after = jax.eval_shape(run, before)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert jax.tree.map(shaped_abstractify, before) == jax.tree.map(shaped_abstractify, after)


def test_any_number_of_ticks_is_the_same_program() -> None:
    """What happens does not depend on where a run is cut, nor on the rows that are left over."""
    scenario = WORLDS["paper"]
    params, policy, key = build(scenario), registry.get("nearest"), jax.random.key(0)
    memory = policy.init(scenario, params.shape.num_users, params.shape.num_servers, key)
    start = jax.jit(reset)(params, key)

    def run(*counts: int) -> Any:
        state, kept, parts = start, memory, []
        for count in counts:
            state, kept, outcome = run_ticks(params, policy, state, kept, key, np.int32(count), 40)
            parts.append(jax.tree.map(lambda rows, count=count: np.asarray(rows)[:count], outcome))
        return state, kept, jax.tree.map(lambda *rows: np.concatenate(rows), *parts)

    whole, cut = run(40, 10), run(30, 1, 0, 19)
    assert int(whole[0].tick) == 50
    assert whole[2].migrations.shape == (50,)
    for found, expected in zip(jax.tree.leaves(cut), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("users", "num_ticks", "expected"),
    [
        (100, 6000, 100),  # As many as are wanted at once.
        (100, 150, 75),  # Not 100 and then 50: intervals of a run's course are of one length.
        (100, 30, 30),
        (100, 211, 100),  # A prime number: two lengths it is.
        (45_000, 6000, 40),  # 4,000,000 tasks at most: 44 ticks of 90,000, and 40 divide the run.
    ],
)
def test_chunks_are_of_one_length(users: int, num_ticks: int, expected: int) -> None:
    shape = replace(build(tiny()).shape, num_users=users, tasks_per_tick=2)
    params = replace(build(tiny()), shape=shape)
    assert chunk_ticks(params, num_ticks) == expected <= most_ticks(params)
