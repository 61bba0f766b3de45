"""The links between sites, and the hops between any two of them along shortest paths."""

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np
from jaxtyping import Float, Int
from networkx.utils import UnionFind
from scipy.sparse import csgraph
from scipy.spatial import Delaunay, KDTree, QhullError

from isma.errors import DataError, IsmaError, ScenarioError
from isma.world import scenario
from isma.world.sites import Layout

NEIGHBOUR_REACH = 1.1
"""Neighbours stand at most this many hexagonal spacings apart."""
LABELS = ("label", "name")
"""Attributes that may carry a node's readable name."""
_NAMED = 5

Link = tuple[int, int]
"""Two sites by their index, the lower first."""


def hop_counts(
    backhaul: scenario.Backhaul, layout: Layout, coverage_radius_m: float
) -> Int[np.ndarray, "stations stations"]:
    """Links on the shortest path between any two sites: the paper's d; 0 from a site to itself.

    Raises DataError or ScenarioError when the backhaul leaves a site out of reach.
    """
    graph = _graph(backhaul, layout, coverage_radius_m)
    count = len(layout.ids)
    transit = [node for node in graph if not isinstance(node, int)]
    adjacency = nx.to_scipy_sparse_array(graph, nodelist=[*range(count), *transit])
    hops = csgraph.shortest_path(adjacency, directed=False, unweighted=True)[:count, :count]
    if not np.isfinite(hops).all():
        raise _not_connected(backhaul, layout, hops)
    return hops.astype(np.int32)


def links(backhaul: scenario.Backhaul, layout: Layout, coverage_radius_m: float) -> list[Link]:
    """Pairs of sites that one link joins; a link to a node that is no site is not among them."""
    edges = _graph(backhaul, layout, coverage_radius_m).edges
    pairs = ((a, b) for a, b in edges if isinstance(a, int) and isinstance(b, int))
    return sorted((min(pair), max(pair)) for pair in pairs)


def joining_links(backhaul: scenario.Backhaul, layout: Layout) -> list[Link]:
    """The Delaunay links beyond `max_link_m`, there only to make one network of the sites."""
    return [
        (a, b)
        for a, b in delaunay_links(layout.position_m, backhaul.max_link_m)
        if math.dist(layout.position_m[a], layout.position_m[b]) > backhaul.max_link_m
    ]


def delaunay_links(position_m: Float[np.ndarray, "stations 2"], max_link_m: float) -> list[Link]:
    """Edges of the Delaunay triangulation up to `max_link_m`, and the shortest that join the rest.

    Sites on one line are linked along it.
    """
    edges = triangulation(position_m)
    length_m = {edge: math.dist(position_m[edge[0]], position_m[edge[1]]) for edge in edges}
    kept, networks = [], UnionFind(range(len(position_m)))
    for a, b in sorted(edges, key=lambda edge: (length_m[edge], edge)):
        if length_m[a, b] <= max_link_m or networks[a] != networks[b]:
            kept.append((a, b))
            networks.union(a, b)
    return sorted(kept)


def read_graph(path: Path) -> nx.Graph:
    """Read a topology from GraphML or node-link JSON (`edges` or `links`); nodes become text.

    Raises DataError with the file and what is wrong in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such topology file") from None
    except OSError as error:
        raise DataError(f"{path}: topology cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: a topology must be text, GraphML or node-link JSON") from None
    if not text.strip():
        raise DataError(f"{path}: a topology must hold nodes and links, got an empty file")
    graph = _from_json(text, path) if text.lstrip()[0] in "{[" else _from_graphml(text, path)
    plain = nx.Graph()
    plain.add_nodes_from((str(node), values) for node, values in graph.nodes(data=True))
    plain.add_edges_from((str(a), str(b)) for a, b in graph.edges() if a != b)
    if not plain:
        raise DataError(f"{path}: a topology must hold nodes, got none")
    return plain


def some(names: Iterable[str]) -> str:
    """The first few of many names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more


