"""Every user's cheapest path over time from place to place, when moving stops its service.

A move at step k stops a service for S. Until then each task waits, and costs at least what it
would cost at the best place with that wait: a bound that no place enters, so that a chain of moves
during one stop need not be followed. A move may therefore be taken to last until its stop ends; a
next one begins at the earliest in the step in which it ends (docs/method/bounds.md has the proof).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.bounds.costs import Costs
from isma.bounds.future import Future, Stops

_NEVER_S = 1e9
"""Costs more than anything."""

Ahead = tuple[Float[Array, "ahead users places"], Float[Array, "ahead users places"]]
"""Cost from each of the coming steps to the end, for users at a place, and for users that leave it now."""


class _Step(NamedTuple):
    """Inputs of a step of the recursion."""

    cost_s: Float[Array, "users places"]
    until_touched_s: Float[Array, "users classes"]
    until_whole_s: Float[Array, "users classes"]
    touched: Int[Array, "users classes"]
    whole: Int[Array, "users classes"]


def path_costs(
    future: Future,
    cost_s: Float[Array, "stages steps users places"],
    steepness: Float[Array, "stages steps users"],
    blur_s: Float[Array, ""] | None,
) -> Float[Array, "users"]:
    """Cost of each user's cheapest path, in seconds.

    With a blur every choice is a softmin of that temperature, which is never above the minimum.
    """
    if future.stops is None:
        return jnp.sum(_least(cost_s, -1, blur_s), axis=(0, 1))
    stops = future.stops
    during = _waiting(future, stops, cost_s, steepness)
    users, places = cost_s.shape[2:]
    ahead = jnp.zeros((stops.most_steps, users, places), cost_s.dtype)
    steps = _Step(cost_s, *during, stops.touched, stops.whole)

    @jax.checkpoint
    def stage(carry: Ahead, part: tuple) -> tuple[Ahead, None]:
        steps, of_pair, remap = part
        if remap is not None:
            carry = _forget(carry, *remap)

        @jax.checkpoint
        def one(carry: Ahead, step: _Step) -> tuple[Ahead, None]:
            return _back(carry, step, of_pair, blur_s), None

        return jax.lax.scan(one, carry, steps, reverse=True)[0], None

    far = future.elsewhere
    remap = None if far is None else (far.remap.position, far.remap.fresh)
    (first, _), _ = jax.lax.scan(stage, (ahead, ahead), (steps, stops.of_pair, remap), reverse=True)
    return _least(first[0], -1, blur_s)


def _back(
    carry: Ahead,
    step: _Step,
    of_pair: Int[Array, "users places places"],
    blur_s: Float[Array, ""] | None,
) -> Ahead:
    """The step before: stay, or leave for another place."""
    at, leaving = carry
    user = jnp.arange(step.cost_s.shape[0])[:, None]
    stay = step.cost_s + at[0]
    rests = step.until_touched_s[..., None] + jnp.concatenate([stay[None], at])[step.touched, user]
    goes_on = step.until_whole_s[..., None] + leaving[step.whole - 1, user]
    sooner = (step.whole < step.touched)[..., None]
    via = _less(rests, jnp.where(sooner, goes_on, _NEVER_S), blur_s)
    go = jnp.take_along_axis(via, of_pair, axis=1)
    go = jnp.where(jnp.eye(go.shape[-1], dtype=bool), _NEVER_S, go)
    leave = _least(go, -1, blur_s)
    now = _less(stay, leave, blur_s)
    return jnp.concatenate([now[None], at[:-1]]), jnp.concatenate([leave[None], leaving[:-1]])


def _forget(
    carry: Ahead, position: Int[Array, "users places"], fresh: Bool[Array, "users places"]
) -> Ahead:
    """Costs at the places of the stage before: those that it calls elsewhere are one."""

    def old(ahead: Float[Array, "ahead users places"]) -> Float[Array, "ahead users places"]:
        last = jnp.arange(ahead.shape[2]) == ahead.shape[2] - 1
        elsewhere = jnp.min(jnp.where(fresh | last, ahead, jnp.inf), axis=2, keepdims=True)
        return jnp.where(last, elsewhere, jnp.take_along_axis(ahead, position[None], axis=2))

    return old(carry[0]), old(carry[1])


def _waiting(
    future: Future,
    stops: Stops,
    cost_s: Float[Array, "stages steps users places"],
    steepness: Float[Array, "stages steps users"],
) -> tuple[Float[Array, "stages steps users classes"], Float[Array, "stages steps users classes"]]:
    """Cost of a user's tasks while its service stands still, from every step on, for every class.

    Both over all steps that the stop touches, and over those that it covers as a whole.
    """
    shape, users = cost_s.shape[:2], cost_s.shape[2]
    flat = lambda value: value.reshape(-1, *value.shape[2:])  # noqa: E731
    least_s = flat(jnp.min(cost_s, axis=-1))
    gain_s = jnp.maximum(flat(future.weight) * future.local_s - least_s, 0)
    begin, offset = stops.start_slot.ravel(), flat(stops.offset_slots)
    steep, weight = flat(steepness), flat(future.weight)
    count = least_s.shape[0]

    @jax.checkpoint
    def add(sums: tuple[Array, Array], later: Array) -> tuple[tuple[Array, Array], None]:
        index = jnp.minimum(jnp.arange(count) + later, count - 1)
        passed = (begin[index] - begin).astype(offset.dtype)[:, None] + offset[index]
        wait_s = jnp.maximum(stops.stop_slots - passed[..., None], 0) * stops.slot_s
        part = jnp.minimum(steep[index][..., None] * wait_s, 1)
        line = least_s[index][..., None] + gain_s[index][..., None] * part
        # Nothing that is offloaded is done before the service runs again.
        cost = jnp.maximum(
            line, weight[index][..., None] * jnp.minimum(wait_s, future.local_s[:, None])
        )
        inside = (jnp.arange(count) + later < count)[:, None, None]
        touched, whole = sums
        return (
            touched + jnp.where(inside & (later < flat(stops.touched)), cost, 0),
            whole + jnp.where(inside & (later < flat(stops.whole)), cost, 0),
        ), None

    none = jnp.zeros((count, users, stops.stop_slots.shape[1]), cost_s.dtype)
    sums, _ = jax.lax.scan(add, (none, none), jnp.arange(stops.most_steps))
    back = lambda value: value.reshape(*shape, *value.shape[1:])  # noqa: E731
    return back(sums[0]), back(sums[1])


def visits(
    future: Future, costs: Costs, blur_s: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, "stages steps users places"]]:
    """Sum of the users' path costs, and how likely each is at each place: the derivative by the costs."""
    total = lambda cost_s: jnp.sum(path_costs(future, cost_s, costs.steepness, blur_s))  # noqa: E731
    return jax.value_and_grad(total)(costs.cost_s)


def _least(value: Array, axis: int, blur_s: Float[Array, ""] | None) -> Array:
    if blur_s is None:
        return jnp.min(value, axis=axis)
    return -blur_s * jax.nn.logsumexp(-value / blur_s, axis=axis)


def _less(one: Array, other: Array, blur_s: Float[Array, ""] | None) -> Array:
    if blur_s is None:
        return jnp.minimum(one, other)
    return -blur_s * jnp.logaddexp(-one / blur_s, -other / blur_s)
