"""Policies in plain Python: called outside the compiled loop, one server at a time, with that server's view.

JAX calls back once for all acting servers; here each of them decides by itself, with its own users
alone, so that such a policy cannot peek. Exceptions of a user's class are reported as errors of that class.
"""

import sys
import traceback
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from isma.contract import Action, Backlog, Infrastructure, Memory, Observation, Policy, Requests
from isma.errors import IsmaError, PolicyError, short
from isma.world.scenario import Scenario, Visibility

Column = np.ndarray
"""A NumPy array with an entry for each user in view."""

_PACKAGE = Path(__file__).resolve().parents[1]
_CARRIED = f"{PolicyError.__name__}: "
"""Prefix of an error that crosses a compiled program's boundary: JAX keeps its text alone."""


@dataclass(frozen=True)
class ServerView:
    """View of one server that decides; columns have an entry for each user in it.

    The leaves of `infrastructure`, `requests` and `backlog` are NumPy arrays too.
    """

    server: int
    """Index of the deciding server."""
    due: bool
    """Whether its decision period has come round; else it decides for newcomers alone."""
    infrastructure: Infrastructure
    requests: Requests
    gain: Column
    """Channel gain to the attached base station."""
    station: Column
    """Attached base station: a row of `infrastructure.hops`, and no server's index."""
    nearest: Column
    """The server with the fewest hops from that station: the one at the station, if there is one."""
    host: Column
    """Hosting server: `server`, unless the scenario shows all users."""
    wait_s: Column
    """Time until the user's service runs again; 0 where it runs."""
    decides: Column
    """Whether a decision for the user takes effect."""
    remaining_hz: np.ndarray
    """F of every server, as this one last received it."""
    home: np.ndarray
    """Base station of each server: hops from server to server are `hops[home]`."""
    price_s: np.ndarray
    """Price of every server, as this one last received it; 0 where none is asked."""
    age_s: np.ndarray
    """Time since each of them was sent."""
    position_m: np.ndarray | None
    backlog: Backlog | None
    bandwidth_hz: Column | None
    server_memory: PyTree
    """This server's row of the servers' memory."""
    user_memory: PyTree
    """Memory of the users in view; it has travelled with them."""
    random: np.random.Generator
    """The only source of randomness: the same run draws the same again."""


@dataclass(frozen=True)
class Decision:
    """Decision of one server for the users in its view."""

    server: Any
    """Server that is to host each, a(IP)."""
    offload_ratio: Any
    """Offloaded part of each one's tasks, a(η), on the grid 0, 0.1, ..., 1."""
    cpu_share: Any
    """Requested part of that server's CPU, a(f^e), in [0, 1]."""
    price_s: float = 0.0
    """Price that the deciding server broadcasts from now on."""
    server_memory: PyTree = None
    """New memory of the server; None leaves it as it was."""
    user_memory: PyTree = None
    """New memory of the users; None leaves it as it was."""


