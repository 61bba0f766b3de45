"""The one place where experience is collected: worlds run under a policy, and a probe reads each tick.

A probe is a pure function of a tick that gives a row for each server, for each user or for the world: how
many entries the row has so far, the content of a new entry, and quantities that are summed between entries.
Everything else, as rewards and masks, is computed from the recording afterwards.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, UInt32

from isma.contract import Memory, Policy
from isma.errors import ScenarioError
from isma.simulator.params import Params, build
from isma.simulator.scene import like
from isma.simulator.state import State, draw
from isma.simulator.step import TickOutcome, step
from isma.when import choose
from isma.world.scenario import Scenario

TestKey = UInt32[Array, "words"]
"""The key of the worlds that a training is tested in, as numbers that can be stored."""


class Rows(NamedTuple):
    """Reading of a tick; all leaves have a leading axis of rows."""

    number: Int[Array, "rows"]
    """Entries of each row so far; one more than before where this tick makes an entry."""
    entry: PyTree
    """Content of a new entry."""
    amount: PyTree
    """Quantities of this tick, which are summed."""


Probe = Callable[[State, State, Memory, TickOutcome], Rows]
"""Reading of a tick from the state before it, the state and the memory after it, and its outcome."""


class Recording(NamedTuple):
    """First entries of every row, in their order."""

    number: Int[Array, "rows"]
    """Entries that the run made, kept or not."""
    entry: PyTree
    """Their content: rows, then entries; zero where there is none."""
    total: PyTree
    """Sums of the amounts up to each entry, without the tick that made it."""


class InitialWorld(NamedTuple):
    """A world before its first tick."""

    params: Params
    state: State
    memory: Memory
    key: PRNGKeyArray
    """Key of all later randomness."""


def record(
    world: InitialWorld,
    policy: Policy,
    probe: Probe,
    num_entries: int,
    num_ticks: Int[Array, ""],
    since_entry: bool = False,
) -> Recording:
    """The first entries that a probe makes in one world; `jax.vmap` records a batch.

    Amounts are summed from the beginning of the run or, with `since_entry`, from a row's last entry on.
    """
    params = world.params
    zeros = lambda like: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)  # noqa: E731
    room = lambda leaf: jnp.zeros((leaf.shape[0], num_entries, *leaf.shape[1:]), leaf.dtype)  # noqa: E731
    like = jax.eval_shape(probe, world.state, world.state, world.memory, _no_outcome(params))
    blank = Recording(
        zeros(like.number), jax.tree.map(room, like.entry), jax.tree.map(room, like.amount)
    )

    def one_tick(_: Array, carry: tuple[State, Memory, PyTree, Recording]):
        state, memory, sums, recording = carry
        draws = draw(params, world.key, state.tick)
        after, memory, outcome = step(params, policy, state, memory, draws)
        rows = probe(state, after, memory, outcome)
        new = rows.number > recording.number
        recording = _with(recording, rows, new, sums)
        if since_entry:
            sums = choose(new, zeros(sums), sums)
        return after, memory, jax.tree.map(jnp.add, sums, rows.amount), recording

    start = (world.state, world.memory, zeros(like.amount), blank)
    return jax.lax.fori_loop(0, num_ticks, one_tick, start)[3]


def completed(outcome: TickOutcome) -> tuple[Float[Array, "users"], Float[Array, "users"]]:
    """Sum of the completion times of each user's tasks in a tick, and their number."""
    emitted = ~jnp.isnan(outcome.completion_time_s)
    time_s = jnp.sum(jnp.where(emitted, outcome.completion_time_s, 0), axis=1)
    return time_s, jnp.sum(emitted, axis=1).astype(time_s.dtype)


def _no_outcome(params: Params) -> TickOutcome:
    """Outcome of a tick in which nothing happens, of which only the form matters."""
    nothing = jnp.zeros((), jnp.int32)
    time_s = jnp.zeros((params.shape.num_users, params.shape.tasks_per_tick))
    return TickOutcome(time_s, nothing, nothing, nothing, None, None, None, like(params))


def _with(recording: Recording, rows: Rows, new: Bool[Array, "rows"], sums: PyTree) -> Recording:
    """The recording with the new entries of a tick."""
    row = jnp.arange(len(new))

    def put(old: Array, value: Array) -> Array:
        # An entry that is none, or past the end, is written out of range: nowhere.
        place = jnp.where(new, recording.number, old.shape[1])
        return old.at[row, place].set(value, mode="drop")

    return Recording(
        rows.number,
        jax.tree.map(put, recording.entry, rows.entry),
        jax.tree.map(put, recording.total, sums),
    )


def spread(scenarios: Sequence[Scenario], num_worlds: int) -> Params:
    """A batch of worlds that take the scenarios in turn. Raises ScenarioError if these differ in shape."""
    points = [build(scenario) for scenario in scenarios]
    if any(_form(point) != _form(points[0]) for point in points):
        raise ScenarioError(
            "scenarios that are trained on together must have equal numbers of users, servers and "
            "tasks a tick, and the same switches: vary a number only"
        )
    chosen = [points[world % len(points)] for world in range(num_worlds)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *chosen)


def kinds(scenarios: Sequence[Scenario]) -> list[list[Scenario]]:
    """The scenarios grouped into batches of equal form and decision periods. Raises ScenarioError."""
    batches: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        form = f"{_form(build(scenario))} {scenario.servers.decision_period_s}"
        batches.setdefault(form, []).append(scenario)
    return list(batches.values())


def _form(params: Params) -> tuple[object, list[tuple[int, ...]]]:
    """Common form of the worlds of one batch: sizes and switches."""
    leaves, structure = jax.tree.flatten(params)
    return structure, [leaf.shape for leaf in leaves]


def period_s(scenario: Scenario) -> float:
    """The longest decision period."""
    return float(np.max(np.asarray(scenario.servers.decision_period_s)))


def ticks_for(scenarios: Sequence[Scenario], num_steps: int) -> Int[Array, "worlds"]:
    """Ticks after which every server has had `num_steps` periods and the one that rewards the last."""
    periods = [period_s(scenario) / scenario.time.tick_s for scenario in scenarios]
    return jnp.asarray([round(period * (num_steps + 1)) + 1 for period in periods])
