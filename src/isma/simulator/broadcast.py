"""Broadcasts between servers: remaining CPU and a price, with age, delay and loss."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from isma.contract import News
from isma.simulator.failures import servers_up
from isma.simulator.params import Params
from isma.simulator.state import Draws, Heard, State, Underway, network


def remaining_hz(params: Params, state: State) -> Float[Array, "servers"]:
    """F of every server, in Hz, from the shares requested from it (docs/method/readings.md)."""
    clock_hz, load = network(params, state).server_hz, state.placement.load
    if params.shape.literal_remaining:
        return clock_hz * (1 - jnp.minimum(load, 1))
    return clock_hz / (1 + load)


def broadcast(params: Params, state: State, draws: Draws) -> tuple[Heard, Underway | None]:
    """Send the broadcasts that are due at this tick, and deliver those that arrive in it."""
    remaining = remaining_hz(params, state)
    price = state.placement.price_s
    underway, sent = state.underway, servers_up(state)
    sent_tick = state.tick
    if underway is not None:
        slot = state.tick % params.shape.history_ticks
        put = lambda ring, now: None if ring is None else ring.at[slot].set(now)  # noqa: E731
        underway = Underway(
            underway.remaining_hz.at[slot].set(remaining),
            underway.price_s.at[slot].set(price),
            put(underway.sent, sent),
        )
        sent_tick = state.tick - params.delay_ticks
        slot = sent_tick % params.shape.history_ticks
        remaining, price = underway.remaining_hz[slot], underway.price_s[slot]
        sent = None if underway.sent is None else underway.sent[slot]
    arrives = (sent_tick >= 0) & (sent_tick % params.broadcast_ticks == 0)
    if sent is not None:
        arrives = arrives & sent
    if draws.heard is not None:
        arrives = arrives & (draws.heard >= params.loss_ratio)
    old = state.heard
    heard = Heard(
        jnp.where(arrives, remaining, old.remaining_hz),
        jnp.where(arrives, price, old.price_s),
        jnp.where(arrives, sent_tick, old.sent_tick),
    )
    return heard, underway


def news(params: Params, state: State) -> News:
    """News that each server last received; of itself it knows the present."""
    servers = params.shape.num_servers
    own = jnp.eye(servers, dtype=bool)
    age = jnp.where(own, 0, state.tick - state.heard.sent_tick)
    return News(
        remaining_hz=jnp.where(own, remaining_hz(params, state), state.heard.remaining_hz),
        price_s=jnp.where(own, state.placement.price_s, state.heard.price_s),
        age_s=age * params.tick_s,
    )
