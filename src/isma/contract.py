"""Observation, Action, Policy: where everything that decides meets everything that runs it.

The same policy object runs in the simulator, in experiments and beside a real server. Users are
rows; the server of a user is an index in a column; one call decides for all servers that are due.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from isma.when import choose
from isma.world.scenario import Scenario, Visibility
from isma.world.switches import Migrating


class HopLatency(eqx.Module):
    """Time that a task needs to reach a server, however small it is."""

    task_s: Float[Array, ""]
    """Of every task that uses a server."""
    per_hop_s: Float[Array, ""]
    """Added for each hop from base station to server."""


class MigrationCost(eqx.Module):
    """Cost of moving a service, as far as it is the same for all (isma.planning.migration)."""

    downtime_s: Float[Array, ""]
    """Time for which every move stops the service."""
    dirty_bps: Float[Array, ""]
    """Pre-copy: rate at which a running service changes its state."""
    stop_bits: Float[Array, ""]
    """Pre-copy: changes that are few enough to stop for."""
    most_rounds: Float[Array, ""]
    """Pre-copy: most rounds in which the service still runs."""
    kind: Migrating = eqx.field(static=True)


class Infrastructure(eqx.Module):
    """Public knowledge of every server about the operator's network: no news about any user.

    A part that is None is switched off in this world.
    """

    server_hz: Float[Array, "servers"]
    """CPU clock f^e."""
    decision_period_s: Float[Array, "servers"]
    """Decision period D."""
    broadcast_period_s: Float[Array, ""]
    """Time between two broadcasts of a server."""
    hops: Float[Array, "stations servers"]
    """Hops d from a base station (row) to a server (column)."""
    backhaul_rate_bps: Float[Array, ""]
    """Rate R^f of a hop."""
    bandwidth_hz: Float[Array, ""]
    """Radio band B of a user, or of a station that divides it among its users."""
    power_w: Float[Array, ""]
    """Transmit power p of a user."""
    noise_w: Float[Array, ""]
    """Noise power N0 over the whole band."""
    slot_s: Float[Array, ""]
    """Length of a time slot, in which every server counts."""
    latency: HopLatency | None = None
    migration: MigrationCost | None = None
    home: Int[Array, "servers"] | None = None
    """Base station of each server; None where server l is at station l."""
    closest: Int[Array, "stations"] | None = None
    """The server with the fewest hops from each station, the first of equals; None as `home`."""
    near: Int[Array, "stations near"] | None = None
    """Servers that are looked at for users of each station, the one with the fewest hops first; None
    where a city is small enough to look at all (isma.world.nearby)."""

    @property
    def between(self) -> Float[Array, "servers servers"]:
        """Hops from server to server, over which a migration goes."""
        return self.hops if self.home is None else self.hops[self.home]

    def nearest(self, station: Int[Array, "users"]) -> Int[Array, "users"]:
        """The server nearest to each user's station: the one at the station, if there is one."""
        return station if self.closest is None else self.closest[station]

    def detour(self, station: Int[Array, "users"]) -> Float[Array, "users servers"]:
        """Hops from each user's station to every server beyond those to the nearest one."""
        hops = self.hops[station]
        return hops if self.closest is None else hops - hops.min(axis=1, keepdims=True)


class Requests(eqx.Module):
    """The fixed part of the users' task requests T_i."""

    data_bits: Float[Array, "users"]
    """Data size c."""
    cycles: Float[Array, "users"]
    """CPU cycles f^r."""
    local_hz: Float[Array, "users"]
    """The user's own CPU clock f^L."""
    deadline_s: Float[Array, "users"]
    """Longest delay allowed, δmax."""
    interval_s: Float[Array, "users"]
    """Time between two requests, which a server sees come."""
    state_bits: Float[Array, "users"]
    """State of the service that a migration has to send; 0 where it is free."""
    downtime_per_hop_s: Float[Array, "users"]
    """Time for which a migration stops the service, for each hop; 0 where it is free."""


