"""First-come-first-served queues: the work ahead of each task, and the backlog at the tick's end."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import Backlog
from isma.simulator.params import Params
from isma.simulator.state import Placement, State, network


class Queued(NamedTuple):
    """One branch of every user, through a tick."""

    ahead_cycles: Float[Array, "users tasks"]
    """Backlog when a task arrives."""
    left_cycles: Float[Array, "users"]
    """Backlog at the tick's end."""


def queue(
    backlog_cycles: Float[Array, "users"],
    task_cycles: Float[Array, "users"],
    emitted: Bool[Array, "users tasks"],
    done_cycles: Float[Array, "users tasks"],
    done_at_end_cycles: Float[Array, "users"],
) -> Queued:
    """Queue a tick's tasks, each with the same work, behind the backlog.

    `done_cycles` is the capacity of the CPU from the tick's beginning to each task's arrival. Without
    idle time the work left then would be X_j = backlog + j work - done_j; where that falls below 0
    the CPU has been idle, and the work left is X_j - min(0, X_0, ..., X_j) (Lindley).
    """
    before = jnp.arange(emitted.shape[1]) * task_cycles[:, None]
    level = backlog_cycles[:, None] + before - done_cycles
    lowest = jax.lax.cummin(jnp.where(emitted, jnp.minimum(level, 0), 0), axis=1)
    count = jnp.sum(emitted, axis=1, dtype=task_cycles.dtype)
    end = backlog_cycles + count * task_cycles - done_at_end_cycles
    return Queued(level - lowest, end - jnp.minimum(lowest[:, -1], end))


class QueuedTasks(NamedTuple):
    """Waiting times of tasks on both branches, and the backlog at the tick's end."""

    local_s: Float[Array, "users tasks"]
    edge_s: Float[Array, "users tasks"]
    left: Backlog


def queue_tasks(
    params: Params,
    state: State,
    placement: Placement,
    slot: Int[Array, "users tasks"],
    emitted: Bool[Array, "users tasks"],
) -> QueuedTasks:
    """Queue the tick's tasks at the users' own CPUs and at their shares of the servers."""
    backlog, requests, ratio = state.backlog, state.requests, placement.offload_ratio
    assert backlog is not None
    start = state.tick * params.slots_per_tick
    until = jnp.concatenate(
        [slot - start, jnp.full_like(slot[:, :1], params.slots_per_tick)], axis=1
    )
    up_from = jnp.zeros_like(start) if state.downtime is None else state.downtime.up_slot - start
    running = jnp.maximum(until - jnp.maximum(up_from, 0)[..., None], 0)
    share_hz = network(params, state).server_hz[placement.host] * placement.granted_share
    local_done = requests.local_hz[:, None] * until * params.slot_s
    edge_done = share_hz[:, None] * running * params.slot_s
    local, edge = (
        queue(cycles, part * requests.cycles, emitted, done[:, :-1], done[:, -1])
        for cycles, part, done in (
            (backlog.local_cycles, 1 - ratio, local_done),
            (backlog.edge_cycles, ratio, edge_done),
        )
    )
    return QueuedTasks(
        local_s=jnp.where(ratio[:, None] < 1, local.ahead_cycles / requests.local_hz[:, None], 0),
        edge_s=jnp.where(ratio[:, None] > 0, edge.ahead_cycles / share_hz[:, None], 0),
        left=Backlog(local.left_cycles, edge.left_cycles),
    )
