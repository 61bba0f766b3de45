"""What must not drift: the paper's world and the allocation, to the last bit.

The bytes hold on the kind of machine that made them: another one may round otherwise, and one bit
can tip a decision. There the means must agree. After a change that is meant, delete the file and
run the test: it writes a new one, and fails to say so.
"""

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.exhaustive_search import some_offer

from isma.planning.allocation import Offer, best_ratio, joining, respond, split
from isma.planning.segment_sums import Pools
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.world import files

FOLDER = Path(__file__).parent
NUM_TICKS = 300
"""Of 0.1 s: every server decides some fifteen times."""
COMPARABLE = 0.01
CHANGES_NO_NUMBER = (
    "--xla_cpu_parallel_codegen_split_count",
    "--xla_disable_hlo_passes=hlo-verifier",
)
"""Flags of how many modules are compiled, and whether they are verified, not of what comes out."""


def maker() -> dict[str, str]:
    """What decides how a number is rounded."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    flags = next((line for line in lines if line.startswith("flags")), platform.processor())
    return {
        "machine": platform.machine(),
        "vectors": " ".join(
            sorted(flag for flag in flags.split() if "avx" in flag or "fma" in flag)
        ),
        "jax": jax.__version__,
        "xla_flags": " ".join(
            flag
            for flag in os.environ.get("XLA_FLAGS", "").split()
            if not flag.startswith(CHANGES_NO_NUMBER)
        ),
    }


def digest(tree: Any) -> str:
    """Of all bytes, types and shapes of a tree's arrays, in their order."""
    whole = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        whole.update(f"{array.dtype}{array.shape}".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def assert_golden(name: str, tree: Any, summary: np.ndarray) -> None:
    path = FOLDER / f"{name}.json"
    found = {"maker": maker(), "digest": digest(tree), "summary": summary.astype(float).tolist()}
    if not path.exists():
        path.write_text(json.dumps(found, indent=1) + "\n")
        pytest.fail(f"{path.name} was written anew: look at it, and keep it with the change")
    golden = json.loads(path.read_text())
    if golden["maker"] == found["maker"]:
        assert golden["digest"] == found["digest"], f"{name} has drifted"
    means = [np.mean(one["summary"]) for one in (found, golden)]
    assert means[0] == pytest.approx(means[1], rel=COMPARABLE)


@pytest.mark.parametrize("name", ["nearest", "price"])
def test_the_papers_world(name: str) -> None:
    scenario = files.load("paper")
    params, policy, key = build(scenario), registry.get(name), jax.random.key(0)
    state = jax.jit(reset)(params, key)
    memory = policy.init(scenario, params.shape.num_users, params.shape.num_servers, key)
    state, _, outcome = run_chunk(params, policy, state, memory, key, NUM_TICKS)
    time_s = np.asarray(outcome.completion_time_s)
    counts = (outcome.migrations, outcome.handovers, outcome.overloaded)
    placement, heard = state.placement, state.heard
    left = (state.motion, state.station, placement, heard.remaining_hz, heard.price_s)
    assert_golden(f"paper-{name}", (time_s, counts, left), np.nanmean(time_s, axis=(0, 2)))


def test_the_allocation() -> None:
    """Without latency: every function that rules and bounds are made of."""
    offer = some_offer(0, 12, 3, (3.0, 300.0))
    column = jax.tree.map(lambda part: part[:, 0], offer)
    price_s = jnp.asarray([[0.0, 5.0, 80.0]])
    pools = Pools(jnp.arange(12) % 4, 3)
    found = jax.jit(everything)(offer, column, price_s, pools)
    assert_golden("allocation", found, np.asarray(found[0].time_s).ravel())


def everything(offer: Offer, column: Offer, price_s: jax.Array, pools: Pools) -> tuple[Any, ...]:
    return (
        respond(offer, price_s),
        joining(offer, price_s),
        best_ratio(column, jnp.linspace(0, 1, 12)),
        split(column, pools),
    )