class News(eqx.Module):
    """The last broadcast that each server (row) has received from each server (column)."""

    remaining_hz: Float[Array, "servers servers"]
    """Remaining computing resources F."""
    price_s: Float[Array, "servers servers"]
    """Seconds of delay that one more unit of that server's CPU share would save (0: none asked)."""
    age_s: Float[Array, "servers servers"]
    """Time since it was sent."""


class Backlog(eqx.Module):
    """CPU cycles of a user's tasks that are still to be done."""

    local_cycles: Float[Array, "users"]
    """On its own CPU."""
    edge_cycles: Float[Array, "users"]
    """On its share of the server; they move with the service."""


class Observation(eqx.Module):
    """View of the deciding servers now; rows of users that none of them may see are zero."""

    infrastructure: Infrastructure
    requests: Requests
    gain: Float[Array, "users"]
    """Channel gain g to the attached base station."""
    station: Int[Array, "users"]
    """Attached base station: a row of `infrastructure.hops`, and no server's index."""
    host: Int[Array, "users"]
    """Server that hosts the user's service."""
    wait_s: Float[Array, "users"]
    """Time until the user's service runs again; 0 where it runs."""
    visible: Bool[Array, "users"]
    """Users in some deciding server's view: the union of the sets U^l."""
    decides: Bool[Array, "users"]
    """Users whose action takes effect: newcomers and the users of a server that is due."""
    acting: Bool[Array, "servers"]
    """Servers that decide now."""
    due: Bool[Array, "servers"]
    """Acting servers whose decision period has come round; the others act for newcomers alone."""
    slot: Int[Array, ""]
    """The time slot that begins now, by every server's clock."""
    news: News
    position_m: Float[Array, "users 2"] | None
    """Where the users are, if the scenario lets requests carry it."""
    visibility: Visibility = eqx.field(static=True)
    """Which users a server sees: rows may be combined only as `pool` allows."""
    backlog: Backlog | None = None
    """Backlog of the users' tasks, where tasks queue."""
    bandwidth_hz: Float[Array, "users"] | None = None
    """The band that a user has now, or would have if it began to offload; None where it has all of it."""

    @property
    def home(self) -> Int[Array, "servers"]:
        """The base station of each server: a row of `infrastructure.hops`."""
        home = self.infrastructure.home
        return jnp.arange(self.acting.shape[0]) if home is None else home

    @property
    def num_pools(self) -> int:
        """Number of pools that `pool` distinguishes."""
        users, servers = self.host.shape[0], self.acting.shape[0]
        return users if self.visibility is Visibility.USER else servers

    def of_rows(self, row: Int[Array, "rows"]) -> "Observation":
        """View of some users alone. Pools are those of all: ask the whole for them."""
        take = lambda part: jax.tree.map(lambda value: value[row], part)  # noqa: E731
        return replace(
            self,
            requests=take(self.requests),
            gain=take(self.gain),
            station=take(self.station),
            host=take(self.host),
            wait_s=take(self.wait_s),
            visible=take(self.visible),
            decides=take(self.decides),
            position_m=take(self.position_m),
            backlog=take(self.backlog),
            bandwidth_hz=take(self.bandwidth_hz),
        )

    def pool(self, target: Int[Array, "users"]) -> Int[Array, "users"]:
        """The CPU that a user bound for `target` shares, as far as its decision maker can tell.

        Rows with the same pool share one server's CPU and may be weighed against each other;
        `num_pools` stands for a server outside the decision maker's sight (or an unseen user).
        """
        users = jnp.arange(self.host.shape[0])
        match self.visibility:
            case Visibility.FULL:
                inside, pool = self.visible, target
            case Visibility.SERVER:
                inside, pool = self.visible & (target == self.host), self.host
            case Visibility.USER:
                inside, pool = self.visible & (target == self.host), users
        return jnp.where(inside, pool, self.num_pools)


