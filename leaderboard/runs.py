"""Tables of an entry, taken from the folder of a run of `isma compare`."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from isma.errors import DataError, short, some
from isma.evaluation.comparison.tables import numbers, of_policy
from isma.evaluation.comparison.wall_times import CELLS
from isma.evaluation.plan import Plan, plan_of
from isma.storage import write_atomically
from leaderboard.records import BOUND, MEASURES, WALL, Track, as_csv
from leaderboard.rerun import BOUND_TOLERANCE


def enter(run: Path, folder: Path, policy: str, tracks: Mapping[str, Track]) -> Path:
    """Write an entry's table from a run of its policy on a track, and give its path. Raises IsmaError."""
    plan = plan_of(run)
    track = _track_of(plan, run, tracks)
    if policy not in plan.policies:
        raise DataError(
            f"{run}: must hold the entry's policy {policy!r}, got {some(plan.policies)}"
        )
    missing = [str(seed) for seed in track.seeds if seed not in plan.seeds]
    if missing:
        raise DataError(
            f"{run}: must hold every world of the track {track.name}, not yet {some(missing)}: "
            f"isma compare {run} --seeds {track.seeds[0]}..{track.seeds[-1]}"
        )
    rows = _rows(run, policy, track)
    if not np.allclose(rows.pop(BOUND), track.bound_s, rtol=BOUND_TOLERANCE):
        raise DataError(
            f"{run}: must have the lower bounds of the track {track.name}, got others: it was made with "
            "another version of isma"
        )
    table = {**rows, WALL: _wall_s(run, policy, track)}
    path = folder / f"{track.name}.csv"
    write_atomically(path, as_csv(table, track.seeds))
    return path


def _rows(run: Path, policy: str, track: Track) -> dict[str, Float[np.ndarray, "worlds"]]:
    """Results and bounds of a policy in the worlds of a track, to the last bit. Raises DataError."""
    path = run / "seeds.csv"
    try:
        found = of_policy(pd.read_csv(path), policy)
        rows = found.set_index("seed").loc[list(track.seeds)]
        return {name: numbers(rows, name) for name in (*MEASURES, BOUND)}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: must be the table of a finished run: {short(error)}") from None


def _track_of(plan: Plan, run: Path, tracks: Mapping[str, Track]) -> Track:
    for track in tracks.values():
        if plan.scenario == track.scenario and not plan.vary:
            return track
    raise DataError(
        f"{run}: must be a run of a track as it is, got scenario {plan.scenario.name!r}: "
        f"isma compare leaderboard/tracks/{next(iter(tracks))}.toml"
    )


def _wall_s(run: Path, policy: str, track: Track) -> Float[np.ndarray, "worlds"]:
    """Wall time of each world by the run's log, of which the last line on a world counts."""
    path = run / CELLS
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        times = {
            one["seed"]: round(float(one["wall_s"]), 3) for one in lines if one["policy"] == policy
        }
        return np.array([times[seed] for seed in track.seeds])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: must tell the wall time of every world: {error!r}") from None
