"""Pictures of a world as arrays of pixels: positions of users, and their hosts."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from isma.errors import OptionError
from isma.simulator.params import Params
from isma.simulator.state import State, active

RENDER_MODES = ("rgb_array",)
FRAMES_PER_S = 10
_PIXELS, _DPI = 480, 96
_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"),
    *("#8d6e63", "#9a9a00", "#785ef0", "#dc267f", "#44aa99", "#aa4499"),
)
_INK, _MUTED, _RULE, _GROUND = "#22303c", "#6b7784", "#dbe0e5", "#fffffe"
_FEW_STATIONS = 60
"""Up to here links are drawn, and servers labelled."""


def check_render_mode(mode: object) -> str | None:
    """None, or a mode that there is. Raises OptionError."""
    if mode is None or mode in RENDER_MODES:
        return None if mode is None else str(mode)
    raise OptionError(f"render_mode must be {' or '.join(RENDER_MODES)}, or None, got {mode!r}")


def picture(params: Params, state: State) -> UInt8[np.ndarray, "height width 3"]:
    """Servers as squares, users as dots of their server's colour, lines to servers that are not the nearest.

    A server's label is its number of users, and its load where more than its CPU is requested.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((_PIXELS / _DPI, _PIXELS / _DPI), dpi=_DPI, facecolor=_GROUND)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.9))
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.1)  # Labels stand to the right of their servers.
    site_m, home = np.asarray(params.site_m), _home(params)
    hops = np.asarray(params.infrastructure.hops)
    if len(site_m) <= _FEW_STATIONS:
        for one, other in np.argwhere(hops == 1):
            axes.plot(*site_m[[one, home[other]]].T, color=_RULE, linewidth=1, zorder=1)
    axes.scatter(*site_m.T, marker="^", s=12, color=_MUTED, linewidths=0, zorder=2)
    there = np.asarray(active(params, state))
    host, position_m = np.asarray(state.placement.host), np.asarray(state.motion.position_m)
    colour = np.array([_COLOURS[server % len(_COLOURS)] for server in range(len(home))])
    away = there & (host != np.asarray(params.infrastructure.nearest(state.station)))
    for user in np.flatnonzero(away):
        ends = np.stack([position_m[user], site_m[home[host[user]]]])
        axes.plot(*ends.T, color=colour[host[user]], linewidth=0.8, alpha=0.7, zorder=3)
    axes.scatter(*position_m[there].T, s=20, c=colour[host[there]], linewidths=0, zorder=4)
    axes.scatter(*site_m[home].T, marker="s", s=90, c=colour, linewidths=0, zorder=5)
    if len(site_m) <= _FEW_STATIONS:
        _label(axes, site_m[home], np.bincount(host[there], minlength=len(home)), state)
    time_s = float(state.tick * params.tick_s)
    caption = f"{time_s:.1f} s   {there.sum()} users, {away.sum()} not served by the nearest server"
    figure.text(0.03, 0.95, caption, color=_INK, fontsize=9)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _home(params: Params) -> np.ndarray:
    home = params.infrastructure.home
    return np.arange(params.shape.num_servers) if home is None else np.asarray(home)


def _label(axes: Any, at_m: np.ndarray, users: np.ndarray, state: State) -> None:
    load = np.asarray(state.placement.load)
    for place_m, number, asked in zip(at_m, users, load, strict=True):
        text = f"{number}" if asked <= 1 + 1e-3 else f"{number}, {asked:.0%}"
        axes.annotate(
            text, place_m, (7, 5), textcoords="offset points", color=_INK, fontsize=8, zorder=6
        )
