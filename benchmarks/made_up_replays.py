"""Replays of cities that were never simulated: users on circles, servers on a grid."""

import json
from typing import Any

import numpy as np

from isma import replay_format as form
from isma.replay_format import ReplayBlock, ReplayFile, header_line


def made_up(
    users: int = 12,
    servers: int = 4,
    frames: int = 40,
    policy: str = "price",
    seed: int = 0,
    failing: bool = False,
    **header: Any,
) -> ReplayFile:
    """A replay of users on circles, each on the server nearest to it; half a second a frame."""
    draw = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(servers)))
    station = np.stack([np.arange(servers) % side, np.arange(servers) // side], 1) * 1000.0
    phase, radius = draw.uniform(0, 6.28, users), draw.uniform(200, 900, users)
    middle = draw.uniform(0, side * 1000 - 1000, (users, 2))
    angle = phase + np.arange(frames)[:, None] * (8 / radius)
    at = middle + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    far = np.linalg.norm(at[:, :, None] - station, axis=-1)
    host = far.argmin(-1)
    if policy == "stay":
        host = np.repeat(host[:1], frames, axis=0)
    load = np.stack([np.bincount(row, minlength=servers) for row in host]) / (1.2 * users / servers)
    delay = (
        0.02
        + 0.05 * np.take_along_axis(load, host, 1)
        + np.take_along_axis(far, host[..., None], 2)[..., 0] / 5e4
    )
    columns = _columns(at, far, host, load, delay)
    if failing:
        columns["up"] = np.ones((frames, servers), "<i4")
        columns["up"][frames // 2 :, 0] = 0
    sums = {
        "time_s": delay.sum(1).tolist(),
        "tasks": [users] * frames,
        "migrations": np.bincount(_moves(host)[:, 0], minlength=frames).tolist(),
        "handovers": [0] * frames,
        "overloaded": (load > 1).sum(1).tolist(),
    }
    told: dict[str, Any] = {
        "scenario": "made up",
        "policy": policy,
        "seed": seed,
        "tick_s": 0.1,
        "frame_s": 0.5,
        "duration_s": frames * 0.5,
        "warmup_s": 0,
        "users": users,
        "user_id": list(range(users)),
        "deadline_s": [0.12] * users,
        "station_id": [str(i) for i in range(servers)],
        "station_x_m": station[:, 0].tolist(),
        "station_y_m": station[:, 1].tolist(),
        "server_station": list(range(servers)),
        "links": [[i, i + 1] for i in range(servers - 1) if (i + 1) % side],
        **header,
    }
    line = header_line(told, [name for name in form.COLUMNS if name in columns])
    return ReplayFile(json.loads(line), [ReplayBlock(0, frames, columns, sums).line().rstrip("\n")])


def _moves(host: np.ndarray) -> np.ndarray:
    """Frames and users of all migrations."""
    return np.argwhere(np.diff(host, axis=0, prepend=host[:1]) != 0)


def _columns(
    at: np.ndarray, far: np.ndarray, host: np.ndarray, load: np.ndarray, delay: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns of users, servers and migrations, as whole numbers; five ticks a frame."""
    moved = _moves(host)
    state = np.full_like(host, form.SERVED)
    state[tuple(moved.T)] = form.STOPPED
    whole = lambda name, values: form.COLUMNS[name].whole(values)  # noqa: E731
    return {
        "x_m": whole("x_m", at[..., 0]),
        "y_m": whole("y_m", at[..., 1]),
        "state": state.astype("<i4"),
        "station": far.argmin(-1).astype("<i4"),
        "host": host.astype("<i4"),
        "offload_ratio": whole("offload_ratio", 0.3 + 0.5 * (at[..., 0] % 1000) / 1000),
        "granted_share": whole("granted_share", 1 / np.take_along_axis(load, host, 1).clip(1) / 8),
        "tasks": np.ones_like(host).astype("<i4"),
        "delay_s": whole("delay_s", delay),
        "load": whole("load", load),
        "price_s": whole("price_s", 0.03 * load**2),
        "tick": (moved[None, :, 0] * 5).astype("<i4"),
        "user": moved[:, 1][None].astype("<i4"),
        "source": host[moved[:, 0] - 1, moved[:, 1]][None].astype("<i4"),
        "target": host[moved[:, 0], moved[:, 1]][None].astype("<i4"),
    }
