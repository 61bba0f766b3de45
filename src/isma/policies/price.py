"""Prices: each server moves its own users against what the others charge."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from isma import randomness
from isma.contract import Action, Memory, Observation, Policy
from isma.errors import PolicyError
from isma.planning.allocation import (
    Asked,
    Offer,
    Offers,
    Split,
    at,
    of_servers,
    offered,
    offers,
    split,
)
from isma.planning.migration import charge_s
from isma.planning.moves import Places, Search, best_moves, by_prices, gains_s, moves_among
from isma.planning.nearby import by_number, candidates, foremost, most_to_gain_s, rows_of
from isma.planning.pools import Pools
from isma.policies.base import (
    believed_load,
    check_stay,
    hop_delay_s,
    lasting_s,
    nearer_s,
    shared_out,
)
from isma.policies.dwelling import PRIOR_S, Lasting, Seen, lasting, look
from isma.policies.heard import Usual
from isma.world.scenario import Scenario, Visibility
from isma.world.switches import Migrating

_MOST_HOPS = 32
"""Farther is as far as anywhere."""
_SHORTEST_S = 1e-9
_USUALLY_LISTED = 2
"""Users that servers of a large city look at on average, at most, most of the time."""


class _Moment(NamedTuple):
    """What a decision starts from."""

    observation: Observation
    offer: Offers
    home: Pools
    here: Split
    """How all share their hosts now."""
    lasts: Lasting
    """How long what a move gains lasts."""
    way: PyTree
    """What is foreseen of the users' ways, rows of users; None where nothing is."""
    usual: Usual | None
    """What servers are usually like; None where nobody knows."""


class Weighed(NamedTuple):
    """Servers to which users might go, as those who decide for them see it at present."""

    observation: Observation
    offer: Offer
    """What each place means for a user."""
    server: Int[Array, "#users places"]
    home: Int[Array, "users"]
    """Which of the places is each user's home."""
    pull: Float[Array, "users places"]
    """√λ of each, with the user where it is."""
    typical: Float[Array, "users"]
    """Mean √λ of all servers."""
    certain_s: Float[Array, "users places"]
    """What of going there is saved whatever others do: hops."""
    usual: Usual | None = None
    """What each place is usually like (rows of users), if that is known."""


