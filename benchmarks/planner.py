"""Speed of the paper's planner: float32 operations a second against bare matrix products and peers.

Everything is measured in turn, several rounds over, so that a machine that slows down slows all of
it; each figure is the median of the rounds.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from benchmarks import operations
from benchmarks.peers import peer
from isma.model.frame import Frame
from isma.model.latent import Kind, LatentModel
from isma.planning.cross_entropy import PAPER, Budget, Searched
from isma.policies.learned.cross_entropy_planner import Search
from isma.policies.learned.latent_planner import plan

ROUNDS = 3
_USERS, _SERVERS = 40, 6
_SIDE = 4096
_SAMPLE = Budget(PAPER.candidates, 9, PAPER.horizon, PAPER.elites)
"""Ten of the paper's 201 passes, which are all alike."""
_PEERS = Budget(PAPER.candidates, 1, PAPER.horizon, PAPER.elites)
_STEPS = 8
"""Products of the model's shapes that are chained in one program."""


@dataclass(frozen=True)
class Rate:
    """One measured rate."""

    what: str
    gflops: float
    """Nominal operations a second, in 1e9; a multiply-add is two."""
    of_products: float
    """Against the better of the bare products of the same run."""
    decision_s: float | None
    """Time of one decision with the paper's whole budget; None for rows without a decision."""
    note: str = ""


@dataclass(frozen=True)
class Rates:
    """All rates of one run."""

    cores: int
    device: str
    jax: str
    precision: str
    """Of float32 products, as JAX is told; its default is less than float32 on some accelerators."""
    budget: str
    multiply_adds: int
    """Of one latent step of one candidate."""
    full_s: float
    """One decision with the paper's whole budget, run to its end."""
    rates: tuple[Rate, ...]
    absent: tuple[str, ...]
    """Peers that are not installed."""


def measure(on_step: Callable[[str], None] = lambda label: None) -> Rates:
    """Measure RLSM with five cells on the paper's world: 40 users, 6 servers."""
    frame = Frame(Kind.RLSM, _USERS, _SERVERS, cells=5, separate=False, largest=1.0)
    model = frame.make(jax.random.key(0))
    peers, absent = peer.find(frame.sizes, _PEERS)
    adds = operations.multiply_adds(model)
    runs: dict[str, tuple[Callable[[], None], float]] = {
        f"matrix product, {_SIDE}³": _square(),
        "matrix products, the model's shapes": _shapes(model),
        "isma": (_planned(frame, model, _SAMPLE), float(operations.of_plan(model, _SAMPLE))),
    }
    for one in peers:
        runs[one.name] = (one.plan, 2.0 * one.multiply_adds * _PEERS.latent_steps)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for name, (run, _) in runs.items():
        on_step(f"warming up: {name}")
        run()
    for number in range(ROUNDS):
        for name, (run, _) in runs.items():
            on_step(f"{name}, round {number + 1} of {ROUNDS}")
            spent[name].append(_seconds(run))
    gflops = {name: runs[name][1] / float(np.median(spent[name])) / 1e9 for name in runs}
    products = max(rate for name, rate in gflops.items() if name.startswith("matrix"))
    whole = operations.of_plan(model, PAPER) / 1e9
    versions = {one.name: one.versions for one in peers}
    rates = [
        Rate(
            name,
            rate,
            rate / products,
            None if name.startswith("matrix") else whole / rate,
            versions.get(name, ""),
        )
        for name, rate in gflops.items()
    ]
    on_step("one decision, the paper's whole budget")
    whole_plan = _planned(frame, model, PAPER)
    return Rates(
        os.cpu_count() or 1,
        jax.devices()[0].device_kind,
        jax.__version__,
        jax.config.jax_default_matmul_precision or "default",  # pyright: ignore[reportAttributeAccessIssue]
        f"{PAPER.candidates}x{PAPER.iterations}x{PAPER.horizon}x{PAPER.elites}",
        adds,
        _seconds(whole_plan),
        tuple(rates),
        tuple(absent),
    )


def _planned(frame: Frame, model: LatentModel, budget: Budget) -> Callable[[], None]:
    own = jnp.arange(_USERS) < _USERS // _SERVERS
    arrays, rest = eqx.partition(model, eqx.is_array)

    @jax.jit
    def search(arrays: LatentModel, key: PRNGKeyArray) -> Searched:
        model = eqx.combine(arrays, rest)
        return plan(Search(budget), frame, model, model.start(), own, jnp.ones(_USERS), key)

    compiled = search.lower(arrays, jax.random.key(1)).compile()
    return lambda: jax.block_until_ready(compiled(arrays, jax.random.key(1)))


def _square() -> tuple[Callable[[], None], float]:
    left = jax.random.normal(jax.random.key(0), (_SIDE, _SIDE))
    product = jax.jit(lambda a: a @ a)
    return lambda: jax.block_until_ready(product(left)), 2.0 * _SIDE**3


def _shapes(model: LatentModel) -> tuple[Callable[[], None], float]:
    """Every layer's product by itself, for all candidates."""
    shapes = operations.layer_shapes(model)
    keys = jax.random.split(jax.random.key(0), len(shapes))
    weights = [jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]
    rows = [jax.random.normal(jax.random.key(1), (PAPER.candidates, n)) for n, _ in shapes]

    @jax.jit
    def products(rows: list[jax.Array], weights: list[jax.Array]) -> list[jax.Array]:
        def again(_: jax.Array, outs: list[jax.Array]) -> list[jax.Array]:
            # Each product's result enters the next one, so that none can be optimised away.
            return [
                (x + out[:1, :1] * 1e-30) @ w for x, out, w in zip(rows, outs, weights, strict=True)
            ]

        first = [x @ w for x, w in zip(rows, weights, strict=True)]
        return jax.lax.fori_loop(0, _STEPS - 1, again, first)

    count = 2.0 * _STEPS * PAPER.candidates * sum(n * m for n, m in shapes)
    return lambda: jax.block_until_ready(products(rows, weights)), count


def _seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def as_json(rates: Rates) -> str:
    """The rates as JSON."""
    return json.dumps(asdict(rates), indent=2)


def as_text(rates: Rates) -> str:
    """The rates as a table."""
    lines = [
        f"RLSM, five cells, {rates.multiply_adds / 1e6:.2f} M multiply-adds a latent step; "
        f"budget {rates.budget}; float32, products at {rates.precision} precision; "
        f"{rates.cores} cores, {rates.device}, jax {rates.jax}",
        f"{'what':38}{'GFLOP/s':>9}{'of products':>13}{'s/decision':>12}",
    ]
    for row in rates.rates:
        decision = "" if row.decision_s is None else f"{row.decision_s:.1f}"
        note = f"  {row.note}" if row.note else ""
        lines.append(f"{row.what:38}{row.gflops:>9.1f}{row.of_products:>13.0%}{decision:>12}{note}")
    lines.append(f"one decision with the whole budget, to its end: {rates.full_s:.1f} s")
    return "\n".join([*lines, *rates.absent])
