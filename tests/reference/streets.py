"""Street canyons, UMi of 3GPP TR 38.901, in decibels and loops."""

import math

from reference.world import Streets

Link = tuple[float, float]
"""Shadowing and line of sight, standard normal both."""


def sees(link: Link, ground_m: float) -> bool:
    """Whether a link has line of sight."""
    if ground_m <= 18.0:
        return True
    chance = 18.0 / ground_m + math.exp(-ground_m / 36.0) * (1.0 - 18.0 / ground_m)
    return 0.5 * (1.0 + math.erf(link[1] / math.sqrt(2.0))) < chance


def loss_db(streets: Streets, link: Link, ground_m: float) -> float:
    """What a signal loses."""
    height_m = streets.station_height_m - streets.user_height_m
    slant_m = math.hypot(ground_m, height_m)
    above = (streets.station_height_m - 1.0) * (streets.user_height_m - 1.0)
    bend_m = 4.0 * above * streets.carrier_ghz * 1e9 / 3e8
    carrier = math.log10(streets.carrier_ghz)
    if ground_m <= bend_m:
        clear_db = 32.4 + 21.0 * math.log10(slant_m) + 20.0 * carrier
    else:
        clear_db = 32.4 + 40.0 * math.log10(slant_m) + 20.0 * carrier
        clear_db -= 9.5 * math.log10(bend_m**2 + height_m**2)
    if sees(link, ground_m):
        return clear_db + 4.0 * link[0]
    hidden_db = 35.3 * math.log10(slant_m) + 22.4 + 21.3 * carrier
    hidden_db -= 0.3 * (streets.user_height_m - 1.5)
    return max(clear_db, hidden_db) + 7.82 * link[0]


def moved(link: Link, ground_m: float, way_m: float, draws: Link) -> Link:
    """The same link, some way on."""
    shadow = math.exp(-way_m / (10.0 if sees(link, ground_m) else 13.0))
    sight = math.exp(-way_m / 50.0)
    return (
        shadow * link[0] + math.sqrt(1.0 - shadow**2) * draws[0],
        sight * link[1] + math.sqrt(1.0 - sight**2) * draws[1],
    )
