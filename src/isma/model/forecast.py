"""Forecast model of users and servers: recurrent and stochastic, with weights that all of them share.

A host observes its users at each of its decisions. Of each user a recurrent state takes in one feature vector
after another, and of each server another one takes in its price and the mean of its users' states. From there
futures are sampled segment by segment: the change of each server's price and of each user's channel, from
Gaussians that depend on the samples before, and the probabilities that the user leaves its cell, that its
service migrates, and that it comes nearer to any server or goes farther from it. No size depends on how many
users or servers there are, and every number is a ratio or in fixed units: one set of weights serves any city.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma.model.layers import Dense, Gru, Mlp, identity

LENGTHS_S = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Segments of the horizon: steps that grow, since a migration pays back over minutes."""
HORIZONS_S = tuple(float(end) for end in np.cumsum(LENGTHS_S))
"""Ends of the segments."""
USER_FEATURES, SERVER_FEATURES, PLACE_FEATURES = 19, 6, 10
"""Lengths of the feature vectors of a user, a server and a place (isma.policies.pricing.features)."""
HOP_CHANGES = tuple(float(hops) for hops in range(-5, 6))
"""Changes of the hops from a user to a server by the end of a segment; larger ones count as the last."""
_UNIT_S = 10.0
_LEAST_PROBABILITY = 1e-6
"""Lower limit of that of having left a cell: its log stays finite."""
_LEAST_STD, _MOST_STD = 0.01, 5.0
_USER_STEP, _SERVER_STEP = 3, 2
_HEAD = (jnp.tanh, identity)


class Normal(NamedTuple):
    """Independent Gaussians."""

    mean: Float[Array, "*rows"]
    std: Float[Array, "*rows"]

    def log_density(self, value: Float[Array, "*rows"]) -> Float[Array, "*rows"]:
        """Log of the density there, in nats."""
        apart = (value - self.mean) / self.std
        return -0.5 * apart**2 - jnp.log(self.std) - 0.5 * jnp.log(2 * jnp.pi)


class Latent(NamedTuple):
    """Recurrent states after the observations so far."""

    user: Float[Array, "users width"]
    server: Float[Array, "servers width"]


class PriceForecast(NamedTuple):
    """One future of the servers' prices."""

    change: Normal
    """Change of log √λ in each segment (segments, servers), given the samples of those before."""
    sample: Float[Array, "segments servers"]
    """Value of that change in this future."""


class UserForecast(NamedTuple):
    """One future of users, segment by segment, given the samples of those before."""

    leaves: Float[Array, "segments users"]
    """Log-odds that the user leaves its cell in a segment, if it has not before."""
    moves: Float[Array, "segments users"]
    """Log-odds that its service migrates in a segment, if it has not before."""
    channel: Normal
    """Change of the log of its signal-to-noise ratio (segments, users)."""
    sample: Float[Array, "segments users"]
    """Value of that change in this future."""
    state: Float[Array, "segments users width"]


