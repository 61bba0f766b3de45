"""Price policy: each server moves its own users against the prices of the others."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import offers, split
from isma.planning.segment_sums import Pools
from isma.policies.options import Count, Part, Positive, check_fields, fields_of, takes
from isma.policies.pricing.search import DecisionState, MoveRule, search, situation
from isma.policies.pricing.valuation import Myopic, Valuation
from isma.policies.shared import shared_out
from isma.world.scenario import Scenario, Visibility


class Price(Policy):
    """Moves a user to the server of least marginal cost: its own time and the delay added for the others.

    Each server broadcasts λ, the shadow price of its CPU, and nothing about its users
    (docs/method/allocation.md). A valuation adds the cost of the time after a move.
    """

    publishes_price: ClassVar[bool] = True
    valuation: Valuation = eqx.field(default_factory=Myopic)
    """Value of the time after a move."""
    margin: Part = eqx.field(static=True, default=0.1)
    """Least gain of a move by prices, as a part of the user's time, since prices are some seconds old.

    Saved hops are certain: the greater their part of the gain, the less of the margin is asked for."""
    margin_on_hops: bool = eqx.field(static=True, default=False)
    """Whether the margin is asked also for the part of a gain that is fewer hops."""
    spread: Part = eqx.field(static=True, default=0.02)
    """Servers within this part of the user's time count as equal; one of them is drawn at random."""
    rivals: Annotated[float, Field(gt=0, le=1e9)] = eqx.field(static=True, default=10.0)
    """Servers that may decide on the same news and still all move their users; if a server is worth its
    distance for more than these, each user that would gain moves with the probability that reduces the
    movers to that number."""
    moves: Count = eqx.field(static=True, default=4)
    """Most users that a server moves in one decision."""
    destinations: Positive = eqx.field(static=True, default=8)
    """Servers besides home to which a user may go in one decision: the cheapest to join; in a large city
    all near ones."""
    shortlist: Positive = eqx.field(static=True, default=6)
    """In a large city: users with most to gain that a server looks at for each decision."""
    prices: bool = eqx.field(static=True, default=True)
    """Whether servers broadcast their prices; else they estimate each other's from load."""

    def __check_init__(self) -> None:
        """Refuse options out of their ranges."""
        check_fields("price", self)

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """The valuation's memory; where moves are free there is none."""
        return self.valuation.init(scenario, num_users, num_servers)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Move users one by one while it pays, then divide home's CPU among users that stay."""
        now, memory = self.situation(memory, observation)
        observation = now.observation
        result = search(now, self.valuation, self.rule, key)
        offer = offers(observation)
        action, stays = shared_out(observation, offer, result.target, now.here)
        share = jnp.where(result.moved, result.share, action.cpu_share)
        # Where nothing is asked for nothing can be done: a move may be for later alone.
        ratio = jnp.where(result.moved & (share <= 0), 0, action.offload_ratio)
        announces = self.prices and observation.visibility is not Visibility.USER
        own_price_s = stays.price_s if announces else jnp.zeros_like(action.price_s)
        return Action(action.server, ratio, share, own_price_s), memory

    def forecast_weight(self, memory: Memory) -> Float[Array, "servers"] | None:
        """Weight of the valuation's forecast in each server's decisions, 0 to 1."""
        return self.valuation.forecast_weight(memory)

    @property
    def rule(self) -> MoveRule:
        """Conditions on a move."""
        return MoveRule(
            margin=self.margin,
            margin_on_hops=self.margin_on_hops,
            spread=self.spread,
            rivals=self.rivals,
            moves=self.moves,
            destinations=self.destinations,
            shortlist=self.shortlist,
        )

    def situation(self, memory: Memory, observation: Observation) -> tuple[DecisionState, Memory]:
        """Everything that the search starts from, and the memory after the observation."""
        if not self.prices:
            news = observation.news
            unheard = replace(news, price_s=jnp.zeros_like(news.price_s))
            observation = replace(observation, news=unheard)
        offer = offers(observation)
        home = Pools(observation.pool(observation.host), observation.num_pools)
        here = split(offer.at(observation.host), home)
        memory = self.valuation.update(memory, observation, offer, here)
        forecast = self.valuation.forecast(memory, observation)
        return situation(observation, offer, home, here, forecast), memory


@takes(Price, Myopic, without=("valuation", "margin_on_hops"))
def price(**options: Any) -> Price:
    """Prices, with a stop charged over the time for which its gain is expected to last."""
    myopic, search = fields_of(Myopic, options)
    return Price(valuation=Myopic(**myopic), **search)
