"""Hops by hand, networks of any points, topology files, and what is refused."""

import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isma.errors import DataError, ScenarioError
from isma.world import backhaul, scenario, sites

DELAUNAY = scenario.Backhaul(kind="delaunay", max_link_m=100.0)
RING = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]


def layout_of(points: list[tuple[float, float]], ids: str = "abcdefgh") -> sites.Layout:
    return sites.Layout(tuple(ids[: len(points)]), np.array(points, dtype=np.float64), None)


def from_file(path: Path) -> scenario.Backhaul:
    return scenario.Backhaul(kind="file", file=path)


def test_hops_between_hexagonal_neighbours():
    # Sites 1..5 surround site 0; along the ring each touches the next, 1 and 5 only through 0.
    layout = sites.layout(scenario.Sites(count=6))
    hops = backhaul.hop_counts(scenario.Backhaul(), layout, 1000.0)
    assert hops.tolist() == [
        [0, 1, 1, 1, 1, 1],
        [1, 0, 1, 2, 2, 2],
        [1, 1, 0, 1, 2, 2],
        [1, 2, 1, 0, 1, 2],
        [1, 2, 2, 1, 0, 1],
        [1, 2, 2, 2, 1, 0],
    ]
    assert len(backhaul.links(scenario.Backhaul(), layout, 1000.0)) == 9


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_sites_on_one_line_are_linked_along_it(count: int):
    steps = np.arange(count)
    layout = layout_of([(30.0 * step, 40.0 * step) for step in steps])
    hops = backhaul.hop_counts(DELAUNAY, layout, 1.0)
    assert hops.tolist() == np.abs(steps[:, None] - steps).tolist()
    assert backhaul.links(DELAUNAY, layout, 1.0) == [(a, a + 1) for a in range(count - 1)]


def test_long_edges_go_and_the_shortest_of_them_join_the_rest():
    # Two triangles of side about 50, 1000 apart: one link, (50, 0) to (1050, 0), joins them.
    near = [(0.0, 0.0), (50.0, 0.0), (25.0, 40.0)]
    far = [(1050.0, 0.0), (1100.0, 0.0), (1075.0, 40.0)]
    layout = layout_of(near + far)
    links = backhaul.links(DELAUNAY, layout, 1.0)
    assert links == [(0, 1), (0, 2), (1, 2), (1, 3), (3, 4), (3, 5), (4, 5)]
    assert backhaul.joining_links(DELAUNAY, layout) == [(1, 3)]
    assert backhaul.hop_counts(DELAUNAY, layout, 1.0)[0, 4] == 3


points = arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.just(2)),
    elements=st.floats(-1e4, 1e4, width=32),
    unique=True,
)


@given(points, st.floats(1, 1e4))
def test_any_sites_make_one_network_with_a_metric_of_hops(position_m: np.ndarray, reach_m: float):
    layout = sites.Layout(tuple(map(str, range(len(position_m)))), position_m, None)
    linked = scenario.Backhaul(kind="delaunay", max_link_m=reach_m)
    hops = backhaul.hop_counts(linked, layout, 1.0)
    assert (hops == hops.T).all()
    assert (np.diag(hops) == 0).all()
    assert (hops[:, None] <= hops[:, :, None] + hops).all()
    pairs = backhaul.links(linked, layout, 1.0)
    assert sorted(pairs) == sorted(map(tuple, np.argwhere(np.triu(hops == 1)).tolist()))
    assert len(backhaul.joining_links(linked, layout)) < len(position_m)


def test_neighbours_out_of_reach_are_named():
    layout = layout_of([(0, 0), (1, 0), (9e3, 0)])
    with pytest.raises(ScenarioError, match=r"not connected: sites c cannot be reached; raise"):
        backhaul.hop_counts(scenario.Backhaul(), layout, 1000.0)


@pytest.mark.parametrize("key", ["edges", "links"])
def test_node_link_files_of_either_key(tmp_path: Path, key: str):
    path = tmp_path / "ring.json"
    path.write_text(json.dumps(nx.node_link_data(nx.Graph(RING), edges=key)))
    hops = backhaul.hop_counts(from_file(path), layout_of([(0, 0)] * 4), 1.0)
    assert hops.tolist() == [[0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0]]


def test_graphml_nodes_are_found_by_label_and_others_pass_traffic_on(tmp_path: Path):
    # a - hub - b, the hub being no site: two hops, and no link between two sites.
    graph = nx.Graph([(0, 1), (1, 2)])
    nx.set_node_attributes(graph, {0: "a", 1: "hub", 2: "b"}, "label")
    nx.write_graphml(graph, tmp_path / "hub.graphml")
    layout, linked = layout_of([(0, 0), (1, 0)]), from_file(tmp_path / "hub.graphml")
    assert backhaul.hop_counts(linked, layout, 1.0).tolist() == [[0, 2], [2, 0]]
    assert backhaul.links(linked, layout, 1.0) == []


def test_links_of_a_directed_file_with_loops_and_doubles_count_once(tmp_path: Path):
    graph = nx.MultiDiGraph([("a", "b"), ("b", "a"), ("a", "b"), ("b", "b")])
    nx.write_graphml(graph, tmp_path / "twice.graphml")
    layout = layout_of([(0, 0), (1, 0)])
    assert backhaul.links(from_file(tmp_path / "twice.graphml"), layout, 1.0) == [(0, 1)]


def test_sites_that_are_no_nodes_are_listed(tmp_path: Path):
    nx.write_graphml(nx.Graph(RING), tmp_path / "ring.graphml")
    layout = layout_of([(0, 0)] * 6)
    with pytest.raises(DataError, match=r"missing e, f; the nodes are a, b, c, d$"):
        backhaul.hop_counts(from_file(tmp_path / "ring.graphml"), layout, 1.0)


