"""What is least by trying everything, in double precision: every ratio and exact shares; stops by period."""

from functools import cache
from itertools import product
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from isma.planning.allocation import Offer

RATIOS = np.arange(11) / 10


class Best(NamedTuple):
    """The least sum of times, and how it is reached."""

    total_s: float
    ratio: np.ndarray
    share: np.ndarray


def one_server(
    local_s: np.ndarray,
    transfer_s: np.ndarray,
    work_s: np.ndarray,
    fixed_s: np.ndarray | float = 0.0,
) -> Best:
    """The best ratios and shares for users (rows) that share one server."""
    ratio = _every_ratio(len(local_s))
    share = best_shares(ratio, local_s, transfer_s, work_s, fixed_s)
    total = times_s(ratio, share, local_s, transfer_s, work_s, fixed_s).sum(axis=1)
    best = int(np.argmin(total))
    return Best(float(total[best]), ratio[best], share[best])


def times_s(
    ratio: np.ndarray,
    share: np.ndarray,
    local_s: np.ndarray,
    transfer_s: np.ndarray,
    work_s: np.ndarray,
    fixed_s: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Completion times, equation (6) and what any offloaded part takes."""
    work = np.divide(ratio * work_s, share, out=np.zeros_like(ratio), where=ratio > 0)
    edge = np.where(ratio > 0, fixed_s, 0) + ratio * transfer_s + work
    return np.maximum((1 - ratio) * local_s, edge)


def best_shares(
    ratio: np.ndarray,
    local_s: np.ndarray,
    transfer_s: np.ndarray,
    work_s: np.ndarray,
    fixed_s: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Shares that minimise the sum of times at fixed ratios (a row each), summing to at most 1.

    Each time falls and is convex in its share up to a cap, so the shares are min(√(η a) x, cap)
    with one x. Their sum is linear in x between the points from where users are capped: with those of
    the lowest such points capped, x is what they leave over the others' √(η a), if no other is capped.
    """
    slack = (1 - ratio) * local_s - ratio * transfer_s - fixed_s
    needed = np.divide(ratio * work_s, slack, out=np.ones_like(ratio), where=slack > 0)
    cap = np.where(ratio > 0, np.minimum(needed, 1), 0)
    pull = np.sqrt(ratio * work_s)
    capped_from = np.divide(cap, pull, out=np.zeros_like(ratio), where=pull > 0)
    order = np.argsort(capped_from, axis=1)
    caps, pulls, knees = (np.take_along_axis(v, order, 1) for v in (cap, pull, capped_from))
    left = 1 - (np.cumsum(caps, axis=1) - caps)
    others = np.cumsum(pulls[:, ::-1], axis=1)[:, ::-1]
    x = np.divide(left, others, out=np.zeros_like(ratio), where=others > 0)
    first = np.argmax(x <= knees, axis=1)[:, None]
    shared = np.minimum(pull * np.take_along_axis(x, first, 1), cap)
    return np.where(cap.sum(axis=1, keepdims=True) <= 1, cap, shared)


@cache
def _every_ratio(users: int) -> np.ndarray:
    """All combinations of offload ratios, a row each."""
    return np.array(list(product(RATIOS, repeat=users))).reshape(-1, users)


def assignments(offer: Offer) -> dict[tuple[int, ...], float]:
    """The least sum of times under every assignment of users to servers."""
    local, transfer, work, fixed = parts(offer)
    users, servers = transfer.shape

    @cache
    def total(server: int, members: tuple[int, ...]) -> float:
        if not members:
            return 0.0
        rows = np.array(members)
        columns = (part[rows, server] for part in (transfer, work, fixed))
        return one_server(local[rows, 0], *columns).total_s

    found = {}
    for target in product(range(servers), repeat=users):
        members = [tuple(u for u in range(users) if target[u] == s) for s in range(servers)]
        found[target] = sum(total(s, members[s]) for s in range(servers))
    return found


def parts(offer: Offer) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Local, transfer, work and fixed time, in double precision; the last one 0 where there is none."""
    local, transfer, work = (
        np.asarray(part, float) for part in (offer.local_s, offer.transfer_s, offer.work_s)
    )
    fixed = np.zeros_like(transfer) if offer.fixed_s is None else np.asarray(offer.fixed_s, float)
    return local, transfer, work, fixed


def some_offer(
    seed: int,
    users: int,
    servers: int,
    local_s: tuple[float, float],
    fixed_s: tuple[float, float] | None = None,
) -> Offer:
    """Offers of about the paper's sizes; how fast the users are themselves is given, and any latency."""
    rng = np.random.default_rng(seed)
    column = lambda low, high: jnp.asarray(rng.uniform(low, high, (users, servers)), jnp.float32)  # noqa: E731
    return Offer(
        local_s=jnp.asarray(rng.uniform(*local_s, (users, 1)), jnp.float32),
        transfer_s=column(0.02, 2),
        work_s=column(0.4, 6),
        fixed_s=None if fixed_s is None else column(*fixed_s),
    )


def of_a_stop_s2(stop_s: float, sooner_s: float, period_s: float) -> float:
    """Delay over time of a stop, period by period: tasks wait or are done alone, whichever is sooner."""
    total_s2 = 0.0
    while stop_s > 1e-3 * period_s:
        waited_s2 = (stop_s**2 - max(stop_s - period_s, 0) ** 2) / 2
        total_s2 += min(waited_s2, period_s * sooner_s)
        stop_s -= period_s
    return total_s2
