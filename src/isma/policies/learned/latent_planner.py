"""The paper's algorithm: a latent space model of each server's view, searched by cross-entropy."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from isma.contract import Action, Memory, Observation
from isma.errors import PolicyError
from isma.model import speedup, vectors
from isma.model.elbo import mean_over
from isma.model.frame import Frame
from isma.model.latent import Carry, LatentModel
from isma.model.vectors import Scales
from isma.planning import action_code
from isma.planning.action_code import Coded
from isma.planning.cross_entropy import Searched
from isma.policies.learned.cross_entropy_planner import Decided, Planner, Search, refuse_alone
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
    local_s: Float[Array, "*servers rows"]
    """Times of the requests on their users' own CPUs."""
    due: Bool[Array, "*servers"]
    key: Key[Array, "*servers"]
    model: LatentModel | None
    """The server's own model, where every server has one."""


class LatentPlanner(Planner):
    """iSMA: infers the latent state from a server's observations, and plans in imagined futures.

    Each acting server searches action sequences for all its users at once, and carries out the
    first action of the best distribution's mean (steps 1 to 9 of section III.B). With other models
    it is the paper's SLSM- and DLSM-based approach.
    """

    frame: Frame = eqx.field(static=True)
    model: LatentModel
    """Shared by all servers, or with a leading axis of servers."""
    scales: Scales

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Nothing seen yet. Raises PolicyError for a world that the model is not for."""
        refuse_alone(scenario)
        if (num_users, num_servers) != (self.frame.num_users, self.frame.num_servers):
            raise PolicyError(
                f"this model is for {self.frame.num_users} users and {self.frame.num_servers} "
                "servers, and "
                f"{scenario.name} has {num_users} and {num_servers}: train one with "
                "isma train, and name it as isma:checkpoint=FILE"
            )
        if self.frame.separate:
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
        own_model, shared = (arrays, None) if self.frame.separate else (None, arrays)
        keys = jax.random.split(key, self.frame.num_servers)
        local_s = observation.requests.deadline_s[seen.user]
        view = View(seen.vector, seen.own, local_s, observation.due, keys, own_model)
        decided = self.decide_each(observation, memory.per_server, view, shared)
        action = self.as_action(observation, decided.action, seen.user)
        return action, Memory(decided.memory, None)

    def decide(self, before: Decided, seen: View, shared: LatentModel | None) -> Decided:
        """Infer, plan, and remember the action.

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
        planned = plan(self.search, self.frame, model, carry, seen.own, seen.local_s, plan_key)
        action = self.search.first_action(planned, seen.own, self.frame.num_servers, noise_key)
        new = Belief(carry, action_code.model_input(action, self.frame.num_servers))
        kept = jax.tree.map(lambda new, old: jnp.where(seen.due, new, old), new, old)
        return Decided(kept, action)


def plan(
    search: Search,
    frame: Frame,
    model: LatentModel,
    carry: Carry,
    own: Bool[Array, "rows"],
    local_s: Float[Array, "rows"],
    key: PRNGKeyArray,
) -> Searched:
    """One server's search from its inferred state, by the rewards that the model forecasts (9).

    The value of a plan is minus the mean completion time of the server's users, in seconds; their
    later requests are taken to be as large as the present one.
    """

    def imagine(
        believed: Carry, action: Coded, key: PRNGKeyArray
    ) -> tuple[Carry, Float[Array, "candidates"]]:
        # Common random numbers: all candidates of a pass meet the same draws.
        read = action_code.model_input(action, frame.num_servers)
        believed = model.imagine(believed, read, key, common=True)
        times_s = speedup.time_s(model.reward(believed), local_s, frame.largest)
        return believed, -mean_over(times_s, own)

    return search.plan(imagine, carry, own, frame.num_servers, key)