class PlainPolicy(Policy):
    """A policy in plain Python or NumPy: `decide` is called for one server at a time.

    It is slower than one in JAX, and may not call JAX itself. Options are fields, as of any policy.
    """

    @abstractmethod
    def decide(self, view: ServerView) -> Decision:
        """Decide for the users in view, of whom there is at least one of the server's own.

        The decision's memory is the only state that may be kept.
        """

    def first_server_memory(self, scenario: Scenario) -> PyTree:
        """Memory of a server before its first decision: numbers or NumPy arrays of fixed shape."""
        return None

    def first_user_memory(self, scenario: Scenario) -> PyTree:
        """Memory of a user before the first decision: numbers or arrays of fixed shape."""
        return None

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """The first memory, the same in every row."""

        def rows(first: PyTree, count: int) -> PyTree:
            return jax.tree.map(
                lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (count, *np.shape(leaf))), first
            )

        return Memory(
            rows(self.first_server_memory(scenario), num_servers),
            rows(self.first_user_memory(scenario), num_users),
        )

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Call `decide` for each acting server, outside the compiled program.

        Array fields are passed as NumPy arrays, all others unchanged.
        """
        number = observation.gain.dtype
        idle = Action(
            observation.host,
            jnp.zeros_like(observation.gain),
            jnp.zeros_like(observation.gain),
            jnp.zeros_like(observation.infrastructure.server_hz, dtype=number),
        )
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (idle, memory))
        words = jax.random.key_data(key)
        arrays, others = eqx.partition(self, eqx.is_array)

        def answer(arrays: PyTree, *moment: Any) -> tuple[Action, Memory]:
            return eqx.combine(jax.tree.map(np.array, arrays), others)._answer(*moment)

        return jax.pure_callback(
            answer, shapes, arrays, idle, memory, observation, words, vmap_method="sequential"
        )

    def _answer(
        self, idle: Action, memory: Memory, observation: Observation, words: Array
    ) -> tuple[Action, Memory]:
        idle, memory, observation = jax.tree.map(np.array, (idle, memory, observation))
        for place in _places(observation, np.asarray(words)):
            with policy_errors(self):
                decision = self.decide(_view(place, memory, observation))
            if not isinstance(decision, Decision):
                got = "nothing" if decision is None else f"a {type(decision).__name__}"
                raise PolicyError(
                    f"decide must return a Decision of isma.policies.plain_python, got {got}"
                )
            _carry_out(decision, place, idle, memory)
        return idle, memory


class _Place(NamedTuple):
    """One decision maker: a server, or with `visibility=user` one user on its server."""

    server: int
    seen: np.ndarray
    """Rows of the users in view."""
    own: np.ndarray
    """Mask of those that it decides for, if they decide now."""
    seed: list[int]


def _places(observation: Observation, words: np.ndarray) -> Iterator[_Place]:
    visible, host = np.asarray(observation.visible), np.asarray(observation.host)
    for server in np.flatnonzero(observation.acting):
        hosted = visible & (host == server)
        if not hosted.any():
            continue
        seed = [*words.ravel().tolist(), int(server)]
        match observation.visibility:
            case Visibility.FULL:
                seen = np.flatnonzero(visible)
                yield _Place(int(server), seen, hosted[seen], seed)
            case Visibility.SERVER:
                seen = np.flatnonzero(hosted)
                yield _Place(int(server), seen, np.ones(len(seen), bool), seed)
            case Visibility.USER:
                for user in np.flatnonzero(hosted):
                    yield _Place(
                        int(server), np.array([user]), np.ones(1, bool), [*seed, int(user)]
                    )


def _view(place: _Place, memory: Memory, observation: Observation) -> ServerView:
    server = place.server
    rows = lambda tree: jax.tree.map(lambda leaf: leaf[place.seen], tree)  # noqa: E731
    news, net = observation.news, observation.infrastructure
    nearest = observation.station if net.closest is None else net.closest[observation.station]
    return ServerView(
        server=server,
        due=bool(observation.due[server]),
        infrastructure=net,
        requests=rows(observation.requests),
        gain=rows(observation.gain),
        station=rows(observation.station),
        nearest=rows(nearest),
        host=rows(observation.host),
        wait_s=rows(observation.wait_s),
        decides=rows(observation.decides) & place.own,
        home=np.arange(len(net.server_hz)) if net.home is None else np.asarray(net.home),
        remaining_hz=np.asarray(news.remaining_hz[server]),
        price_s=np.asarray(news.price_s[server]),
        age_s=np.asarray(news.age_s[server]),
        position_m=rows(observation.position_m),
        backlog=rows(observation.backlog),
        bandwidth_hz=rows(observation.bandwidth_hz),
        server_memory=jax.tree.map(lambda leaf: leaf[server], memory.per_server),
        user_memory=rows(memory.per_user),
        random=np.random.default_rng(place.seed),
    )


def _carry_out(decision: Decision, place: _Place, action: Action, memory: Memory) -> None:
    """Write a decision into the rows of its users."""
    own = place.seen[place.own]
    for name in ("server", "offload_ratio", "cpu_share"):
        column = _column(name, getattr(decision, name), len(place.seen))
        getattr(action, name)[own] = column[place.own]
    action.price_s[place.server] = _column("price_s", decision.price_s, 1)[0]
    if decision.server_memory is not None:
        _keep("server_memory", memory.per_server, place.server, decision.server_memory)
    if decision.user_memory is not None:
        mine = jax.tree.map(lambda leaf: np.asarray(leaf)[place.own], decision.user_memory)
        _keep("user_memory", memory.per_user, own, mine)


def _column(name: str, value: Any, users: int) -> np.ndarray:
    try:
        column = np.asarray(value)
    except ValueError as error:  # Rows of different lengths.
        raise PolicyError(f"Decision.{name} must be numbers: {short(error)}") from None
    if column.dtype.kind not in "biuf":
        raise PolicyError(f"Decision.{name} must be numbers, got {short(value)}")
    if not np.all(np.isfinite(column)):
        raise PolicyError(f"Decision.{name} must be finite, got {short(value)}")
    if name == "server" and np.any(column != np.floor(column)):
        raise PolicyError(f"Decision.server must be whole numbers, got {short(value)}")
    if column.shape not in ((), (users,)):
        raise PolicyError(
            f"Decision.{name} must be one value or one for each of the {users} users in view, "
            f"got shape {column.shape}"
        )
    return np.broadcast_to(column, (users,))


def _keep(name: str, table: PyTree, rows: Any, new: PyTree) -> None:
    if jax.tree.structure(table) != jax.tree.structure(new):
        raise PolicyError(
            f"Decision.{name} must have the form of first_{name}, {jax.tree.structure(table)}, "
            f"got {jax.tree.structure(new)}"
        )

    def put(leaf: np.ndarray, value: Any) -> None:
        try:
            leaf[rows] = value
        except (ValueError, TypeError) as error:
            raise PolicyError(
                f"Decision.{name} must have the shapes of first_{name}: {short(error, 200)}"
            ) from None

    jax.tree.map(put, table, new)


@contextmanager
def policy_errors(policy: Policy) -> Iterator[None]:
    """Turn exceptions of the policy's own code into a PolicyError; any other exception is unchanged."""
    try:
        yield
    except IsmaError:
        raise
    except Exception as error:
        _, carried, text = str(error).rpartition(_CARRIED)
        if carried:
            raise PolicyError(text.splitlines()[0]) from error
        where = _where(policy, error)
        if where is None:
            raise
        message = f"{type(error).__name__}: {first_line(error)}"
        name = f"{type(policy).__module__}:{type(policy).__qualname__}"
        raise PolicyError(f"policy {name} raises {message} ({where})") from error


def first_line(error: Exception) -> str:
    """Message of an error, without the pages that JAX adds to it."""
    return next(iter(str(error).strip().splitlines()), "")


def _where(policy: Policy, error: Exception) -> str | None:
    """Innermost line in the policy's own file; None if the error is the package's."""
    module = sys.modules[type(policy).__module__]
    if not hasattr(module, "__file__"):  # Typed at a prompt.
        return None
    path = Path(str(module.__file__)).resolve()
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).resolve() == path
    ]
    if not frames or path.is_relative_to(_PACKAGE):
        return None
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown}, line {frames[-1].lineno}, in {frames[-1].name}"
