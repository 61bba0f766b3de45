"""What is loaded beside a real server."""

import subprocess
import sys

HEAVY = ("jax", "pandas", "matplotlib", "pyarrow", "scipy", "isma.simulator", "isma.api")


def test_the_agent_loads_nothing_that_simulates_draws_or_learns() -> None:
    program = (
        "import sys, isma.agent.serve, isma.client, isma.agent.counter\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    command = [sys.executable, "-c", program]
    assert not subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
