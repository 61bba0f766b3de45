"""Equations (1)-(6) by hand, and what must hold for any numbers."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isma import delay

CYCLES, BITS, LOCAL_HZ, SERVER_HZ = 4.8e10, 1.28e7, 1.5e8, 1.595e10
some_ratio = st.floats(0, 1)
some_share = st.floats(0.01, 1)
some_factor = st.floats(1, 100)
seeds = st.integers(0, 2**32 - 1)


def completion_s(
    ratio: float, share: float, server_hz: float, local_hz: float, rate_bps: float = 6e7
) -> float:
    return float(
        delay.completion_time_s(
            delay.local_time_s(CYCLES, ratio, local_hz),
            delay.uplink_time_s(BITS, ratio, rate_bps),
            delay.backhaul_time_s(BITS, ratio, 2.0, 5e8),
            delay.edge_time_s(CYCLES, ratio, server_hz, share),
        )
    )


def test_equations_by_hand() -> None:
    """A task of 2 Mbit and 3e9 cycles, a quarter of it offloaded, a user's CPU of 1e8 Hz.

    (1) 3e9 · 0.75 / 1e8 = 22.5; (2) SNR = 0.2 · 1.5e-9 / 1e-11 = 30, 1e6 log2(31) = 4.954196e6
    (3) 2e6 · 0.25 / 4.954196e6 = 0.100925; (4) 2e6 · 0.25 · 3 / 1e7 = 0.15
    (5) 0.25 · 3e9 / (2e9 · 0.1) = 3.75; (6) max(22.5, 4.000925) = 22.5
    """
    local = delay.local_time_s(3e9, 0.25, 1e8)
    rate = delay.uplink_rate_bps(1e6, 0.2, 1.5e-9, 1e-11)
    uplink = delay.uplink_time_s(2e6, 0.25, rate)
    backhaul = delay.backhaul_time_s(2e6, 0.25, 3, 1e7)
    edge = delay.edge_time_s(3e9, 0.25, 2e9, 0.1)
    assert float(local) == pytest.approx(22.5)
    assert float(rate) == pytest.approx(4.954196e6, rel=1e-6)
    assert float(uplink) == pytest.approx(0.100925, rel=1e-5)
    assert float(backhaul) == pytest.approx(0.15)
    assert float(edge) == pytest.approx(3.75)
    assert float(delay.completion_time_s(local, uplink, backhaul, edge)) == pytest.approx(22.5)
    assert float(delay.completion_time_s(1.0, uplink, backhaul, edge)) == pytest.approx(4.000925)


def test_nothing_offloaded_takes_no_time_at_the_edge_whatever_the_share() -> None:
    assert float(delay.edge_time_s(CYCLES, 0.0, SERVER_HZ, 0.0)) == 0
    assert float(delay.edge_time_s(CYCLES, 0.1, SERVER_HZ, 0.0)) == np.inf


def test_weak_signals_are_not_rounded_away() -> None:
    """log2(1 + x) is x / ln 2 for small x: 1 + x would lose it in single precision."""
    rate = delay.uplink_rate_bps(1e6, 1.0, 1e-9, 1.0)
    assert float(rate) == pytest.approx(1e6 * 1e-9 / np.log(2), rel=1e-5)


@pytest.mark.parametrize("kind", [np.array, jnp.array])
def test_arrays_broadcast(kind: Callable) -> None:
    ratio, share = kind([[0.0], [0.5], [1.0]]), kind([0.1, 0.2, 0.4, 0.8])
    edge = delay.edge_time_s(2e9, ratio, 1e9, share)
    np.testing.assert_allclose(edge, [[0] * 4, [10, 5, 2.5, 1.25], [20, 10, 5, 2.5]], rtol=1e-6)
    assert delay.local_time_s(1e9, ratio, 1e9).shape == (3, 1)


@given(some_ratio, some_share, some_factor, some_factor)
def test_more_share_or_more_cpu_never_hurts(
    ratio: float, share: float, more_server: float, more_local: float
) -> None:
    now = completion_s(ratio, share, SERVER_HZ, LOCAL_HZ)
    slack = 1 + 1e-6
    assert completion_s(ratio, min(1.0, 1.5 * share), SERVER_HZ, LOCAL_HZ) <= now * slack
    assert completion_s(ratio, share, more_server * SERVER_HZ, LOCAL_HZ) <= now * slack
    assert completion_s(ratio, share, SERVER_HZ, more_local * LOCAL_HZ) <= now * slack
    assert completion_s(ratio, share, SERVER_HZ, LOCAL_HZ, 6e7 * more_local) <= now * slack


@given(seeds)
def test_times_scale_with_the_task(seed: int) -> None:
    """Twice the data and twice the cycles take twice the time, on any hardware."""
    rng = np.random.default_rng(seed)
    ratio, share = rng.uniform(0, 1, 2)
    hz, rate_bps, hops = rng.uniform(1e8, 1e10), rng.uniform(1e6, 1e8), int(rng.integers(0, 6))
    one, two = (
        delay.completion_time_s(
            delay.local_time_s(size * CYCLES, ratio, hz),
            delay.uplink_time_s(size * BITS, ratio, rate_bps),
            delay.backhaul_time_s(size * BITS, ratio, hops, rate_bps),
            delay.edge_time_s(size * CYCLES, ratio, hz, share),
        )
        for size in (1, 2)
    )
    assert float(two) == pytest.approx(2 * float(one), rel=1e-5)
