"""CPU shares and offload ratios from one price per server, on the grid of ratios.

A user that would pay λ seconds of delay for the whole of a server's CPU takes, at offload ratio η,
the share φ = min(√(η a / λ), η a / ((1 - η) t^L - L - η τ), 1): past the second term its local part
decides (docs/method/allocation.md). It takes the ratio with the least t + λ φ, and λ is the price at
which the shares of a server sum to one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma import delay
from isma.contract import HopLatency, Infrastructure, Observation, Requests
from isma.planning.segment_sums import Pools

RATIOS = tuple(step / 10 for step in range(11))
"""The offload ratios that the paper allows (section II.A.2)."""

_SEARCH_STEPS = 12
_PRICE_SPAN = 1e-2
_FILL_STEPS = 4
_SMALLEST_SHARE = 1e-6
_KEPT_ENTRIES = 200_000
"""Entries up to which a search caches its constant terms; beyond, to compute them again is quicker."""
_UNLIMITED = 1e6


class Offer(eqx.Module):
    """Delay of a user's tasks by a server, part by part; a further axis of servers may follow."""

    local_s: Float[Array, "..."]
    """Time of a task done wholly by the user itself, t^L = f^r / f^L."""
    transfer_s: Float[Array, "..."]
    """Time to bring all its data to the server, τ = c (1 / R^w + d / R^f)."""
    work_s: Float[Array, "..."]
    """Time of all its cycles on the whole server, a = f^r / f^e."""
    fixed_s: Float[Array, "..."] | None = None
    """Time that any offloaded part takes however small it is, L; None where there is no latency."""


class Response(eqx.Module):
    """Choice of a user at a price."""

    offload_ratio: Float[Array, "..."]
    cpu_share: Float[Array, "..."]
    time_s: Float[Array, "..."]
    """Completion time with that ratio and share."""
    cost_s: Float[Array, "..."]
    """Marginal cost, with the delay that the share adds for the others: t + λ φ."""


class Split(eqx.Module):
    """How the users of each pool share its server."""

    offload_ratio: Float[Array, "users"]
    cpu_share: Float[Array, "users"]
    time_s: Float[Array, "users"]
    price_s: Float[Array, "pools"]
    """λ, shadow price of that server's CPU: seconds that one more unit would save all its users together."""


class Offers(eqx.Module):
    """Offers of servers to every user at its present gain and station, computed for those asked for.

    In a large city a table of all servers would be too large; nothing else differs there.
    """

    observation: Observation

    def at(self, server: Int[Array, "users"]) -> Offer:
        """The offer of one server to each user."""
        return jax.tree.map(lambda part: part[:, 0], self.of(server[:, None]))

    def of(self, server: Int[Array, "#users places"] | None = None) -> Offer:
        """The offers of some servers to each user, or of all: a table."""
        seen, net = self.observation, self.observation.infrastructure
        if server is not None and net.near is None:
            # Read from the table: in one kernel with a random choice of the server offers took minutes
            # to compile.
            return of_places(self.of(), server)
        if server is None:
            hops, server_hz = net.hops[seen.station], net.server_hz[None]
        else:
            hops, server_hz = net.hops[seen.station[:, None], server], net.server_hz[server]
        work_s = seen.requests.cycles[:, None] / server_hz
        return offer_over(seen, hops, work_s, uplink_s(seen, seen.gain)[:, None])


def offers(observation: Observation) -> Offers:
    """Offers of every server to every user; `at` and `of` read them."""
    return Offers(observation)


def offer_over(
    observation: Observation,
    hops: Float[Array, "*#rows users places"],
    work_s: Float[Array, "users #places"],
    near_s: Float[Array, "*#rows users 1"],
) -> Offer:
    """Offers of places `hops` away to users whose radio takes `near_s` for all data of a task."""
    infrastructure, requests = observation.infrastructure, observation.requests
    far_s = delay.backhaul_time_s(
        requests.data_bits[:, None], 1.0, hops, infrastructure.backhaul_rate_bps
    )
    latency = infrastructure.latency
    return Offer(
        local_s=local_s(requests, observation.visible)[:, None],
        transfer_s=near_s + far_s,
        work_s=work_s,
        fixed_s=None if latency is None else latency_s(latency, hops),
    )


