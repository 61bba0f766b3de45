"""Committed run of EdgeBus (MANGO): cabs, network and placements of four schedulers, read from a checkout.

Its pickles are read by an unpickler that makes numbers, arrays and plain records and nothing else, so that no
code runs. What it records of users' stations never changes; distances show that they do, and stations are
computed anew from the trace, as its simulator does.
"""

import csv
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from benchmarks.published.checkout import file_of
from isma.errors import DataError, short

REPOSITORY = "BabarAli93/EdgeBus"
_DATASET = "data/datasets/6"
_NETWORK = f"{_DATASET}/networks/1"
_RUNS = tuple(f"data/test-results/series/100/tests/{number}" for number in range(4))
_NUMBERS = {f"{kind}{size}" for kind in "iuf" for size in (4, 8)}
"""Types of numbers in an array, as NumPy names them."""


class Cabs(NamedTuple):
    """Users, their stations in each step, and the servers at those stations."""

    distance: np.ndarray
    """servers × servers, along the network, in degrees: what a step costs a user."""
    hop: float
    """Mean length of a link."""
    station: np.ndarray
    """steps × users: the nearest station. A scheduler that decides in a step has seen these, and its
    decision is judged by those of the next step."""
    first: np.ndarray
    """users: where the services are at first."""
    room: int
    """Services that a server can hold."""


class Outcome(NamedTuple):
    """Migrations and distance of a run, both summed over users, on average over its steps."""

    name: str
    moves: float
    distance: float


class _Record:
    """Attributes of an object, without its class."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)


class _Type:
    """Type of an array's numbers; only its name and order of bytes are taken from a file."""

    def __init__(self, name: str, *_: bool) -> None:
        if name not in _NUMBERS:
            raise ValueError(f"an array of {name}")
        self.name, self.order = name, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = {"<": "<", ">": ">"}[state[1]]

    def values(self, content: bytes) -> np.ndarray:
        """Numbers of these bytes."""
        return np.frombuffer(content, f"{self.order}{self.name}")


class _Array:
    """Array that is made of its bytes: NumPy's own reader would trust what a file says of its memory."""

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Type, bool, bytes]) -> None:
        _, shape, of, by_columns, content = state
        self.values = of.values(content).reshape(shape, order="F" if by_columns else "C")

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values.astype(dtype or self.values.dtype)


def _scalar(of: _Type, content: bytes) -> float:
    return of.values(content).item()


_PARTS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy.multiarray", "scalar"): _scalar,
    ("builtins", "dict"): dict,
}
"""What a pickle may make; NumPy's parts are under `core` or, since 2.0, under `_core`."""


class _Unpickler(pickle.Unpickler):
    """Numbers, arrays and records."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a part. Raises UnpicklingError for anything that is no array and no record."""
        part = module.replace("numpy._core.", "numpy.").replace("numpy.core.", "numpy."), name
        if part in _PARTS:
            return _PARTS[part]
        if module.startswith("networkx."):
            return _Record
        raise pickle.UnpicklingError(f"{module}.{name}")


def cabs_of(source: Path, trace: int = 0) -> Cabs:
    """Trace and network of the committed run in a checkout. Raises DataError."""
    config = _unpickled(source, f"{_NETWORK}/edge_simulator_config.pickle")
    fixes = _unpickled(source, f"{_NETWORK}/traces/{trace}/trace.pickle")
    info = _json(source, f"{_DATASET}/info.json")
    try:
        graph, users = config["network"], range(len(config["users_services"]))
        number = int(config["num_stations"])
        site = np.array([graph._node[one, "station"]["loc"] for one in range(number)], float)
        position = np.array([[step[user] for user in users] for step in fixes])
        links = _links(graph._adj)
        capacities = info["capacities"]
        room = _room(capacities["nodes_resources"], capacities["services_resources"])
        first = np.array(config["services_nodes"], int)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{_NETWORK} must be as in the commit that docs/benchmarks.md names: {short(error)} is amiss"
        ) from None
    apart = ((position[:, :, None] - site) ** 2).sum(axis=3)
    hop = float(np.mean([length for _, _, length in links]))
    return Cabs(distances(links, number), hop, apart.argmin(axis=2), first, room)


def published(source: Path) -> list[Outcome]:
    """Outcomes of the schedulers whose runs are committed. Raises DataError."""
    found = []
    for folder in _RUNS:
        info = _json(source, f"{folder}/info.json")
        states = file_of(source, f"{folder}/states.csv", REPOSITORY)
        rows = list(csv.DictReader(states.read_text(errors="replace").splitlines()))
        try:
            moves, distance = (
                float(np.mean([float(row[name]) for row in rows]))
                for name in ("num_moves", "users_distances")
            )
            found.append(Outcome(str(info["algorithm"]), moves, distance))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{folder} must have {short(error)} as a number in every row") from None
    return found


def distances(links: list[tuple[int, int, float]], number: int) -> np.ndarray:
    """Distance along a network from each of its nodes to each."""
    graph = nx.Graph()
    graph.add_nodes_from(range(number))
    graph.add_weighted_edges_from(links)
    return np.asarray(nx.floyd_warshall_numpy(graph, nodelist=range(number)))


def outcome(name: str, cabs: Cabs, placement: np.ndarray) -> Outcome:
    """Outcome of a placement (steps × users), as the published simulator counts it."""
    before = np.concatenate([cabs.first[None], placement[:-1]])
    steps, after = len(placement), np.roll(cabs.station, -1, axis=0)
    return Outcome(
        name,
        float((placement != before).sum() / steps),
        float(cabs.distance[after, placement].sum() / steps),
    )


def _links(adjacent: Mapping[Any, Mapping[Any, Any]]) -> list[tuple[int, int, float]]:
    """Links between servers, each once."""
    return [
        (one, other, float(link["weight"]))
        for (one, kind), neighbours in adjacent.items()
        for (other, of_kind), link in neighbours.items()
        if kind == of_kind == "node" and one < other
    ]


def _room(servers: list[list[float]], services: list[list[float]]) -> int:
    """Services that fit on a server; all servers and all services must be alike. Raises ValueError."""
    if len({*map(tuple, servers)}) != 1 or len({*map(tuple, services)}) != 1:
        raise ValueError("one size of all servers and one of all services")
    return int(min(has // wants for has, wants in zip(servers[0], services[0], strict=True)))


def _json(source: Path, name: str) -> Any:
    try:
        return json.loads(file_of(source, name, REPOSITORY).read_bytes())
    except ValueError as error:
        raise DataError(f"{name} must be JSON: {short(error)}") from None


def _unpickled(source: Path, name: str) -> Any:
    with file_of(source, name, REPOSITORY).open("rb") as file:
        try:
            return _Unpickler(file).load()
        except (
            pickle.UnpicklingError,
            EOFError,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
            OverflowError,
            MemoryError,
            RecursionError,
        ) as error:
            raise DataError(
                f"{name} must be a pickle of numbers, arrays and graphs, got {short(error)}"
            ) from None
