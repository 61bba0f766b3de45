"""The links between sites, and the hops between any two of them along shortest paths."""

import io
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import scipy  # Its parts are loaded when they are first named: a finished run needs none.
from jaxtyping import Float, Int
from networkx.utils import UnionFind

from isma.errors import DataError, IsmaError, ScenarioError, short, some
from isma.world import inputs, scenario
from isma.world.sites import Layout

NEIGHBOUR_REACH = 1.1
"""Neighbours stand at most this many hexagonal spacings apart."""
_GML = re.compile(r"(?:#[^\n]*\n|\s|Creator\b[^\n]*\n|Version\b[^\n]*\n)*graph\s*\[", re.IGNORECASE)
_DECLARED = re.compile(r"^<\?xml[^>]*\?>")
MOST_NODES = 5000
"""Stations, and nodes of a network, that hops can be counted between: a table of all pairs."""
MOST_BYTES = 20_000_000
"""Bytes of a topology file."""
LABELS = ("label", "name")
"""Attributes that may carry a node's readable name."""
_ROUNDING = 1e-9  # a site on the circle itself, as in a square, is in it

Link = tuple[int, int]
"""Two sites by their index, the lower first."""


def hop_counts(
    backhaul: scenario.Backhaul, layout: Layout, coverage_radius_m: float
) -> Int[np.ndarray, "stations stations"]:
    """Links on the shortest path between any two sites: the paper's d; 0 from a site to itself.

    Raises DataError or ScenarioError when the backhaul leaves a site out of reach.
    """
    count, adjacency = len(layout.ids), _adjacency(backhaul, layout, coverage_radius_m)
    hops = scipy.sparse.csgraph.shortest_path(adjacency, directed=False, unweighted=True)
    hops = hops[:count, :count]
    if not np.isfinite(hops).all():
        raise _not_connected(backhaul, layout, hops)
    return hops.astype(np.int32)


def check_connected(backhaul: scenario.Backhaul, layout: Layout, coverage_radius_m: float) -> None:
    """Raise as `hop_counts` does, without a table of all pairs."""
    adjacency = _adjacency(backhaul, layout, coverage_radius_m)
    _, label = scipy.sparse.csgraph.connected_components(adjacency, directed=False)
    if len(set(label[: len(layout.ids)].tolist())) > 1:
        hop_counts(backhaul, layout, coverage_radius_m)


def _adjacency(
    backhaul: scenario.Backhaul, layout: Layout, coverage_radius_m: float
) -> "scipy.sparse.csr_array":
    """Which nodes are linked, sites first, as a sparse matrix."""
    count = len(layout.ids)
    _check_nodes(count, "stations")
    graph = _graph(backhaul, layout, coverage_radius_m)
    _check_nodes(len(graph), "nodes of a backhaul")
    transit = [node for node in graph if not isinstance(node, int)]
    return nx.to_scipy_sparse_array(graph, nodelist=[*range(count), *transit])


def _check_nodes(count: int, what: str) -> None:
    """Raise before arrays of all pairs are laid out that no memory holds."""
    if count > MOST_NODES:
        raise DataError(
            f"{what} must be at most {MOST_NODES:,}, got {count:,}; take those of one region"
        )


def links(backhaul: scenario.Backhaul, layout: Layout, coverage_radius_m: float) -> list[Link]:
    """Pairs of sites that one link joins; a link to a node that is no site is not among them."""
    edges = _graph(backhaul, layout, coverage_radius_m).edges
    pairs = ((a, b) for a, b in edges if isinstance(a, int) and isinstance(b, int))
    return sorted((min(pair), max(pair)) for pair in pairs)


def joining_links(backhaul: scenario.Backhaul, layout: Layout) -> list[Link]:
    """The links beyond `max_link_m`, there only to make one network of the sites."""
    if backhaul.kind not in _DRAWN:
        return []
    return [
        (a, b)
        for a, b in _DRAWN[backhaul.kind](layout.position_m, backhaul.max_link_m)
        if math.dist(layout.position_m[a], layout.position_m[b]) > backhaul.max_link_m
    ]


def delaunay_links(position_m: Float[np.ndarray, "stations 2"], max_link_m: float) -> list[Link]:
    """Edges of the Delaunay triangulation up to `max_link_m`, and the shortest that join the rest.

    Sites on one line are linked along it.
    """
    edges = triangulation(position_m)
    return _joined(position_m, max_link_m, edges | _along_line(position_m), edges)


def gabriel_links(position_m: Float[np.ndarray, "stations 2"], max_link_m: float) -> list[Link]:
    """Edges of the Gabriel graph up to `max_link_m`, and the shortest that join the rest.

    Two sites are linked if the circle between them, its diameter their distance, holds no third
    (Gabriel and Sokal, 1969). So no link passes close by another site.
    """
    near = sorted(triangulation(position_m) | _along_line(position_m))
    if not near:
        return []
    ends_m = position_m[np.array(near)]
    radius_m = np.linalg.norm(ends_m[:, 1] - ends_m[:, 0], axis=-1) / 2
    within = scipy.spatial.KDTree(position_m).query_ball_point(
        ends_m.mean(axis=1), radius_m * (1 + _ROUNDING), return_length=True
    )
    bare = {edge for edge, sites in zip(near, within, strict=True) if sites <= 2}
    return _joined(position_m, max_link_m, near, bare)


