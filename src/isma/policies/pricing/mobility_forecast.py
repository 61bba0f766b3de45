"""Mobility forecast: hops and channel of each user in the segments of a planning horizon."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.model.outlook import Outlook, Ways, mean_farther
from isma.policies.pricing.features import Topology, place_features


class MobilityForecast(eqx.Module):
    """Expected future of users, in rows."""

    @abstractmethod
    def of_rows(self, row: Int[Array, "rows"]) -> "MobilityForecast":
        """Forecast of some users alone."""

    @abstractmethod
    def hops(
        self, observation: Observation, server: Int[Array, "users places"], segments: int
    ) -> Float[Array, "segments users places"]:
        """Expected hops from each user to each server, midway through each segment."""

    @abstractmethod
    def gain(self, observation: Observation, segments: int) -> Float[Array, "segments users"]:
        """Expected channel gain of each user, midway through each segment."""


class Persistence(MobilityForecast):
    """Persistence forecast: all stays as it is now."""

    def of_rows(self, row: Int[Array, "rows"]) -> "MobilityForecast":
        """Forecast of some users alone."""
        return self

    def hops(
        self, observation: Observation, server: Int[Array, "users places"], segments: int
    ) -> Float[Array, "segments users places"]:
        """Hops as they are now."""
        now = hops_now(observation, server)
        return jnp.broadcast_to(now, (segments, *now.shape))

    def gain(self, observation: Observation, segments: int) -> Float[Array, "segments users"]:
        """Channel gain as it is now."""
        return jnp.broadcast_to(observation.gain, (segments, *observation.gain.shape))


class Modelled(MobilityForecast):
    """Mean future of the recurrent model (isma.model.outlook), from the states it has reached."""

    model: Outlook
    user: Float[Array, "users width"]
    """State of each user."""
    host: Float[Array, "users width"]
    """State of the server that serves it."""
    price: Float[Array, "users segments"]
    """Changes of log √λ of that one."""
    visited: Int[Array, "users before"]
    """Stations before the present one, the last one first."""

    def of_rows(self, row: Int[Array, "rows"]) -> "MobilityForecast":
        """Forecast of some users alone."""
        take = lambda part: part[row]  # noqa: E731
        rows = (self.user, self.host, self.price, self.visited)
        return Modelled(self.model, *map(take, rows))

    def hops(
        self, observation: Observation, server: Int[Array, "users places"], segments: int
    ) -> Float[Array, "segments users places"]:
        """Hops now and the mean change midway; parts of a hop where it is not sure."""
        now = hops_now(observation, server)
        topology = Topology.of(observation.infrastructure)
        place = place_features(topology, observation.station, self.visited, server)
        ends = mean_farther(self.model.to_places(self._ways(), place))[:segments]
        begins = jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])
        return jnp.maximum(now + (begins + ends) / 2, 0)

    def gain(self, observation: Observation, segments: int) -> Float[Array, "segments users"]:
        """Channel gain along the expected changes of its log."""
        return gain_midway(observation.gain, self._ways().drawn[:segments])

    def _ways(self) -> Ways:
        """Expected future of each user, segment by segment."""
        return self.model.ways(self.user, self.host, jnp.moveaxis(self.price, 0, -1))


def hops_now(
    observation: Observation, server: Int[Array, "users places"]
) -> Float[Array, "users places"]:
    """Hops from each user's station to each server."""
    return observation.infrastructure.hops[observation.station[:, None], server]


def gain_midway(
    gain: Float[Array, "users"], changes: Float[Array, "segments users"]
) -> Float[Array, "segments users"]:
    """Channel gain midway through each segment, if its log changes evenly by so much in each."""
    return gain * jnp.exp(jnp.cumsum(changes, axis=0) - changes / 2)
