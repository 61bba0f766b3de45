"""Forecast of users and servers, learned: a recurrent, stochastic model with shared weights.

A host sees its users look by look. Of each user a recurrent state takes in one look after another, and
of each server another one takes in its price and the mean of its users' states. From there futures are
imagined segment by segment: how each server's price goes on, how each user's channel does, both drawn
from Gaussians that depend on what was drawn before, and along the way the chances that the user leaves
its cell, that its service is moved, and that it comes nearer to any server or goes farther from it.
Nothing in it depends on how many users or servers there are, and every number is a ratio or in fixed
units: one set of weights serves any city.
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
"""Segments ahead: steps that grow, since a move pays back over minutes."""
AHEAD_S = tuple(float(end) for end in np.cumsum(LENGTHS_S))
USER_LOOK, SERVER_LOOK, PLACE_LOOK = 19, 6, 10
"""Lengths of the feature vectors of a user, a server and a place (isma.policies.pricing.features)."""
FARTHER = tuple(float(hops) for hops in range(-5, 6))
"""By how many hops a user's way to a server may have changed at the end of a segment; more is the same."""
_UNIT_S = 10.0
_LEAST_CHANCE = 1e-6
"""Of having left a cell: its log stays finite."""
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


class Prices(NamedTuple):
    """Futures of the servers' prices."""

    change: Normal
    """Of log √λ in each segment (segments, servers), given what was drawn in those before."""
    drawn: Float[Array, "segments servers"]


class Ways(NamedTuple):
    """Futures of users, segment by segment, given what was drawn in those before."""

    leaves: Float[Array, "segments users"]
    """Log-odds that the user leaves its cell in it, if it has not before."""
    moves: Float[Array, "segments users"]
    """Log-odds that its service is moved in it, if it has not been before."""
    channel: Normal
    """Change of the log of its signal-to-noise ratio (segments, users)."""
    drawn: Float[Array, "segments users"]
    """What that change is in this future."""
    state: Float[Array, "segments users width"]