def _joined(
    position_m: Float[np.ndarray, "stations 2"],
    max_link_m: float,
    edges: Iterable[Link],
    wanted: Collection[Link],
) -> list[Link]:
    """The wanted edges up to `max_link_m`, and the shortest of all that join the rest.

    All hold the links along a line too: where sites are on one to a hair, triangles miss some.
    """
    length_m = {edge: math.dist(position_m[edge[0]], position_m[edge[1]]) for edge in edges}
    kept, networks = [], UnionFind(range(len(position_m)))
    for a, b in sorted(length_m, key=lambda edge: (length_m[edge], edge)):
        if networks[a] != networks[b] or (length_m[a, b] <= max_link_m and (a, b) in wanted):
            kept.append((a, b))
            networks.union(a, b)
    return sorted(kept)


_DRAWN = {"delaunay": delaunay_links, "gabriel": gabriel_links}


def read_graph(path: Path) -> nx.Graph:
    """Read a topology from GraphML, GML or node-link JSON (`edges` or `links`); nodes become text.

    Raises DataError with the file and its error.
    """
    data = inputs.content(path, "topology file", most_bytes=MOST_BYTES)
    if inputs.encoding_of(data) == "utf-8" and data.lstrip().startswith(b"<"):
        graph = _from_graphml(data, path)  # An XML file says its encoding itself.
    else:
        text = inputs.decoded(data, f"{path}: a topology must be text").lstrip()
        if not text:
            raise DataError(f"{path}: a topology must hold nodes and links, got an empty file")
        if text[0] in "{[":
            graph = _from_json(text, path)
        elif _GML.match(text):
            graph = _from_gml(text, path)
        else:
            graph = _from_graphml(_DECLARED.sub("", text).encode(), path)
    plain = nx.Graph(crs=graph.graph.get("crs"))
    plain.add_nodes_from((str(node), values) for node, values in graph.nodes(data=True))
    plain.add_edges_from((str(a), str(b)) for a, b in graph.edges() if a != b)
    if not plain:
        raise DataError(f"{path}: a topology must hold nodes, got none")
    return plain


def _graph(backhaul: scenario.Backhaul, layout: Layout, coverage_radius_m: float) -> nx.Graph:
    """The network: sites are numbers, nodes that only pass traffic on are text."""
    if backhaul.file is not None and backhaul.kind == "file":
        return _matched(read_graph(backhaul.file), layout.ids, backhaul.file)
    graph = nx.Graph()
    graph.add_nodes_from(range(len(layout.ids)))
    if backhaul.kind in _DRAWN:
        graph.add_edges_from(_DRAWN[backhaul.kind](layout.position_m, backhaul.max_link_m))
    else:
        reach_m = NEIGHBOUR_REACH * math.sqrt(3) * coverage_radius_m
        graph.add_edges_from(scipy.spatial.KDTree(layout.position_m).query_pairs(reach_m))
    return graph


def triangulation(position_m: Float[np.ndarray, "stations 2"]) -> set[Link]:
    """Edges of the Delaunay triangulation; the links along it of sites that stand on one line."""
    try:
        triangles = scipy.spatial.Delaunay(position_m)
    # Fewer than three sites, or all of them on one line.
    except (scipy.spatial.QhullError, ValueError):
        return _along_line(position_m)
    corners = triangles.simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    # A site too near another for Qhull's precision is in no triangle: it is linked to that other.
    pairs = np.concatenate([pairs, triangles.coplanar[:, [0, 2]]])
    pairs = pairs[(pairs < len(position_m)).all(axis=1)]  # Qhull's own helping point is no site
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
    except RecursionError:
        raise DataError(
            f"{path}: node-link JSON must be flat, got lists in lists without end"
        ) from None
    except ValueError:  # Python's own limit, against numbers that take minutes.
        raise DataError(f"{path}: numbers must have at most 4,300 digits, got more") from None
    listed = tree if isinstance(tree, dict) else {}
    key = next((key for key in ("edges", "links") if key in listed), None)
    if "nodes" not in listed or key is None:
        got = some(listed) if isinstance(tree, dict) else type(tree).__name__
        raise DataError(f"{path}: node-link JSON must have nodes, and edges or links, got {got}")
    try:
        node_ids = {node["id"] for node in tree["nodes"]}
        for link in tree[key]:
            for end in (link["source"], link["target"]):
                if end not in node_ids:
                    raise DataError(
                        f"{path}: a link must join listed nodes, got {short(repr(end))}"
                    )
        return nx.node_link_graph(tree, edges=key)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        nx.NetworkXException,
    ) as error:
        raise DataError(
            f"{path}: node-link JSON must give each node an id and each link a source and a "
            f"target, got {short(repr(error))}"
        ) from None


def _from_graphml(data: bytes, path: Path) -> nx.Graph:
    try:
        return nx.read_graphml(io.BytesIO(data))
    except Exception as error:  # Third-party readers may raise anything on a malformed file.
        detail = short(str(error) or type(error).__name__, 120)
        raise DataError(f"{path}: must be GraphML or node-link JSON: {detail}") from None


def _from_gml(text: str, path: Path) -> nx.Graph:
    try:
        return nx.parse_gml(text.splitlines(), label=None)  # pyright: ignore[reportArgumentType]
    except Exception as error:  # As above.
        detail = short(str(error) or type(error).__name__, 120)
        raise DataError(f"{path}: must be GML that is whole: {detail}") from None


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
        f'{rule}; raise sites.coverage_radius_m, or set backhaul.kind to "gabriel"'
    )
