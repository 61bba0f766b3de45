"""A city of 1,000 servers and 100,000 users: steps, decisions and memory, and how they grow with users.

Each size runs in a process of its own, so that its peak of memory is its own.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from isma.errors import RunError
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.simulator.step import everyone, observe
from isma.simulator.timing import act_ms
from isma.storage import write_atomically
from isma.world import files

USERS = (1_000, 3_000, 10_000, 30_000, 100_000)
SERVERS = 1_000
USERS_PER_SERVER = 100
POLICY = "price"
_TICKS, _CHUNKS, _CALLS = 10, 4, 30
_KIB = 1024
_REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Size:
    """Time and memory that one size of city takes."""

    users: int
    servers: int
    tick_ms: float
    """Wall time of a tick with those decisions that are due in it; the median of chunks of ten."""
    steps_per_s: float
    real_time: float
    """Simulated time over wall time."""
    decision_ms_p50: float
    """One decision of all servers at once, for all their users."""
    decision_ms_p99: float
    run_bytes: int
    """Memory of the compiled run of ten ticks: arguments, results and temporaries."""
    peak_bytes: int
    """Peak memory of the process, reached in compiling."""
    bare_bytes: int
    """Memory of the process before the city was built."""


@dataclass(frozen=True)
class CitySizes:
    """All sizes of one run, and the machine."""

    policy: str
    cores: int
    processor: str
    jax: str
    load: float
    """Processes that wanted a core in the minute before, this one not among them."""
    in_proportion: tuple[Size, ...]
    """A server for every hundred users."""
    same_city: tuple[Size, ...]
    """1,000 servers throughout."""


def measure(
    on_step: Callable[[str], None] = lambda label: None,
    users: Sequence[int] = USERS,
    policy: str = POLICY,
) -> CitySizes:
    """Measure the preset `metropolis` at several sizes. Raises RunError, and PolicyError."""
    registry.get(policy)
    load = os.getloadavg()[0]

    def one(count: int, servers: int) -> Size:
        on_step(f"{count:,} users, {servers:,} servers")
        return _in_own_process(count, servers, policy)

    proportion = {count: one(count, count // USERS_PER_SERVER) for count in users}
    same = {
        count: proportion[count] if count == SERVERS * USERS_PER_SERVER else one(count, SERVERS)
        for count in users
    }
    return CitySizes(
        policy,
        os.cpu_count() or 1,
        platform.processor() or platform.machine(),
        jax.__version__,
        load,
        tuple(proportion.values()),
        tuple(same.values()),
    )


def _in_own_process(users: int, servers: int, policy: str) -> Size:
    code = f"from benchmarks import metropolis as m; m.tell({users}, {servers}, {policy!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RunError(f"{users:,} users and {servers:,} servers could not be measured: {why}")
    return Size(**json.loads(done.stdout.splitlines()[-1]))


def tell(users: int, servers: int, policy: str) -> None:
    """Measure one size in this process, and write it as a line of JSON: for a process of its own."""
    sys.stdout.write(json.dumps(asdict(size(users, servers, policy))) + "\n")


def size(users: int, servers: int, name: str = POLICY) -> Size:
    """Measure one size of the city in this process."""
    jax.block_until_ready(jax.numpy.zeros(1))
    bare = _peak_bytes()
    scenario = files.load("metropolis", {"users.count": users, "sites.count": servers})
    params, policy, key = build(scenario), registry.get(name), jax.random.key(0)
    state = jax.jit(reset)(params, key)
    memory = policy.init(scenario, users, servers, key)
    lowers: Any = run_chunk  # Equinox's type lacks `lower`.
    run = lowers.lower(params, policy, state, memory, key, _TICKS).compile()
    state, memory, _ = run(params, policy, state, memory, key, _TICKS)
    spent = []
    for _ in range(_CHUNKS):
        began = time.perf_counter()
        state, memory, outcome = run(params, policy, state, memory, key, _TICKS)
        jax.block_until_ready(outcome)
        spent.append((time.perf_counter() - began) / _TICKS)
    observation = observe(params, state, everyone(params, state), params.shape.visibility)
    median_ms, p99_ms = act_ms(policy, memory, observation, key, _CALLS)
    tick_s = float(np.median(spent))
    return Size(
        users,
        servers,
        tick_ms=1e3 * tick_s,
        steps_per_s=1 / tick_s,
        real_time=scenario.time.tick_s / tick_s,
        decision_ms_p50=median_ms,
        decision_ms_p99=p99_ms,
        run_bytes=_memory_bytes(run.compiled.memory_analysis()),
        peak_bytes=_peak_bytes(),
        bare_bytes=bare,
    )


def _memory_bytes(needs: Any) -> int:
    """Bytes by XLA's own count; memory that is shared counts once."""
    parts = needs.argument_size_in_bytes + needs.output_size_in_bytes + needs.temp_size_in_bytes
    return parts - needs.alias_size_in_bytes


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def as_json(sizes: CitySizes) -> str:
    """The figures as JSON."""
    return json.dumps(asdict(sizes), indent=2)


