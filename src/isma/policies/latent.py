"""The paper's algorithm: a latent space model of each server's view, searched by cross-entropy."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from isma.contract import Action, Memory, Observation
from isma.errors import PolicyError
from isma.model import vectors
from isma.model.elbo import mean_over
from isma.model.latent import Carry, LatentModel
from isma.model.vectors import Scales
from isma.planning import action_code
from isma.planning.action_code import Coded
from isma.planning.cross_entropy import Searched
from isma.policies.planner import Decided, Planner, Search, refuse_alone
from isma.world.scenario import Scenario


class Belief(eqx.Module):
    """A server's memory from one period to the next; the paper's o_{<τ} and A_{<τ}."""

    carry: Carry
    action: Float[Array, "*servers action"]
    """The action A_{τ-1}, as the model reads it."""


class View(eqx.Module):
    """One server's view at a decision."""

    vector: Float[Array, "*servers observation"]
    own: Bool[Array, "*servers rows"]
    due: Bool[Array, "*servers"]
    key: Key[Array, "*servers"]
    model: LatentModel | None
    """The server's own model, where every server has one."""


class LatentPlanner(Planner):
    """iSMA: infers the hidden state from what a server has seen, and plans in imagined futures.

    Each acting server searches action sequences for all its users at once, and carries out the
    first action of the best distribution's mean (steps 1 to 9 of section III.B). With other models
    it is the paper's SLSM- and DLSM-based approach.
    """

    num_users: int = eqx.field(static=True)
    num_servers: int = eqx.field(static=True)
    model: LatentModel
    """Shared by all servers, or with a leading axis of servers."""
    scales: Scales
    separate: bool = eqx.field(static=True, default=False)
    """Whether every server has a model of its own."""

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Nothing seen yet. Raises PolicyError for a world that the model is not for."""
        refuse_alone(scenario)
        if (num_users, num_servers) != (self.num_users, self.num_servers):
            raise PolicyError(
                f"this model is for {self.num_users} users and {self.num_servers} servers, and "
                f"{scenario.name} has {num_users} and {num_servers}: train one with "
                "isma train, and name it as isma:checkpoint=FILE"
            )
        if self.separate:
            carry = eqx.filter_vmap(lambda model: model.start())(self.model)
        else:
            carry = self.model.start((num_servers,))
        return Memory(Belief(carry, jnp.zeros((num_servers, self.model.sizes.action))), None)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Let every acting server plan for its own users."""
        seen = vectors.see(observation, self.scales)
        arrays = eqx.filter(self.model, eqx.is_array)
        own_model, shared = (arrays, None) if self.separate else (None, arrays)
        keys = jax.random.split(key, self.num_servers)
        view = View(seen.vector, seen.own, observation.due, keys, own_model)
        decided = self.decide_each(observation, memory.per_server, view, shared)
        action = self.as_action(observation, decided.action, seen.user)
        return action, Memory(decided.memory, None)

    def decide(self, before: Decided, seen: View, shared: LatentModel | None) -> Decided:
        """Infer, plan, and remember what was done.

        A newcomer between two periods is decided for on a belief that is not kept: one latent step
        is one period.
        """
        static = eqx.filter(self.model, eqx.is_array, inverse=True)
        arrays = seen.model if shared is None else shared
        assert arrays is not None  # One of the two, by `separate`.
        model = eqx.combine(arrays, static)
        observe_key, plan_key, noise_key = jax.random.split(seen.key, 3)
        old: Belief = before.memory
        carry, _, _ = model.observe(old.carry, old.action, seen.vector, observe_key)
        found = plan(self.search, model, carry, seen.own, self.num_servers, plan_key)
        action = self.search.first_action(found, seen.own, self.num_servers, noise_key)
        new = Belief(carry, action_code.model_input(action, self.num_servers))
        kept = jax.tree.map(lambda new, old: jnp.where(seen.due, new, old), new, old)
        return Decided(kept, action)


def plan(
    search: Search,
    model: LatentModel,
    carry: Carry,
    own: Bool[Array, "rows"],
    num_servers: int,
    key: PRNGKeyArray,
) -> Searched:
    """One server's search from its inferred state, by the rewards that the model forecasts (9)."""

    def imagine(
        believed: Carry, action: Coded, key: PRNGKeyArray
    ) -> tuple[Carry, Float[Array, "candidates"]]:
        # All candidates of a pass meet the same draws: they are compared, not their luck.
        read = action_code.model_input(action, num_servers)
        believed = model.imagine(believed, read, key, common=True)
        return believed, mean_over(model.reward(believed), own)

    return search.plan(imagine, carry, own, num_servers, key)
