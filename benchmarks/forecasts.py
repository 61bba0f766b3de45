"""Skill of isma2's forecasts, against the last value, constant velocity and counted rates.

In worlds of presets, with keys of which training makes no use. Forecasts from an observation are compared
with the outcomes, up to two minutes ahead.
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

from isma.model.forecast import (
    HOP_CHANGES,
    HORIZONS_S,
    ForecastModel,
    Latent,
    mean_hop_change,
    noise,
)
from isma.policies.pricing.dwell_time import PRIOR_S
from isma.training.feature_history import Table, observe_features, topology_of
from isma.training.forecast import encoded
from isma.training.forecast_windows import History, Target, Window
from isma.training.record import period_s
from isma.world import files

PRESETS = ("paper-migration", "highway", "campus", "stadium")
_KEY = 77_000
_WORLDS, _PERIODS, _OBSERVATIONS, _ANCHORS, _ROWS, _WINDOWS = 4, 240, 48, 8, 160, 24
_PATHS = 16
_RATE, _STAY, _KEPT = 1, 4, 5
"""Columns of a user's features: rate of the channel, mean stay in a cell, and of the service on a server."""
_EVENTS = ("hand-over", "move")
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
    """By constant velocity, or of an event by a counted rate; None where neither applies."""


@dataclass(frozen=True)
class Calibration:
    """Calibration: whether events forecast with probability p happen in a part p of the cases."""

    preset: str
    channel_50: float
    """Part of the channel's changes within the central half of the forecast distribution."""
    channel_90: float
    price_50: float
    price_90: float
    leaves_error: float
    """Mean difference of probability and frequency of a hand-over, over ten bins of equal size."""


@dataclass(frozen=True)
class Skills:
    """Skill and calibration in every preset."""

    skills: tuple[Skill, ...]
    calibrations: tuple[Calibration, ...]


class _Forecasts(NamedTuple):
    """Means over sampled futures, for each anchor; changes since the observation."""

    channel: Float[Array, "anchors segments users"]
    price: Float[Array, "anchors segments servers"]
    left: Float[Array, "anchors segments users"]
    """Probability that the user has left its cell by the end of each segment."""
    moved: Float[Array, "anchors segments users"]
    hop_change: Float[Array, "anchors segments users places"]
    channel_score: Float[Array, "anchors segments users"]
    """Error of the forecast from one segment to the next, in standard deviations."""
    price_score: Float[Array, "anchors segments servers"]


def measure(
    model: ForecastModel,
    on_step: Callable[[str], None] = lambda label: None,
    presets: Sequence[str] = PRESETS,
) -> Skills:
    """Skill of the model in worlds of each preset."""
    skills: list[Skill] = []
    calibrations = []
    for number, preset in enumerate(presets):
        on_step(f"running {preset}")
        scenario = files.load(preset)
        observed = observe_features([scenario], _WORLDS, _PERIODS, jax.random.key(_KEY + number))
        history = History.of(observed, period_s(scenario), topology_of(scenario))
        rng = np.random.default_rng(number)
        on_step(f"forecasting {preset}")
        pairs = []
        for _ in range(_WINDOWS):
            window = history.window(_OBSERVATIONS, _ANCHORS, _ROWS, rng)
            pairs.append(jax.device_get((window, _forecasts(model, window))))
        skills += _skills(preset, pairs)
        calibrations.append(_calibration(preset, pairs))
    return Skills(tuple(skills), tuple(calibrations))


@eqx.filter_jit
def _forecasts(model: ForecastModel, window: Window) -> _Forecasts:
    """Forecasts of the model at each anchor of a window."""
    states = jax.tree.map(lambda leaf: leaf[window.anchor], encoded(model, window))
    targets = window.targets

    def one(state: Latent, host: Array, place: Array, channel: Array, price: Array) -> _Forecasts:
        home = state.server[host]

        def future(noise: Array) -> tuple[Array, Array, Array, Array, Array]:
            prices = model.forecast_prices(state.server, noise[:, 0])
            users = model.forecast_users(state.user, home, prices.sample[:, host], noise[:, 1])
            stays = lambda odds: jnp.cumprod(jax.nn.sigmoid(-odds), axis=0)  # noqa: E731
            return (
                jnp.cumsum(users.sample, axis=0),
                jnp.cumsum(prices.sample, axis=0),
                1 - stays(users.leaves),
                1 - stays(users.moves),
                mean_hop_change(model.hop_changes(users, place)),
            )

        means = jax.tree.map(lambda part: jnp.mean(part, axis=0), jax.vmap(future)(noise(_PATHS)))
        given = model.forecast_prices(state.server, actual=price)
        users = model.forecast_users(state.user, home, price[:, host], actual=channel)
        return _Forecasts(
            *means,
            channel_score=(channel - users.channel.mean) / users.channel.std,
            price_score=(price - given.change.mean) / given.change.std,
        )

    return jax.vmap(one)(
        *(states, window.host[window.anchor], targets.place),
        *(targets.channel.value, targets.price.value),
    )


