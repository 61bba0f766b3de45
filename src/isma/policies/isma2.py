"""isma2: prices, and a learned outlook on where users are going.

What is known is computed: shares, ratios, what a move costs (isma.policies.price). What is hidden is
how users and servers go on. A recurrent model with the same weights for every user (isma.model.outlook)
takes in what each host sees, and imagines futures from there: what a move spares in hops is reckoned
over the way that lies ahead, and no longer from where the user happens to be.
"""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma.contract import Action, Memory, Observation
from isma.errors import PolicyError
from isma.model.outlook import AHEAD_S, LENGTHS_S, Latent, Outlook, Ways, mean_farther
from isma.planning.allocation import Offers, Split
from isma.planning.pools import Pools
from isma.policies.base import nearer_s
from isma.policies.dwelling import Lasting, Seen, look
from isma.policies.looks import Last, looks, place_looks
from isma.policies.price import Price
from isma.world.scenario import Scenario, Visibility


class UserBelief(eqx.Module):
    """What is remembered of each user; it travels with the service."""

    seen: Seen
    last: Last
    state: Float[Array, "users width"]


class ServerBelief(eqx.Module):
    """What a server remembers of itself."""

    pull: Float[Array, "servers"]
    """Log of √λ at its last decision."""
    state: Float[Array, "servers width"]


class Way(NamedTuple):
    """What futures of users are imagined from."""

    user: Float[Array, "users width"]
    host: Float[Array, "users width"]
    """State of the server that serves it."""
    price: Float[Array, "users paths segments"]
    """How that one's price goes on."""
    visited: Int[Array, "users before"]


