"""Settings that must be there before isma is imported."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

# Compiling is three quarters of what tests spend. XLA's cheapest code is good enough for worlds of a few
# users, one module is compiled sooner than its 32 parts, and a tenth goes to verifying what passes made.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    " --xla_cpu_parallel_codegen_split_count=1 --xla_disable_hlo_passes=hlo-verifier",
)

# Workers, and a second run, take up what was compiled before.
os.environ.setdefault("ISMA_CACHE", str(Path(__file__).parents[1] / ".pytest_cache/isma"))
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache/compiled")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import jax
import jaxtyping
import pytest
from helpers import lanes
from helpers.shape_checks import MODULES

# Nothing asserts on a wall clock: the first example of a property compiles. Examples are others in each run.
hypothesis.settings.register_profile("isma", deadline=None, max_examples=40)
hypothesis.settings.load_profile("isma")

jaxtyping.install_import_hook(MODULES, "helpers.shape_checks.checked")

# Tracing makes objects by the hundred thousand and few cycles: looking for those took a twentieth of it.
gc.set_threshold(100_000, 20, 20)

_MOST_MAPS = 30_000
"""Of 65,530 that Linux allows a process: XLA maps every program that it compiles, and keeps it."""


@pytest.hookimpl(tryfirst=True)  # Before marks are asked for.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into its lane."""
    lanes.into_lanes(items, Path(__file__).parent)


@pytest.fixture(autouse=True, scope="session")
def short_timings() -> None:
    """Time decisions for an instant: every comparison takes a third of a second for each of its policies."""
    from isma.simulator import timing

    timing.LONGEST_PAIRS_S = 0.02


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    """Forget compiled programs between files before there are too many to map one more."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()
