"""EdgeBus's cabs: a checkout read without running any of it, and moves and distance counted by hand."""

import itertools
import json
import os
import pickle
from pathlib import Path

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.commands import app
from benchmarks.published import edgebus_trace, mango
from benchmarks.published.edgebus_policy import foresight, placement, settled
from benchmarks.published.edgebus_trace import Cabs, outcome
from isma.errors import DataError

NETWORK = Path("data/datasets/6/networks/1")
SITE = [(0.0, 0.0), (0.0, 1.0), (0.0, 3.0)]


class Harmful:
    """A pickle of it runs a command when it is read."""

    def __reduce__(self) -> tuple:
        return os.system, ("exit 1",)


def network() -> nx.Graph:
    """Three sites in a row, links as long as the sites are apart, and two users."""
    graph = nx.Graph()
    for number, place in enumerate(SITE):
        where = tuple(np.float64(part) for part in place)
        graph.add_node((number, "node"), loc=where)
        graph.add_node((number, "station"), loc=where)
        graph.add_edge((number, "node"), (number, "station"), weight=0.0)
    graph.add_edge((0, "node"), (1, "node"), weight=1.0)
    graph.add_edge((1, "node"), (2, "node"), weight=2.0)
    return graph


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout in its form: user 0 goes from site 0 to 2, user 1 stays at 1."""
    (tmp_path / NETWORK / "traces/0").mkdir(parents=True)
    fixes = [{0: (0.0, x), 1: (0.1, 1.0)} for x in (0.1, 0.2, 0.9, 2.5, 3.0)]
    config = {
        "services_nodes": np.array([0, 0]),
        "users_services": np.array([0, 1]),
        "num_stations": 3,
        "network": network(),
    }
    (tmp_path / NETWORK / "traces/0/trace.pickle").write_bytes(pickle.dumps(fixes))
    (tmp_path / NETWORK / "edge_simulator_config.pickle").write_bytes(pickle.dumps(config))
    capacities = {"nodes_resources": [[700, 9.0]] * 3, "services_resources": [[250, 1.0]] * 2}
    info = tmp_path / "data/datasets/6/info.json"
    info.write_text(json.dumps({"capacities": capacities}))
    for number in range(4):
        folder = tmp_path / f"data/test-results/series/100/tests/{number}"
        folder.mkdir(parents=True)
        (folder / "info.json").write_text(json.dumps({"algorithm": f"scheduler-{number}"}))
        (folder / "states.csv").write_text(f",num_moves,users_distances\n0,{number},1\n1,0,2\n")
    return tmp_path


def test_a_checkout_is_read(source: Path) -> None:
    cabs = edgebus_trace.cabs_of(source)
    np.testing.assert_allclose(cabs.distance, [[0, 1, 3], [1, 0, 2], [3, 2, 0]])
    assert cabs.hop == 1.5
    assert cabs.room == 2
    assert cabs.station.T.tolist() == [[0, 0, 1, 2, 2], [1, 1, 1, 1, 1]]
    found = edgebus_trace.published(source)
    assert [(one.name, one.moves, one.distance) for one in found[2:]] == [
        ("scheduler-2", 1.0, 1.5),
        ("scheduler-3", 1.5, 1.5),
    ]


def test_no_pickle_runs_code(source: Path) -> None:
    config = source / NETWORK / "edge_simulator_config.pickle"
    config.write_bytes(pickle.dumps({"network": Harmful()}))
    with pytest.raises(DataError, match="must be a pickle of numbers"):
        edgebus_trace.cabs_of(source)
    config.write_bytes(b"\x80")
    with pytest.raises(DataError, match="must be a pickle of numbers"):
        edgebus_trace.cabs_of(source)
    config.write_bytes(pickle.dumps({"network": 3}))
    with pytest.raises(DataError, match="must be as in the commit"):
        edgebus_trace.cabs_of(source)
    (source / "data/datasets/6/info.json").write_bytes(b"\xff{")
    with pytest.raises(DataError, match="must be JSON"):
        edgebus_trace.cabs_of(source)
    with pytest.raises(DataError, match="must be a checkout of BabarAli93/EdgeBus"):
        edgebus_trace.cabs_of(source / "elsewhere")


@pytest.mark.parametrize(
    "array",
    [
        np.array([0, [1]], object),
        np.array(["a"]),
        np.zeros(2, [("x", "f8"), ("y", "O")]),
        np.ma.masked_array([1.0, 2.0]),
    ],
    ids=["objects", "text", "records", "masked"],
)
def test_an_array_of_anything_but_numbers_is_refused(array: np.ndarray, source: Path) -> None:
    """NumPy would make whatever a file says of its memory."""
    config = source / NETWORK / "edge_simulator_config.pickle"
    config.write_bytes(pickle.dumps({"network": 3, "services_nodes": array}))
    with pytest.raises(DataError, match="must be a pickle of numbers"):
        edgebus_trace.cabs_of(source)


def test_arrays_are_those_that_were_written(source: Path) -> None:
    """Also by columns, and with the most significant byte first."""
    config = source / NETWORK / "edge_simulator_config.pickle"
    content = pickle.loads(config.read_bytes())
    for turned in (np.asfortranarray, lambda array: array.astype(">i4")):
        changed = {**content, "services_nodes": turned(np.array([[2, 1], [0, 1]]))}
        config.write_bytes(pickle.dumps(changed))
        np.testing.assert_array_equal(edgebus_trace.cabs_of(source).first, [[2, 1], [0, 1]])


# User 0 is at sites 0, 0, 1, 2, 2 and then, the trace going round, at 0; user 1 at 1.
CABS = Cabs(
    distance=np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]]),
    hop=1.0,
    station=np.array([[0, 1], [0, 1], [1, 1], [2, 1], [2, 1]]),
    first=np.array([0, 0]),
    room=2,
)


def test_outcomes_by_hand() -> None:
    """A decision is judged by the next step's stations: 0, 1, 2, 2, 0 of user 0."""
    stays = np.zeros((5, 2), int)
    assert outcome("stay", CABS, stays)[1:] == (0.0, (0 + 1 + 3 + 3 + 0 + 5) / 5)
    follows = placement(CABS, "nearest", 1.0)
    np.testing.assert_array_equal(follows, CABS.station)
    assert outcome("nearest", CABS, follows)[1:] == (3 / 5, (0 + 1 + 2 + 0 + 3) / 5)


