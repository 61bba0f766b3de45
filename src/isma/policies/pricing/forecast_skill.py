"""Forecast skill: the accuracy of a mobility forecast against persistence, measured where it is used.

At its decisions a server notes by how many hops each of its users is forecast to have moved away from its
host at the end of each segment. At that time the user's host compares. With forecast changes f and realised
changes r, the weight of a server's forecasts is

    w = Σ f r / (Σ f² / 2 + c),  from 0 to 1.

Forecasts beat persistence, Σ (r - f)² < Σ r², where Σ f r > Σ f² / 2: then they count in full, but for c,
the prior doubt. They do not count at all where users that were forecast to leave stay. A server sees its own
users alone; what is noted of a user travels with its service.
"""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.model.forecast import HORIZONS_S
from isma.planning.segment_sums import Pools

_NEVER = -1
_MOST_NOTED = 4096
"""Approximate number of users whose forecasts are noted in a large city; a sample tells a server enough."""


class NotedForecasts(eqx.Module):
    """Last open forecast for each user and horizon; it travels with the service."""

    slot: Int[Array, "users horizons"]
    """Slot in which it was made; -1 where there is none."""
    server: Int[Array, "users horizons"]
    """The user's host then."""
    hops: Float[Array, "users horizons"]
    """Hops from the user to that server then."""
    change: Float[Array, "users horizons"]
    """Forecast change of these hops by the end of the horizon."""

    @classmethod
    def none(cls, num_users: int, horizons: int) -> "NotedForecasts":
        """Nothing forecast yet."""
        shape = (num_users, horizons)
        nothing, never = jnp.zeros(shape), jnp.full(shape, _NEVER, jnp.int32)
        return cls(never, jnp.zeros(shape, jnp.int32), nothing, nothing)


class ForecastSkill(eqx.Module):
    """Sums over all comparisons that each server has made."""

    agreed: Float[Array, "servers"]
    """Σ f r, in hops²."""
    forecast: Float[Array, "servers"]
    """Σ f², in hops²."""

    @classmethod
    def none(cls, num_servers: int) -> "ForecastSkill":
        """Nothing compared yet."""
        return cls(jnp.zeros(num_servers), jnp.zeros(num_servers))

    def weight(self, doubt_hops2: float) -> Float[Array, "servers"]:
        """Weight of a server's forecasts, 0 to 1; `doubt_hops2` is c."""
        least = jnp.maximum(self.forecast / 2 + doubt_hops2, 1e-9)
        return jnp.clip(self.agreed / least, 0, 1)


def noted_rows(num_users: int) -> Int[Array, "rows"]:
    """Users whose forecasts are noted: all, or in a large city an even sample."""
    return jnp.arange(0, num_users, -(-num_users // _MOST_NOTED), dtype=jnp.int32)


def compare(
    noted: NotedForecasts, skill: ForecastSkill, observation: Observation
) -> tuple[NotedForecasts, ForecastSkill]:
    """Skill after the forecasts whose time has come, and those that are still open."""
    horizon_s = jnp.asarray(HORIZONS_S[: noted.slot.shape[1]])
    age_s = (observation.slot - noted.slot) * observation.infrastructure.slot_s
    due = (noted.slot >= 0) & (age_s >= horizon_s)
    there = observation.infrastructure.hops[observation.station[:, None], noted.server]
    home = Pools(observation.pool(observation.host), observation.num_pools)
    total = lambda value: home.sum(jnp.sum(jnp.where(due, value, 0), axis=1))  # noqa: E731
    skill = ForecastSkill(
        skill.agreed + total(noted.change * (there - noted.hops)),
        skill.forecast + total(noted.change**2),
    )
    return replace(noted, slot=jnp.where(due, _NEVER, noted.slot)), skill


def note(
    noted: NotedForecasts,
    row: Int[Array, "rows"],
    change: Float[Array, "rows horizons"],
    observation: Observation,
) -> NotedForecasts:
    """Forecasts for some users taken down at the horizons at which none is open."""
    every = len(row) == len(noted.slot)
    of_row = lambda value: value if every else value[row]  # noqa: E731
    host, station = of_row(observation.host), of_row(observation.station)
    hops = observation.infrastructure.hops[station, host]
    open_ = of_row(noted.slot) >= 0

    def put(new: Array, old: Array) -> Array:
        put_in = jnp.where(open_, of_row(old), new.astype(old.dtype))
        return put_in if every else old.at[row].set(put_in)

    return NotedForecasts(
        put(observation.slot, noted.slot),
        put(host[:, None], noted.server),
        put(hops[:, None], noted.hops),
        put(change, noted.change),
    )