class Action(eqx.Module):
    """Decision for each user, and each server's word about itself."""

    server: Int[Array, "users"]
    """Server that is to host the service, a(IP)."""
    offload_ratio: Float[Array, "users"]
    """Offloaded part of each task, a(η), on the grid 0, 0.1, ..., 1."""
    cpu_share: Float[Array, "users"]
    """Requested part of that server's CPU, a(f^e), in [0, 1]."""
    price_s: Float[Array, "servers"]
    """Price that acting servers broadcast from now on; 0 for policies that have none."""


class Memory(eqx.Module):
    """All that a policy remembers. Rows of users travel with the service; nothing else crosses."""

    per_server: PyTree
    """Leaves with a leading axis of servers."""
    per_user: PyTree
    """Leaves with a leading axis of users; their bytes are counted in a migration."""

    @classmethod
    def none(cls) -> "Memory":
        """The memory of a policy that remembers nothing."""
        return cls(None, None)

    def renewed(self, new: "Memory", observation: "Observation") -> "Memory":
        """Memory after a decision: rows of deciding servers and visible users are new; others stay."""
        return Memory(
            choose(observation.acting, new.per_server, self.per_server),
            choose(observation.visible, new.per_user, self.per_user),
        )


class Policy(eqx.Module):
    """Decides for every server that is due, from those servers' observations and memories."""

    visibility: ClassVar[Visibility | None] = None
    """The view that it needs; None takes the scenario's. A policy that needs `full` is a reference."""
    publishes_price: ClassVar[bool] = False
    """Whether its servers add a price to their broadcasts."""

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """The memory before the first decision of an episode in `scenario`.

        Sizes are given because a scenario may take its users and sites from files.
        """
        return Memory.none()

    @abstractmethod
    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Decide for all acting servers at once; rows that do not decide are ignored."""

    def forecast_weight(self, memory: Memory) -> Float[Array, "servers"] | None:
        """Weight of a mobility forecast in each server's decisions, 0 to 1; None without a forecast."""
        return None


def misfit(answer: object, memory: Memory, observation: Observation) -> str | None:
    """First misfit of a policy's answer with the contract: types, shapes, rows; None if there is none."""
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Action)):
        return f"act must return a pair (Action, Memory) of isma.contract, got {_named(answer)}"
    action, new = answer
    users, servers = observation.host.shape[0], observation.acting.shape[0]
    wanted = {
        "server": (users, jnp.integer, "a whole number for each user"),
        "offload_ratio": (users, jnp.floating, "a number for each user"),
        "cpu_share": (users, jnp.floating, "a number for each user"),
        "price_s": (servers, jnp.floating, "a number for each server (0 where none is asked)"),
    }
    for name, (rows, kind, words) in wanted.items():
        leaf = getattr(action, name)
        if not hasattr(leaf, "dtype"):
            return f"Action.{name} must hold {words} ({rows}) as an array, got {_named(leaf)}"
        if jnp.shape(leaf) != (rows,) or not jnp.issubdtype(leaf.dtype, kind):
            got = f"{leaf.dtype}{list(leaf.shape)}"
            return f"Action.{name} must hold {words} ({rows}), got {got}"
    before, after = _form(memory), _form(new)
    if before != after:
        return (
            f"act must return a memory of the form that init gave it, {before}, got {after}: "
            "give every leaf its final shape and type in init"
        )
    return None


def _named(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(one).__name__ for one in value)})"
    return "nothing" if value is None else f"a {type(value).__name__}"


def _form(memory: PyTree) -> str:
    """Structure, shapes and types in words."""
    named = jax.tree_util.tree_leaves_with_path(memory)
    parts = [
        f"{jax.tree_util.keystr(path)} {jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
        for path, leaf in named
    ]
    return ", ".join(parts) or "nothing"