class Price(Policy):
    """Moves a user where its own time and what it costs the others there are least.

    Each server broadcasts λ, what one more unit of its CPU would save its users, and nothing about
    them (docs/allocation.md).
    """

    publishes_price: ClassVar[bool] = True
    everywhere: ClassVar[bool] = False
    """Whether it looks at all servers in a large city too."""
    margin: float = eqx.field(static=True, default=0.1)
    """What a move gains by prices must be this part of the user's time: they are some seconds old.

    The hops that it saves are certain: the more of the gain is theirs, the less is asked for."""
    spread: float = eqx.field(static=True, default=0.02)
    """Servers within this part of the user's time count as equal, and chance chooses."""
    rivals: float = eqx.field(static=True, default=10.0)
    """Servers that may decide on the same news and still all move their users; if there are more for
    whom a server is worth the way, each user that would gain from it moves with the chance that brings
    the movers down to so many."""
    moves: int = eqx.field(static=True, default=4)
    """Most users that a server moves in one decision."""
    stay_s: float = eqx.field(static=True, default=PRIOR_S)
    """Time in which a move must pay for the stop that it causes, as far as nothing is known of how long a
    user stays in a cell; 0 for one decision period, whatever is known."""
    learns: int = eqx.field(static=True, default=1)
    """1: that time is learned from each user's hand-overs; 0: it is always `stay_s`."""
    listed: int = eqx.field(static=True, default=6)
    """In a large city: users with most to gain that a server looks at for each decision."""

    def __check_init__(self) -> None:
        """Refuse a time in which nothing could pay."""
        check_stay("price", self.stay_s)
        if self.learns not in (0, 1):
            raise PolicyError(f"price: learns must be 0 or 1, got {self.learns}")

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Nobody has been seen yet; where moves are free there is nothing to remember."""
        if scenario.migration.kind is Migrating.FREE or self.stay_s == 0 or not self.learns:
            return Memory.none()
        return Memory(None, Seen.nobody(num_users))

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Move users one by one while it pays, then share out home's CPU among those who stay."""
        offer, alone = offered(observation), observation.visibility is Visibility.USER
        home = Pools(observation.pool(observation.host), observation.num_pools)
        here = split(at(offer, observation.host), home)
        few = isinstance(offer, Asked) and not (alone or self.everywhere)
        memory = self.looked(memory, observation, offer, here)
        lasts, way = self.lasts(memory, observation), self.way(memory, observation)
        usual = self.usual(memory, observation)
        now = _Moment(observation, offer, home, here, lasts, way, usual)
        search = self._among_near(now, key) if few else self._everywhere(now, key)
        action, stays = shared_out(observation, offer, search.target, here)
        share = jnp.where(search.moved, search.share, action.cpu_share)
        # Where nothing is asked for nothing can be done: a move may be for later alone.
        ratio = jnp.where(search.moved & (share <= 0), 0, action.offload_ratio)
        own_price_s = jnp.zeros_like(action.price_s) if alone else stays.price_s
        answer = Action(action.server, ratio, share, own_price_s)
        return answer, memory

    def looked(
        self, memory: Memory, observation: Observation, offer: Offers, here: Split
    ) -> Memory:
        """What is remembered once all users have been looked at."""
        if memory.per_user is None:
            return memory
        return Memory(memory.per_server, look(memory.per_user, observation))

    def lasts(self, memory: Memory, observation: Observation) -> Lasting:
        """How long what a move gains is taken to last for each user, by what is remembered of it."""
        if memory.per_user is None:
            return Lasting.believed(lasting_s(observation, self.stay_s))
        return lasting(memory.per_user, observation, self.stay_s)

    def way(self, memory: Memory, observation: Observation) -> PyTree:
        """What is foreseen of the users' ways, rows of users, by what is remembered: nothing."""
        return None

    def usual(self, memory: Memory, observation: Observation) -> Usual | None:
        """What servers are usually like, by what is remembered: nobody knows."""
        return None

    def _everywhere(self, now: _Moment, key: PRNGKeyArray) -> Search:
        """The best moves of any user to any server."""
        observation, offer, home, here, lasts, way, usual = now
        if not isinstance(offer, Offer):
            offer = offers(observation)
        price_s = believed_price_s(observation, home, here, offer)
        time_s = here.time_s
        turn, tie = jax.random.split(key)
        drawn = randomness.uniform(turn, time_s.shape, time_s.dtype)
        odds = self.odds(observation)
        hop_s = jnp.maximum(hop_delay_s(observation, offer), _SHORTEST_S)
        chance = randomness.uniform(tie, offer.transfer_s.shape, time_s.dtype)
        handicap_s = self.spread * time_s[:, None] * chance
        everywhere = jnp.arange(offer.transfer_s.shape[1])
        certain_s = self.certain_s(observation, hop_s, everywhere)
        row = jnp.minimum(home.pool, len(price_s) - 1)
        pull, usual = jnp.sqrt(price_s[row]), jax.tree.map(lambda part: part[row], usual)
        places = Weighed(
            *(observation, offer, everywhere[None], observation.host, pull, jnp.mean(pull, axis=1)),
            *(certain_s, usual),
        )
        later_s = self.later_s(places, lasts, way)
        return best_moves(
            offer,
            observation.host,
            home,
            price_s,
            movable=observation.decides,
            least_gain_s=self.margin * time_s,
            handicap_s=handicap_s if later_s is None else handicap_s + later_s,
            certain_s=certain_s,
            may=lambda gain_s, to: drawn < odds[_hops(gain_s / hop_s), to],
            max_moves=self.moves,
        )

    def _among_near(self, now: _Moment, key: PRNGKeyArray) -> Search:
        """The best moves to near servers of the users that could gain most."""
        observation, home, here = now.observation, now.home, now.here
        pull = jnp.sqrt(believed_price_s(observation, home, here, now.offer))
        lot, chance = jax.random.split(key)
        most_s = most_to_gain_s(observation, home, pull, now.lasts.longest_s)
        # Hops are certain here too, but to ask less of them made the list longer and no task shorter.
        hopes = observation.decides & (most_s > self.margin * here.time_s)
        # By lot, in proportion: who hopes in vain must not keep others off the list.
        lots = randomness.uniform(lot, most_s.shape, most_s.dtype)
        listed = foremost(home, jnp.where(hopes, most_s * lots, 0), self.listed)
        every = min(len(hopes), home.num_pools * self.listed)
        return by_number(
            listed,
            sorted({min(_USUALLY_LISTED * home.num_pools, every), every}),
            lambda size: self._moves_of(rows_of(listed, size), now, pull, chance),
        )

    def _moves_of(
        self,
        row: Int[Array, "rows"],
        now: _Moment,
        pull: Float[Array, "makers servers"],
        key: PRNGKeyArray,
    ) -> Search:
        """The best moves to near servers of some users; a row that does not exist is none."""
        observation, home, users = now.observation, now.home, now.observation.host.shape[0]
        turn, tie = jax.random.split(key)
        real, row = row < users, jnp.minimum(row, users - 1)
        few, time_s = observation.of_rows(row), now.here.time_s[row]
        host = few.host
        near = jnp.broadcast_to(candidates(few), (len(row), candidates(few).shape[1]))
        server = jnp.concatenate([host[:, None], near.astype(host.dtype)], axis=1)
        chance = randomness.uniform(tie, near.shape, time_s.dtype)
        handicap_s = self.spread * time_s[:, None] * chance
        hop_s = jnp.maximum(hop_delay_s(observation, now.offer)[row], _SHORTEST_S)
        # Behind the barrier the tables are made once, and not again in every term that reads them.
        offer_s, certain_s = jax.lax.optimization_barrier(
            (of_servers(Asked(few), server), self.certain_s(few, hop_s, server))
        )
        maker = jnp.where(real, home.pool[row], home.num_pools)
        maker_row = jnp.minimum(maker, home.num_pools - 1)
        pull_there, usual = pull[maker_row[:, None], server], now.usual
        if usual is not None:
            usual = Usual(usual.apart[maker_row[:, None], server], usual.part[maker_row])
        lasts, way = jax.tree.map(lambda part: part[row], (now.lasts, now.way))
        weighed = Weighed(
            *(few, offer_s, server, jnp.zeros_like(host), pull_there),
            *(jnp.mean(pull, axis=1)[maker_row], certain_s, usual),
        )
        later_s = self.later_s(weighed, lasts, way)
        if later_s is not None:
            handicap_s = handicap_s + later_s[:, 1:]
        handicap_s = jnp.where(near == host[:, None], jnp.inf, handicap_s)
        handicap_s = jnp.concatenate([jnp.zeros_like(time_s)[:, None], handicap_s], axis=1)
        drawn = randomness.uniform(turn, time_s.shape, time_s.dtype)
        odds = self.odds(observation)
        places = jax.lax.optimization_barrier(Places(server, offer_s, handicap_s, certain_s))
        found = moves_among(
            places,
            Pools(maker, home.num_pools),
            pull,
            movable=real & few.decides,
            least_gain_s=self.margin * time_s,
            may=lambda gain_s, to: drawn < odds[_hops(gain_s / hop_s), to],
            max_moves=self.moves,
        )
        kept = jnp.where(real, row, users)
        put = lambda whole, part: whole.at[kept].set(part, mode="drop")  # noqa: E731
        return found._replace(
            target=put(observation.host, found.target),
            share=put(jnp.zeros_like(now.here.time_s), found.share),
            moved=put(jnp.zeros_like(observation.decides), found.moved),
        )

    def later_s(
        self, places: Weighed, lasts: Lasting, way: PyTree
    ) -> Float[Array, "users places"] | None:
        """What going to each place adds to each task beyond the present moment; None where that is nothing.

        The stop that a move causes, spread over the time for which what it gains lasts.
        """
        gain_s = gains_s(places.offer, places.home, places.pull)
        lasts_s = lasts.of(by_prices(gain_s, places.certain_s))
        return charge_s(places.observation, lasts_s, places.server)

    def certain_s(
        self,
        observation: Observation,
        hop_s: Float[Array, "users"],
        server: Int[Array, "*#users places"],
    ) -> Float[Array, "users places"]:
        """What of a move's gain rests on no price: the hops that are spared, a hop costing `hop_s`."""
        return nearer_s(observation, hop_s, server)

    def odds(self, observation: Observation) -> Float[Array, "distances servers"]:
        """Chance with which a user may move to a server, by the hops that its gain would pay for.

        On the same news others might move theirs there too: all servers from where it is no farther.
        """
        infrastructure = observation.infrastructure
        news_per_decision = infrastructure.broadcast_period_s / infrastructure.decision_period_s
        between = infrastructure.between
        nobody = jnp.zeros((_MOST_HOPS + 1, between.shape[1]), between.dtype)
        at_distance = nobody.at[_hops(between), jnp.arange(between.shape[1])].add(
            jnp.minimum(news_per_decision, 1)[:, None]
        )
        return self.rivals / jnp.maximum(jnp.cumsum(at_distance, axis=0), self.rivals)


