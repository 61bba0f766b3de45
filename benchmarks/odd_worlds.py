"""Random worlds: every quantity of a scenario drawn log-uniform, and policies compared there.

Tuning on presets overfits presets. Here users, servers, sizes, speeds, latencies, states and
periods are drawn over ranges far wider than any city's, so that stops of minutes, links that never finish a
copy and cells that are crossed in a second are among them. Worlds share a few forms (servers, layout, kind of
migration), and users that a world does not have are rows that never come, so that one program serves many.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from isma import storage
from isma.contract import Policy
from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.rollout import rollout
from isma.simulator.state import reset
from isma.world import files
from isma.world.scenario import Scenario

RULES = ("stay", "nearest", "price")
POLICIES = (*RULES, "isma2")
DURATION_S, WARMUP_S, TICK_S = 400.0, 40.0, 0.5
MOST_USERS = 24
FORMS = (
    ("hexagonal", 4, "cold", 0.5),
    ("hexagonal", 7, "precopy", 0.25),
    ("line", 10, "cold", 0.25),
)
"""Layout, servers, kind of migration, chance. On a line users drive to and fro, elsewhere they turn."""
RANGES = {
    "users.count": (2, MOST_USERS),
    "sites.coverage_radius_m": (50, 2000),
    "mobility.speed_mps": (0.3, 50),
    "backhaul.rate_bps": (1e6, 3e9),
    "servers.clock_hz": (2.5e9, 1e11),
    "servers.decision_period_s": (2, 20),
    "users.local_hz": (1e8, 2e9),
    "tasks.data_bits": (1e4, 1e8),
    "tasks.cycles": (5e8, 1e11),
    "radio.bandwidth_hz": (1e5, 4e7),
    "migration.state_bits": (1e6, 1e10),
    "migration.downtime_per_hop_s": (0.05, 10),
    "latency.per_hop_s": (1e-3, 0.2),
}
"""Ranges of log-uniform draws; of a quantity that each user draws, the range of its low end."""
SPREADS = {
    "users.local_hz": (1, 4),
    "tasks.data_bits": (1, 5),
    "tasks.cycles": (1, 3, 30),
    "migration.state_bits": (3,),
    "migration.downtime_per_hop_s": (1, 3),
}
"""Ratios of high to low end of quantities that each user draws."""
_BATCH = 8
"""Worlds that run as one program."""


@dataclass(frozen=True)
class OddWorld:
    """One world: its number under a seed, and the scenario that gives it."""

    number: int
    scenario: Scenario


@dataclass(frozen=True)
class Outcome:
    """Mean delay of one policy in one world under one seed of it."""

    number: int
    seed: int
    policy: str
    mean_s: float


@dataclass(frozen=True)
class Excess:
    """Distribution of a policy's excess over the best of the other rules, as parts of that one's mean."""

    policy: str
    runs: int
    tenth: float
    median: float
    ninetieth: float
    ninety_fifth: float
    worst: float
    above_2: float
    """Part of the runs in which it is more than 2 % longer."""
    above_10: float
    mean_over_best: float
    """Mean excess over the best of all policies."""


def drawn(seed: int, number: int) -> OddWorld:
    """World of that number under a seed; no other world changes it."""
    chance = np.random.default_rng([seed, number])
    layout, servers, kind, _ = FORMS[chance.choice(len(FORMS), p=[form[3] for form in FORMS])]
    fields: dict[str, object] = {
        "name": f"odd-{seed}-{number}",
        "description": "drawn by python -m benchmarks odd-worlds",
        "time.duration_s": DURATION_S,
        "time.warmup_s": WARMUP_S,
        "time.tick_s": TICK_S,
        "tasks.interval_s": (TICK_S, 2 * TICK_S),
        "sites.kind": layout,
        "sites.count": servers,
        "mobility.kind": "road" if layout == "line" else "steady",
        "migration.kind": kind,
    }
    for name, ends in RANGES.items():
        value = float(f"{np.exp(chance.uniform(*np.log(ends))):.3g}")
        if name in SPREADS:
            fields[name] = (value, value * float(chance.choice(SPREADS[name])))
        else:
            fields[name] = value
    fields["users.count"] = round(float(str(fields["users.count"])))
    periods = max(round(float(str(fields["servers.decision_period_s"])) / TICK_S), 1)
    fields["servers.decision_period_s"] = periods * TICK_S
    return OddWorld(number, files.load({}, fields))


def measure(
    worlds: Sequence[OddWorld],
    seeds: Sequence[int] = (0, 1),
    policies: Sequence[str] = POLICIES,
    on_batch: Callable[[str, int], None] = lambda label, runs: None,
) -> Iterator[Outcome]:
    """Mean delays of all policies in all worlds, form by form."""
    forms: dict[tuple[str, str, int], list[tuple[OddWorld, Params]]] = {}
    for world in worlds:
        scenario = world.scenario
        form = (scenario.sites.kind, scenario.migration.kind.value, scenario.sites.count)
        forms.setdefault(form, []).append((world, _padded(scenario)))
    for form, members in forms.items():
        alike = members[0][0].scenario
        cells = [(world, params, seed) for world, params in members for seed in seeds]
        for name in policies:
            policy = registry.get(name)
            for first in range(0, len(cells), _BATCH):
                batch = cells[first : first + _BATCH]
                on_batch(f"{name}, {'-'.join(map(str, form))}", len(batch))
                full = batch + batch[:1] * (_BATCH - len(batch))
                means_s = _means_s(alike, full, policy)
                for (world, _, seed), mean_s in zip(batch, means_s, strict=False):
                    yield Outcome(world.number, seed, name, float(mean_s))


def excess_of(runs: Iterable[Outcome]) -> list[Excess]:
    """Distribution over worlds and their seeds of each policy's excess over the best rule there.

    Where fewer than two rules were run, over the best of the policies.
    """
    by_world: dict[tuple[int, int], dict[str, float]] = {}
    for run in runs:
        by_world.setdefault((run.number, run.seed), {})[run.policy] = run.mean_s
    cells = list(by_world.values())
    excesses = []
    for policy in cells[0]:
        others = [name for name in RULES if name in cells[0] and name != policy]
        base = others or [name for name in cells[0] if name != policy] or [policy]
        ratio = [cell[policy] / min(cell[name] for name in base) - 1 for cell in cells]
        mean = sum(cell[policy] / min(cell.values()) - 1 for cell in cells) / len(cells)
        excesses.append(
            Excess(
                policy,
                len(cells),
                *(float(value) for value in np.quantile(ratio, (0.1, 0.5, 0.9, 0.95))),
                worst=max(ratio),
                above_2=float(np.mean(np.array(ratio) > 0.02)),
                above_10=float(np.mean(np.array(ratio) > 0.10)),
                mean_over_best=mean,
            )
        )
    return excesses


def as_json(runs: Sequence[Outcome], excesses: Sequence[Excess]) -> str:
    """All runs and their distribution."""
    parts = {"excess": [asdict(one) for one in excesses], "runs": [asdict(one) for one in runs]}
    return json.dumps(parts, indent=2)


def as_text(excesses: Sequence[Excess]) -> str:
    """Distribution as a table."""
    names = ("best tenth", "median", "90 %", "95 %", "worst")
    heads = "".join(f"{name:>12}" for name in names)
    lines = [
        "Excess of the mean delay over that of the best of the other rules, over worlds and seeds",
        f"{'policy':<24}{'runs':>6}{heads}{'> 2 %':>8}{'> 10 %':>8}",
    ]
    for one in excesses:
        quantiles = (one.tenth, one.median, one.ninetieth, one.ninety_fifth, one.worst)
        shown = "".join(f"{value:>12.1%}" for value in quantiles)
        lines.append(f"{one.policy:<24}{one.runs:>6}{shown}{one.above_2:>8.1%}{one.above_10:>8.1%}")
    return "\n".join(lines)


def write(worlds: Sequence[OddWorld], folder: Path) -> None:
    """Each world as a scenario for `isma compare`."""
    folder.mkdir(parents=True, exist_ok=True)
    for world in worlds:
        path = folder / f"{world.scenario.name}.toml"
        storage.write_atomically(path, files.dumps(world.scenario).encode())


def _padded(scenario: Scenario) -> Params:
    """Arrays of a world with rows for the most users that any has."""
    users = scenario.users.model_copy(update={"count": MOST_USERS})
    return build(scenario.model_copy(update={"users": users}))


def _means_s(
    scenario: Scenario, cells: list[tuple[OddWorld, Params, int]], policy: Policy
) -> Float[np.ndarray, "runs"]:
    """Means of a batch; `scenario` is any of its form, so that the next batch is the same program."""
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(cell[1] for cell in cells))
    keys = jnp.stack([jax.random.key(seed) for _, _, seed in cells])
    users = jnp.array([cell[0].scenario.users.count for cell in cells])
    return np.asarray(_run(params, policy, scenario, keys, users))


@eqx.filter_jit
def _run(
    params: Params,
    policy: Policy,
    scenario: Scenario,
    keys: Key[Array, "runs"],
    users: Int[Array, "runs"],
) -> Float[Array, "runs"]:
    """Mean over users of each one's mean delay, in a batch of worlds."""
    span = scenario.time

    def one(params: Params, key: Array, users: Array) -> Array:
        shape = params.shape
        world_key, memory_key = jax.random.split(key)
        state = reset(params, world_key)
        there = jnp.arange(shape.num_users) < users
        never = jnp.asarray(2**31 - 1, state.emission.first_slot.dtype)
        first = jnp.where(there, state.emission.first_slot, never)
        state = eqx.tree_at(lambda s: s.emission.first_slot, state, first)
        memory = policy.init(scenario, shape.num_users, shape.num_servers, memory_key)
        _, _, outcome = rollout(params, policy, state, memory, world_key, span.num_ticks)
        time_s = outcome.completion_time_s[span.warmup_ticks :]
        came = ~jnp.isnan(time_s)
        mean_s = jnp.sum(jnp.where(came, time_s, 0), (0, 2)) / jnp.maximum(jnp.sum(came, (0, 2)), 1)
        return jnp.sum(jnp.where(there, mean_s, 0)) / users

    return jax.vmap(one)(params, keys, users)
