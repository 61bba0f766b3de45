"""Placement of edge servers at stations: at all, or at those nearest to users (k-medoids)."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Float, Int

from isma.errors import ScenarioError
from isma.world import backhaul, mobility, sites, splits, traces
from isma.world.medoids import medoids
from isma.world.mobility import NOWHERE
from isma.world.motion import Trace
from isma.world.scenario import Scenario
from isma.world.walks import walks

_EVERY_S = 10.0
"""Interval at which users' positions are sampled."""
_EQUAL_HOPS = 1e-3
"""Weight in hops of the greatest distance in metres, which breaks ties between stations at equal hops."""
_LEAST_PART = 0.01
"""Part of the users taken to be spread evenly over stations, seen there or not."""
_CROWD = 1024


@dataclass(frozen=True)
class Network:
    """Stations, the servers at some of them, and the hops between them."""

    layout: sites.Layout
    """Where the stations stand."""
    hops: Int[np.ndarray, "stations servers"]
    """Links on the shortest path from a station to a server: the paper's d."""
    home: Int[np.ndarray, "servers"]
    """The station at which each server stands, rising."""

    @property
    def everywhere(self) -> bool:
        """Whether every station has a server."""
        return len(self.home) == len(self.hops)

    @property
    def nearest(self) -> Int[np.ndarray, "stations"]:
        """The server with the fewest hops from each station, the first of equals."""
        return self.hops.argmin(axis=1)

    @property
    def between(self) -> Int[np.ndarray, "servers servers"]:
        """Hops from server to server."""
        return self.hops[self.home]


def network(scenario: Scenario) -> Network:
    """Lay a scenario's stations and servers out. Raises DataError or ScenarioError.

    With fewer servers than stations those are chosen that bring users nearest to a server: the least
    sum of hops, weighted by where users are.
    """
    layout = sites.layout(scenario.sites)
    hops = backhaul.hop_counts(scenario.backhaul, layout, scenario.sites.coverage_radius_m)
    stations = len(layout.ids)
    count = servers_among(scenario, stations)
    if count == stations:
        return Network(layout, hops, np.arange(stations))
    distance_m = scipy.spatial.distance.cdist(layout.position_m, layout.position_m)
    distance = hops + _EQUAL_HOPS * distance_m / max(float(distance_m.max()), 1.0)
    home = medoids(distance, time_shares(scenario, layout), count)
    return Network(layout, hops[:, home], home)


def servers_among(scenario: Scenario, stations: int) -> int:
    """Number of servers at that many stations. Raises ScenarioError."""
    count = scenario.servers.count
    if count is not None and count > stations:
        raise ScenarioError(
            f"servers.count must be at most the number of stations ({stations}), got {count}"
        )
    return stations if count is None else count


def time_shares(scenario: Scenario, layout: sites.Layout) -> Float[np.ndarray, "stations"]:
    """Part of their time that users spend at each station; the parts sum to 1.

    As they walk in a world for training or, on a trace, as its users did in the two hours before the
    scenario begins; where it has none of those, in the warm-up, which no result counts. Visitors who
    appear around the first station count where they appear. Raises DataError or ScenarioError.
    """
    stations = len(layout.ids)
    shares = _shares(walks(scenario, _EVERY_S), stations)
    if shares is None:
        shares = _shares(_warming_up(scenario, layout), stations)
    if shares is None:  # No user is present yet.
        shares = np.full(stations, 1 / stations)
    presence = scenario.presence
    if presence.enabled and not presence.by_trace and presence.within_m is not None:
        crowd = _crowd(presence.within_m, layout)
        shares = (1 - presence.part) * shares + presence.part * crowd
    return (1 - _LEAST_PART) * shares + _LEAST_PART / stations


def _shares(
    station: Int[np.ndarray, "samples users"], stations: int
) -> Float[np.ndarray, "stations"] | None:
    stations_seen = station[station != NOWHERE]
    return (
        np.bincount(stations_seen, minlength=stations) / len(stations_seen)
        if len(stations_seen)
        else None
    )


def _warming_up(scenario: Scenario, layout: sites.Layout) -> Int[np.ndarray, "samples users"]:
    """Stations of a trace's users from its start to the end of the warm-up."""
    motion, time = scenario.mobility, scenario.time
    assert isinstance(motion, Trace)  # Users who move by rule have walks.
    span_s = max(time.warmup_s, time.tick_s)
    every_s = min(_EVERY_S, span_s)
    by_trace = scenario.presence.by_trace
    # Later arrivals are looked up in the whole run: a warm-up without users is no error.
    whole_s = time.duration_s if by_trace else span_s
    recorded = traces.trajectories(
        motion, layout.projection, whole_s, every_s, scenario.users.count, not by_trace
    )
    moment_s = np.arange(len(recorded.position_m)) * every_s
    here = moment_s <= span_s + every_s / 2
    there = (moment_s[here, None] >= recorded.there_s[:, 0]) & (
        moment_s[here, None] <= recorded.there_s[:, 1]
    )
    return np.where(there, _nearest(recorded.position_m[here], layout), NOWHERE)


def _crowd(within_m: float, layout: sites.Layout) -> Float[np.ndarray, "stations"]:
    key = jax.random.key(splits.split(splits.Purpose.TRAIN).seeds.start)
    first_m = jnp.asarray(layout.position_m[0], float)
    place_m = mobility.disc_start(key, _CROWD, first_m, jnp.asarray(within_m, float))
    nearest = _nearest(np.asarray(place_m), layout)
    return np.bincount(nearest, minlength=len(layout.ids)) / _CROWD


def _nearest(
    position_m: Float[np.ndarray, "... 2"], layout: sites.Layout
) -> Int[np.ndarray, "..."]:
    return np.asarray(scipy.spatial.KDTree(layout.position_m).query(position_m)[1])
