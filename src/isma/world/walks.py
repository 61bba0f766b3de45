"""Sample walks of users from station to station in a scenario, for policies that plan ahead."""

import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from isma import randomness
from isma.errors import ScenarioError
from isma.world import mobility, sites, splits, traces
from isma.world.mobility import NOWHERE
from isma.world.motion import Road, Steady, Trace
from isma.world.scenario import Scenario

_USERS = 256
_SPAN_S = 600.0
_LONGEST_STEP_S = 1.0
_HISTORY_S = 7200.0


def walks(
    scenario: Scenario, every_s: float, trace: Path | None = None
) -> Int[np.ndarray, "samples users"]:
    """The nearest station of some users every `every_s`; `NOWHERE` where it is not known.

    With a `trace`, of its users. Else of users who move as the scenario says, in a world for
    training; where it follows a trace itself, of that trace's users in the two hours before the
    scenario begins: nothing of its future is used. Raises DataError or ScenarioError.
    """
    layout = sites.layout(scenario.sites)
    motion = scenario.mobility
    if trace is not None:
        gap_s = motion.max_gap_s if isinstance(motion, Trace) else Trace(file=trace).max_gap_s
        return _recorded(traces.read(trace), layout, every_s, gap_s)
    if isinstance(motion, Trace):
        return _recorded(_before(motion), layout, every_s, motion.max_gap_s)
    steps = math.ceil(every_s / _LONGEST_STEP_S)
    samples = math.ceil(_SPAN_S / every_s)
    key = jax.random.key(splits.split(splits.Purpose.TRAIN).seeds.start)
    position_m = _drawn(scenario, layout, key, samples * steps, every_s / steps)[::steps]
    return _nearest(np.asarray(position_m), layout)


def _drawn(
    scenario: Scenario, layout: sites.Layout, key: PRNGKeyArray, steps: int, step_s: float
) -> Float[Array, "samples users 2"]:
    """Positions of users that move as in the simulator, but in steps of another length."""
    motion = scenario.mobility
    assert isinstance(motion, Steady | Road)
    site_m = jnp.asarray(layout.position_m, float)
    step_m = jnp.asarray(motion.speed_mps * step_s)
    start, where, turning = jax.random.split(key, 3)
    heading = randomness.uniform(where, (_USERS,), high=2 * jnp.pi)
    if isinstance(motion, Road):
        ends_m = jnp.stack([jnp.min(site_m[:, 0]), jnp.max(site_m[:, 0])])
        position_m = mobility.road_start(start, _USERS, ends_m, jnp.asarray(motion.offset_m))
        heading = jnp.where(heading < jnp.pi, 0.0, jnp.pi)
        return _driven(position_m, heading, step_m, ends_m, steps)
    radius_m = jnp.asarray(scenario.sites.coverage_radius_m)
    position_m = mobility.uniform_start(start, _USERS, site_m, radius_m)
    turn_std = jnp.asarray(motion.turn_std_rad_per_sqrt_s * math.sqrt(step_s))
    keys = jax.random.split(turning, steps)
    return _walked(position_m, heading, step_m, turn_std, site_m, radius_m, keys)


@partial(jax.jit, static_argnames="steps")
def _driven(
    position_m: Float[Array, "users 2"],
    heading: Float[Array, "users"],
    step_m: Float[Array, ""],
    ends_m: Float[Array, "2"],
    steps: int,
) -> Float[Array, "samples users 2"]:
    def advance(now: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        return mobility.drive(*now, step_m, ends_m), now[0]

    return jax.lax.scan(advance, (position_m, heading), length=steps)[1]


@jax.jit
def _walked(
    position_m: Float[Array, "users 2"],
    heading: Float[Array, "users"],
    step_m: Float[Array, ""],
    turn_std: Float[Array, ""],
    site_m: Float[Array, "stations 2"],
    radius_m: Float[Array, ""],
    keys: Key[Array, "samples"],
) -> Float[Array, "samples users 2"]:
    def advance(now: tuple[Array, Array], key: PRNGKeyArray) -> tuple[tuple[Array, Array], Array]:
        turn = turn_std * randomness.normal(key, heading.shape)
        return mobility.advance(*now, turn, step_m, site_m, radius_m), now[0]

    return jax.lax.scan(advance, (position_m, heading), keys)[1]


def _before(motion: Trace) -> pd.DataFrame:
    """The fixes of the two hours before a scenario begins."""
    frame = traces.read(motion.file)
    time_s = traces.values(frame, "time_s")
    start_s = time_s.min() if motion.start is None else motion.start.timestamp()
    return frame.loc[(time_s < start_s) & (time_s >= start_s - _HISTORY_S)]


def _recorded(
    frame: pd.DataFrame, layout: sites.Layout, every_s: float, max_gap_s: float
) -> Int[np.ndarray, "samples users"]:
    """Stations along recorded fixes, which move straight and evenly over no more than `max_gap_s`."""
    if layout.projection is None:
        raise ScenarioError('sites.kind must be "file" to count the moves of a trace among them')
    if frame.empty:
        return np.zeros((0, 0), int)
    time_s = traces.values(frame, "time_s")
    sample_s = np.arange(time_s.min(), time_s.max(), every_s)
    columns = []
    for _, fixes in frame.groupby("user_id", sort=True):
        fix_s = traces.values(fixes, "time_s")
        degrees = traces.values(fixes, "latitude"), traces.values(fixes, "longitude")
        fix_m = layout.projection.to_metres(*degrees)
        position_m = np.stack([np.interp(sample_s, fix_s, fix_m[:, axis]) for axis in (0, 1)], 1)
        after = np.searchsorted(fix_s, sample_s, side="right")
        inside = (after > 0) & (after < len(fix_s))
        gap_s = np.diff(fix_s, prepend=fix_s[:1])[np.minimum(after, len(fix_s) - 1)]
        known = inside & (gap_s <= max_gap_s)
        columns.append(np.where(known, _nearest(position_m, layout), NOWHERE))
    return np.stack(columns, axis=1)


def _nearest(
    position_m: Float[np.ndarray, "... 2"], layout: sites.Layout
) -> Int[np.ndarray, "..."]:
    return np.asarray(scipy.spatial.KDTree(layout.position_m).query(position_m)[1])
