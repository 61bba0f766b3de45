"""The paper's fixed-size observation vector of one server, scaled to [0, 1] (section IV.A).

U (N), then c, f^L, f^r, g and δmax (5 N), then F (L). The server's own users stand in the first
rows, the one with the most work first; all other rows are zero. F is counted from the server itself:
its own first, then that of the next server by index, and so on round.
"""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from isma.contract import Observation
from isma.world import umi
from isma.world.scenario import Scenario, ServiceClass, Tasks
from isma.world.switches import Propagation

_PARTS = ("served", "data", "local", "cycles", "gain", "deadline")
_RECONSTRUCTED = ("served", "data", "cycles", "gain")


class Scales(eqx.Module):
    """Units of a vector; gains lie between two ends, in dB."""

    data_bits: Float[Array, ""]
    local_hz: Float[Array, ""]
    cycles: Float[Array, ""]
    deadline_s: Float[Array, ""]
    server_hz: Float[Array, ""]
    gain_low_db: Float[Array, ""]
    gain_high_db: Float[Array, ""]


def scales(scenarios: Sequence[Scenario]) -> Scales:
    """The scales under which all of these scenarios fit into [0, 1]."""
    most = lambda value: jnp.asarray(max(map(value, scenarios)), float)  # noqa: E731
    return Scales(
        data_bits=most(lambda s: max(asked.data_bits[1] for asked in s.asked)),
        local_hz=most(lambda s: s.users.local_hz[1]),
        cycles=most(_most_cycles),
        deadline_s=most(lambda s: _most_cycles(s) / s.users.local_hz[0]),
        server_hz=most(_fastest_hz),
        gain_low_db=-most(lambda s: _loss_db(s, s.sites.coverage_radius_m, sees=False)),
        gain_high_db=most(lambda s: -_loss_db(s, s.radio.min_distance_m, sees=True)),
    )


def as_numbers(scales: Scales) -> dict[str, float]:
    """For a sidecar."""
    return {name: float(value) for name, value in vars(scales).items()}


def from_numbers(numbers: Mapping[str, float]) -> Scales:
    """From a sidecar. Raises TypeError or ValueError where that says something else."""
    return Scales(**{name: jnp.asarray(value, float) for name, value in dict(numbers).items()})


def _most_cycles(scenario: Scenario) -> float:
    """The most work that a task can be."""
    return max(_most_cycles_of(asked) for asked in scenario.asked)


def _most_cycles_of(asked: Tasks | ServiceClass) -> float:
    if isinstance(asked, ServiceClass) and asked.cycles_per_bit is not None:
        return asked.data_bits[1] * asked.cycles_per_bit[1]
    assert asked.cycles is not None  # validated: one of the two
    return asked.cycles[1]


def _fastest_hz(scenario: Scenario) -> float:
    servers = scenario.servers
    return float(np.max(servers.clock_range_hz or servers.clock_hz))


def _loss_db(scenario: Scenario, distance_m: float, sees: bool) -> float:
    """Mean path loss; shadowing may take a gain beyond its scale, where it is cut off."""
    radio = scenario.radio
    if radio.model is Propagation.UMI:
        heights = (radio.station_height_m, radio.user_height_m)
        given = (jnp.asarray(value, float) for value in (radio.carrier_hz, *heights))
        return float(umi.loss_db(jnp.asarray(distance_m), jnp.asarray(sees), *given))
    return radio.loss_at_1km_db + radio.loss_per_decade_db * float(np.log10(distance_m / 1000))


class Seen(eqx.Module):
    """Every server's own view, as the paper's models take it."""

    vector: Float[Array, "servers observation"]
    user: Int[Array, "servers rows"]
    """The user in each row; a permutation of all users, in which a server's own come first."""
    own: Bool[Array, "servers rows"]
    """The set U^l: rows of users in a server's sight that it hosts."""


def observation_size(users: int, servers: int) -> int:
    """Length of an observation vector, N + 5 N + L."""
    return len(_PARTS) * users + servers


def action_size(users: int, servers: int) -> int:
    """Length of an action vector, N (1 + L): a ratio, and a share in its server's column."""
    return (1 + servers) * users


def reconstructed(users: int, servers: int) -> Int[np.ndarray, "reconstructed"]:
    """Which entries the observation model gives: all but f^L and δmax, a user's constants."""
    rows = [
        np.arange(users) + part * users
        for part, name in enumerate(_PARTS)
        if name in _RECONSTRUCTED
    ]
    return np.concatenate([*rows, len(_PARTS) * users + np.arange(servers)])


def see(observation: Observation, scales: Scales) -> Seen:
    """Every server's own view of an observation."""
    user, own = own_first(observation)
    columns = (jnp.ones_like(observation.gain), *request_columns(observation, scales))
    rows = [jnp.where(own, column[user], 0) for column in columns]
    return Seen(
        jnp.concatenate([*rows, _from_itself(remaining(observation, scales))], 1), user, own
    )


def own_first(
    observation: Observation,
) -> tuple[Int[Array, "servers rows"], Bool[Array, "servers rows"]]:
    """Each server's order of all users, and which rows are its own: these first, the most work first."""
    servers = observation.acting.shape[0]
    hosted = observation.visible & (observation.host == jnp.arange(servers)[:, None])
    user = jnp.argsort(jnp.where(hosted, -observation.requests.cycles, jnp.inf), axis=1)
    return user, jnp.take_along_axis(hosted, user, axis=1)


def _from_itself(table: Float[Array, "servers servers"]) -> Float[Array, "servers servers"]:
    """Each row begun at its own server's column."""
    servers = jnp.arange(table.shape[0])
    return jnp.take_along_axis(table, (servers[:, None] + servers) % table.shape[0], axis=1)


def request_columns(observation: Observation, scales: Scales) -> tuple[Float[Array, "users"], ...]:
    """The task requests T_i: c, f^L, f^r, g and δmax, each in [0, 1]."""
    requests = observation.requests
    gain_db = 10 * jnp.log10(jnp.maximum(observation.gain, 1e-30))
    columns = (
        requests.data_bits / scales.data_bits,
        requests.local_hz / scales.local_hz,
        requests.cycles / scales.cycles,
        (gain_db - scales.gain_low_db) / (scales.gain_high_db - scales.gain_low_db),
        requests.deadline_s / scales.deadline_s,
    )
    return tuple(jnp.clip(column, 0, 1) for column in columns)


def remaining(observation: Observation, scales: Scales) -> Float[Array, "servers servers"]:
    """F of every server (column) as each server (row) last received it, in [0, 1]."""
    return jnp.clip(observation.news.remaining_hz / scales.server_hz, 0, 1)
