"""Foresight: references that know where their users will be, to measure what knowing it is worth."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.planning.ahead import Futures, Places, at_places, cost_ahead_s2
from isma.planning.allocation import Offer, at, joining
from isma.planning.migration import one_hop_delay_s2
from isma.planning.moves import own_pull
from isma.planning.payback import level
from isma.policies.base import hop_delay_s
from isma.policies.dwelling import Lasting
from isma.policies.price import Price, Weighed


class Track(eqx.Module):
    """Where users will be: at moments, evenly from the run's beginning."""

    station: Int[Array, "moments users"]
    uplink_s: Float[Array, "moments users"]
    """Time to send all data of one task."""
    step_slots: Int[Array, ""]


class Foresight(Price):
    """As `price`, but a move pays over the way that a user will really go; what follows is learned.

    It looks `segments` steps of the track ahead, of which it knows the first `known` moments after now;
    what follows is a cost-to-go over cells (isma.planning.cells). What others will do, and so prices,
    it does not know.
    """

    everywhere: ClassVar[bool] = True
    margin: float = eqx.field(static=True, default=0.01)
    """Smaller than in `price`: a move that must pay for its stop is no fickle one."""
    spread: float = eqx.field(static=True, default=0.0)
    learns: int = eqx.field(static=True, default=0)
    track: Track = eqx.field(kw_only=True)
    value_s: Float[Array, "levels stations hosts"] | None = eqx.field(kw_only=True)
    """Cost-to-go in seconds of one hop, by payback time; None where moves are free."""
    segments: int = eqx.field(static=True, kw_only=True)
    known: int = eqx.field(static=True, kw_only=True)
    places: int = eqx.field(static=True, default=8)
    """Servers that are thought about for each user, home included."""
    fades_s: float = eqx.field(static=True, default=30.0)
    """Time constant with which prices come back to their mean over servers."""

    def later_s(self, places: Weighed, lasts: Lasting, way: None) -> Float[Array, "users servers"]:
        """What is to come costs at each server beyond the present moment, for each task."""
        observation, offer, host = places.observation, places.offer, places.home
        user = jnp.arange(len(host))
        futures, last = self._futures(observation)
        alone = _without(places.pull, offer, host)
        joined_s = joining(offer, alone**2).cost_s
        usual = jnp.mean(places.pull, axis=1, keepdims=True)
        thought = self._places(observation, offer, alone, usual, joined_s, futures)
        cost_s2 = cost_ahead_s2(
            *(observation, futures, thought, jnp.asarray(self.fades_s)),
            self._rest_s2(observation, offer, thought, last),
        )
        # To stay now and go after the first segment is among the ways: going now saves no more than that.
        more_s = (cost_s2 - cost_s2[:, :1]) / futures.length_s[0]
        present_s = joined_s - joined_s[user, host][:, None]
        return at_places(more_s, thought.server, joined_s.shape[1]) - present_s

    def certain_s(
        self,
        observation: Observation,
        hop_s: Float[Array, "users"],
        server: Int[Array, "*#users places"],
    ) -> Float[Array, "users places"]:
        """Nothing: what is gained lies along the way, and its margin is small."""
        return jnp.zeros((len(hop_s), server.shape[-1]), hop_s.dtype)

    def _futures(self, observation: Observation) -> tuple[Futures, Int[Array, "samples users"]]:
        """The one future, and the stations at its end. Now is seen, not remembered from the track."""
        track = self.track
        ahead = jnp.minimum(jnp.arange(self.segments + 1), self.known)
        moment = observation.slot // track.step_slots + ahead
        moment = jnp.minimum(moment, track.station.shape[0] - 1)
        seen = (ahead == 0)[:, None]
        station = jnp.where(seen, observation.station, track.station[moment])
        step_s = track.step_slots * observation.infrastructure.slot_s
        lengths_s = jnp.full((self.segments,), step_s)
        uplink_s = track.uplink_s[moment[:-1]]
        return Futures(lengths_s, station[None, :-1], uplink_s[None]), station[None, -1]

    def _places(
        self,
        observation: Observation,
        offer: Offer,
        alone: Float[Array, "users servers"],
        usual: Float[Array, "users #servers"],
        joined_s: Float[Array, "users servers"],
        futures: Futures,
    ) -> Places:
        """Home and the servers that are cheapest at present prices on the mean of the way."""
        hops = observation.infrastructure.hops
        farther = jnp.mean(hops[futures.station], axis=(0, 1)) - hops[observation.station]
        score = joined_s + hop_delay_s(observation, offer)[:, None] * farther
        score = score.at[jnp.arange(len(score)), observation.host].set(-jnp.inf)
        _, server = jax.lax.top_k(-score, min(self.places, score.shape[1]))
        pull = jnp.take_along_axis(alone, server, axis=1)
        return Places(
            server.astype(observation.host.dtype), pull, jnp.broadcast_to(usual, pull.shape)
        )

    def _rest_s2(
        self,
        observation: Observation,
        offer: Offer,
        places: Places,
        station: Int[Array, "samples users"],
    ) -> Float[Array, "samples users places"]:
        """What follows at the end, from the cost-to-go over cells."""
        if self.value_s is None:
            return jnp.zeros((len(station), *places.server.shape))
        hop_s = hop_delay_s(observation, offer)
        row = level(one_hop_delay_s2(observation) / jnp.maximum(hop_s, 1e-12))
        return hop_s[:, None] * self.value_s[row[:, None], station[..., None], places.server]


def _without(
    pull: Float[Array, "users servers"], offer: Offer, host: Int[Array, "users"]
) -> Float[Array, "users servers"]:
    """√λ of every server without the user itself, which home's holds."""
    user = jnp.arange(len(host))
    return pull.at[user, host].add(-own_pull(at(offer, host), pull[user, host]))
