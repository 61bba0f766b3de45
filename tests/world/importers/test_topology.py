"""Sites from the nodes of a topology."""

import math
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from isma.errors import DataError
from isma.world.importers import topology

PATH = Path("net.graphml")


def graph_of(**nodes: dict[str, object]) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(nodes.items())
    return graph


def test_both_ways_to_write_coordinates():
    graph = graph_of(
        a={"Latitude": 1.0, "Longitude": 2.0}, b={"pos": [4.0, 3.0]}, c={"lat": "5", "LNG": "6"}
    )
    nodes = topology.sites_of(graph, PATH)
    assert nodes.table.ids == ("a", "b", "c")
    assert nodes.table.latitude.tolist() == [1.0, 3.0, 5.0]
    assert nodes.table.longitude.tolist() == [2.0, 4.0, 6.0]
    assert topology.describe(nodes) == ["3 sites from the topology's nodes"]


def test_nodes_of_one_place_are_set_on_a_circle_and_those_of_none_pass_traffic_on():
    here = {"Latitude": 60.0, "Longitude": 10.0}
    nodes = topology.sites_of(graph_of(a=here, b={"pos": [0, 0]}, c=here, d={}), PATH)
    assert (nodes.moved, nodes.transit) == (("a", "c"), ("d",))
    # At 60 degrees north a degree of longitude is half as wide, so the offset is twice as large.
    np.testing.assert_allclose(nodes.table.latitude, [60, 0, 60], atol=1e-12)
    np.testing.assert_allclose(nodes.table.longitude, [10.002, 0, 9.998], atol=1e-9)
    lines = topology.describe(nodes)
    assert lines[1].endswith("circle of 0.001 degrees around it: a, c")
    assert lines[2].endswith("traffic passes through them: d")


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"x": 1}, "nodes must carry Latitude and Longitude, pos"),
        ({}, "their attributes are none"),
        ({"pos": [1, 2, 3]}, "node a: pos must be [longitude, latitude], got [1, 2, 3]"),
        ({"pos": 7}, "node a: pos must be [longitude, latitude], got 7"),
        ({"Latitude": "north", "Longitude": 0}, "node a: latitude must be a number of degrees"),
        ({"pos": [505, 248]}, "node a: latitude must lie between -90 and 90 degrees, got 248"),
        ({"pos": [0, math.nan]}, "node a: latitude must lie between -90 and 90 degrees, got nan"),
    ],
)
def test_nodes_that_can_be_no_sites_are_refused(node: dict[str, object], said: str):
    with pytest.raises(DataError) as caught:
        topology.sites_of(graph_of(a=node), PATH)
    assert str(caught.value).startswith("net.graphml: ")
    assert said in str(caught.value)
