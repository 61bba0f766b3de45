"""Servers as a team of agents that share one network: the policy of `ippo` and `mappo`."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma.contract import Action, Memory, Observation
from isma.model import weights
from isma.model.situation import Asked, Situation
from isma.model.team_actor_critic import TeamActorCritic, TeamSizes
from isma.model.vectors import Scales
from isma.planning.action_grid import Choice
from isma.planning.allocation import offers
from isma.planning.segment_sums import Pools
from isma.policies.learned import features
from isma.policies.learned.sequential import TakesTurns, Turns, take_turns
from isma.policies.shared import shared_out

INDEPENDENT, CENTRAL = "ippo", "mappo"
"""Kinds of teams: with a critic of one server's view, and of the global view."""
CENTRAL_COLUMNS = 10
_MANY_USERS = 10.0


@dataclass(frozen=True)
class TeamFrame:
    """Numbers that a network's weights are read with."""

    kind: str
    width: int
    """Units of every layer."""

    @property
    def sees_all(self) -> bool:
        """Whether the critic sees the whole world."""
        return self.kind == CENTRAL

    def make(self, key: PRNGKeyArray) -> TeamActorCritic:
        """A network with random weights."""
        columns = (features.USER_COLUMNS, features.SERVER_COLUMNS + 1)
        central = CENTRAL_COLUMNS if self.sees_all else 0
        return TeamActorCritic.make(TeamSizes(*columns, central, self.width), key)


class Team(TakesTurns):
    """Each server chooses, for one of its users after another, where that one is to be served.

    Ratios, shares and the price that it broadcasts follow by the formulas of docs/method/allocation.md.
    The weights are the same for all users and servers: it runs with any number of either.
    """

    publishes_price: ClassVar[bool] = True

    network: TeamActorCritic
    scales: Scales
    explores: Bool[Array, ""]
    """Whether servers are drawn by their odds, as in training; else the likeliest is taken."""

    def nothing_seen(self, num_users: int, num_servers: int) -> Situation:
        """A situation of each user, all zero."""
        return Situation(
            jnp.zeros((num_users, features.USER_COLUMNS)),
            jnp.zeros((num_users, num_servers, features.SERVER_COLUMNS + 1)),
        )

    def decide(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Turns, Memory]:
        """Choose a server for each user; ratio and share are no choices."""
        view = priced_situation(observation, self.scales)

        def choose(user: Int[Array, ""], asked: Asked, key: PRNGKeyArray) -> Choice:
            logits = self.network.odds(jax.tree.map(lambda rows: rows[user], view), asked)
            drawn = jax.random.categorical(key, logits.astype(jnp.float32))
            server = jnp.where(self.explores, drawn, jnp.argmax(logits)).astype(jnp.int32)
            return Choice(server, jnp.zeros_like(server), jnp.zeros_like(server))

        asked, choice = take_turns(observation, choose, key)
        return Turns(view, asked, choice), memory

    def carry_out(self, observation: Observation, choice: Choice) -> Action:
        """The best ratio and the priced share of every user, given where all are to be served."""
        target = jnp.where(observation.decides, choice.server, observation.host)
        action, stays = shared_out(observation, offers(observation), target)
        return replace(action, price_s=stays.price_s)


def priced_situation(observation: Observation, scales: Scales) -> Situation:
    """The situation of each user, and its cost at each server at the last broadcast price."""
    now = features.situation(observation, scales)
    offer = offers(observation).of()
    price_s = observation.news.price_s[observation.host]
    # At a price λ a user takes the share √(a / λ): its time there and its payment are √(a λ) each.
    paid_s = jnp.sqrt(offer.work_s * jnp.maximum(price_s, 0))
    unit_s = jnp.maximum(0.3 * offer.local_s, 1e-9)
    paid = (paid_s / (paid_s + unit_s))[..., None]
    return Situation(now.user, jnp.concatenate([now.servers, paid], axis=-1))


def central_view(
    observation: Observation, scales: Scales, load: Float[Array, "servers"]
) -> Float[Array, "servers columns"]:
    """Global view of each server: its users together, its load and its clock."""
    pools = Pools(
        jnp.where(observation.visible, observation.host, observation.acting.shape[0]),
        observation.acting.shape[0],
    )
    now = features.situation(observation, scales)
    host = observation.host[:, None, None]
    there = jnp.take_along_axis(now.servers, host, axis=1)[:, 0]
    each = jnp.concatenate(
        [jnp.ones_like(there[:, :1]), now.user[:, : features.REQUEST_COLUMNS], there[:, 2:4]],
        axis=1,
    )
    clock = observation.infrastructure.server_hz / scales.server_hz
    return jnp.concatenate(
        [pools.sum(each) / _MANY_USERS, jnp.log1p(load)[:, None], clock[:, None]], axis=1
    )


def load(kind: str, checkpoint: Path) -> Team:
    """The trained policy in that file. Raises CheckpointError."""
    _, network, scales = weights.load(checkpoint, kind, partial(TeamFrame, kind))
    return Team(network, scales, jnp.asarray(False))
