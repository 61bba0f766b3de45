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
from helpers.fast_cases import slow_but_for
from helpers.small_worlds import EVERYTHING, tiny

from isma import randomness
from isma.evaluation import cell
from isma.evaluation.bounding import world_bound
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.state import draw, reset

COMPARED = """
import json, sys
sys.path.insert(0, sys.argv[1])
from simulator.test_precision import measured

print(json.dumps(measured(sys.argv[2])))
"""


def measured(policy: str) -> dict[str, Any]:
    """What a comparison says of a world, in the precision of this process."""
    scenario = tiny()
    params = build(scenario)
    return {
        "dtype": str(params.tick_s.dtype),
        "bound_s": world_bound.world_bound_s(scenario, params, 1),
        "mean_s": cell.run(scenario, params, registry.get(policy), 1, lambda ticks: None).mean_s,
    }


@pytest.mark.parametrize("policy", slow_but_for(["nearest"], ["nearest", "price"]))
def test_a_seed_is_the_same_world_in_double_precision(policy: str) -> None:
    """Beside a process of its own, that began with it: constants are made while modules load."""
    told = subprocess.run(
        [sys.executable, "-c", COMPARED, str(Path(__file__).parents[1]), policy],
        env={**os.environ, "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    single, double = measured(policy), json.loads(told.stdout)
    assert (single["dtype"], double["dtype"]) == ("float32", "float64")
    for name in ("bound_s", "mean_s"):
        assert double[name] == pytest.approx(single[name], rel=1e-3)
    # Neither process's policy is below the other's bound: it is the same world's.
    assert max(single["bound_s"], double["bound_s"]) < min(single["mean_s"], double["mean_s"])


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
