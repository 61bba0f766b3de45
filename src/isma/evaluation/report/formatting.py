"""Numbers as people read them: sensible digits, a unit, and the name of a field with its unit."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = {
    "_hz": (("GHz", 1e9), ("MHz", 1e6), ("kHz", 1e3), ("Hz", 1.0)),
    "_bps": (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3), ("bit/s", 1.0)),
    "_bits": (("MB", 8e6), ("KB", 8e3), ("bit", 1.0)),
    "_mps": (("km/h", 1 / 3.6),),
    "_m": (("km", 1e3), ("m", 1.0)),
    "_s": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)),
    "_w": (("W", 1.0), ("mW", 1e-3), ("W", 1.0)),
    "_db": (("dB", 1.0),),
    "cycles": (("Gcycles", 1e9), ("Mcycles", 1e6), ("cycles", 1.0)),
}
_LONGEST_NAME = 22


@dataclass(frozen=True)
class Axis:
    """A varied field as an axis: its label, where its values stand, and how each is written."""

    label: str
    positions: tuple[float, ...]
    """The values in the label's unit, or 0, 1, 2, … where they are not numbers."""
    ticks: tuple[str, ...]
    numeric: bool


def name(policy: str) -> str:
    """A policy's name for a label: the class alone where a module was given, and not too long.

    Which checkpoint it uses is left out: paths do not fit.
    """
    plain = re.sub(r":checkpoint=[^:]*", "", policy)
    head, _, rest = plain.partition(":")
    short = rest if "." in head and rest else plain
    return short if len(short) <= _LONGEST_NAME else f"{short[: _LONGEST_NAME - 1]}…"


def names(policies: Sequence[str]) -> dict[str, str]:
    """Labels for all policies of a run: short where that keeps them apart."""
    short = {policy: name(policy) for policy in policies}
    taken = list(short.values())
    return {p: label if taken.count(label) == 1 else p for p, label in short.items()}


def number(value: float, digits: int = 3) -> str:
    """A number to a number of digits, never in powers of ten: 0.0284, 30.8, 307, 21,300."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(places, 9)}f}".replace("-", "−")


def duration(seconds: float) -> str:
    """A time with its unit: 30.8 s, 38.1 ms."""
    unit, scale = time_unit([seconds])
    return number(seconds) if math.isnan(seconds) else f"{number(seconds / scale)} {unit}"


def span(low: float, high: float) -> str:
    """Two times with one unit: 29.1 to 32.9 s."""
    unit, scale = time_unit([low, high])
    return f"{number(low / scale)} to {number(high / scale)} {unit}"


def time_unit(seconds: Sequence[float]) -> tuple[str, float]:
    """The unit that suits most of these times, and its length in seconds."""
    sizes = sorted(abs(value) for value in seconds if math.isfinite(value) and value != 0)
    middle = sizes[(len(sizes) - 1) // 2] if sizes else 1.0
    return next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if middle >= s), ("µs", 1e-6))


def percent(ratio: float, signed: bool = False) -> str:
    """A ratio in per cent: 2.8 %, 0.03 %, 890 %."""
    return f"{percent_number(ratio, signed)} %"


def percent_number(ratio: float, signed: bool = False) -> str:
    """A ratio in per cent without the sign of it: a tenth where it is small, whole where large."""
    if math.isnan(ratio):
        return "–"
    value = 100 * ratio
    size = abs(value)
    places = 0 if size >= 99.95 else 1 if size >= 0.095 else 2
    text = f"{size:,.{places}f}"
    if float(text.replace(",", "")) == 0:
        return "0"
    sign = "−" if value < 0 else "+" if signed else ""
    return sign + text


def percent_span(low: float, high: float) -> str:
    """Two ratios in per cent: 2.5 to 3.1 %."""
    return f"{percent_number(low)} to {percent_number(high)} %"


def setting(field: str, value: object) -> str:
    """A field's value as a person would type it: 15.95 GHz, 6 to 90 Gcycles."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return {True: "yes", False: "no", None: "–"}.get(value, str(value))
    if isinstance(value, int | float):
        unit, scale = _unit(field, [float(value)])
        return f"{plain(float(value) / scale)} {unit}".strip()
    if isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
        return _range(field, [float(v) for v in value])
    return str(value)


def axis(field: str, values: Sequence[float | str]) -> Axis:
    """How to draw a varied field: numbers in a readable unit, anything else as categories."""
    if not values or any(isinstance(value, str) for value in values):
        places = tuple(float(place) for place in range(len(values)))
        return Axis(field, places, tuple(str(value) for value in values), False)
    sizes = [float(value) for value in values]
    unit, scale = _unit(field, sizes)
    positions = tuple(size / scale for size in sizes)
    label = f"{stem(field)} ({unit})" if unit else field
    return Axis(label, positions, tuple(plain(place) for place in positions), True)


def _range(field: str, ends: list[float]) -> str:
    unit, scale = _unit(field, ends)
    if len(ends) == 2:
        text = plain(ends[0] / scale)
        if ends[0] != ends[1]:
            text += f" to {plain(ends[1] / scale)}"
        return f"{text} {unit}".strip()
    return f"{', '.join(plain(end / scale) for end in ends)} {unit}".strip()


def _suffix(field: str) -> str | None:
    leaf = field.rsplit(".", 1)[-1]
    rate = leaf.endswith(("_per_s", "_per_sqrt_s"))
    return None if rate else next((end for end in _STEPS if leaf.endswith(end)), None)


def stem(field: str) -> str:
    """A field's name without the unit it ends in."""
    end = _suffix(field)
    return field.removesuffix(end) if end and end.startswith("_") else field


def _unit(field: str, values: list[float]) -> tuple[str, float]:
    """The unit a field's name ends in, scaled so that the largest value reads well."""
    end = _suffix(field)
    if end is None:
        return "", 1.0
    largest = max((abs(value) for value in values), default=0.0)
    steps = _STEPS[end]
    if largest == 0:
        return next((step for step in steps if step[1] == 1.0), steps[0])
    return next((step for step in steps if largest >= step[1] * (1 - 1e-9)), steps[-1])


def plain(value: float) -> str:
    """A number as short as it can be: 2, 0.25, 15.95."""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.3g}"
    text = f"{value:,.4f}" if abs(value) < 100 else f"{value:,.1f}"
    return text.rstrip("0").rstrip(".").replace("-", "−")
