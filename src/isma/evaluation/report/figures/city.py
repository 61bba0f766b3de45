"""The map: sites and links, users at the end, and their hosts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from isma.evaluation.comparison.tables import Run, numbers, of_policy
from isma.evaluation.course_sample import MOST_SHOWN
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import WIDTH_IN, Drawing, blank
from isma.evaluation.report.figures.points import at_point

_HUES = (
    style.BLUE,
    style.VERMILION,
    style.GREEN,
    style.ORANGE,
    style.PINK,
    style.SKY,
    style.BROWN,
    style.VIOLET,
    style.OLIVE,
    style.MAGENTA,
)
_TRAIL_S = 300.0
_MOST_TRAIL_POINTS = 6000
_MOST_NUMBERED = 24
_RULE = "nearest"
_MOST_SQUARES = 300
"""Of more servers only the places are drawn: squares would cover the users."""


def draw(run: Run) -> Drawing | None:
    """A panel for the best policy, and one for `nearest` or for the runner-up."""
    point = run.points[0]
    chosen = _chosen(run)
    if not chosen or run.sites.empty:
        return None
    low, high = _extent(run)
    width, height = high - low
    tall = (WIDTH_IN - 0.9) / len(chosen) * height / width
    canvas = blank(float(np.clip(tall, 2.4, 6.6)) + 1.0)
    shown, colours = formatting.names(run.policies), server_colours(run)
    panels = canvas.subplots(1, len(chosen), sharex=True, sharey=True, squeeze=False)[0]
    for axes, policy in zip(panels, chosen, strict=True):
        _panel(run, axes, of_policy(run.snapshot, policy), colours)
        style.title(axes, shown[policy], _record(run, policy))
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="east (km)")
    panels[0].set_ylabel("north (km)")
    vast = len(run.sites) > _MOST_SQUARES
    key = _key(bare=len(_servers(run)) < len(run.sites), idle=not vast)
    canvas.legend(
        handles=key, loc="outside lower center", ncols=len(key), frameon=False, fontsize=8.5
    )
    squares = "" if vast else "Squares grow with the users they host. "
    text = (
        f"The first seed's last moment{at_point(run, point)}.{_drawn(run)} A user (dot) has the "
        "colour of the server (square) that hosts its service and a line to it; a hollow dot "
        f"offloads nothing. {squares}Grey lines are the backhaul, faint ones the paths of the last "
        "five minutes. Neighbouring servers differ in colour; farther off, they recur."
    )
    return Drawing("map", "Where services are", text, canvas)


def _drawn(run: Run) -> str:
    """How many users are drawn, where runs keep no more."""
    users = len(np.unique(numbers(run.snapshot, "user")))
    return f" Of its users {users:,} are drawn." if users >= MOST_SHOWN else ""


def _chosen(run: Run) -> list[str]:
    """The best policy and `nearest`; the runner-up where `nearest` is the best or was not run."""
    rows = [*run.ranked(run.points[0]), *run.standing(run.points[0])]
    recorded = set(run.snapshot["policy"])
    seen = [policy for policy in dict.fromkeys(row.policy for row in rows) if policy in recorded]
    if _RULE in seen[1:]:
        return [seen[0], _RULE]
    return seen[:2]


def _record(run: Run, policy: str) -> str:
    row = next(row for row in run.standing(run.points[0]) if row.policy == policy)
    moves = formatting.number(row.migrations_per_user_hour)
    return f"{formatting.duration(row.mean_s)}, {moves} migrations per user and hour"


def _extent(run: Run) -> tuple[np.ndarray, np.ndarray]:
    places = np.concatenate([_places_km(run.sites), _places_km(run.snapshot)])
    places = places[np.isfinite(places).all(axis=1)]
    low, high = places.min(axis=0), places.max(axis=0)
    pad = 0.05 * max(float((high - low).max()), 0.2)
    return low - pad, high + pad


def server_colours(run: Run) -> dict[int, str]:
    """A hue for each server, unlike those of its neighbours; the busiest choose first."""
    stations = _servers(run)
    graph = nx.Graph()
    graph.add_nodes_from(stations.values())
    graph.add_edges_from(
        (stations[a], stations[b])
        for a, b in linked_pairs(run.links)
        if a in stations and b in stations
    )
    hosted = Counter(numbers(run.snapshot, "host").astype(int).tolist())
    order = sorted(graph, key=lambda server: (-hosted[server], server))
    used = dict.fromkeys(range(len(_HUES)), 0)
    hue: dict[int, int] = {}
    for server in order:
        taken = {hue[other] for other in graph[server] if other in hue}
        free = [h for h in used if h not in taken] or list(used)
        hue[server] = min(free, key=lambda h: (used[h], h))
        used[hue[server]] += 1
    return {server: _HUES[index] for server, index in hue.items()}


def _panel(run: Run, axes: Axes, rows: pd.DataFrame, colours: dict[int, str]) -> None:
    axes.set_aspect("equal")
    axes.grid(linewidth=0.5)
    station = dict(enumerate(map(tuple, _places_km(run.sites).tolist())))
    site = {server: station[place] for place, server in _servers(run).items()}
    crowded, vast = len(station) > _MOST_NUMBERED, len(station) > _MOST_SQUARES
    _trail(run, axes, 0.18 if crowded else 0.3)
    links = [np.array([station[a], station[b]]) for a, b in linked_pairs(run.links)]
    thin = 0.2 if vast else 0.5 if crowded else 1.1
    axes.plot(*_joined(links), color=style.MUTED, linewidth=thin, alpha=0.45, zorder=1)
    bare = np.array([where for row, where in station.items() if row not in _servers(run)])
    axes.scatter(*bare.reshape(-1, 2).T, s=4, color=style.MUTED, marker="+", linewidths=0.8)
    place = _places_km(rows)
    hosts = numbers(rows, "host").astype(int)
    hue = [colours.get(int(host), style.MUTED) for host in hosts]
    for colour in dict.fromkeys(hue):
        spokes = [
            np.array([start, site[int(host)]])
            for start, host, ink in zip(place, hosts, hue, strict=True)
            if ink == colour and int(host) in site
        ]
        axes.plot(*_joined(spokes), color=colour, linewidth=0.8, alpha=0.75, zorder=2)
    solid = numbers(rows, "offload_ratio") > 0
    faces = [c if full else style.PAPER for c, full in zip(hue, solid, strict=True)]
    size = 3 if vast else 11 if crowded else 22
    edge = 0.4 if vast else 0.9
    axes.scatter(*place.T, s=size, c=faces, edgecolors=hue, linewidths=edge, zorder=4)
    if vast:
        marks: Any = {"s": 2.5, "marker": "s", "linewidths": 0, "zorder": 3}
        axes.scatter(*np.array([*site.values()]).T, c=[colours[s] for s in site], **marks)
    else:
        _squares(axes, site, hosts, colours, crowded)


def _squares(
    axes: Axes,
    site: dict[int, tuple[float, float]],
    hosts: np.ndarray,
    colours: dict[int, str],
    crowded: bool,
) -> None:
    servers = list(site)
    count = np.array([(hosts == server).sum() for server in servers])
    base, step = (9, 7) if crowded else (110, 12)
    size = np.where(count > 0, base + step * count, 6 if crowded else base)
    faces = [colours[s] if n else style.PAPER for s, n in zip(servers, count, strict=True)]
    edges = [style.PAPER if n else style.MUTED for n in count]
    places = np.array([site[server] for server in servers])
    axes.scatter(*places.T, s=size, c=faces, edgecolors=edges, linewidths=0.7, marker="s", zorder=3)
    if not crowded:
        for server, number in zip(servers, count, strict=True):
            colour = "#fefefe" if number else style.MUTED
            axes.annotate(
                str(server),
                site[server],
                ha="center",
                va="center",
                fontsize=8,
                fontweight="bold",
                color=colour,
                zorder=5,
            )


def _servers(run: Run) -> dict[int, int]:
    """The server at each station that has one; stations are rows of `sites.csv`."""
    server = numbers(run.sites, "server")
    return {int(place): int(server[place]) for place in np.flatnonzero(np.isfinite(server))}


def _trail(run: Run, axes: Axes, alpha: float) -> None:
    """The paths of the first seed, thinned so that the file stays small."""
    if run.trail.empty:
        return
    time_s, users = numbers(run.trail, "time_s"), numbers(run.trail, "user")
    order = np.lexsort((time_s, users))
    last = order[time_s[order] > time_s.max() - _TRAIL_S]
    places = _places_km(run.trail)
    every = max(1, -(-len(last) // _MOST_TRAIL_POINTS))
    paths = [places[last[users[last] == user]][::-every] for user in np.unique(users)]
    axes.plot(*_joined(paths), color=style.MUTED, linewidth=0.6, alpha=alpha, zorder=0.5)


def _joined(paths: Sequence[np.ndarray]) -> np.ndarray:
    """Many paths as one curve with breaks: one element of the file instead of hundreds."""
    if not paths:
        return np.zeros((2, 0))
    gap = np.full((1, 2), np.nan)
    return np.concatenate([part for path in paths for part in (path, gap)]).T


def linked_pairs(links: pd.DataFrame) -> list[tuple[int, int]]:
    """Base stations that a backhaul link joins."""
    ends = (numbers(links, column).astype(int).tolist() for column in ("a", "b"))
    return list(zip(*ends, strict=True))


def _places_km(frame: pd.DataFrame) -> np.ndarray:
    return np.stack([numbers(frame, "x_m"), numbers(frame, "y_m")], axis=1) / 1000


def _key(bare: bool, idle: bool) -> list[Line2D]:
    plain: Any = {"linestyle": "", "markeredgecolor": style.MUTED}
    without = Line2D([], [], marker="+", markersize=5, label="station, no server", **plain)
    unused = Line2D(
        [], [], marker="s", markersize=5, color=style.PAPER, label="idle server", **plain
    )
    return [
        *([without] if bare else []),
        Line2D(
            [],
            [],
            **plain,
            marker="s",
            markersize=8 if idle else 4,
            color=style.MUTED,
            label="server that hosts" if idle else "server",
        ),
        *([unused] if idle else []),
        Line2D([], [], marker="o", markersize=5, color=style.MUTED, label="user", **plain),
        Line2D(
            [], [], marker="o", markersize=5, color=style.PAPER, label="offloads nothing", **plain
        ),
        Line2D([], [], color=style.MUTED, linewidth=1.1, alpha=0.6, label="backhaul"),
    ]