_Pairs = Sequence[tuple[Window, _Forecasts]]


def _skills(preset: str, pairs: _Pairs) -> list[Skill]:
    skills = []
    for segment, ahead_s in enumerate(HORIZONS_S):
        parts = [_predictions(*pair, segment) for pair in pairs]
        for quantity in parts[0]:
            event = quantity in _EVENTS
            errors = brier_scores if event else root_mean_squares
            model, last, *other = errors([part[quantity] for part in parts])
            measure = "Brier score" if event else "RMS error"
            known = other[0] if other else None
            skills.append(Skill(preset, quantity, ahead_s, measure, model, last, known))
    return skills


def _predictions(
    window: Window, forecasts: _Forecasts, segment: int
) -> dict[str, tuple[Table, ...]]:
    """Outcomes by the end of a segment, then the forecasts of the model, of the last value and, but for the
    price, of constant velocity or a counted rate."""
    targets, user, ahead_s = window.targets, window.user[window.anchor], HORIZONS_S[segment]
    stay_s, kept_s = (np.exp(user[..., column]) * PRIOR_S for column in (_STAY, _KEPT))
    observed = targets.hop_change_known[:, segment]

    def rows(known: Table, *columns: Table) -> tuple[Table, ...]:
        return tuple(column[known].ravel() for column in columns)

    def change(target: Target, forecast: Table, *velocity: Table) -> tuple[Table, ...]:
        known = np.all(target.known[:, : segment + 1], axis=1)
        actual = np.sum(target.value[:, : segment + 1], axis=1)
        return rows(known, actual, forecast[:, segment], 0 * actual, *velocity)

    def event(target: Target, probability: Table, mean_s: Table) -> tuple[Table, ...]:
        happened = np.max(target.value[:, : segment + 1], axis=1)
        rate = 1 - np.exp(-ahead_s / mean_s)
        return rows(observed, happened, probability[:, segment], 0 * happened, rate)

    hops = np.asarray(HOP_CHANGES)[targets.hop_change[:, segment]]
    before = targets.place[..., 3]  # hops more before the last hand-over
    onward = np.clip(-before * (ahead_s / stay_s)[..., None], HOP_CHANGES[0], HOP_CHANGES[-1])
    return {
        "hops to a server": rows(
            observed, hops, forecasts.hop_change[:, segment], 0 * hops, onward
        ),
        "channel": change(targets.channel, forecasts.channel, user[..., _RATE] * ahead_s),
        "price": change(targets.price, forecasts.price),
        "hand-over": event(targets.leaves, forecasts.left, stay_s),
        "move": event(targets.moves, forecasts.moved, kept_s),
    }


def root_mean_squares(parts: Sequence[Sequence[Table]]) -> list[float]:
    """Root mean square error of each forecast; the observed values come first."""
    return [float(np.sqrt(square)) for square in brier_scores(parts)]


def brier_scores(parts: Sequence[Sequence[Table]]) -> list[float]:
    """Mean square error of each predictor; the outcome is first."""
    actual, *predicted = (np.concatenate(column) for column in zip(*parts, strict=True))
    return [
        float(np.mean((one - actual) ** 2)) if len(actual) else float("nan") for one in predicted
    ]


def _calibration(preset: str, pairs: _Pairs) -> Calibration:
    def within(name: str, bound: float) -> float:
        scores = [
            getattr(forecasts, f"{name}_score")[getattr(window.targets, name).known]
            for window, forecasts in pairs
        ]
        return float(np.mean(np.abs(np.concatenate(scores)) < bound))

    segments = range(len(HORIZONS_S))
    parts = [_predictions(*pair, segment)["hand-over"] for pair in pairs for segment in segments]
    happened, probability = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    order = np.argsort(probability)
    bins = [np.array_split(part[order], _BINS) for part in (probability, happened)]
    error = float(np.mean([abs(p.mean() - h.mean()) for p, h in zip(*bins, strict=True)]))
    half, most = 0.6745, 1.6449  # of a standard normal distribution
    return Calibration(
        preset,
        *(within("channel", half), within("channel", most)),
        *(within("price", half), within("price", most)),
        leaves_error=error,
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
