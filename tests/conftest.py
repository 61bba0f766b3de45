"""What must be settled before isma is imported; also makes this folder importable for its helpers."""

import os

# Compiling is most of what tests spend: XLA's cheapest code is good enough for worlds of a few users.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)

import jaxtyping
from runtime_types import MODULES

jaxtyping.install_import_hook(MODULES, "runtime_types.checked")
