"""Near servers of a large city, where a table of all users and all servers would be too large.

A server that is many hops away is never worth its distance, and a user that has moved a little is in
the cell of its last station or close by. So two tables of the stations, which do not grow with users,
are enough.
"""

import numpy as np
from jaxtyping import Float, Int

from isma.world.backhaul import triangulation
from isma.world.scale import is_large
from isma.world.servers import Network

NEAR = 19
"""Candidate servers of the users of a station: on a lattice all within two hops."""
_EQUAL_HOPS = 0.5
"""Weight in hops of the greatest distance in metres, which breaks ties between servers at equal hops."""


def servers_near(laid: Network, num_users: int) -> Int[np.ndarray, "stations near"] | None:
    """The servers with the fewest hops from each station, the first one first; None in small cities."""
    if not is_large(num_users, len(laid.hops)):
        return None
    return nearest_servers(laid, NEAR)


def nearest_servers(laid: Network, number: int) -> Int[np.ndarray, "stations near"]:
    """The `number` servers, or all, with the fewest hops from each station; of equals the closest."""
    site_m = laid.layout.position_m
    distance_m = np.hypot(*(site_m[:, None] - site_m[laid.home]).transpose(2, 0, 1))
    rank = laid.hops + _EQUAL_HOPS * distance_m / max(float(distance_m.max()), 1.0)
    # `Network.nearest` is the first of equals, at any distance.
    rank[np.arange(len(rank)), laid.nearest] = -1
    return np.argsort(rank, axis=1, kind="stable")[:, :number].astype(np.int32)


def station_neighbours(
    laid: Network, num_users: int
) -> Int[np.ndarray, "stations neighbours"] | None:
    """The neighbours of each station in the Delaunay triangulation; None in small cities."""
    if not is_large(num_users, len(laid.hops)):
        return None
    return delaunay_neighbours(laid.layout.position_m)


def delaunay_neighbours(
    position_m: Float[np.ndarray, "stations 2"],
) -> Int[np.ndarray, "stations neighbours"]:
    """The neighbours of each station; itself fills up the rows of those that have fewer."""
    count = len(position_m)
    pairs = np.array(sorted(triangulation(position_m)), np.int32).reshape(-1, 2)
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    degree = np.bincount(ends[:, 0], minlength=count)
    column = np.arange(len(ends)) - (np.cumsum(degree) - degree)[ends[:, 0]]
    neighbours = np.repeat(np.arange(count, dtype=np.int32)[:, None], max(1, degree.max()), axis=1)
    neighbours[ends[:, 0], column] = ends[:, 1]
    return neighbours