class Outlook(eqx.Module):
    """The model: what a look does to what is remembered, and what is ahead from there."""

    see_user: Gru
    see_server: Gru
    begin: Dense
    """From a user's state and its host's to a future."""
    onward_user: Gru
    onward_server: Gru
    events: Mlp
    channel: Mlp
    price: Mlp
    way: Dense
    """From a user's state in a segment, as far as the way to any server goes by it."""
    place: Dense
    """The same from where the server lies."""
    both: Dense
    """The two together: whether the way leads there or turns round before."""
    farther: Dense

    @classmethod
    def make(cls, key: PRNGKeyArray, width: int) -> "Outlook":
        """With random weights."""
        keys = jax.random.split(key, 12)
        head = partial(Mlp.make, widths=(width, width, 2), activations=_HEAD)
        return cls(
            see_user=Gru.make(keys[0], USER_LOOK + width, width),
            see_server=Gru.make(keys[1], SERVER_LOOK + width, width),
            begin=Dense.make(keys[2], 2 * width, width),
            onward_user=Gru.make(keys[3], _USER_STEP, width),
            onward_server=Gru.make(keys[4], _SERVER_STEP, width),
            events=head(keys[5]),
            channel=head(keys[6]),
            price=head(keys[7]),
            way=Dense.make(keys[8], width, width),
            place=Dense.make(keys[9], PLACE_LOOK, width),
            both=Dense.make(keys[11], width, width),
            farther=Dense.make(keys[10], width, len(FARTHER)),
        )

    @property
    def width(self) -> int:
        """Numbers in a state."""
        return self.see_user.width

    def nothing(self, users: int, servers: int) -> Latent:
        """Nothing seen yet."""
        return Latent(jnp.zeros((users, self.width)), jnp.zeros((servers, self.width)))

    def user_seen(
        self, before: Latent, look: Float[Array, "users look"], host: Int[Array, "users"]
    ) -> Float[Array, "users width"]:
        """Users' states after a look, in the context of what is known of their hosts."""
        return self.see_user(before.user, jnp.concatenate([look, before.server[host]], axis=1))

    def server_seen(
        self,
        before: Latent,
        look: Float[Array, "servers look"],
        pooled: Float[Array, "servers width"],
    ) -> Float[Array, "servers width"]:
        """Servers' states after a look; `pooled` is the mean of the states of each one's users."""
        return self.see_server(before.server, jnp.concatenate([look, pooled], axis=1))

    def prices(
        self,
        state: Float[Array, "servers width"],
        noise: Float[Array, "segments"] | None = None,
        came: Float[Array, "segments servers"] | None = None,
    ) -> Prices:
        """One future of each server's price: drawn with the same noise for all, or the one that came."""
        was, changes, drawn = jnp.zeros(len(state)), [], []
        for segment, long in enumerate(_LONG):
            state = self.onward_server(state, _columns(was, long))
            change = _normal(self.price(state), long)
            was = _drawn(change, segment, noise, came)
            changes.append(change)
            drawn.append(was)
        return Prices(_stacked(changes), jnp.stack(drawn))

    def ways(
        self,
        user: Float[Array, "users width"],
        server: Float[Array, "users width"],
        price: Float[Array, "segments users"],
        noise: Float[Array, "segments"] | None = None,
        came: Float[Array, "segments users"] | None = None,
    ) -> Ways:
        """One future of each user: its channel drawn with the same noise for all, or as it came.

        `server` is the state of each one's host, `price` how that one's price changes meanwhile.
        """
        state = jnp.tanh(self.begin(jnp.concatenate([user, server], axis=1)))
        was, found = jnp.zeros(len(user)), []
        for segment, long in enumerate(_LONG):
            state = self.onward_user(state, _columns(was, price[segment], long))
            channel = _normal(self.channel(state), long)
            was = _drawn(channel, segment, noise, came)
            events = self.events(state)
            found.append(Ways(events[:, 0], events[:, 1], channel, was, state))
        return _stacked(found)

    def to_places(
        self, ways: Ways, place: Float[Array, "users places look"]
    ) -> Float[Array, "segments users places changes"]:
        """Log of the chance of each number of hops farther (`FARTHER`) at the end of each segment.

        Who has not left its cell is as far from every server as before.
        """
        by_user = self.way(ways.state)[:, :, None, :]
        met = jnp.tanh(by_user + self.place(place))
        log_once_left = jax.nn.log_softmax(self.farther(jnp.tanh(self.both(met))))
        log_stayed = jnp.cumsum(jax.nn.log_sigmoid(-ways.leaves), axis=0)[:, :, None, None]
        log_left = jnp.log(jnp.maximum(-jnp.expm1(log_stayed), _LEAST_CHANCE))
        log_still = jnp.where(jnp.asarray(FARTHER) == 0, log_stayed, -jnp.inf)
        return jnp.logaddexp(log_left + log_once_left, log_still)


@dataclass(frozen=True)
class OutlookFrame:
    """Numbers that the weights are read with."""

    width: int = 32
    """Numbers in a state."""
    kind: str = field(default="isma2", init=False)

    def make(self, key: PRNGKeyArray) -> Outlook:
        """A model with random weights."""
        return Outlook.make(key, self.width)


def noise(paths: int) -> Float[Array, "paths segments 2"]:
    """Common random numbers of futures, for prices and channels: what differs is not chance."""
    return jnp.asarray(
        np.random.default_rng(0).normal(size=(paths, len(LENGTHS_S), 2)), jnp.float32
    )


def mean_farther(log_chance: Float[Array, "*rows changes"]) -> Float[Array, "*rows"]:
    """Hops farther on average, by what `Outlook.to_places` says."""
    return jnp.exp(log_chance) @ jnp.asarray(FARTHER, log_chance.dtype)


_LONG = tuple(float(np.log(length_s / _UNIT_S)) for length_s in LENGTHS_S)


def _drawn(
    ahead: Normal, segment: int, noise: Float[Array, "segments"] | None, came: Array | None
) -> Float[Array, "rows"]:
    if came is not None:
        return came[segment]
    return ahead.mean if noise is None else ahead.mean + ahead.std * noise[segment]


def _columns(
    first: Float[Array, "rows"], *others: Float[Array, "rows"] | float
) -> Float[Array, "rows columns"]:
    return jnp.stack([first, *(jnp.broadcast_to(one, first.shape) for one in others)], axis=1)


def _normal(out: Float[Array, "rows 2"], long: float) -> Normal:
    std = jnp.exp(0.5 * long + out[:, 1] - 1)
    return Normal(out[:, 0], jnp.clip(std, _LEAST_STD, _MOST_STD))


def _stacked(found: list):
    return jax.tree.map(lambda *parts: jnp.stack(parts), *found)
