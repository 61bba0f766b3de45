"""Golden decisions: where services stood in short runs of four presets, before any clean-up and after it.

A change of names, rooms or search paths must not move one service. The recorded floats are compared to
seven digits, since another order of the same sums may round otherwise; servers, offload ratios and
migrations are compared exactly on the kind of machine that made them. They are not rewritten: an algorithm
that is meant to decide otherwise replaces its runs, which then name the machine that made them, and says so.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from test_golden import maker

from isma.contract import Memory, Policy
from isma.evaluation.bounding.foresight_levels import price_with_foresight
from isma.evaluation.bounding.known_future import every_tick
from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.state import State, draw, reset
from isma.simulator.step import step
from isma.world import files
from isma.world.scenario import Scenario

FILE = Path(__file__).parent / "decisions.json"
SHORT = {"duration_s": 60, "warmup_s": 5}
WORLDS: dict[str, dict[str, Any]] = {
    "paper": SHORT,
    "highway": SHORT,
    "campus": SHORT,
    # The crowd arrives at once and leaves within the run.
    "stadium": {**SHORT, "presence.arrival_s": [5, 20], "presence.stay_s": [20, 35]},
}
POLICIES = ("price", "isma2", "foresight", "greedy")
SEEDS = (0, 1)
FAST = {("highway", "isma2"), ("highway", "foresight"), ("campus", "price")}
"""Beside those of the paper's world in test_golden.py."""
FORESIGHT_S = 30.0
DIGITS = 1e-6


@cache
def world(preset: str) -> tuple[Scenario, Params]:
    scenario = files.load(preset, WORLDS[preset])
    return scenario, build(scenario)


def policy_of(name: str, preset: str, seed: int) -> Policy:
    scenario, params = world(preset)
    if name == "foresight":
        return price_with_foresight(scenario, every_tick(scenario, params, seed), FORESIGHT_S)
    return registry.get(name)


@eqx.filter_jit
def run(
    params: Params, policy: Policy, state: State, memory: Memory, key: Array, num_ticks: int
) -> tuple[Array, ...]:
    """Rows of ticks: times, migrations, hosts, ratios, shares and the prices that were last heard."""

    def one(carry: tuple[State, Memory], tick: Array) -> tuple[tuple[State, Memory], Any]:
        state, memory, outcome = step(params, policy, *carry, draw(params, key, tick))
        placed = state.placement
        told = (placed.host, placed.offload_ratio, placed.requested_share)
        time_s = outcome.completion_time_s
        return (state, memory), (time_s, outcome.migrations, *told, state.heard.price_s)

    return jax.lax.scan(one, (state, memory), jnp.arange(num_ticks, dtype=jnp.int32))[1]


def found(preset: str, name: str, seed: int) -> dict[str, Any]:
    scenario, params = world(preset)
    policy = policy_of(name, preset, seed)
    key, first = jax.random.split(jax.random.key(seed))
    state = jax.jit(reset)(params, key)
    memory = policy.init(scenario, params.shape.num_users, params.shape.num_servers, first)
    rows = run(params, policy, state, memory, key, scenario.time.num_ticks)
    time_s, migrations, host, ratio, share, price_s = (np.asarray(row) for row in rows)
    return {
        "mean_s": float(np.nanmean(time_s, dtype=np.float64)),
        "p95_s": float(np.nanquantile(time_s.astype(float), 0.95)),
        "migrations": int(migrations.sum()),
        "mean_share": float(share.mean(dtype=np.float64)),
        "mean_price_s": float(price_s.mean(dtype=np.float64)),
        "hosts": hashlib.sha256(host.astype(np.int32).tobytes()).hexdigest()[:16],
        "ratios": hashlib.sha256(ratio.astype(np.float32).tobytes()).hexdigest()[:16],
    }


def cases() -> list[Any]:
    every = [(preset, name) for preset in WORLDS for name in POLICIES]
    return [one if one in FAST else pytest.param(*one, marks=pytest.mark.slow) for one in every]


@pytest.mark.parametrize(("preset", "name"), cases())
def test_no_service_decides_otherwise(preset: str, name: str) -> None:
    golden = json.loads(FILE.read_text())
    for seed in SEEDS:
        kept, now = dict(golden["runs"][f"{preset} {name} {seed}"]), found(preset, name, seed)
        exact = kept.pop("maker", golden["maker"]) == maker()
        for key, value in kept.items():
            if isinstance(value, float):
                assert now[key] == pytest.approx(value, rel=DIGITS if exact else 0.01), key
            elif exact:
                assert now[key] == value, f"{preset} {name} {seed}: {key}"


def test_the_golden_file_holds_every_run() -> None:
    runs = json.loads(FILE.read_text())["runs"]
    assert set(runs) == {f"{p} {n} {s}" for p in WORLDS for n in POLICIES for s in SEEDS}
    assert all(run["migrations"] > 0 for name, run in runs.items() if "foresight" in name)