class Isma2(Price):
    """Moves users as prices tell, to where imagined futures say that they will be."""

    outlook: Outlook | None = None
    """The trained model; None for `price`."""
    ahead_s: float = eqx.field(static=True, default=20.0)
    """Mean of the time over which the way ahead is weighed; what comes later, later moves see to."""
    paths: int = eqx.field(static=True, default=1)
    """Futures that are imagined; one is that in which all goes on as is expected."""
    prices: int = eqx.field(static=True, default=1)
    """0: servers neither tell nor hear prices, and reckon each other's from load."""

    def __check_init__(self) -> None:
        """Refuse what cannot be imagined."""
        if self.ahead_s < 0:
            raise PolicyError(f"isma2: ahead_s must be 0 (now) or more, got {self.ahead_s:g}")
        if self.paths < 1:
            raise PolicyError(f"isma2: paths must be at least 1, got {self.paths}")
        if self.prices not in (0, 1):
            raise PolicyError(f"isma2: prices must be 0 or 1, got {self.prices}")

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Nothing has been seen yet; where moves are free there is nothing to remember."""
        memory = super().init(scenario, num_users, num_servers, key)
        alone = scenario.visibility is Visibility.USER  # Then no server knows what its users share.
        if self.outlook is None or memory.per_user is None or alone:
            return memory
        nothing = self.outlook.nothing(num_users, num_servers)
        return Memory(
            ServerBelief(jnp.zeros(num_servers), nothing.server),
            UserBelief(memory.per_user, Last.nothing(num_users), nothing.user),
        )

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """As `price`, along the way."""
        if self.prices:
            return super().act(memory, observation, key)
        news = observation.news
        unheard = replace(news, price_s=jnp.zeros_like(news.price_s))
        action, after = super().act(memory, replace(observation, news=unheard), key)
        return replace(action, price_s=jnp.zeros_like(action.price_s)), after

    def looked(
        self, memory: Memory, observation: Observation, offer: Offers, here: Split
    ) -> Memory:
        """What is remembered once all users have been looked at, and every server at itself."""
        user, server = memory.per_user, memory.per_server
        if self.outlook is None or not isinstance(user, UserBelief):
            return super().looked(memory, observation, offer, here)
        if observation.visibility is Visibility.USER:
            return Memory(server, UserBelief(look(user.seen, observation), user.last, user.state))
        seen = look(user.seen, observation)
        now = looks(user.seen, seen, user.last, server.pull, observation, offer, here)
        before = Latent(user.state, server.state)
        state = self.outlook.user_seen(before, now.user, observation.host)
        home = Pools(observation.pool(observation.host), observation.num_pools)
        number = home.sum(observation.visible.astype(state.dtype))
        pooled = home.sum(state) / jnp.maximum(number, 1)[:, None]
        its = self.outlook.server_seen(before, now.server, pooled)
        return Memory(ServerBelief(now.pull, its), UserBelief(seen, now.last, state))

    def lasts(self, memory: Memory, observation: Observation) -> Lasting:
        """How long what a move gains lasts, as `price` reckons it."""
        user = memory.per_user
        if isinstance(user, UserBelief):
            return super().lasts(Memory(None, user.seen), observation)
        return super().lasts(memory, observation)

    def way(self, memory: Memory, observation: Observation) -> Way | None:
        """What futures of the users are imagined from; None where nothing is foreseen."""
        user, server = memory.per_user, memory.per_server
        alone = observation.visibility is Visibility.USER
        if self.outlook is None or not isinstance(user, UserBelief) or alone or not self.ahead_s:
            return None
        prices = jax.vmap(self.outlook.prices, in_axes=(None, 0))(
            server.state, noise(self.paths)[..., 0]
        )
        host = observation.host
        drawn = jnp.moveaxis(prices.drawn[..., host], -1, 0)
        return Way(user.state, server.state[host], drawn, user.last.visited)

    def certain_s(
        self,
        way: Way | None,
        observation: Observation,
        hop_s: Float[Array, "users"],
        server: Int[Array, "*#users places"],
    ) -> Float[Array, "users places"]:
        """The hops that are spared on average over imagined futures, a hop costing `hop_s`."""
        now_s = nearer_s(observation, hop_s, server)
        if way is None or self.outlook is None:
            return now_s
        hops, host = observation.infrastructure.hops, observation.host[:, None]
        ways = self._ways(way)
        whole = jnp.broadcast_to(server, (len(hop_s), server.shape[-1]))
        places = jnp.concatenate([host, whole], axis=1)
        look = place_looks(hops, observation.station, way.visited, places)
        odds = jax.vmap(self.outlook.to_places, in_axes=(0, None))(ways, look)
        farther = jnp.mean(mean_farther(odds), axis=0)  # segments, users, places
        mean = jnp.tensordot(jnp.asarray(weights(self.ahead_s)), farther, axes=1)
        return now_s + hop_s[:, None] * (mean[:, :1] - mean[:, 1:])

    def _ways(self, way: Way) -> Ways:
        """Imagined futures, paths first."""
        assert self.outlook is not None
        return jax.vmap(self.outlook.ways, in_axes=(None, None, 0, 0))(
            way.user, way.host, jnp.moveaxis(way.price, 0, -1), noise(self.paths)[..., 1]
        )


def noise(paths: int) -> Float[Array, "paths segments 2"]:
    """What futures are drawn with: the same for all and always, so that what differs is not chance."""
    if paths == 1:
        return jnp.zeros((1, len(LENGTHS_S), 2))
    return jnp.asarray(
        np.random.default_rng(0).normal(size=(paths, len(LENGTHS_S), 2)), jnp.float32
    )


def weights(ahead_s: float) -> Float[np.ndarray, "segments"]:
    """How much what is so at the end of each segment counts, if time counts as exp(-t / ahead_s).

    In the middle of a segment what was so before it ends and what is so after it begins; beyond the
    last one all is as at its end.
    """
    if ahead_s <= 0:
        return np.zeros(len(AHEAD_S), np.float32)
    begins = np.concatenate([[0.0], AHEAD_S])
    middle = (begins[1:] + begins[:-1]) / 2
    left = np.exp(-np.append(middle, np.inf) / ahead_s)
    return (left[:-1] - left[1:]).astype(np.float32)
