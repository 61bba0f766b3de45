"""Standings of a track: intervals paired over worlds, against the best rule and the lower bound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from isma.evaluation.comparison.score import Gap
from isma.evaluation.statistics import paired_ratio
from leaderboard.records import WALL, Entry, Track


@dataclass(frozen=True)
class Standing:
    """A row of the page."""

    entry: Entry
    mean_s: float
    """Of each user's mean completion time, over users, then over worlds."""
    above_rule: Gap | None
    """Excess over the best rule; None for that rule."""
    gap_closed: Gap | None
    """Part of the best rule's distance to the lower bound that it closes; None for that rule."""
    above_bound_ratio: float
    migrations_per_user_hour: float
    overload_ratio: float
    wall_s: float
    """Wall time of a world."""


def standings(track: Track, entries: Sequence[Entry]) -> list[Standing]:
    """All entries of a track, the fastest first; of equal ones the first by name."""
    present = [entry for entry in entries if track.name in entry.tables]
    means = {entry.name: float(_means(entry, track).mean()) for entry in present}
    in_order = sorted(present, key=lambda entry: (means[entry.name], entry.name))
    rule = next((entry for entry in in_order if not entry.about.learned), None)
    return [_standing(entry, rule, track) for entry in in_order]


def _standing(entry: Entry, rule: Entry | None, track: Track) -> Standing:
    table, means = entry.tables[track.name], _means(entry, track)
    above, closed = None, None
    if rule is not None and rule is not entry:
        base = _means(rule, track)
        above = Gap(*paired_ratio(means, base))
        excess = paired_ratio(base - means, base - track.bound_s)
        closed = Gap(*(1 + end for end in excess))
    return Standing(
        entry,
        mean_s=float(means.mean()),
        above_rule=above,
        gap_closed=closed,
        above_bound_ratio=float(means.mean() / track.bound_s.mean() - 1),
        migrations_per_user_hour=float(table["migrations_per_user_hour"].mean()),
        overload_ratio=float(table["overload_ratio"].mean()),
        wall_s=float(table[WALL].mean()),
    )


def _means(entry: Entry, track: Track) -> Float[np.ndarray, "worlds"]:
    return entry.tables[track.name]["mean_s"]
