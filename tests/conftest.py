"""What must be settled before isma is imported; also makes this folder importable for its helpers."""

import os

# Compiling is most of what tests spend: XLA's cheapest code is good enough for worlds of a few users.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)

import hypothesis
import jaxtyping
from runtime_types import MODULES

# Nothing asserts on a wall clock: the first example of a property compiles.
hypothesis.settings.register_profile("isma", deadline=None)
hypothesis.settings.load_profile("isma")

jaxtyping.install_import_hook(MODULES, "runtime_types.checked")
