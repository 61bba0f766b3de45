"""A station's band, shared by its users, in the worlds of `by_hand`."""

import jax.numpy as jnp
import pytest
from helpers.simulators.by_hand import RADIO, assert_times, followed, script, two_by_two
from helpers.small_worlds import tiny
from hypothesis import given
from hypothesis import strategies as st

from isma.planning.allocation import uplink_rate_bps
from isma.simulator.params import build


def test_a_shared_band_by_hand(double: None) -> None:
    """As `test_world_by_hand`, where both offload at station 1 in tick 1 alone.

    Each has 0.5 MHz and half of the noise. User 0: R = 0.5e6 log2(1 + 2 · 6.25) = 1.877444e6,
    0.532639 + 2 + 1.75 = 4.282639. User 1: R = 0.5e6 log2(1 + 2 · 3.305785) = 1.464095e6,
    1.366032 + 4 + 4.666667 = 10.032699. In tick 2 user 1 is local, and user 0 has all of it.
    """
    rows = (
        ((0, 1), (1.0, 0.5), (0.8, 0.5), (0.0, 0.0)),
        ((1, 0), (0.3, 1.0), (0.1, 0.6), (0.0, 0.0)),
        ((1, 0), (0.9, 0.0), (0.5, 0.2), (0.0, 0.0)),
    )
    run = followed(*two_by_two(radio=RADIO.model_copy(update={"shared": True})), script(*rows))
    assert_times(run, [[[1.680677], []], [[4.282639], [10.032699]], [[1.150121], [10]]])
    bands = [memory.per_user["band_hz"].tolist() for _, memory, _ in run]
    # Before tick 1's decision user 1 does not offload: it would be the second at its station.
    assert bands[1][1] == pytest.approx(0.5e6)
    assert bands[2] == pytest.approx([0.5e6, 0.5e6])


@given(st.floats(1e-16, 1e-6), st.floats(1e3, 2e7), st.floats(1, 100))
def test_more_of_the_band_never_hurts(gain: float, band_hz: float, factor: float) -> None:
    """Although it brings more noise: so that a bound may give everyone the whole band."""
    column = lambda value: jnp.full(1, value)  # noqa: E731
    less, more = (
        float(uplink_rate_bps(NETWORK, column(gain), column(band))[0])
        for band in (band_hz, min(band_hz * factor, 2e7))
    )
    whole = float(uplink_rate_bps(NETWORK, column(gain), None)[0])
    assert less <= more * (1 + 1e-5)
    assert more <= whole * (1 + 1e-5)


NETWORK = build(tiny()).infrastructure
