"""JAX_ENABLE_X64 makes numbers finer and nothing else: the world of a seed stays what it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import EVERYTHING, tiny

from isma import randomness
from isma.simulator.params import build
from isma.simulator.state import draw, reset

COMPARED = """
import json, sys
from isma.evaluation import cell
from isma.evaluation.bounding import world_bound
from isma.policies import registry
from isma.simulator.params import build
from isma.world import files

scenario = files.load("paper", json.loads(sys.argv[1]))
params = build(scenario)
found = {"dtype": str(params.tick_s.dtype), "bound_s": world_bound.world_bound_s(scenario, params, 1)}
for name in ("price", "nearest"):
    found[name] = cell.run(scenario, params, registry.get(name), 1, lambda ticks: None).mean_s
print(json.dumps(found))
"""


def alone(x64: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """What a process of its own says, with and without double precision."""
    told = subprocess.run(
        [sys.executable, "-c", COMPARED, json.dumps(overrides)],
        env={**os.environ, "JAX_ENABLE_X64": x64},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return json.loads(told.stdout)


def test_a_seed_is_the_same_world_in_double_precision() -> None:
    small = {"users.count": 7, "sites.count": 3, "duration_s": 20, "warmup_s": 5}
    single, double = (alone(x64, small) for x64 in "01")
    assert (single["dtype"], double["dtype"]) == ("float32", "float64")
    for name in ("bound_s", "price", "nearest"):
        assert double[name] == pytest.approx(single[name], rel=1e-3)
    for found in (single, double):
        assert found["bound_s"] < found["price"]
    # Neither process's policies are below the other's bound: it is the same world's.
    assert max(single["bound_s"], double["bound_s"]) < min(single["price"], double["price"])


@pytest.mark.parametrize("overrides", [{}, EVERYTHING, {"presence.stay": "exponential"}])
def test_all_that_is_drawn_is_the_same(overrides: dict[str, Any]) -> None:
    besides = {"presence.enabled": True, "presence.arrival_s": [0, 8]} if overrides else {}
    scenario = tiny({**overrides, **besides})

    def drawn() -> list[np.ndarray]:
        params, key = build(scenario), jax.random.key(5)
        state = reset(params, key)
        leaves = jax.tree.leaves((state, draw(params, key, jnp.asarray(3, jnp.int32))))
        keys = jax.dtypes.prng_key
        plain = [
            jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, keys) else leaf
            for leaf in leaves
        ]
        return [np.asarray(leaf) for leaf in plain]

    single = drawn()
    with jax.enable_x64(True):
        double = drawn()
    assert any(leaf.dtype == np.float64 for leaf in double)
    for one, other in zip(single, double, strict=True):
        # Metres near 0 are differences of larger ones.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2 if one.ndim > 1 else 1e-6)


def test_no_module_draws_in_the_precision_of_the_day() -> None:
    """Draws of numbers go through isma.randomness; what is left draws bits, or says its type."""
    package = Path(str(randomness.__file__)).parent
    free = ("random.uniform(", "random.normal(", "random.randint(", "random.exponential(")
    found = [
        path.name
        for path in sorted(package.rglob("*.py"))
        if path.name != "randomness.py"
        for name in free
        if f"jax.{name}" in path.read_text()
    ]
    assert found == []
