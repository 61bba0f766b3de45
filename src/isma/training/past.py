"""Outcomes after each look: windows of watched worlds, on which a model is trained and tested."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from isma.model.outlook import AHEAD_S, FARTHER
from isma.policies.pricing.features import Topology, place_features
from isma.training.watched import Table, Watched

_PLACES = 8
"""Servers of which is told how far they will be."""
_SPREAD = 1.5
_NO_PRICE = -6.0
"""Below it a server is as good as empty: log √λ has a floor."""
_place_looks = jax.jit(place_features)


class Came(NamedTuple):
    """Outcome in each segment ahead, of users or servers."""

    value: Float[Array, "*anchors segments rows"]
    """1 for an event, or how much a quantity changed."""
    known: Bool[Array, "*anchors segments rows"]
    """Whether it could be seen; of an event, whether it had not come before."""


class Outcomes(NamedTuple):
    """Outcomes after a look."""

    leaves: Came
    """Users changed cells."""
    moves: Came
    """Services were moved."""
    channel: Came
    """Log of the signal-to-noise ratio."""
    price: Came
    """Log of √λ."""
    place: Float[Array, "*anchors users places look"]
    """Looks at some servers (isma.policies.pricing.features.place_features)."""
    farther: Int[Array, "*anchors segments users places"]
    """Which of `FARTHER` the way to each of them came to."""
    farther_known: Bool[Array, "*anchors segments users"]


class Window(NamedTuple):
    """Looks at the users and servers of some worlds, and what came about after some of them."""

    user: Float[Array, "looks users look"]
    server: Float[Array, "looks servers look"]
    host: Int[Array, "looks users"]
    there: Bool[Array, "looks users"]
    anchor: Int[Array, "anchors"]
    """Looks after which the outcomes are given."""
    outcomes: Outcomes


@dataclass(frozen=True)
class Past:
    """Watched worlds of one shape, and when what happened next."""

    watched: Watched
    """Arrays of numpy, worlds first."""
    ends: Int[np.ndarray, "segments"]
    """Periods until the end of each segment."""
    leaves: Int[np.ndarray, "worlds periods users"]
    """The period in which each user is next found in another cell; far off if never."""
    moves: Int[np.ndarray, "worlds periods users"]
    """The same of its service."""
    gone: Int[np.ndarray, "worlds periods users"]
    """The first period of which nothing is known of the user."""
    ground: Topology

    @classmethod
    def of(cls, watched: Watched, period_s: float, ground: Topology) -> "Past":
        """Sorted out by what came next."""
        watched = Watched(*map(np.asarray, watched))
        ends = np.round(np.asarray(AHEAD_S) / period_s).astype(int)
        there, last = watched.there, watched.there.shape[1]
        return cls(
            watched,
            ends,
            _next(_changes(watched.station), last * 2),
            _next(_changes(watched.host), last * 2),
            _next(~there, last),
            ground,
        )

    def window(self, looks: int, anchors: int, rows: int, rng: np.random.Generator) -> Window:
        """Looks at about so many users, in worlds and from a moment drawn at random."""
        worlds, periods, users = self.watched.there.shape
        chosen = rng.choice(worlds, min(worlds, max(1, rows // users)), replace=False)
        first = rng.integers(0, max(1, periods - looks))
        anchor = np.sort(rng.choice(looks, min(anchors, looks), replace=False))
        seen = slice(first, first + looks)
        servers = self.watched.pull.shape[2]
        apart = (np.arange(len(chosen)) * servers)[:, None, None]  # Worlds are put side by side.
        beside = lambda part: np.concatenate(list(part[chosen, seen]), axis=1)  # noqa: E731
        host = self.watched.host[chosen, seen] + apart
        after = [self._after(chosen, int(first + at), rng) for at in anchor]
        return Window(
            jnp.asarray(beside(self.watched.user)),
            jnp.asarray(beside(self.watched.server)),
            jnp.asarray(np.concatenate(list(host), axis=1)),
            jnp.asarray(beside(self.watched.there)),
            jnp.asarray(anchor),
            jax.tree.map(lambda *parts: jnp.stack(parts), *after),
        )

    def _after(
        self, world: Int[np.ndarray, "chosen"], now: int, rng: np.random.Generator
    ) -> Outcomes:
        """Outcomes after one period."""
        watched, periods = self.watched, self.watched.there.shape[1]
        begins = np.concatenate([[0], self.ends[:-1]]) + now
        ends, longer = self.ends + now, (self.ends + now > begins)[:, None]
        inside = np.minimum(np.stack([begins, ends]), periods - 1)
        flat = lambda part: part[world, now].reshape(-1)  # noqa: E731
        seen = (ends[:, None] < flat(self.gone)) & flat(watched.there) & longer

        def event(when: np.ndarray) -> Came:
            came = flat(when)
            happens = (came > begins[:, None]) & (came <= ends[:, None])
            return _came(happens, seen & (came > begins[:, None]))

        def amount(value: Table, known: np.ndarray) -> Came:
            before, after = (
                np.stack([value[world, at].reshape(-1) for at in times]) for times in inside
            )
            return _came(np.where(known, after - before, 0), known)

        real = watched.pull > _NO_PRICE
        priced = np.stack([(real[world, at] & real[world, now]).reshape(-1) for at in inside[1]])
        within = (ends < periods)[:, None] & longer
        station, later = flat(watched.station), np.asarray(watched.station)[:, inside[1]][world]
        server = self._some_servers(station, rng)
        visited = watched.visited[world, now].reshape(len(station), -1)
        place = _place_looks(self.ground, station, visited, server)
        later = np.moveaxis(later, 1, 0).reshape(len(ends), -1)
        hops = np.asarray(self.ground.hops)
        farther = hops[later[..., None], server] - hops[station[:, None], server]
        return Outcomes(
            event(self.leaves),
            event(self.moves),
            amount(watched.snr, seen),
            amount(watched.pull, priced & within),
            place,
            jnp.asarray(np.clip(farther - FARTHER[0], 0, len(FARTHER) - 1), jnp.int32),
            jnp.asarray(seen),
        )

    def _some_servers(
        self, station: Int[np.ndarray, "users"], rng: np.random.Generator
    ) -> Int[np.ndarray, "users places"]:
        """Servers near each user, with some chance in it; nothing of the future tells which."""
        hops = np.asarray(self.ground.hops)[station]
        far = hops + _SPREAD * rng.normal(size=hops.shape)
        return np.argpartition(far, min(_PLACES, far.shape[1]) - 1, axis=1)[:, :_PLACES]


def _came(value: np.ndarray, known: np.ndarray) -> Came:
    return Came(jnp.asarray(value, jnp.float32), jnp.asarray(known))


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
