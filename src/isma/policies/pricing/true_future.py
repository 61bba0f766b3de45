"""True-future valuation: references that know all trajectories, to measure the worth of a forecast."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Memory, Observation
from isma.planning.allocation import Offers, Split, joining, offer_over
from isma.planning.migration import one_hop_delay_s2
from isma.planning.migration_path import at_places, decaying, least_cost_s2
from isma.planning.moves import without_own
from isma.planning.payback import level
from isma.policies.pricing.candidates import Candidates
from isma.policies.pricing.dwell_time import PRIOR_S
from isma.policies.pricing.valuation import Forecast, Valuation, expected_duration
from isma.world.scenario import Scenario

_PLACES = 8
"""Servers that are planned with for each user, home included."""
_DECAYS_S = 30.0
"""Time constant with which prices revert to their mean over servers."""


class Track(eqx.Module):
    """True trajectories of the users, sampled evenly from the run's beginning."""

    station: Int[Array, "moments users"]
    uplink_s: Float[Array, "moments users"]
    """Time to send all data of one task."""
    step_slots: Int[Array, ""]


class KnownTrajectories(NamedTuple):
    """One future of the users, in segments of time from now on, and the stations at its end."""

    length_s: Float[Array, "segments"]
    station: Int[Array, "segments users"]
    """Attached base station."""
    uplink_s: Float[Array, "segments users"]
    """Time to send all data of one task to it."""
    last: Int[Array, "users"]


class Between(NamedTuple):
    """Servers between which a user's service may move, home first, with their root prices √λ."""

    column: Int[Array, "users places"]
    """Place of each among the candidates."""
    server: Int[Array, "users places"]
    now: Float[Array, "users places"]
    """√λ without the user itself."""
    long_run: Float[Array, "users places"]
    """Mean to which that reverts."""


class TrueFuture(Valuation):
    """Cost-to-go along the true trajectory of each user, with a learned terminal cost.

    It looks `segments` steps of the track ahead, of which it knows the first `known` moments after now;
    the terminal cost is a cost-to-go over cells (isma.planning.cells). The moves of other users, and so
    future prices, it does not know.
    """

    track: Track = eqx.field(kw_only=True)
    value_s: Float[Array, "levels stations hosts"] | None = eqx.field(kw_only=True)
    """Cost-to-go in seconds of one hop, by payback time; None where moves are free."""
    segments: int = eqx.field(static=True, kw_only=True)
    known: int = eqx.field(static=True, kw_only=True)

    def init(self, scenario: Scenario, num_users: int, num_servers: int) -> Memory:
        """Nothing: the track is the memory."""
        return Memory.none()

    def update(
        self, memory: Memory, observation: Observation, offer: Offers, here: Split
    ) -> Memory:
        """Nothing to take in."""
        return memory

    def forecast(self, memory: Memory, observation: Observation) -> Forecast:
        """Prior duration of gains; the future is read from the track once the candidates are known."""
        return Forecast(expected_duration(None, observation, PRIOR_S))

    def added_cost_s(
        self, candidates: Candidates, forecast: Forecast
    ) -> Float[Array, "users places"]:
        """Cost-to-go at each server beyond the present moment, for each task."""
        observation, offer, home = candidates.observation, candidates.offer, candidates.home
        user, future = jnp.arange(len(home)), self.future(observation)
        root_price = without_own(offer, home, candidates.root_price)
        joined_s = joining(offer, root_price**2).cost_s
        between = _between(candidates, root_price, joined_s, future)
        cost_s2 = path_cost_s2(
            observation,
            future,
            between,
            jnp.asarray(_DECAYS_S),
            self._terminal_s2(candidates, between, future.last),
        )
        # Staying now and going after the first segment is a path too: going now saves no more than that.
        more_s = (cost_s2 - cost_s2[:, :1]) / future.length_s[0]
        present_s = joined_s - joined_s[user, home][:, None]
        return at_places(more_s, between.column, joined_s.shape[1]) - present_s

    def future(self, observation: Observation) -> KnownTrajectories:
        """Segments from now on. Now is seen, not remembered from the track."""
        track = self.track
        ahead = jnp.minimum(jnp.arange(self.segments + 1), self.known)
        moment = observation.slot // track.step_slots + ahead
        moment = jnp.minimum(moment, track.station.shape[0] - 1)
        seen = (ahead == 0)[:, None]
        station = jnp.where(seen, observation.station, track.station[moment])
        step_s = track.step_slots * observation.infrastructure.slot_s
        lengths_s = jnp.full((self.segments,), step_s)
        return KnownTrajectories(lengths_s, station[:-1], track.uplink_s[moment[:-1]], station[-1])

    def _terminal_s2(
        self, candidates: Candidates, between: Between, station: Int[Array, "users"]
    ) -> Float[Array, "users places"]:
        """Cost after the last segment, from the cost-to-go over cells."""
        if self.value_s is None:
            return jnp.zeros(between.server.shape)
        hop_s = candidates.hop_s
        row = level(one_hop_delay_s2(candidates.observation) / hop_s)
        return hop_s[:, None] * self.value_s[row[:, None], station[:, None], between.server]


def path_cost_s2(
    observation: Observation,
    future: KnownTrajectories,
    between: Between,
    decays_s: Float[Array, "*#users"],
    terminal_s2: Float[Array, "users places"],
) -> Float[Array, "users places"]:
    """Least cost-to-go when a service now goes to each place, in a known future: delay of tasks times time.

    Deviations of prices decay with the time constants `decays_s`.
    """
    root_prices = decaying(between.now, between.long_run, decays_s, future.length_s)
    server_hz = observation.infrastructure.server_hz[between.server]
    work_s = observation.requests.cycles[:, None] / server_hz

    def cost_s(
        root_price: Float[Array, "users places"],
        station: Int[Array, "users"],
        uplink_s: Float[Array, "users"],
    ) -> Float[Array, "users places"]:
        hops = observation.infrastructure.hops[station[:, None], between.server]
        offer = offer_over(observation, hops, work_s, uplink_s[:, None])
        return joining(offer, root_price**2).cost_s

    costs_s = jax.vmap(cost_s)(root_prices, future.station, future.uplink_s)
    return least_cost_s2(observation, between.server, future.length_s, costs_s, terminal_s2)


def _between(
    candidates: Candidates,
    root_price: Float[Array, "users servers"],
    joined_s: Float[Array, "users servers"],
    future: KnownTrajectories,
) -> Between:
    """Home and the servers that are cheapest at present prices on the mean of the trajectory."""
    observation, server = candidates.observation, candidates.server
    hops = observation.infrastructure.hops
    along = jnp.mean(hops[future.station[..., None], server], axis=0)
    farther = along - hops[observation.station[:, None], server]
    score = joined_s + candidates.hop_s[:, None] * farther
    score = score.at[jnp.arange(len(score)), candidates.home].set(-jnp.inf)
    _, column = jax.lax.top_k(-score, min(_PLACES, score.shape[1]))
    take = lambda part: jnp.take_along_axis(part, column, axis=1)  # noqa: E731
    now = take(root_price)
    return Between(
        column,
        take(jnp.broadcast_to(server, score.shape)).astype(observation.host.dtype),
        now,
        jnp.broadcast_to(candidates.mean_root_price[:, None], now.shape),
    )
