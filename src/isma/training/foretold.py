"""How well isma2's model foretells, beside the last value, constant velocity and counted rates.

In worlds of presets, with keys of which training makes no use. What is foretold at a look is compared
with what then came about, up to two minutes ahead.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from isma.model.outlook import AHEAD_S, FARTHER, Latent, Outlook, mean_farther, noise
from isma.policies.pricing.dwell_time import PRIOR_S
from isma.training.outlook import taken_in
from isma.training.past import Came, Past, Window
from isma.training.watched import Table, ground_of, period_s, watch
from isma.world import files

PRESETS = ("paper-migration", "highway", "campus", "stadium")
_KEY = 77_000
_WORLDS, _PERIODS, _LOOKS, _ANCHORS, _ROWS, _WINDOWS = 4, 240, 48, 8, 160, 24
_PATHS = 16
_RATE, _STAY, _KEPT = 1, 4, 5
"""Columns of a user's look: rate of the channel, counted stay in a cell, and of the service."""
_BINS = 10


@dataclass(frozen=True)
class Skill:
    """One quantity of one preset, one time ahead: errors of the model and of simple predictors."""

    preset: str
    quantity: str
    ahead_s: float
    measure: str
    model: float
    last_value: float
    other: float | None
    """By constant velocity, or of an event by a counted rate; None where there is no such."""


@dataclass(frozen=True)
class Calibration:
    """Whether what is said to come with a chance of p comes in p of the cases."""

    preset: str
    channel_50: float
    """Part of the channel's changes within the central half of what was foretold."""
    channel_90: float
    price_50: float
    price_90: float
    leaves_error: float
    """Mean difference of chance and frequency of a hand-over, over ten bins of equal size."""


@dataclass(frozen=True)
class Skills:
    """All of a run."""

    skills: tuple[Skill, ...]
    calibrations: tuple[Calibration, ...]


class _Foretold(NamedTuple):
    """Means over imagined futures, for each anchor; changes since the look."""

    channel: Float[Array, "anchors segments users"]
    price: Float[Array, "anchors segments servers"]
    left: Float[Array, "anchors segments users"]
    """Chance that the user has left its cell by the end of each segment."""
    moved: Float[Array, "anchors segments users"]
    farther: Float[Array, "anchors segments users places"]
    channel_score: Float[Array, "anchors segments users"]
    """What came beside what was foretold from one segment to the next, in standard deviations."""
    price_score: Float[Array, "anchors segments servers"]


def measure(
    model: Outlook,
    on_step: Callable[[str], None] = lambda label: None,
    presets: Sequence[str] = PRESETS,
) -> Skills:
    """Ask the model in worlds of each preset."""
    skills: list[Skill] = []
    calibrations = []
    for number, preset in enumerate(presets):
        on_step(f"watching {preset}")
        scenario = files.load(preset)
        lived = watch([scenario], _WORLDS, _PERIODS, jax.random.key(_KEY + number))
        past = Past.of(lived, period_s(scenario), ground_of(scenario))
        rng = np.random.default_rng(number)
        on_step(f"foretelling {preset}")
        pairs = []
        for _ in range(_WINDOWS):
            window = past.window(_LOOKS, _ANCHORS, _ROWS, rng)
            pairs.append(jax.device_get((window, foretold(model, window))))
        skills += _skills(preset, pairs)
        calibrations.append(_calibration(preset, pairs))
    return Skills(tuple(skills), tuple(calibrations))


@eqx.filter_jit
def foretold(model: Outlook, window: Window) -> _Foretold:
    """Forecasts of the model at each anchor of a window."""
    latents = taken_in(model, window)
    then = jax.tree.map(lambda states: states[window.anchor], latents)
    outcomes = window.outcomes

    def one(latent: Latent, host: Array, place: Array, channel: Array, price: Array) -> _Foretold:
        def future(drawn: Array) -> tuple[Array, Array, Array, Array, Array]:
            prices = model.prices(latent.server, drawn[:, 0])
            ways = model.ways(latent.user, latent.server[host], prices.drawn[:, host], drawn[:, 1])
            stays = lambda odds: jnp.cumprod(jax.nn.sigmoid(-odds), axis=0)  # noqa: E731
            return (
                jnp.cumsum(ways.drawn, axis=0),
                jnp.cumsum(prices.drawn, axis=0),
                1 - stays(ways.leaves),
                1 - stays(ways.moves),
                mean_farther(model.to_places(ways, place)),
            )

        means = jax.tree.map(lambda part: jnp.mean(part, axis=0), jax.vmap(future)(noise(_PATHS)))
        given = model.prices(latent.server, came=price)
        ways = model.ways(latent.user, latent.server[host], price[:, host], came=channel)
        return _Foretold(
            *means,
            channel_score=(channel - ways.channel.mean) / ways.channel.std,
            price_score=(price - given.change.mean) / given.change.std,
        )

    return jax.vmap(one)(
        *(then, window.host[window.anchor], outcomes.place),
        *(outcomes.channel.value, outcomes.price.value),
    )


_Pairs = Sequence[tuple[Window, _Foretold]]


def _skills(preset: str, pairs: _Pairs) -> list[Skill]:
    found = []
    for segment, ahead_s in enumerate(AHEAD_S):
        at = (segment, ahead_s)
        rows = (
            ("hops to a server", "RMS error", _rms, [_way(*pair, *at) for pair in pairs]),
            ("channel", "RMS error", _rms, [_channel(*pair, *at) for pair in pairs]),
            ("price", "RMS error", _rms, [_price(*pair, segment) for pair in pairs]),
            ("hand-over", "Brier score", _brier, [_leaves(*pair, *at) for pair in pairs]),
            ("move", "Brier score", _brier, [_moves(*pair, *at) for pair in pairs]),
        )
        for quantity, measure, error, parts in rows:
            model, last, *other = error(parts)
            known = other[0] if other else None
            found.append(Skill(preset, quantity, ahead_s, measure, model, last, known))
    return found


