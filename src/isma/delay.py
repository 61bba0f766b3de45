"""The component task completion time: equations (1)-(6) of the paper, section II.B, nothing else.

All functions take arrays and broadcast. Bits, hertz, watts and seconds throughout.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

Real = Num[Array, "..."] | Num[np.ndarray, "..."] | float


def local_time_s(cycles: Real, offload_ratio: Real, local_hz: Real) -> Float[Array, "..."]:
    """Time to process the local part, t^L = f^r (1 - η) / f^L, in seconds (1)."""
    return jnp.asarray(cycles * (1 - offload_ratio) / local_hz)


def uplink_rate_bps(
    bandwidth_hz: Real, power_w: Real, gain: Real, noise_w: Real
) -> Float[Array, "..."]:
    """Shannon capacity of the radio link, R^w = B log2(1 + p g / N0), in bit/s (2)."""
    return jnp.asarray(bandwidth_hz * jnp.log1p(power_w * gain / noise_w) / jnp.log(2.0))


def uplink_time_s(data_bits: Real, offload_ratio: Real, rate_bps: Real) -> Float[Array, "..."]:
    """Time to send the offloaded part to the base station, t^cw = c η / R^w, in seconds (3)."""
    return jnp.asarray(data_bits * offload_ratio / rate_bps)


def backhaul_time_s(
    data_bits: Real, offload_ratio: Real, hops: Real, rate_bps: Real
) -> Float[Array, "..."]:
    """Time from base station to server over `hops` links, t^cf = c η d / R^f, in seconds (4)."""
    return jnp.asarray(data_bits * offload_ratio * hops / rate_bps)


def edge_time_s(
    cycles: Real, offload_ratio: Real, server_hz: Real, cpu_share: Real
) -> Float[Array, "..."]:
    """Time on the server's share, t^e = η f^r / (f^e a), in seconds; 0 where η = 0 (5)."""
    work_s = jnp.asarray(cycles * offload_ratio / server_hz)
    return jnp.where(jnp.asarray(offload_ratio) > 0, work_s / cpu_share, 0.0)


def completion_time_s(
    local_s: Real, uplink_s: Real, backhaul_s: Real, edge_s: Real
) -> Float[Array, "..."]:
    """Completion time, t = max(t^L, t^cw + t^cf + t^e): both branches run at once, in seconds (6)."""
    return jnp.maximum(local_s, uplink_s + backhaul_s + edge_s)
