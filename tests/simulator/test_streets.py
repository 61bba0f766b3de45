"""The channel of street canyons in the worlds of `by_hand`."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from helpers.simulators.by_hand import RADIO, assert_times, followed, script, two_by_two

from isma.world.switches import Propagation


def test_streets_by_hand(double: None) -> None:
    """User 0, at 3.5 GHz, antennas at 10 and 1.5 m (losses: tests/world/test_umi.py).

    Tick 0, slot 5, d = 500: Φ(0) = 0.5 is above 0.036, so no line of sight: 129.2645 dB, and shadowing
      of -1 takes 7.82 off: 121.4445 dB, SNR 0.717050, R = 0.779932e6: 1.282163 + 1.25 = 2.532163
    It comes to another station, whose link is that of the draws (0.5, -3). Tick 1, d = 400: Φ(-3) =
      0.0013 is below 0.045: line of sight, 103.2388 + 0.5 · 4 = 105.2388 dB, SNR 29.931,
      R = 4.950990e6: 0.201980 + 2 + 1.75 = 3.951980
    It goes 100 m in tick 1 and keeps its station: e^(-100/10) of 0.5 and e^(-100/50) of -3 are left.
    """
    scenario, params, state = two_by_two(radio=RADIO.model_copy(update={"model": Propagation.UMI}))
    state = eqx.tree_at(
        lambda s: (s.fading.shadow, s.fading.sight),
        state,
        (jnp.array([-1.0, 0.0]), jnp.array([0.0, -5.0])),
    )
    rows = (
        ((0, 1), (1.0, 0.5), (0.8, 0.5), (0.0, 0.0)),
        ((1, 0), (0.3, 0.0), (0.1, 0.6), (0.0, 0.0)),
    )
    fading = jnp.zeros((2, 2, 2)).at[0, 0].set(jnp.array([0.5, -3.0]))
    run = followed(scenario, params, state, script(*rows), fading=fading)
    assert_times(run, [[[2.532163], []], [[3.951980], [10]]])
    after = [state.fading for state, *_ in run]
    np.testing.assert_allclose([after[0].shadow[0], after[0].sight[0]], [0.5, -3])
    left = [0.5 * np.exp(-10), -3 * np.exp(-2)]
    np.testing.assert_allclose([after[1].shadow[0], after[1].sight[0]], left, rtol=1e-6)