class ForecastModel(eqx.Module):
    """Recurrent encoder of observations, and sampler of futures; fields are named as in checkpoints."""

    see_user: Gru
    see_server: Gru
    begin: Dense
    """From a user's state and its host's to the state of a future."""
    onward_user: Gru
    onward_server: Gru
    events: Mlp
    channel: Mlp
    price: Mlp
    way: Dense
    """Embedding of a user's trajectory in a segment."""
    place: Dense
    """Embedding of a server's place."""
    both: Dense
    """Embedding of the two together: whether the trajectory leads there or turns round before."""
    farther: Dense
    """Logits of the changes of hops."""

    @classmethod
    def make(cls, key: PRNGKeyArray, width: int) -> "ForecastModel":
        """With random weights."""
        keys = jax.random.split(key, 12)
        head = partial(Mlp.make, widths=(width, width, 2), activations=_HEAD)
        return cls(
            see_user=Gru.make(keys[0], USER_FEATURES + width, width),
            see_server=Gru.make(keys[1], SERVER_FEATURES + width, width),
            begin=Dense.make(keys[2], 2 * width, width),
            onward_user=Gru.make(keys[3], _USER_STEP, width),
            onward_server=Gru.make(keys[4], _SERVER_STEP, width),
            events=head(keys[5]),
            channel=head(keys[6]),
            price=head(keys[7]),
            way=Dense.make(keys[8], width, width),
            place=Dense.make(keys[9], PLACE_FEATURES, width),
            both=Dense.make(keys[11], width, width),
            farther=Dense.make(keys[10], width, len(HOP_CHANGES)),
        )

    @property
    def width(self) -> int:
        """Numbers in a state."""
        return self.see_user.width

    def start(self, users: int, servers: int) -> Latent:
        """States before any observation."""
        return Latent(jnp.zeros((users, self.width)), jnp.zeros((servers, self.width)))

    def update_users(
        self, before: Latent, features: Float[Array, "users features"], host: Int[Array, "users"]
    ) -> Float[Array, "users width"]:
        """States of users after an observation, in the context of their hosts' states."""
        return self.see_user(before.user, jnp.concatenate([features, before.server[host]], axis=1))

    def update_servers(
        self,
        before: Latent,
        features: Float[Array, "servers features"],
        pooled: Float[Array, "servers width"],
    ) -> Float[Array, "servers width"]:
        """States of servers after an observation; `pooled` is the mean of the states of each one's users."""
        return self.see_server(before.server, jnp.concatenate([features, pooled], axis=1))

    def forecast_prices(
        self,
        state: Float[Array, "servers width"],
        noise: Float[Array, "segments"] | None = None,
        actual: Float[Array, "segments servers"] | None = None,
    ) -> PriceForecast:
        """One future of each server's price: the mean, sampled with one noise for all, or the actual one."""
        was, changes, samples = jnp.zeros(len(state)), [], []
        for segment, long in enumerate(_LONG):
            state = self.onward_server(state, _columns(was, long))
            change = _normal(self.price(state), long)
            was = _sampled(change, segment, noise, actual)
            changes.append(change)
            samples.append(was)
        return PriceForecast(_stacked(changes), jnp.stack(samples))

    def forecast_users(
        self,
        user: Float[Array, "users width"],
        server: Float[Array, "users width"],
        price: Float[Array, "segments users"],
        noise: Float[Array, "segments"] | None = None,
        actual: Float[Array, "segments users"] | None = None,
    ) -> UserForecast:
        """One future of each user: its channel the mean, sampled with one noise for all, or the actual one.

        `server` is the state of each one's host, `price` the changes of that one's log √λ.
        """
        state = jnp.tanh(self.begin(jnp.concatenate([user, server], axis=1)))
        was, segments = jnp.zeros(len(user)), []
        for segment, long in enumerate(_LONG):
            state = self.onward_user(state, _columns(was, price[segment], long))
            channel = _normal(self.channel(state), long)
            was = _sampled(channel, segment, noise, actual)
            events = self.events(state)
            segments.append(UserForecast(events[:, 0], events[:, 1], channel, was, state))
        return _stacked(segments)

    def hop_changes(
        self, users: UserForecast, place: Float[Array, "users places features"]
    ) -> Float[Array, "segments users places changes"]:
        """Log-probability of each change of hops (`HOP_CHANGES`) by the end of each segment.

        A user that has not left its cell is as far from every server as before.
        """
        by_user = self.way(users.state)[:, :, None, :]
        met = jnp.tanh(by_user + self.place(place))
        log_once_left = jax.nn.log_softmax(self.farther(jnp.tanh(self.both(met))))
        log_stayed = jnp.cumsum(jax.nn.log_sigmoid(-users.leaves), axis=0)[:, :, None, None]
        log_left = jnp.log(jnp.maximum(-jnp.expm1(log_stayed), _LEAST_PROBABILITY))
        log_still = jnp.where(jnp.asarray(HOP_CHANGES) == 0, log_stayed, -jnp.inf)
        return jnp.logaddexp(log_left + log_once_left, log_still)


@dataclass(frozen=True)
class ForecastFrame:
    """Specification of the weights."""

    width: int = 32
    """Numbers in a state."""
    kind: str = field(default="isma2", init=False)

    def make(self, key: PRNGKeyArray) -> ForecastModel:
        """A model with random weights."""
        return ForecastModel.make(key, self.width)


def noise(paths: int) -> Float[Array, "paths segments 2"]:
    """Common random numbers of sampled futures, for prices and channels."""
    return jnp.asarray(
        np.random.default_rng(0).normal(size=(paths, len(LENGTHS_S), 2)), jnp.float32
    )


def mean_hop_change(log_chance: Float[Array, "*rows changes"]) -> Float[Array, "*rows"]:
    """Expected change of hops, from the log-probabilities of `ForecastModel.hop_changes`."""
    return jnp.exp(log_chance) @ jnp.asarray(HOP_CHANGES, log_chance.dtype)


_LONG = tuple(float(np.log(length_s / _UNIT_S)) for length_s in LENGTHS_S)


def _sampled(
    change: Normal, segment: int, noise: Float[Array, "segments"] | None, actual: Array | None
) -> Float[Array, "rows"]:
    if actual is not None:
        return actual[segment]
    return change.mean if noise is None else change.mean + change.std * noise[segment]


def _columns(
    first: Float[Array, "rows"], *others: Float[Array, "rows"] | float
) -> Float[Array, "rows columns"]:
    return jnp.stack([first, *(jnp.broadcast_to(one, first.shape) for one in others)], axis=1)


def _normal(out: Float[Array, "rows 2"], long: float) -> Normal:
    std = jnp.exp(0.5 * long + out[:, 1] - 1)
    return Normal(out[:, 0], jnp.clip(std, _LEAST_STD, _MOST_STD))


def _stacked(segments: list):
    return jax.tree.map(lambda *parts: jnp.stack(parts), *segments)