def _graph(backhaul: scenario.Backhaul, layout: Layout, coverage_radius_m: float) -> nx.Graph:
    """The network: sites are numbers, nodes that only pass traffic on are text."""
    if backhaul.file is not None and backhaul.kind == "file":
        return _matched(read_graph(backhaul.file), layout.ids, backhaul.file)
    graph = nx.Graph()
    graph.add_nodes_from(range(len(layout.ids)))
    if backhaul.kind == "delaunay":
        graph.add_edges_from(delaunay_links(layout.position_m, backhaul.max_link_m))
    else:
        reach_m = NEIGHBOUR_REACH * math.sqrt(3) * coverage_radius_m
        graph.add_edges_from(KDTree(layout.position_m).query_pairs(reach_m))
    return graph


def triangulation(position_m: Float[np.ndarray, "stations 2"]) -> set[Link]:
    """Edges of the Delaunay triangulation; the links along it of sites that stand on one line."""
    try:
        triangles = Delaunay(position_m)
    except (QhullError, ValueError):  # fewer than three sites, or all of them on one line
        return _along_line(position_m)
    corners = triangles.simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    # A site too near another for Qhull's precision is in no triangle: it is linked to that other.
    pairs = np.concatenate([pairs, triangles.coplanar[:, [0, 2]]])
    return {(min(a, b), max(a, b)) for a, b in pairs.tolist()}


def _along_line(position_m: Float[np.ndarray, "stations 2"]) -> set[Link]:
    centred = position_m - position_m.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    order = np.argsort(centred @ direction, kind="stable").tolist()
    return {(min(a, b), max(a, b)) for a, b in pairwise(order)}


def _from_json(text: str, path: Path) -> nx.Graph:
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
    key = next((key for key in ("edges", "links") if key in tree), None)
    if not isinstance(tree, dict) or "nodes" not in tree or key is None:
        found = ", ".join(tree) if isinstance(tree, dict) else type(tree).__name__
        raise DataError(f"{path}: node-link JSON must have nodes, and edges or links, got {found}")
    try:
        known = {node["id"] for node in tree["nodes"]}
        for link in tree[key]:
            for end in (link["source"], link["target"]):
                if end not in known:
                    raise DataError(f"{path}: a link must join listed nodes, got {end!r}")
        return nx.node_link_graph(tree, edges=key)
    except (KeyError, TypeError, ValueError, nx.NetworkXException) as error:
        raise DataError(
            f"{path}: node-link JSON must give each node an id and each link a source and a "
            f"target, got {error!r}"
        ) from None


def _from_graphml(text: str, path: Path) -> nx.Graph:
    try:
        return nx.parse_graphml(text)
    except (ParseError, KeyError, TypeError, ValueError, nx.NetworkXException) as error:
        raise DataError(f"{path}: must be GraphML or node-link JSON: {error}") from None


def _matched(graph: nx.Graph, ids: Sequence[str], path: Path) -> nx.Graph:
    """Number the nodes that are sites, found by id or else by label."""
    by_label = _unique_labels(graph)
    missing_ids = [name for name in ids if name not in graph]
    missing_labels = [name for name in ids if name not in by_label]
    if missing_ids and missing_labels:
        missing = min(missing_ids, missing_labels, key=len)
        raise DataError(
            f"{path}: every site must be a node by its id or label, missing {some(missing)}; "
            f"the nodes are {some(graph)}"
        )
    node_of_site = [by_label[name] for name in ids] if missing_ids else list(ids)
    number = {node: site for site, node in enumerate(node_of_site)}
    return nx.relabel_nodes(graph, number)


def _unique_labels(graph: nx.Graph) -> dict[str, Hashable]:
    labels = [
        (str(values[name]), node)
        for node, values in graph.nodes(data=True)
        for name in LABELS
        if name in values
    ]
    count = Counter(label for label, _ in set(labels))
    return {label: node for label, node in labels if count[label] == 1}


def _not_connected(
    backhaul: scenario.Backhaul, layout: Layout, hops: Float[np.ndarray, "stations stations"]
) -> IsmaError:
    reached = np.isfinite(hops)
    largest = reached[reached.sum(axis=1).argmax()]
    lost = some(layout.ids[site] for site in np.flatnonzero(~largest))
    rule = f"backhaul is not connected: sites {lost} cannot be reached"
    if backhaul.kind == "file":
        return DataError(f"{backhaul.file}: {rule}; add links to them, or take the sites out")
    return ScenarioError(
        f'{rule}; raise sites.coverage_radius_m, or set backhaul.kind to "delaunay"'
    )
