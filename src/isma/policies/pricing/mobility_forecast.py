"""Mobility forecast: hops and channel of each user in the segments of a planning horizon."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.model.forecast import ForecastModel, UserForecast, mean_hop_change
from isma.policies.pricing.features import Topology, place_features


class Expected(NamedTuple):
    """Expectations midway through each segment of a horizon."""

    hops: Float[Array, "segments users places"]
    """Hops from each user to each server that was asked for; parts of a hop where it is not sure."""
    gain: Float[Array, "segments users"]
    """Channel gain of each user."""


class MobilityForecast(eqx.Module):
    """Expected future of users, in rows."""

    @abstractmethod
    def of_rows(self, row: Int[Array, "rows"]) -> "MobilityForecast":
        """Forecast of some users alone."""

    @abstractmethod
    def expect(
        self, observation: Observation, server: Int[Array, "users places"], segments: int
    ) -> Expected:
        """Expectations for some servers of each user, over `segments` segments."""


class Persistence(MobilityForecast):
    """Persistence forecast: all stays as it is now."""

    def of_rows(self, row: Int[Array, "rows"]) -> "MobilityForecast":
        """Forecast of some users alone."""
        return self

    def expect(
        self, observation: Observation, server: Int[Array, "users places"], segments: int
    ) -> Expected:
        """Hops and gains as they are now."""
        now = hops_now(observation, server), observation.gain
        return Expected(*(jnp.broadcast_to(part, (segments, *part.shape)) for part in now))


class Modelled(MobilityForecast):
    """Mean future of the recurrent model (isma.model.forecast), from the states it has reached."""

    model: ForecastModel
    user: Float[Array, "users width"]
    """State of each user."""
    host: Float[Array, "users width"]
    """State of the server that serves it."""
    price: Float[Array, "users segments"]
    """Changes of log √λ of that one."""
    visited: Int[Array, "users before"]
    """Stations before the present one, the last one first."""

    def of_rows(self, row: Int[Array, "rows"]) -> "Modelled":
        """Forecast of some users alone."""
        rows = (self.user, self.host, self.price, self.visited)
        return Modelled(self.model, *(part[row] for part in rows))

    def expect(
        self, observation: Observation, server: Int[Array, "users places"], segments: int
    ) -> Expected:
        """Hops now and their mean change midway; gain along the mean changes of its log."""
        futures = self._futures()
        ends = self._changes(futures, observation, server)[:segments]
        begins = jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])
        return Expected(
            jnp.maximum(hops_now(observation, server) + (begins + ends) / 2, 0),
            gain_midway(observation.gain, futures.sample[:segments]),
        )

    def hop_changes(
        self, observation: Observation, server: Int[Array, "users places"], segments: int
    ) -> Float[Array, "segments users places"]:
        """Mean changes of the hops to some servers of each user by the end of each segment."""
        return self._changes(self._futures(), observation, server)[:segments]

    def _futures(self) -> UserForecast:
        return self.model.forecast_users(self.user, self.host, jnp.moveaxis(self.price, 0, -1))

    def _changes(
        self, futures: UserForecast, observation: Observation, server: Int[Array, "users places"]
    ) -> Float[Array, "segments users places"]:
        topology = Topology.of(observation.infrastructure)
        place = place_features(topology, observation.station, self.visited, server)
        return mean_hop_change(self.model.hop_changes(futures, place))


def hops_now(
    observation: Observation, server: Int[Array, "users places"]
) -> Float[Array, "users places"]:
    """Hops from each user's station to each server."""
    return observation.infrastructure.hops[observation.station[:, None], server]


def gain_midway(
    gain: Float[Array, "users"], changes: Float[Array, "segments users"]
) -> Float[Array, "segments users"]:
    """Channel gain midway through each segment, if its log changes evenly by `changes` in each."""
    return gain * jnp.exp(jnp.cumsum(changes, axis=0) - changes / 2)