def _way(window: Window, told: _Foretold, segment: int, ahead_s: float) -> list[Table]:
    """Outcomes, then the forecasts of the model, the last value and constant velocity."""
    outcomes, look = window.outcomes, window.user[window.anchor]
    stay_s = np.exp(look[..., _STAY]) * PRIOR_S
    before = outcomes.place[..., 3]  # hops more before the last hand-over
    velocity = np.clip(-before * (ahead_s / stay_s)[..., None], FARTHER[0], FARTHER[-1])
    known = outcomes.farther_known[:, segment]
    came = np.asarray(FARTHER)[outcomes.farther[:, segment]]
    return [part[known].ravel() for part in (came, told.farther[:, segment], 0 * came, velocity)]


def _channel(window: Window, told: _Foretold, segment: int, ahead_s: float) -> list[Table]:
    outcomes, look = window.outcomes, window.user[window.anchor]
    known = np.all(outcomes.channel.known[:, : segment + 1], axis=1)
    came = np.sum(outcomes.channel.value[:, : segment + 1], axis=1)
    velocity = look[..., _RATE] * ahead_s
    return [part[known] for part in (came, told.channel[:, segment], 0 * came, velocity)]


def _price(window: Window, told: _Foretold, segment: int) -> list[Table]:
    outcomes = window.outcomes.price
    known = np.all(outcomes.known[:, : segment + 1], axis=1)
    came = np.sum(outcomes.value[:, : segment + 1], axis=1)
    return [part[known] for part in (came, told.price[:, segment], 0 * came)]


def _leaves(window: Window, told: _Foretold, segment: int, ahead_s: float) -> list[Table]:
    return _event(window, window.outcomes.leaves, told.left, _STAY, segment, ahead_s)


def _moves(window: Window, told: _Foretold, segment: int, ahead_s: float) -> list[Table]:
    return _event(window, window.outcomes.moves, told.moved, _KEPT, segment, ahead_s)


def _event(
    window: Window, came: Came, chance: Table, counted: int, segment: int, ahead_s: float
) -> list[Table]:
    happened = np.max(came.value[:, : segment + 1], axis=1)
    known = window.outcomes.farther_known[:, segment]
    mean_s = np.exp(window.user[window.anchor][..., counted]) * PRIOR_S
    rate = 1 - np.exp(-ahead_s / mean_s)
    return [part[known] for part in (happened, chance[:, segment], 0 * happened, rate)]


def _rms(parts: Sequence[Sequence[Table]]) -> list[float]:
    return [float(np.sqrt(square)) for square in _brier(parts)]


def _brier(parts: Sequence[Sequence[Table]]) -> list[float]:
    """Mean square error of each that foretold; what came is first."""
    came, *said = (np.concatenate(column) for column in zip(*parts, strict=True))
    return [float(np.mean((one - came) ** 2)) if len(came) else float("nan") for one in said]


def _calibration(preset: str, pairs: _Pairs) -> Calibration:
    def within(score: Callable[[_Foretold], np.ndarray], came: Callable, bound: float) -> float:
        inside = [np.abs(score(told))[came(window).known] < bound for window, told in pairs]
        return float(np.mean(np.concatenate(inside)))

    channel = lambda told: told.channel_score  # noqa: E731
    price = lambda told: told.price_score  # noqa: E731
    of_channel, of_price = (
        lambda window: window.outcomes.channel,
        lambda window: window.outcomes.price,
    )
    half, most = 0.6745, 1.6449  # of a standard normal distribution
    chance, came = [], []
    for window, told in pairs:
        for segment in range(len(AHEAD_S)):
            known = window.outcomes.farther_known[:, segment]
            chance.append(told.left[:, segment][known])
            came.append(np.max(window.outcomes.leaves.value[:, : segment + 1], axis=1)[known])
    order = np.argsort(np.concatenate(chance))
    bins = [np.array_split(np.concatenate(part)[order], _BINS) for part in (chance, came)]
    error = float(np.mean([abs(p.mean() - c.mean()) for p, c in zip(*bins, strict=True)]))
    return Calibration(
        preset,
        within(channel, of_channel, half),
        within(channel, of_channel, most),
        within(price, of_price, half),
        within(price, of_price, most),
        error,
    )


def as_json(skills: Skills) -> str:
    """All of it as JSON."""
    return json.dumps(asdict(skills), indent=2)


def as_text(skills: Skills) -> str:
    """Two tables."""
    lines = [
        f"{'preset':17}{'quantity':18}{'ahead, s':>9}  {'measure':13}{'model':>9}{'last value':>12}"
        f"{'velocity or rate':>18}"
    ]
    for row in skills.skills:
        other = f"{row.other:>18.4f}" if row.other is not None else ""
        lines.append(
            f"{row.preset:17}{row.quantity:18}{row.ahead_s:>9.0f}  {row.measure:13}"
            f"{row.model:>9.4f}{row.last_value:>12.4f}{other}"
        )
    lines.append("")
    lines.append(
        f"{'preset':17}{'channel in 50 %':>17}{'in 90 %':>9}{'price in 50 %':>15}{'in 90 %':>9}"
        f"{'hand-over off by':>18}"
    )
    for row in skills.calibrations:
        lines.append(
            f"{row.preset:17}{row.channel_50:>17.0%}{row.channel_90:>9.0%}{row.price_50:>15.0%}"
            f"{row.price_90:>9.0%}{row.leaves_error:>18.3f}"
        )
    return "\n".join(lines)