def _hops(value: Float[Array, "..."]) -> Int[Array, "..."]:
    return jnp.minimum(value, _MOST_HOPS).astype(jnp.int32)


def believed_price_s(
    observation: Observation, home: Pools, here: Split, offer: Offers
) -> Float[Array, "makers servers"]:
    """Price of each server (column) as each decision maker (row) reckons it; its own it knows.

    A price is as old as that server's last decision, but its load is fresh. A user that came since
    asked for φ = o / (√λ + o), o being its pull, so that √λ has grown by √λ φ / (1 - φ). Where there
    was nobody before there is no price to grow: those that came are taken to be like one's own.
    """
    published, load = jnp.sqrt(observation.news.price_s), believed_load(observation)
    alone = observation.visibility is Visibility.USER
    if alone:  # Every user decides for itself, on what its host has heard.
        published, load = published[observation.host], load[observation.host]
    came = jnp.maximum(load - 1, 0)
    grown = published * (1 + came / (1 - jnp.minimum(came, 0.5)))
    pull = jnp.sqrt(here.offload_ratio * at(offer, observation.host).work_s)
    typical = home.sum(pull) / jnp.maximum(home.sum(observation.visible.astype(pull.dtype)), 1)
    believed = jnp.where(published > 0, grown, load * typical[:, None]) ** 2
    if alone:
        return believed
    return jnp.where(jnp.eye(believed.shape[1], dtype=bool), here.price_s, believed)
