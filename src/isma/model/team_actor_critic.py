"""An actor-critic of servers that share their weights; the critic may see all of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from isma.model.layers import Dense, Mlp, identity
from isma.model.situation import Asked, Situation

_ASKED = 2
_FIRST_GAIN = 0.01
"""How far from equal the first policy's odds are (Andrychowicz et al., arXiv 2006.05990)."""


class TeamSizes(eqx.Module):
    """Widths of the layers."""

    user: int = eqx.field(static=True)
    """Columns of a user."""
    server: int = eqx.field(static=True)
    """Columns of a server, as a user's host sees it."""
    central: int = eqx.field(static=True)
    """Columns of a server in the critic's global view; 0 for a critic that sees what the actor sees."""
    width: int = eqx.field(static=True)
    """Units of every hidden layer."""


class TeamActorCritic(eqx.Module):
    """Actor, and a critic that is needed in training alone."""

    pair: Mlp
    """A user and a server together."""
    actor: Dense
    seen: Mlp
    """Each server, as the critic sees it."""
    critic: Mlp
    sizes: TeamSizes

    @classmethod
    def make(cls, sizes: TeamSizes, key: PRNGKeyArray) -> "TeamActorCritic":
        """Random weights; every server is about as likely as any other."""
        keys = jax.random.split(key, 4)
        width, tanh = sizes.width, jnp.tanh
        both = sizes.user + sizes.server + _ASKED
        actor = Dense.make(keys[1], width, 1)
        pooled = 2 * width + (0 if sizes.central else sizes.user)
        return cls(
            pair=Mlp.make(keys[0], (both, width, width), (tanh, tanh)),
            actor=Dense(_FIRST_GAIN * actor.weight, actor.bias),
            seen=Mlp.make(keys[2], (sizes.central or sizes.server, width), (tanh,)),
            critic=Mlp.make(keys[3], (pooled, width, 1), (tanh, identity)),
            sizes=sizes,
        )

    def odds(self, now: Situation, asked: Asked) -> Float[Array, "*rows servers"]:
        """Logits of the servers for each user, given where the host has sent others before it."""
        shape = (*now.servers.shape[:-1], now.user.shape[-1])
        columns = [now.servers, *(column[..., None] for column in asked.scaled)]
        user = jnp.broadcast_to(now.user[..., None, :], shape)
        return self.actor(self.pair(jnp.concatenate([user, *columns], axis=-1)))[..., 0]

    def value(
        self, now: Situation, central: Float[Array, "*rows servers columns"] | None
    ) -> Float[Array, "*rows"]:
        """Expected reward: from the global view where it is given, else from the host's."""
        servers = self.seen(now.servers if central is None else central)
        pooled = [jnp.mean(servers, axis=-2), jnp.max(servers, axis=-2)]
        own = [] if self.sizes.central else [now.user]
        return self.critic(jnp.concatenate([*own, *pooled], axis=-1))[..., 0]
