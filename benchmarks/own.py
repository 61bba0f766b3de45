"""Our side of the peers' table: the compiled simulator, one world or a batch, and the NumPy loop."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import numpy_loop
from benchmarks.peers.walk import SEED, Counts, PeerReady, scenario
from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk, run_chunk_of_worlds
from isma.simulator.state import reset

CHUNK_TICKS = 200
"""Ticks of one compiled program, as `isma compare` runs them."""


_resets = jax.jit(jax.vmap(reset, in_axes=(None, 0)))


def worlds(policy: str, num_worlds: int, steps: int) -> PeerReady:
    """Worlds from their beginning, chunk by chunk; a world by itself is the one of the walk."""
    params, rule = build(scenario()), registry.get(policy)
    shape, key = params.shape, jax.random.key(SEED)
    chunk = min(CHUNK_TICKS, steps)
    run, keys, start = run_chunk, key, jax.jit(reset)(params, key)
    memory = rule.init(scenario(), shape.num_users, shape.num_servers, key)
    if num_worlds > 1:
        run, keys = run_chunk_of_worlds, jax.random.split(key, num_worlds)
        start = _resets(params, keys)
        memory = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (num_worlds, *leaf.shape)), memory
        )
    ended = [start]
    moves: list[np.ndarray] = []

    def go() -> None:
        state, kept = start, memory
        moves.clear()
        for _ in range(steps // chunk):
            state, kept, outcome = run(params, rule, state, kept, keys, chunk)
            moves.append(np.asarray(outcome.migrations))
        ended[0] = jax.block_until_ready(state)

    def count() -> Counts:
        ticks = int(np.sum(np.asarray(ended[0].tick)))
        return Counts(ticks * shape.num_users, int(sum(part.sum() for part in moves)))

    return PeerReady(go, count)


def numpy(steps: int) -> PeerReady:
    """Plain NumPy loop over the peers' work, by `nearest`; it draws its own turns."""
    params: Params = build(scenario())
    world = numpy_loop.NumpyWorld.of(params, jax.jit(reset)(params, jax.random.key(SEED)))

    def go() -> None:
        numpy_loop.run(world, steps, SEED)

    return PeerReady(go, lambda: Counts(world.ticks * len(world.station), world.moves))