def test_break_even_moves_once_it_has_paid_the_price() -> None:
    """User 1 pays one hop a step, so that a move for 2.5 hops pays in the third step."""
    place = placement(CABS, "break-even", 2.5)
    assert place[:, 1].tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("price", [0.3, 1.2, 4.0])
def test_foresight_by_enumeration(price: float) -> None:
    least = [
        min(
            outcome("", one, np.array(place)[:, None])[1:] @ np.array([price, 1])
            for place in itertools.product(range(3), repeat=5)
        )
        for one in (
            CABS._replace(station=CABS.station[:, [n]], first=CABS.first[[n]]) for n in (0, 1)
        )
    ]
    found = foresight(CABS, price)
    assert found.moves * price + found.distance == pytest.approx(sum(least))


def test_a_full_server_refuses() -> None:
    """Server 1 has room for one more: the first comes, the second stays; then the third finds none either."""
    host, target = jnp.array([0, 0, 2, 1]), jnp.array([1, 1, 1, 1])
    assert settled(host, target, 3, room=2).tolist() == [1, 0, 2, 1]


def test_command(source: Path) -> None:
    out = source / "curve.svg"
    called = ["published", "mango", "--source", str(source), "--policies", "stay", "--prices", "1"]
    told = CliRunner().invoke(app, [*called, "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert "scheduler-3 (published)" in told.output
    assert out.stat().st_size > 0
    told = CliRunner().invoke(app, [*called[:-1], "nothing"])
    assert "--prices must be numbers above 0" in str(told.exception)
    found = mango.measure(source, 0, ["stay"], [1.0])
    assert {one.policy for one in found.ours} == {"never", "nearest", "stay", "foresight"}