def uplink_s(
    observation: Observation, gain: Float[Array, "*rows users"]
) -> Float[Array, "*rows users"]:
    """Time to send all data of one task to the base station, at a channel gain."""
    band_hz = observation.bandwidth_hz
    band_hz = None if band_hz is None else jnp.maximum(band_hz, 1.0)
    # Unseen users have no gain and no band: a harmless 1 bit/s.
    rate_bps = jnp.maximum(uplink_rate_bps(observation.infrastructure, gain, band_hz), 1.0)
    return delay.uplink_time_s(observation.requests.data_bits, 1.0, rate_bps)


def latency_s(latency: HopLatency, hops: Float[Array, "..."]) -> Float[Array, "..."]:
    """Latency of every task to a server d hops away: L = L_0 + L_1 d."""
    return latency.task_s + latency.per_hop_s * hops


def at(offer: Offer, place: Int[Array, "users"]) -> Offer:
    """One place of a table for each user."""
    return jax.tree.map(lambda part: part[:, 0], of_places(offer, place[:, None]))


def of_places(offer: Offer, place: Int[Array, "users places"]) -> Offer:
    """Some places of a table for each user."""
    take = lambda part: jnp.take_along_axis(part, place, axis=1)  # noqa: E731
    fixed_s = None if offer.fixed_s is None else take(offer.fixed_s)
    return Offer(offer.local_s, take(offer.transfer_s), take(offer.work_s), fixed_s)


def uplink_rate_bps(
    infrastructure: Infrastructure,
    gain: Float[Array, "..."],
    bandwidth_hz: Float[Array, "..."] | None,
) -> Float[Array, "..."]:
    """Uplink rate at a channel gain, over a part of the band and its part of the noise; None: over all."""
    band_hz, noise_w = infrastructure.bandwidth_hz, infrastructure.noise_w
    if bandwidth_hz is not None:
        band_hz, noise_w = bandwidth_hz, noise_w * (bandwidth_hz / band_hz)
    return delay.uplink_rate_bps(band_hz, infrastructure.power_w, gain, noise_w)


def local_s(requests: Requests, visible: Bool[Array, "users"]) -> Float[Array, "users"]:
    """Time of a wholly local task; 0 for unseen users."""
    return jnp.where(visible, requests.cycles / jnp.where(visible, requests.local_hz, 1), 0)


def respond(offer: Offer, price_s: Float[Array, "..."], most: float = 1.0) -> Response:
    """The ratio and share, up to `most`, that cost a user least; staying local costs no share."""
    return _cheapest([_choice(offer, ratio, most) for ratio in RATIOS[1:]], offer.local_s, price_s)


def best_ratio(offer: Offer, cpu_share: Float[Array, "..."]) -> Response:
    """The ratio that finishes a user's tasks soonest with a given share; it costs nothing."""
    zero = 0.0 * (offer.local_s + cpu_share)
    best = Response(zero, zero + cpu_share, zero + offer.local_s, zero + offer.local_s)
    for ratio in RATIOS[1:]:
        time = completion_s(offer, ratio, jnp.maximum(cpu_share, _SMALLEST_SHARE))
        better = time < best.time_s
        time = jnp.where(better, time, best.time_s)
        best = Response(jnp.where(better, ratio, best.offload_ratio), best.cpu_share, time, time)
    return best


