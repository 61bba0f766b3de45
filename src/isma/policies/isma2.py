"""isma2: prices, and a plan of moves along a learned outlook on where users are going.

What is known is computed: shares, ratios, what a move costs (isma.policies.price). What is hidden is
how users and servers go on. A recurrent model with the same weights for every user (isma.model.outlook)
takes in what each host sees, and imagines futures from there. A user moves now if that is how the best
sequence of servers over the next two minutes begins: the shortest path (isma.planning.ahead).
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
from isma.model.outlook import LENGTHS_S, Latent, Outlook, Ways, mean_farther
from isma.planning.ahead import at_places, fading, least_ahead_s2
from isma.planning.allocation import Offers, Split
from isma.planning.moves import costs_s
from isma.planning.pools import Pools
from isma.policies.beside import Load, after_s2, cost_s, load_of, sooner_beside_s
from isma.policies.dwelling import Lasting, Seen, look
from isma.policies.heard import Heard, Usual, hear
from isma.policies.looks import Ground, Last, looks, place_looks
from isma.policies.price import Price, Weighed
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
    heard: Heard
    """What it heard of all servers' prices."""


class Way(NamedTuple):
    """What futures of users are imagined from."""

    user: Float[Array, "users width"]
    host: Float[Array, "users width"]
    """State of the server that serves it."""
    price: Float[Array, "users paths segments"]
    """How that one's price goes on."""
    visited: Int[Array, "users before"]


class Isma2(Price):
    """Moves users as prices tell, where that begins the best plan for where they will be."""

    outlook: Outlook | None = None
    """The trained model; None to plan as if users stayed where they are."""
    segments: int = eqx.field(static=True, default=len(LENGTHS_S))
    """Segments of time that are planned over, each twice as long as the one before."""
    places: int = eqx.field(static=True, default=16)
    """Servers that are planned with for each user, home included."""
    paths: int = eqx.field(static=True, default=1)
    """Futures that are imagined; one is that in which all goes on as is expected."""
    prices: int = eqx.field(static=True, default=1)
    """0: servers neither tell nor hear prices, and reckon each other's from load."""

    def __check_init__(self) -> None:
        """Refuse what cannot be imagined."""
        most = len(LENGTHS_S)
        if not 1 <= self.segments <= most:
            raise PolicyError(f"isma2: segments must be 1 to {most}, got {self.segments}")
        if self.places < 1:
            raise PolicyError(f"isma2: places must be at least 1, got {self.places}")
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
        if memory.per_user is None or alone:
            return memory
        heard = Heard.nothing(num_servers)
        if self.outlook is None:
            return Memory(heard, memory.per_user)
        nothing = self.outlook.nothing(num_users, num_servers)
        return Memory(
            ServerBelief(jnp.zeros(num_servers), nothing.server, heard),
            UserBelief(memory.per_user, Last.nothing(num_users), nothing.user),
        )

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """As `price`, with a plan."""
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
        if isinstance(server, Heard):
            heard = Memory(hear(server, observation), user)
            return super().looked(heard, observation, offer, here)
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
        heard = hear(server.heard, observation)
        return Memory(ServerBelief(now.pull, its, heard), UserBelief(seen, now.last, state))

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
        if self.outlook is None or not isinstance(user, UserBelief) or alone:
            return None
        prices = jax.vmap(self.outlook.prices, in_axes=(None, 0))(
            server.state, noise(self.paths)[..., 0]
        )
        host = observation.host
        drawn = jnp.moveaxis(prices.drawn[..., host], -1, 0)
        return Way(user.state, server.state[host], drawn, user.last.visited)

    def usual(self, memory: Memory, observation: Observation) -> Usual | None:
        """What servers are usually like, by the prices that were heard of them so far."""
        server = memory.per_server
        if server is None or observation.visibility is Visibility.USER:
            return None
        return (server if isinstance(server, Heard) else server.heard).usual()

    def later_s(
        self, places: Weighed, lasts: Lasting, way: Way | None
    ) -> Float[Array, "users places"] | None:
        """What going to each place now adds beyond the present moment, if the best moves follow.

        All is reckoned against home at present: hops and channel as the user goes, load as services move on.
        """
        observation = places.observation
        alone = observation.visibility is Visibility.USER
        if observation.infrastructure.migration is None or alone or not self.stay_s:
            return super().later_s(places, lasts, way)
        joined_s = costs_s(places.offer, places.home, places.pull)
        number, user = joined_s.shape[1], jnp.arange(len(joined_s))
        saved_s = joined_s[user, places.home][:, None] - joined_s
        foremost = saved_s.at[user, places.home].set(jnp.inf)
        column = jax.lax.top_k(foremost, min(self.places, number))[1]
        take = lambda part: jnp.take_along_axis(part, column, axis=1)  # noqa: E731
        length_s = jnp.asarray(LENGTHS_S[: self.segments])
        ways = None if way is None else self._ways(way)
        load = load_of(places, column)
        hops = self._hops_ahead(observation, load.server, way, ways)
        gain = self._gain_ahead(observation, ways)
        sooner_s = self._sooner_s(observation, load, gain)
        pull = fading(load.now, load.usual, lasts.gap_s, length_s)
        then_s = cost_s(observation, hops, load.work_s, pull[:, None], gain)
        rest_s2 = after_s2(observation, load, lasts, hops[-2:], gain[-1], jnp.sum(length_s))
        cost_s2 = least_ahead_s2(observation, load.server, length_s, then_s, rest_s2, sooner_s)
        # To stay now and go after the first segment is among the ways: going now saves no more than that.
        more_s = (cost_s2 - cost_s2[:, :1]) / length_s[0]
        return at_places(more_s + take(saved_s), column, number)

    def _hops_ahead(
        self,
        observation: Observation,
        server: Int[Array, "users places"],
        way: Way | None,
        ways: Ways | None,
    ) -> Float[Array, "segments paths users places"]:
        """Hops from each user to each server in each segment, on average; without a model as now."""
        hops, station = observation.infrastructure.hops, observation.station
        now = hops[station[:, None], server]
        if way is None or ways is None or self.outlook is None:
            return jnp.broadcast_to(now, (self.segments, 1, *now.shape))
        look = place_looks(Ground.of(observation.infrastructure), station, way.visited, server)
        told = jax.vmap(self.outlook.to_places, in_axes=(0, None))(ways, look)
        ends = jnp.moveaxis(mean_farther(told), 0, 1)[: self.segments]
        begins = jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])
        return jnp.maximum(now + (begins + ends) / 2, 0)

    def _gain_ahead(
        self, observation: Observation, ways: Ways | None
    ) -> Float[Array, "segments paths users"]:
        """Each user's channel gain midway in dB through each segment; without a model as now."""
        gain = observation.gain
        if ways is None:
            return jnp.broadcast_to(gain, (self.segments, 1, *gain.shape))
        changes = jnp.moveaxis(ways.drawn, 0, 1)[: self.segments]
        return gain * jnp.exp(jnp.cumsum(changes, axis=0) - changes / 2)

    def _sooner_s(
        self, observation: Observation, load: Load, gain: Float[Array, "segments paths users"]
    ) -> Float[Array, "segments paths users"]:
        """By how much a service does a task sooner than its user alone."""
        return sooner_beside_s(observation, load, gain)

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