def as_text(sizes: CitySizes) -> str:
    """The figures as a table."""
    lines = [
        f"preset metropolis, {sizes.policy} deciding; {sizes.cores} cores, {sizes.processor}, "
        f"jax {sizes.jax}, load {sizes.load:.1f} before",
        f"{'users':>9}{'servers':>9}{'ms/tick':>10}{'steps/s':>9}{'× real time':>13}"
        f"{'decision ms':>13}{'p99':>8}{'run MB':>8}{'peak MB':>9}",
    ]
    for row in dict.fromkeys([*sizes.in_proportion, *sizes.same_city]):
        lines.append(
            f"{row.users:>9,}{row.servers:>9,}{row.tick_ms:>10.1f}{row.steps_per_s:>9.1f}"
            f"{row.real_time:>13.1f}{row.decision_ms_p50:>13.1f}{row.decision_ms_p99:>8.1f}"
            f"{row.run_bytes / 1e6:>8.1f}{row.peak_bytes / 1e6:>9.0f}"
        )
    return "\n".join(lines)


def draw(sizes: CitySizes, out: Path) -> Path:
    """Draw time and memory against users, both axes logarithmic, and give the file (PNG or SVG)."""
    from io import BytesIO

    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9.6, 3.6), layout="constrained")
    panels = canvas.subplots(1, 3)
    kinds: tuple[tuple[str, Callable[[Size], float], str, float | None], ...] = (
        ("A tick", lambda row: row.tick_ms, "ms", 1000.0),
        ("All servers decide at once", lambda row: row.decision_ms_p50, "ms", 100.0),
        ("Memory of the compiled run", lambda row: row.run_bytes / 1e6, "MB", None),
    )
    series = (
        ("a server for 100 users", sizes.in_proportion, "#0b4f85", "o", "-"),
        ("1,000 servers", sizes.same_city, "#b8430a", "s", "--"),
    )
    for axes, (title, value, unit, aim) in zip(panels, kinds, strict=True):
        for label, rows, colour, marker, dashes in series:
            users = [row.users for row in rows]
            height = [value(row) for row in rows]
            axes.plot(users, height, color=colour, marker=marker, linestyle=dashes, label=label)
        last = sizes.in_proportion[-1]
        line = [
            value(last) * users / last.users for users in (sizes.in_proportion[0].users, last.users)
        ]
        axes.plot(
            [sizes.in_proportion[0].users, last.users],
            line,
            color="#888888",
            linewidth=0.9,
            linestyle=":",
            label="in proportion to users",
        )
        if aim is not None:
            axes.axhline(aim, color="#4fa98a", linewidth=1.0)
            axes.annotate(
                f"aim: {aim:g} {unit}",
                (0.03, aim),
                xycoords=("axes fraction", "data"),
                va="bottom",
                fontsize=8,
                color="#2f7d63",
            )
        axes.set(xscale="log", yscale="log", xlabel="users", ylabel=unit)
        axes.set_title(title, fontsize=10, loc="left")
        axes.grid(which="major", linewidth=0.4, alpha=0.6)
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    buffer = BytesIO()
    canvas.savefig(buffer, format=picture_kind(out), dpi=150)
    write_atomically(out, buffer.getvalue())
    return out


def picture_kind(out: Path) -> str:
    """The format that a file's name asks for. Raises RunError where it cannot be written."""
    kind = out.suffix.lstrip(".")
    if kind not in ("png", "svg"):
        raise RunError(f"--out must end in .png or .svg, got {out.name}")
    if not out.absolute().parent.is_dir():
        raise RunError(f"--out must be in a folder that is there, got {out}")
    return kind