def test_a_file_that_is_two_networks_is_refused(tmp_path: Path):
    nx.write_graphml(nx.Graph([("a", "b"), ("b", "c"), ("d", "e")]), tmp_path / "two.graphml")
    with pytest.raises(DataError, match="sites d, e cannot be reached; add links"):
        backhaul.hop_counts(from_file(tmp_path / "two.graphml"), layout_of([(0, 0)] * 5), 1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got an empty file"),
        ("hello", "must be GraphML or node-link JSON"),
        ("<graphml>", "must be GraphML or node-link JSON"),
        ("{", "line 1: not JSON"),
        ("[1]", "must have nodes, and edges or links, got list"),
        ('{"nodes": []}', "must have nodes, and edges or links, got nodes"),
        ('{"nodes": [], "edges": []}', "must hold nodes, got none"),
        ('{"nodes": [{"x": 1}], "edges": []}', "must give each node an id"),
        ('{"nodes": [{"id": 1}], "edges": [{"source": 1}]}', "a source and a target"),
        ('{"nodes": [{"id": 1}], "edges": [{"source": 1, "target": 2}]}', "listed nodes, got 2"),
        ('{"nodes": 3, "edges": []}', "must give each node an id"),
    ],
)
def test_garbage_is_refused(tmp_path: Path, text: str, said: str):
    path = tmp_path / "net"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        backhaul.read_graph(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_topology_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no such topology file"):
        backhaul.read_graph(tmp_path / "none.graphml")


def road(heading_rad: float, across_m: np.ndarray, step_m: float = 1000.0) -> sites.Layout:
    """Sites along a road of any heading, each off it by some metres."""
    along_m = np.arange(len(across_m)) * step_m
    east, north = np.cos(heading_rad), np.sin(heading_rad)
    position_m = np.stack(
        [along_m * east - across_m * north, along_m * north + across_m * east], -1
    )
    return sites.Layout(tuple(map(str, range(len(across_m)))), position_m, None)


@pytest.mark.parametrize("std_m", [0.0, 1e-10, 1e-3, 10.0, 100.0])
def test_a_road_has_as_many_hops_whatever_its_direction(std_m: float):
    across_m = np.random.default_rng(0).normal(0.0, 1.0, 20) * std_m
    linked = scenario.Backhaul(kind="gabriel")
    for heading_rad in np.linspace(0, np.pi, 13):
        hops = backhaul.hop_counts(linked, road(heading_rad, across_m), 1.0)
        steps = np.arange(20)
        assert hops.tolist() == np.abs(steps[:, None] - steps).tolist()


def test_sites_in_degrees_along_a_parallel_are_a_road_too():
    # A parallel bends on the plane, so that links of the Delaunay triangulation cut across it.
    steps = np.arange(20)
    table = sites.SiteTable(
        tuple(map(str, steps)), np.full(20, 48.85), 2.3 + 0.0136 * steps.astype(np.float64)
    )
    layout = sites.from_table(table)
    gabriel = backhaul.hop_counts(scenario.Backhaul(kind="gabriel"), layout, 1.0)
    assert gabriel.tolist() == np.abs(steps[:, None] - steps).tolist()
    assert backhaul.hop_counts(scenario.Backhaul(kind="delaunay"), layout, 1.0).max() < 19


def test_the_circle_of_a_link_holds_no_third_site():
    # A square of side 100 (its diagonals' circles pass through the other corners), and e, which
    # stands in the circle of c and d alone: c-e-d takes its place.
    layout = layout_of([(0, 0), (100, 0), (100, 100), (0, 100), (50, 130)])
    linked = scenario.Backhaul(kind="gabriel", max_link_m=1000.0)
    assert backhaul.links(linked, layout, 1.0) == [(0, 1), (0, 3), (1, 2), (2, 4), (3, 4)]


whole_points = arrays(
    np.int64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(-30, 30)
)


@given(whole_points)
def test_gabriel_links_are_those_of_the_definition(whole: np.ndarray):
    position = np.unique(whole, axis=0)
    count = len(position)
    # A third site c is in the circle of a and b, its rim included, if the angle at c is 90 degrees
    # or more: (a - c) . (b - c) <= 0. In whole numbers that is exact.
    expected = [
        (a, b)
        for a in range(count)
        for b in range(a + 1, count)
        if all(
            (position[a] - position[c]) @ (position[b] - position[c]) > 0
            for c in range(count)
            if c not in (a, b)
        )
    ]
    assert backhaul.gabriel_links(position.astype(np.float64), np.inf) == expected


@given(points, st.floats(1, 1e4))
def test_gabriel_links_make_one_network(position_m: np.ndarray, reach_m: float):
    layout = sites.Layout(tuple(map(str, range(len(position_m)))), position_m, None)
    linked = scenario.Backhaul(kind="gabriel", max_link_m=reach_m)
    assert backhaul.hop_counts(linked, layout, 1.0).max() < len(position_m)
    assert len(backhaul.joining_links(linked, layout)) < len(position_m)


def test_sites_on_one_line_to_a_hair_are_one_network():
    # Qhull leaves sites out of its triangles and names its own helping point beside them.
    for seed in range(20):
        across_m = np.random.default_rng(seed).normal(0.0, 1.0, 20) * 1e-10
        hops = backhaul.hop_counts(DELAUNAY, road(0.3, across_m), 1.0)
        assert hops.max() in range(1, 20)
