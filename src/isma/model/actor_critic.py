"""A recurrent actor-critic whose weights are the same for every user and every server.

After DRACM (arXiv 2012.08679): a recurrent memory makes up for partial observability, an actor and
a critic read it. Here each server is judged by the same small network, so that neither the number
of users nor that of servers is built in.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma.model.layers import Dense, Lstm, LstmMemory, Mlp, identity
from isma.model.situation import Asked, Situation

_ASKED = 2
_FIRST_GAIN = 0.01
"""How far from equal the first policy's odds are (Andrychowicz et al., arXiv 2006.05990)."""


class ActorCriticSizes(eqx.Module):
    """Widths of the layers."""

    user: int = eqx.field(static=True)
    """Columns of a user."""
    server: int = eqx.field(static=True)
    """Columns of a server."""
    ratios: int = eqx.field(static=True)
    shares: int = eqx.field(static=True)
    width: int = eqx.field(static=True, default=64)
    """Units of every hidden layer, and of the memory."""


class Judged(NamedTuple):
    """The actor's odds, as logits, and the critic's word."""

    server: Float[Array, "*rows servers"]
    ratio: Float[Array, "*rows servers ratios"]
    """For each server, if it is chosen."""
    share: Float[Array, "*rows servers shares"]
    value: Float[Array, "*rows"]

    def at(
        self, server: Int[Array, "*rows"]
    ) -> tuple[Float[Array, "*rows ratios"], Float[Array, "*rows shares"]]:
        """Logits of ratio and share once the server is chosen."""
        row = server[..., None, None]
        take = lambda logits: jnp.take_along_axis(logits, row, axis=-2)[..., 0, :]  # noqa: E731
        return take(self.ratio), take(self.share)


class ActorCritic(eqx.Module):
    """Memory, actor and critic."""

    entry: Mlp
    lstm: Lstm
    pair: Mlp
    """A user and a server together."""
    actor: Dense
    critic: Mlp
    sizes: ActorCriticSizes

    @classmethod
    def make(cls, sizes: ActorCriticSizes, key: PRNGKeyArray) -> "ActorCritic":
        """Random weights; every action is about as likely as any other."""
        keys = jax.random.split(key, 5)
        width, tanh = sizes.width, jnp.tanh
        both = width + sizes.user + sizes.server + _ASKED
        actor = Dense.make(keys[3], width, 1 + sizes.ratios + sizes.shares)
        return cls(
            entry=Mlp.make(keys[0], (sizes.user + 2 * sizes.server, width), (tanh,)),
            lstm=Lstm.make(keys[1], width, width, cells=1),
            pair=Mlp.make(keys[2], (both, width, width), (tanh, tanh)),
            actor=Dense(_FIRST_GAIN * actor.weight, actor.bias),
            critic=Mlp.make(keys[4], (2 * width + sizes.user, width, 1), (tanh, identity)),
            sizes=sizes,
        )

    def start(self, rows: tuple[int, ...]) -> LstmMemory:
        """The memory of users that nothing was decided for yet."""
        return self.lstm.start(rows)

    def remember(self, memory: LstmMemory, now: Situation) -> LstmMemory:
        """The memory once a user's situation at a decision is seen."""
        servers = now.servers
        crowd = (jnp.mean(servers, axis=-2), jnp.max(servers, axis=-2))
        return self.lstm(memory, self.entry(jnp.concatenate([now.user, *crowd], axis=-1)))

    def judge(
        self, remembered: Float[Array, "*rows width"], now: Situation, asked: Asked
    ) -> Judged:
        """Logits of each user's actions, and its expected return (the critic's value)."""
        user_vector = jnp.concatenate([remembered, now.user], axis=-1)
        shape = (*now.servers.shape[:-1], user_vector.shape[-1])
        columns = [now.servers, *(column[..., None] for column in asked.scaled)]
        pairs = self.pair(
            jnp.concatenate([jnp.broadcast_to(user_vector[..., None, :], shape), *columns], axis=-1)
        )
        logits = self.actor(pairs)
        value = self.critic(jnp.concatenate([user_vector, jnp.mean(pairs, axis=-2)], axis=-1))
        ratios = self.sizes.ratios
        return Judged(
            logits[..., 0], logits[..., 1 : 1 + ratios], logits[..., 1 + ratios :], value[..., 0]
        )
