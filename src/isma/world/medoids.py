"""k-medoids: of some candidates those that are nearest to all points, weighted, by BUILD and SWAP.

Kaufman and Rousseeuw, *Finding Groups in Data* (1990). All swaps are judged at once, from each
point's nearest and second nearest medoid (Schubert and Rousseeuw, *Fast and eager k-medoids
clustering*, Information Systems 101, 2021). Nothing is drawn: the same input gives the same answer.
"""

import numpy as np
import scipy
from jaxtyping import Float, Int

_LEAST_GAIN = 1e-12
"""Part of the cost that a swap must save: less is rounding."""


def medoids(
    distance: Float[np.ndarray, "points candidates"],
    weight: Float[np.ndarray, "points"],
    count: int,
) -> Int[np.ndarray, "medoids"]:
    """Indices of `count` candidates, rising, that no exchange of one for another makes cheaper.

    The cost is the sum over points of weight times distance to the nearest of them. Of equals the
    first is taken.
    """
    chosen = _build(distance, weight, count)
    while (swap := _best_swap(distance, weight, chosen)) is not None:
        leaves, comes = swap
        chosen = np.sort(np.where(chosen == leaves, comes, chosen))
    return chosen


def cost(
    distance: Float[np.ndarray, "points candidates"],
    weight: Float[np.ndarray, "points"],
    chosen: Int[np.ndarray, "medoids"],
) -> float:
    """Sum over points of weight times distance to the nearest of the chosen."""
    return float(weight @ distance[:, chosen].min(axis=1))


def _build(
    distance: Float[np.ndarray, "points candidates"],
    weight: Float[np.ndarray, "points"],
    count: int,
) -> Int[np.ndarray, "medoids"]:
    """One after another the candidate that saves most."""
    nearest = np.full(len(weight), distance.max())
    chosen: list[int] = []
    for _ in range(count):
        saved = weight @ np.maximum(nearest[:, None] - distance, 0)
        saved[chosen] = -1
        chosen.append(int(saved.argmax()))
        nearest = np.minimum(nearest, distance[:, chosen[-1]])
    return np.sort(chosen)


def _best_swap(
    distance: Float[np.ndarray, "points candidates"],
    weight: Float[np.ndarray, "points"],
    chosen: Int[np.ndarray, "medoids"],
) -> tuple[int, int] | None:
    """The medoid that leaves and the candidate that comes in its place; None if no swap saves."""
    points = np.arange(len(weight))
    near = distance[:, chosen]
    own = near.argmin(axis=1)
    first = near[points, own]
    near[points, own] = distance.max()  # With one medoid there is no second one.
    second = near.min(axis=1)
    of_medoid = scipy.sparse.csr_array((np.ones(len(own)), (own, points)), (len(chosen), len(own)))
    # A medoid that leaves costs its points the distance to their second, unless the new one is nearer.
    leaving = of_medoid @ (weight * (second - first))
    others = weight @ np.minimum(distance - first[:, None], 0)
    nearer = distance < first[:, None]
    regained = np.where(
        nearer, (first - second)[:, None], np.minimum(distance - second[:, None], 0)
    )
    change = others + leaving[:, None] + of_medoid @ (weight[:, None] * regained)
    change[:, chosen] = 0
    place = int(change.argmin())
    leaves, comes = divmod(place, distance.shape[1])
    if change[leaves, comes] >= -_LEAST_GAIN * max(float(weight @ first), 1e-300):
        return None
    return int(chosen[leaves]), comes
