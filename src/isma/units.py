"""Conversion at the border: a person types `15.95 GHz`, the inside counts hertz.

Inside are seconds, hertz, bits, bit/s, watts, metres and metres per second; decibels only here.
KB and MB are 10^3 and 10^6 bytes (the paper's sizes).
"""

import re

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
HERTZ = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}
BITS = {"bit": 1.0, "kbit": 1e3, "Mbit": 1e6, "B": 8.0, "KB": 8e3, "MB": 8e6, "GB": 8e9}
BITS_PER_S = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
WATTS = {"W": 1.0, "mW": 1e-3}
METRES = {"m": 1.0, "km": 1e3}
METRES_PER_S = {"m/s": 1.0, "km/h": 1 / 3.6}
RATIO = {"%": 0.01}
DENSITY = {"cycles/bit": 1.0}
CYCLES = {"cycles": 1.0, "Mcycles": 1e6, "Gcycles": 1e9}

_QUANTITY = re.compile(r"\s*([-+0-9.eE_]+)\s*([A-Za-zµ/%]*)\s*")


def quantity(value: object, units: dict[str, float]) -> object:
    """Turn text like `15.95 GHz` into a number of the first-rank unit; leave anything else alone.

    Raises ValueError, worded for the person who typed it, when the unit is not one of `units`.
    """
    if not isinstance(value, str):
        return value
    match = _QUANTITY.fullmatch(value)
    known = ", ".join([*units, "dBm"] if units is WATTS else units)
    if match is None:
        raise ValueError(f"must be a number or a number with a unit ({known})")
    number, unit = match.groups()
    try:
        magnitude = float(number)
    except ValueError:
        raise ValueError(f"must be a number or a number with a unit ({known})") from None
    if unit == "":
        return magnitude
    if unit == "dBm" and units is WATTS:
        return dbm_to_w(magnitude)
    if unit not in units:
        raise ValueError(f"must be in one of these units: {known}")
    return magnitude * units[unit]


def dbm_to_w(dbm: float) -> float:
    """Convert a power level in dB over a milliwatt to watts."""
    return 10 ** (dbm / 10) * 1e-3


def db_to_ratio(db: float) -> float:
    """Convert decibels to a power ratio."""
    return 10 ** (db / 10)
