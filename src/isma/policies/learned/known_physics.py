"""The paper's search with equations (1) to (6) in the place of a learned model: a diagnostic.

It knows of other servers only their broadcasts, so that its delay is the delay of the cross-entropy
search with a perfect one-step model of a server's own users.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from isma.contract import Action, Memory, Observation
from isma.model.elbo import mean_over
from isma.model.vectors import own_first
from isma.planning.action_code import Coded
from isma.planning.allocation import Offer, completion_s, offers
from isma.policies.learned.cross_entropy_planner import Decided, Planner, refuse_alone
from isma.policies.shared import believed_load
from isma.world.scenario import Scenario


class Setting(eqx.Module):
    """Everything that equations (1) to (6) need of one server's users; servers are counted from it."""

    local_s: Float[Array, "*servers rows"]
    transfer_s: Float[Array, "*servers rows servers"]
    work_s: Float[Array, "*servers rows servers"]
    load: Float[Array, "*servers servers"]
    """Shares requested from each server by other servers' users, by its broadcasts; 0 for itself."""


def settings(observation: Observation, user: Int[Array, "servers rows"]) -> Setting:
    """Every server's setting, for users in the rows of its view."""
    servers = jnp.arange(observation.acting.shape[0])
    around = (servers[:, None] + servers) % servers.shape[0]
    offer, load = offers(observation).of(), jnp.maximum(believed_load(observation), 0)
    work_s = jnp.broadcast_to(offer.work_s, offer.transfer_s.shape)
    table = lambda values: values[user[:, :, None], around[:, None, :]]  # noqa: E731
    return Setting(
        local_s=offer.local_s[user, 0],
        transfer_s=table(offer.transfer_s),
        work_s=table(work_s),
        load=jnp.take_along_axis(load, around, axis=1).at[:, 0].set(0),
    )


def times_s(setting: Setting, action: Coded) -> Float[Array, "*batch rows"]:
    """Completion time (6) of each row's tasks, requests granted in proportion with the broadcast load."""
    at = jax.nn.one_hot(action.server, setting.load.shape[-1])
    load = jnp.einsum("...u,...us->...s", action.cpu_share, at) + setting.load
    there = lambda table: jnp.einsum("us,...us->...u", table, at)  # noqa: E731
    offer = Offer(setting.local_s, there(setting.transfer_s), there(setting.work_s))
    granted = action.cpu_share / jnp.einsum("...s,...us->...u", jnp.maximum(load, 1), at)
    return completion_s(offer, action.offload_ratio, jnp.maximum(granted, 1e-6))


class Known(eqx.Module):
    """One server's view at a decision."""

    setting: Setting
    own: Bool[Array, "*servers rows"]
    key: Key[Array, "*servers"]


class KnownPhysics(Planner):
    """The paper's cross-entropy search, with equations (1) to (6) as its model.

    The reward is minus the mean completion time in seconds. Later steps meet the same world as the
    first one.
    """

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Remember nothing. Raises PolicyError for users that decide alone."""
        refuse_alone(scenario)
        return Memory.none()

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Let every acting server plan for its own users."""
        user, own = own_first(observation)
        keys = jax.random.split(key, user.shape[0])
        known = Known(settings(observation, user), own, keys)
        decided = self.decide_each(observation, None, known, None)
        return self.as_action(observation, decided.action, user), memory

    def decide(self, before: Decided, seen: Known, shared: None) -> Decided:
        """Plan with the equations as the model."""
        plan_key, noise_key = jax.random.split(seen.key)

        def imagine(
            setting: Setting, action: Coded, key: PRNGKeyArray
        ) -> tuple[Setting, Float[Array, "candidates"]]:
            return setting, -mean_over(times_s(setting, action), seen.own)

        search = self.search
        servers = seen.setting.load.shape[0]
        plan = search.plan(imagine, seen.setting, seen.own, servers, plan_key)
        return Decided(None, search.first_action(plan, seen.own, servers, noise_key))