def completion_s(
    offer: Offer, ratio: Float[Array, "..."] | float, share: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Completion time of a task, equation (6) with latency, at an offload ratio and share above 0."""
    return _parts(offer, ratio).completion_s(share)


def lead_s(offer: Offer, ratio: Float[Array, "..."] | float) -> Float[Array, "..."]:
    """Time until the server can begin, L + η τ, at an offload ratio; 0 where nothing is offloaded."""
    transfer_s = ratio * offer.transfer_s
    if offer.fixed_s is None:
        return transfer_s
    # A ratio of the grid is known while the program is traced: no choice then has to be compiled.
    if isinstance(ratio, float):
        return offer.fixed_s + transfer_s if ratio > 0 else transfer_s
    return jnp.where(ratio > 0, offer.fixed_s, 0) + transfer_s


class _Parts(NamedTuple):
    """Times of a task's parts at an offload ratio."""

    local_s: Float[Array, "..."]
    """Time of the local part, (1 - η) t^L."""
    lead_s: Float[Array, "..."]
    """Time until the server can begin, L + η τ."""
    work_s: Float[Array, "..."]
    """Time of the offloaded part on the whole server, η a."""

    def completion_s(self, share: Float[Array, "..."]) -> Float[Array, "..."]:
        """Completion time at a share above 0."""
        return jnp.maximum(self.local_s, self.lead_s + self.work_s / share)

    def enough(self, most: float) -> Float[Array, "..."]:
        """The share that brings the edge branch down to the local one, and no more than `most`."""
        slack_s = self.local_s - self.lead_s
        wanted = jnp.where(slack_s > 0, self.work_s / jnp.maximum(slack_s, 1e-20), most)
        return jnp.clip(wanted, _SMALLEST_SHARE, most)


def _parts(offer: Offer, ratio: Float[Array, "..."] | float) -> _Parts:
    return _Parts((1 - ratio) * offer.local_s, lead_s(offer, ratio), ratio * offer.work_s)


def joining(offer: Offer, price_s: Float[Array, "..."]) -> Response:
    """Marginal delay of a user that joins a server at price λ, for itself and all others, in seconds.

    While no share is capped the times on a server sum to Σ (L + η τ) + (Σ √(η a))², and its price is
    the square of that second sum. One more user therefore costs L + η τ + η a + 2 √(λ η a): the cost
    at price λ of an offer whose transfer is longer by a, where a share may exceed 1: on an idle
    server (λ = 0) nothing is left of the price. The share is that after all are re-split.
    """
    longer = Offer(offer.local_s, offer.transfer_s + offer.work_s, offer.work_s, offer.fixed_s)
    taken = respond(longer, price_s, _UNLIMITED)
    root_work = jnp.sqrt(taken.offload_ratio * offer.work_s)
    share = root_work / jnp.maximum(jnp.sqrt(price_s) + root_work, 1e-12)
    return Response(taken.offload_ratio, share, taken.time_s, taken.cost_s)


def split(offer: Offer, pools: Pools) -> Split:
    """Share each pool's server among its users so that their times sum to the least.

    First the price is sought at which the users' own choices of ratio and share fit; then, with
    those ratios, the whole CPU is filled exactly.
    """
    price = _search(offer, pools)
    choice = respond(offer, pools.spread(price, jnp.inf))
    share = _fill(offer, choice, pools)
    time = jnp.where(
        choice.offload_ratio > 0,
        completion_s(offer, choice.offload_ratio, jnp.maximum(share, _SMALLEST_SHARE)),
        offer.local_s,
    )
    return Split(choice.offload_ratio, share, time, price)


class _Choice(NamedTuple):
    """One offload ratio as far as it does not depend on the price."""

    lead_s: Float[Array, "..."]
    """Time until the server can begin, L + η τ."""
    root_work: Float[Array, "..."]
    """√(η a): the share wanted at price λ is this over √λ, and then takes this times √λ seconds."""
    enough: Float[Array, "..."]
    """Share beyond which the local part decides, or no more is to be had."""
    floor_s: Float[Array, "..."]
    """Completion time at that share."""


def _choice(offer: Offer, ratio: float, most: float) -> _Choice:
    parts = _parts(offer, ratio)
    enough = parts.enough(most)
    return _Choice(parts.lead_s, jnp.sqrt(parts.work_s), enough, parts.completion_s(enough))


def _cheapest(
    choices: Sequence[_Choice], local_s: Float[Array, "..."], price_s: Float[Array, "..."]
) -> Response:
    """The best of the choices, one for each ratio above 0, and of staying local."""
    root = jnp.sqrt(price_s)
    inverse = 1 / jnp.maximum(root, 1e-10)
    none = jnp.zeros(jnp.broadcast_shapes(local_s.shape, choices[0].root_work.shape, price_s.shape))
    best = Response(none, none, none + local_s, none + local_s)
    # The grid is unrolled so that all of it becomes one elementwise loop over users.
    for ratio, choice in zip(RATIOS[1:], choices, strict=True):
        wanted = choice.root_work * inverse
        share = jnp.minimum(wanted, choice.enough)
        time = jnp.where(
            wanted < choice.enough, choice.lead_s + choice.root_work * root, choice.floor_s
        )
        cost = time + price_s * share
        better = cost < best.cost_s
        choose = lambda new, old, better=better: jnp.where(better, new, old)  # noqa: E731
        best = Response(
            choose(ratio, best.offload_ratio),
            choose(share, best.cpu_share),
            choose(time, best.time_s),
            choose(cost, best.cost_s),
        )
    return best


def _search(offer: Offer, pools: Pools) -> Float[Array, "pools"]:
    """The least price found, in seconds, at which the pool's users ask for no more than its CPU.

    Bisection of log λ, because the ratios' steps make the demand jump. It ends at a hundredth of
    the price that is always enough: below, CPU is too plentiful to have a price. A user may ask
    for more than the whole here, so that one alone on a server still has its price.
    """
    # At λ = (Σ √a)² no choice of ratios asks for more than the whole.
    enough = jnp.maximum(pools.sum(jnp.sqrt(offer.work_s)) ** 2, 1e-12)
    if offer.work_s.size * len(RATIOS) > _KEPT_ENTRIES:
        return _search_anew(offer, pools, enough)
    # Stacked, so that the divisions and roots are done once and not in every step.
    stacked = jax.tree.map(
        lambda *parts: jnp.stack(parts),
        *(_choice(offer, ratio, _UNLIMITED) for ratio in RATIOS[1:]),
    )

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = jnp.sqrt(low * high)
        each = [
            jax.tree.map(lambda part, at=at: part[at], stacked) for at in range(len(RATIOS) - 1)
        ]
        taken = _cheapest(each, offer.local_s, pools.spread(middle, jnp.inf))
        fits = pools.sum(taken.cpu_share) <= 1
        return jnp.where(fits, low, middle), jnp.where(fits, middle, high)

    return jax.lax.fori_loop(0, _SEARCH_STEPS, halve, (_PRICE_SPAN * enough, enough))[1]


def _search_anew(
    offer: Offer, pools: Pools, enough: Float[Array, "pools"]
) -> Float[Array, "pools"]:
    """Search for the price with nothing kept from step to step but the bracket."""

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = jnp.sqrt(low * high)
        # Behind the barrier the choices look different in each step, so that none is kept.
        here, price_s = jax.lax.optimization_barrier((offer, pools.spread(middle, jnp.inf)))
        each = [_choice(here, ratio, _UNLIMITED) for ratio in RATIOS[1:]]
        fits = pools.sum(_cheapest(each, here.local_s, price_s).cpu_share) <= 1
        return jnp.where(fits, low, middle), jnp.where(fits, middle, high)

    return jax.lax.fori_loop(0, _SEARCH_STEPS, halve, (_PRICE_SPAN * enough, enough))[1]


def _fill(offer: Offer, choice: Response, pools: Pools) -> Float[Array, "users"]:
    """Hand out the whole of each server at fixed ratios: φ = min(√(η a) x, enough, 1), Σ φ = 1.

    Σ φ is concave in x, so Newton's steps from below stay below: the sum never exceeds one.
    """
    inside = (choice.offload_ratio > 0) & (pools.pool < pools.num_pools)
    parts = _parts(offer, choice.offload_ratio)
    root_work = jnp.where(inside, jnp.sqrt(parts.work_s), 0)
    most = jnp.where(inside, parts.enough(1.0), 0)
    level = 1 / jnp.maximum(pools.sum(root_work), 1e-12)
    for _ in range(_FILL_STEPS):
        share = jnp.minimum(root_work * pools.spread(level), most)
        slope = pools.sum(jnp.where(share < most, root_work, 0))
        level = level + jnp.where(slope > 0, (1 - pools.sum(share)) / jnp.maximum(slope, 1e-12), 0)
    share = jnp.minimum(root_work * pools.spread(level), most)
    return share / jnp.maximum(1, pools.spread(pools.sum(share), 1.0))
