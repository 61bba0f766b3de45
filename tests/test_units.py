"""What a person may type, and what it means inside."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isma import units


@pytest.mark.parametrize(
    ("text", "table", "inside"),
    [
        ("15.95 GHz", units.HERTZ, 15.95e9),
        ("150MHz", units.HERTZ, 150e6),
        ("100 ms", units.SECONDS, 0.1),
        ("5 us", units.SECONDS, 5e-6),
        (" 2 h ", units.SECONDS, 7200.0),
        ("3 MB", units.BITS, 24e6),
        ("200 KB", units.BITS, 1.6e6),
        ("7 Mbit", units.BITS, 7e6),
        ("500 Mbit/s", units.BITS_PER_S, 5e8),
        ("90 Gcycles", units.CYCLES, 9e10),
        ("120 km/h", units.METRES_PER_S, 120 / 3.6),
        ("1 km", units.METRES, 1000.0),
        ("5 %", units.RATIO, 0.05),
        ("20 dBm", units.WATTS, 0.1),
        ("-100 dBm", units.WATTS, 1e-13),
        ("250 mW", units.WATTS, 0.25),
        ("1.5e3", units.HERTZ, 1500.0),
    ],
)
def test_quantities(text: str, table: dict[str, float], inside: float) -> None:
    assert units.quantity(text, table) == pytest.approx(inside, rel=1e-12)


@pytest.mark.parametrize("value", [3, 2.5, None, [1, 2], True])
def test_what_is_not_text_is_left_alone(value: object) -> None:
    assert units.quantity(value, units.HERTZ) is value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3 GB", "must be in one of these units: Hz, kHz, MHz, GHz"),
        ("3 ghz", "must be in one of these units: Hz, kHz, MHz, GHz"),
        ("ten GHz", "must be a number or a number with a unit"),
        ("1.2.3 GHz", "must be a number or a number with a unit"),
        ("", "must be a number or a number with a unit"),
        ("20 dBm", "must be in one of these units"),
    ],
)
def test_mistakes_are_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        units.quantity(text, units.HERTZ)


def test_watts_offer_dbm() -> None:
    with pytest.raises(ValueError, match="W, mW, dBm"):
        units.quantity("20 dbm", units.WATTS)


@given(st.floats(-150, 150))
def test_ten_decibels_are_a_factor_of_ten(db: float) -> None:
    assert 10 * math.log10(units.db_to_ratio(db)) == pytest.approx(db, abs=1e-9)
    assert units.dbm_to_w(db) == pytest.approx(units.db_to_ratio(db) / 1000)
