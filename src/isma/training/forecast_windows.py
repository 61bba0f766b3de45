"""Windows of feature histories, and the targets of forecasts from them."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from isma.model.forecast import HOP_CHANGES, HORIZONS_S
from isma.policies.pricing.features import Topology, place_features
from isma.training.feature_history import FeatureHistory, Table

_PLACES = 8
"""Servers to which changes of hops are targets, for each user."""
_SPREAD = 1.5
"""Standard deviation, in hops, of the noise in their choice."""
_NO_PRICE = -6.0
"""Below it a server is as good as empty: log √λ has a floor."""
_place_features = jax.jit(place_features)


class Target(NamedTuple):
    """Outcome in each segment after an observation, of users or servers."""

    value: Float[Array, "*anchors segments rows"]
    """1 for an event, or the change of a quantity."""
    known: Bool[Array, "*anchors segments rows"]
    """Whether it was observed; of an event, whether it had not come before."""


class Targets(NamedTuple):
    """Outcomes after an observation."""

    leaves: Target
    """Hand-overs of users."""
    moves: Target
    """Migrations of services."""
    channel: Target
    """Change of the log of the signal-to-noise ratio."""
    price: Target
    """Change of log √λ."""
    place: Float[Array, "*anchors users places features"]
    """Features of some servers (isma.policies.pricing.features.place_features)."""
    hop_change: Int[Array, "*anchors segments users places"]
    """Which of `HOP_CHANGES` the hops to each of them changed by."""
    hop_change_known: Bool[Array, "*anchors segments users"]


class Window(NamedTuple):
    """Observations of the users and servers of some worlds, and targets after some of them."""

    user: Float[Array, "observations users features"]
    server: Float[Array, "observations servers features"]
    host: Int[Array, "observations users"]
    present: Bool[Array, "observations users"]
    anchor: Int[Array, "anchors"]
    """Observations to which the targets belong."""
    targets: Targets


@dataclass(frozen=True)
class History:
    """Recorded worlds of one shape, with the times of the next events."""

    features: FeatureHistory
    """Arrays of numpy, worlds first."""
    ends: Int[np.ndarray, "segments"]
    """Periods until the end of each segment."""
    leaves: Int[np.ndarray, "worlds periods users"]
    """Period in which each user is next found in another cell; far off if never."""
    moves: Int[np.ndarray, "worlds periods users"]
    """Period in which its service is next found on another server; far off if never."""
    gone: Int[np.ndarray, "worlds periods users"]
    """First later period in which the user is not present."""
    topology: Topology

    @classmethod
    def of(cls, features: FeatureHistory, period_s: float, topology: Topology) -> "History":
        """History of recorded features, a period apart."""
        features = FeatureHistory(*map(np.asarray, features))
        ends = np.round(np.asarray(HORIZONS_S) / period_s).astype(int)
        last = features.present.shape[1]
        return cls(
            features,
            ends,
            _next(_changes(features.station), last * 2),
            _next(_changes(features.host), last * 2),
            _next(~features.present, last),
            topology,
        )

    def window(
        self, observations: int, anchors: int, rows: int, rng: np.random.Generator
    ) -> Window:
        """Observations of about `rows` users, of random worlds and from a random period on."""
        worlds, periods, users = self.features.present.shape
        chosen = rng.choice(worlds, min(worlds, max(1, rows // users)), replace=False)
        first = rng.integers(0, max(1, periods - observations))
        anchor = np.sort(rng.choice(observations, min(anchors, observations), replace=False))
        seen = slice(first, first + observations)
        servers = self.features.log_root_price.shape[2]
        apart = (np.arange(len(chosen)) * servers)[:, None, None]  # Worlds are put side by side.
        side_by_side = lambda part: np.concatenate(list(part[chosen, seen]), axis=1)  # noqa: E731
        host = self.features.host[chosen, seen] + apart
        targets = [self.targets(chosen, int(first + at), rng) for at in anchor]
        return Window(
            jnp.asarray(side_by_side(self.features.user)),
            jnp.asarray(side_by_side(self.features.server)),
            jnp.asarray(np.concatenate(list(host), axis=1)),
            jnp.asarray(side_by_side(self.features.present)),
            jnp.asarray(anchor),
            jax.tree.map(lambda *parts: jnp.stack(parts), *targets),
        )

    def targets(
        self, world: Int[np.ndarray, "chosen"], now: int, rng: np.random.Generator
    ) -> Targets:
        """Outcomes after one period."""
        recorded, periods = self.features, self.features.present.shape[1]
        begins = np.concatenate([[0], self.ends[:-1]]) + now
        ends, longer = self.ends + now, (self.ends + now > begins)[:, None]
        inside = np.minimum(np.stack([begins, ends]), periods - 1)
        flat = lambda part: part[world, now].reshape(-1)  # noqa: E731
        seen = (ends[:, None] < flat(self.gone)) & flat(recorded.present) & longer

        def event(when: np.ndarray) -> Target:
            period = flat(when)
            happens = (period > begins[:, None]) & (period <= ends[:, None])
            return _target(happens, seen & (period > begins[:, None]))

        def amount(value: Table, known: np.ndarray) -> Target:
            before, after = (
                np.stack([value[world, at].reshape(-1) for at in times]) for times in inside
            )
            return _target(np.where(known, after - before, 0), known)

        real = recorded.log_root_price > _NO_PRICE
        priced = np.stack([(real[world, at] & real[world, now]).reshape(-1) for at in inside[1]])
        within = (ends < periods)[:, None] & longer
        station, later = flat(recorded.station), np.asarray(recorded.station)[:, inside[1]][world]
        server = self._some_servers(station, rng)
        visited = recorded.visited[world, now].reshape(len(station), -1)
        place = _place_features(self.topology, station, visited, server)
        later = np.moveaxis(later, 1, 0).reshape(len(ends), -1)
        hops = np.asarray(self.topology.hops)
        change = hops[later[..., None], server] - hops[station[:, None], server]
        return Targets(
            event(self.leaves),
            event(self.moves),
            amount(recorded.log_snr, seen),
            amount(recorded.log_root_price, priced & within),
            place,
            jnp.asarray(np.clip(change - HOP_CHANGES[0], 0, len(HOP_CHANGES) - 1), jnp.int32),
            jnp.asarray(seen),
        )

    def _some_servers(
        self, station: Int[np.ndarray, "users"], rng: np.random.Generator
    ) -> Int[np.ndarray, "users places"]:
        """Servers near each user, by their hops and noise; they do not depend on the future."""
        hops = np.asarray(self.topology.hops)[station]
        far = hops + _SPREAD * rng.normal(size=hops.shape)
        return np.argpartition(far, min(_PLACES, far.shape[1]) - 1, axis=1)[:, :_PLACES]


def _target(value: np.ndarray, known: np.ndarray) -> Target:
    return Target(jnp.asarray(value, jnp.float32), jnp.asarray(known))


def _changes(value: Int[Table, "worlds periods users"]) -> Bool[np.ndarray, "..."]:
    return np.concatenate(
        [np.zeros_like(value[:, :1], bool), value[:, 1:] != value[:, :-1]], axis=1
    )


def _next(
    happens: Bool[Table, "worlds periods users"], never: int
) -> Int[np.ndarray, "worlds periods users"]:
    """For each period the next one, later than it, in which it happens."""
    periods = happens.shape[1]
    when = np.where(happens, np.arange(periods)[:, None], never)
    later = np.full_like(when, never)
    for at in range(periods - 2, -1, -1):
        later[:, at] = np.minimum(when[:, at + 1], later[:, at + 1])
    return later
