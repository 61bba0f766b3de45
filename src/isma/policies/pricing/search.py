"""Search: each decision maker moves its users one by one against the prices of the others.

One search serves every city and every valuation: candidates, their added cost, and the best single move
again and again (isma.planning.moves). In a large city it is asked of the users on a shortlist alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma import randomness
from isma.contract import Observation
from isma.planning.allocation import Offers, Split
from isma.planning.moves import Destinations, MoveSearch, best_moves, cheapest
from isma.planning.segment_sums import Pools
from isma.planning.shortlist import (
    by_number,
    foremost,
    most_to_gain_s,
    rows_of,
    uses_shortlist,
)
from isma.policies.pricing.candidates import (
    Candidates,
    all_servers,
    barred,
    estimated_price_s,
    near_servers,
)
from isma.policies.pricing.valuation import Forecast, Valuation

_MOST_HOPS = 32
"""Farther is as far as anywhere."""
_TYPICAL_LISTED = 2
"""Users that servers of a large city look at on average, at most, most of the time."""


class MoveRule(NamedTuple):
    """Conditions on a move."""

    margin: float
    """Part of a user's time that it must save."""
    margin_on_hops: bool
    """Whether that is asked also for saved hops."""
    spread: float
    """Part of a user's time within which servers count as equal."""
    rivals: float
    """Servers that may decide on the same news and still all move their users."""
    moves: int
    """Most users that a server moves in one decision."""
    destinations: int
    """Servers to which a user may go in one decision, where all are candidates."""
    shortlist: int
    """Users of a server that are looked at in a large city."""


class DecisionState(NamedTuple):
    """Present state of a decision, before any move."""

    observation: Observation
    offer: Offers
    home: Pools
    here: Split
    """Allocation among the users of each host."""
    root_price: Float[Array, "makers servers"]
    """√λ of every server, as each decision maker estimates it."""
    forecast: Forecast


def situation(
    observation: Observation, offer: Offers, home: Pools, here: Split, forecast: Forecast
) -> DecisionState:
    """Situation with the prices that decision makers estimate."""
    root_price = jnp.sqrt(estimated_price_s(observation, home, here, offer))
    return DecisionState(observation, offer, home, here, root_price, forecast)


def search(
    now: DecisionState, valuation: Valuation, rule: MoveRule, key: PRNGKeyArray
) -> MoveSearch:
    """Best moves of all users to all servers or, in a large city, of a shortlist to near ones."""
    if not uses_shortlist(now.observation):
        return _moves_of(None, now, valuation, rule, key)
    lot, rest = jax.random.split(key)
    listed = _shortlist(now, rule, lot)
    every = min(len(listed), now.home.num_pools * rule.shortlist)
    return by_number(
        listed,
        sorted({min(_TYPICAL_LISTED * now.home.num_pools, every), every}),
        lambda size: _moves_of(rows_of(listed, size), now, valuation, rule, rest),
    )


def _shortlist(now: DecisionState, rule: MoveRule, key: PRNGKeyArray) -> Bool[Array, "users"]:
    """Users of each server that could gain more than the margin, drawn in proportion to the greatest gain.

    Drawn, since users that no move would serve must not keep others off the list.
    """
    observation, home = now.observation, now.home
    longest_s = now.forecast.duration.longest_s
    most_s = most_to_gain_s(observation, home, now.root_price, longest_s)
    # Hops are certain here too, but a smaller margin on them made the list longer and no task shorter.
    eligible = observation.decides & (most_s > rule.margin * now.here.time_s)
    uniform = randomness.uniform(key, most_s.shape, most_s.dtype)
    return foremost(home, jnp.where(eligible, most_s * uniform, 0), rule.shortlist)


def _moves_of(
    row: Int[Array, "rows"] | None,
    now: DecisionState,
    valuation: Valuation,
    rule: MoveRule,
    key: PRNGKeyArray,
) -> MoveSearch:
    """Best moves of some users, or of all; a row that does not exist is none."""
    home, forecast, time_s, users = now.home, now.forecast, now.here.time_s, len(now.here.time_s)
    if row is None:
        candidates, maker = all_servers(now.observation, now.offer, home, now.root_price), home
        movable = now.observation.decides
    else:
        real, place = row < users, jnp.minimum(row, users - 1)
        candidates = near_servers(now.observation, now.offer, home, now.root_price, place)
        maker = Pools(jnp.where(real, home.pool[place], home.num_pools), home.num_pools)
        movable = real & candidates.observation.decides
        forecast, time_s = forecast.of_rows(place), time_s[place]
    turn, tie = jax.random.split(key)
    drawn = randomness.uniform(turn, time_s.shape, time_s.dtype)
    chances = chances_to_move(now.observation, rule.rivals)
    moves = best_moves(
        _destinations(candidates, forecast, valuation, rule, time_s, tie),
        maker,
        now.root_price,
        movable=movable,
        least_gain_s=rule.margin * time_s,
        may=lambda gain_s, to: drawn < chances[_hops(gain_s / candidates.hop_s), to],
        max_moves=rule.moves,
    )
    return moves if row is None else _among_all(moves, row, now)


def _among_all(moves: MoveSearch, row: Int[Array, "rows"], now: DecisionState) -> MoveSearch:
    """Moves of some users as rows of all; the others stay, and a row that does not exist is left out."""
    put = lambda whole, part: whole.at[row].set(part, mode="drop")  # noqa: E731
    return moves._replace(
        target=put(now.observation.host, moves.target),
        share=put(jnp.zeros_like(now.here.time_s), moves.share),
        moved=put(jnp.zeros_like(now.observation.decides), moves.moved),
    )


def _destinations(
    candidates: Candidates,
    forecast: Forecast,
    valuation: Valuation,
    rule: MoveRule,
    time_s: Float[Array, "users"],
    key: PRNGKeyArray,
) -> Destinations:
    """Candidates with all that going there adds to the marginal delay.

    Decision makers with the same news would all choose the same idle server: a random cost, up to the
    spread, makes them differ.
    """
    every = candidates.server.shape[0] == 1
    shape = candidates.root_price.shape
    drawn = randomness.uniform(key, shape if every else (shape[0], shape[1] - 1), time_s.dtype)
    chance = drawn if every else jnp.pad(drawn, ((0, 0), (1, 0)))
    added_s = rule.spread * time_s[:, None] * chance
    later_s = valuation.added_cost_s(candidates, forecast)
    added_s = added_s if later_s is None else added_s + later_s
    saving_s = jnp.zeros_like(added_s) if rule.margin_on_hops else candidates.hop_saving_s
    if every:
        return cheapest(
            candidates.offer,
            candidates.home,
            candidates.root_price,
            added_s,
            saving_s,
            rule.destinations,
        )
    added_s = jnp.where(barred(candidates), jnp.inf, added_s).at[:, 0].set(0)
    return jax.lax.optimization_barrier(
        Destinations(candidates.server, candidates.offer, added_s, saving_s)
    )


def chances_to_move(observation: Observation, rivals: float) -> Float[Array, "distances servers"]:
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
    return rivals / jnp.maximum(jnp.cumsum(at_distance, axis=0), rivals)


def _hops(value: Float[Array, "..."]) -> Int[Array, "..."]:
    return jnp.minimum(value, _MOST_HOPS).astype(jnp.int32)
