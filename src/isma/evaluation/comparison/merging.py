"""Merge of a comparison's shards: their results into one folder, and the tables of the whole run."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from isma.contract import Policy
from isma.errors import PolicyError, RunError
from isma.evaluation import replay_recorder, stored_results
from isma.evaluation.comparison import compare, wall_times
from isma.evaluation.comparison.compare import Report
from isma.evaluation.comparison.division import divided, result_keys
from isma.evaluation.keys import Keys
from isma.evaluation.plan import CellKey, Plan, plan_of
from isma.evaluation.shard import Shard
from isma.policies import given, registry
from isma.simulator.params import build
from isma.storage import differences, write_atomically
from isma.world import files

_SHOWN = 8
"""Missing shards that are named."""


def merge(
    shard_plans: Sequence[tuple[Path, Plan]],
    out: Path,
    on_progress: Report = lambda progress: None,
    then: Callable[[Path], object] = lambda out: None,
) -> Path:
    """Write the folder that one run would have written, from folders with its shards; returns it.

    Each folder comes with its plan. Nothing is simulated, and nothing is written unless every result is
    there. Raises RunError where a shard is missing or not finished, plans differ, or a result has
    different bytes in two folders; `then` is as in `compare`.
    """
    plan = _whole(shard_plans)
    plan.refuse_taken(out)
    sources = _Collection(plan, shard_plans, out).files()
    lines = [_log(folder) for folder, _ in shard_plans]
    with plan.claimed(out):
        for name, source in sources.items():
            if source != out / name:
                write_atomically(out / name, _content(source))
        write_atomically(out / wall_times.CELLS, b"".join(lines))
    return compare.compare(plan, out, on_progress, then)


def plans_in(
    folders: Sequence[Path], policies: Mapping[str, str | Policy] | None = None
) -> list[tuple[Path, Plan]]:
    """Folders with the plans of their shards.

    Code that a folder names is taken from `policies` alone, by name. Raises IsmaError.
    """
    if not folders:
        raise RunError("merge needs the folders of shards, got none")
    plans = []
    for folder in dict.fromkeys(folders):
        plan = plan_of(folder)
        if policies is None:
            _refuse_code(plan, folder)
        elif tuple(policies) != plan.policies:
            raise RunError(
                f"{folder}: policies must be those of the shard, in their order, "
                f"{','.join(plan.policies)}; got {','.join(policies)}"
            )
        else:
            plan = replace(plan, given=given.unregistered(policies))
        plans.append((folder, plan))
    return plans


def _refuse_code(plan: Plan, folder: Path) -> None:
    names = ",".join(plan.policies)
    registry.refuse_outside(plan.policies, folder, f"if you trust it, type --policies {names}")
    unnamed = (files.run_table(folder / "config.toml") or {}).get(files.GIVEN, {})
    for name in unnamed:
        raise PolicyError(
            f"{folder}: {name!r} was given from Python ({unnamed[name]}): merge from there, with policies"
        )


def _whole(shard_plans: Sequence[tuple[Path, Plan]]) -> Plan:
    """The plan of which all these are shards. Raises RunError."""
    first, plan = shard_plans[0]
    for folder, other in shard_plans[1:]:
        differs = _difference(plan, other)
        if differs is not None:
            raise RunError(f"{folder} holds a shard of another run than {first}: {differs}")
    return replace(plan, shard=None)


def _difference(plan: Plan, other: Plan) -> str | None:
    """Difference of another shard's plan, in words; None if there is none."""
    there, here = (files.dumps(one.scenario).encode() for one in (other, plan))
    differs = differences(there, here, ".toml", files.RUN)
    if differs is not None:
        return differs
    for name in ("policies", "seeds", "vary", "p95_limit_s"):
        one, two = (getattr(which, name) for which in (other, plan))
        if one != two:
            return f"{name} differ" if name != "p95_limit_s" else "the limit of p95 differs"
    divisions = [one.shard.of for one in (other, plan) if one.shard is not None]
    if len(set(divisions)) > 1:
        return f"{divisions[0]} shards there and {divisions[1]} here"
    return None


class _Collection:
    """Results of a plan in the folders that hold its shards."""

    def __init__(self, plan: Plan, shard_plans: Sequence[tuple[Path, Plan]], out: Path) -> None:
        self._plan, self._shard_plans, self._points = plan, shard_plans, plan.points()
        self._keys = Keys(plan.given)
        self._results = result_keys(plan, self._points, self._keys)
        self._params = [build(point.scenario) for point in self._points]
        self._folders = [*(folder for folder, _ in shard_plans), out]

    def files(self) -> dict[str, Path]:
        """Path of each file of the whole run, by its name in a run's folder. Raises RunError."""
        paths: dict[str, Path] = {}
        missing: list[object] = []
        for cell, key in self._results.cells.items():
            name = _name(stored_results.cell_path(Path(), key))
            source = self._one(name, self._named(cell), lambda at, key=key: _has_cell(at, key))
            if source is None:
                missing.append(cell)
                continue
            paths[name] = source
            replay = _name(replay_recorder.replay_path(Path(), cell.policy, cell.seed))
            recorded = source.parents[1] / replay
            if (cell.point, cell.seed) == (0, self._plan.seeds[0]) and recorded.is_file():
                paths[replay] = recorded
        for world, key in self._results.bounds.items():
            name = _name(stored_results.value_path(Path("cells"), key))
            source = self._one(
                name, f"the bound of seed {world[1]}", lambda at, key=key: _has_value(at, key)
            )
            missing += [world] if source is None else []
            paths |= {} if source is None else {name: source}
        if missing:
            raise RunError(self._missing_text(missing))
        return paths | self._times()

    def _one(self, name: str, label: str, is_whole: Callable[[Path], bool]) -> Path | None:
        """A result's file; None where no folder has it. Raises RunError where two have different ones."""
        whole = [path for folder in self._folders if is_whole(path := folder / name)]
        for other in whole[1:]:
            if _content(other) != _content(whole[0]):
                raise RunError(
                    f"{label} must be the same wherever it was computed, and differs between {whole[0]} "
                    f"and {other}: remove one, and run that shard again"
                )
        return whole[0] if whole else None

    def _times(self) -> dict[str, Path]:
        """Times of decisions, each from the first folder that has it: no two measurements are the same."""
        policies = self._plan.policies
        keys = wall_times.decision_keys(self._points, policies, self._params, self._keys)
        paths = {}
        for _, key in keys:
            name = _name(stored_results.value_path(Path("times"), key))
            whole = [path for folder in self._folders if _has_value(path := folder / name, key)]
            paths |= {name: whole[0]} if whole else {}
        return paths

    def _named(self, cell: CellKey) -> str:
        values = self._points[cell.point].values.items()
        at = "".join(f", {field} = {value}" for field, value in values)
        return f"{cell.policy}, seed {cell.seed}{at}"

    def _missing_text(self, missing: Sequence[object]) -> str:
        """Message on missing shards, or else on an unfinished one."""
        shards = {plan.shard or Shard(1, 1): folder for folder, plan in reversed(self._shard_plans)}
        of = max(shard.of for shard in shards)
        division = divided(self._plan, self._points, lambda at: self._params[at].shape, of)
        owner = {**division.cells, **division.bounds}
        lacking, all_of = Counter(owner[one] for one in missing), Counter(owner.values())
        absent = [
            Shard(number, of) for number in sorted(lacking) if Shard(number, of) not in shards
        ]
        if absent:
            named = ", ".join(map(str, absent[:_SHOWN])) + (" ..." if len(absent) > _SHOWN else "")
            return (
                f"every shard must be given, and of {named} there is no folder: run it with --shard"
            )
        number = min(lacking)
        folder = shards[Shard(number, of)]
        return (
            f"{folder}: shard {number}/{of} must be finished by this version of isma, its libraries and "
            f"device, and has {all_of[number] - lacking[number]} of {all_of[number]} results: "
            f"isma compare {folder} goes on with it"
        )


def _name(path: Path) -> str:
    return path.as_posix()


def _has_cell(path: Path, key: str) -> bool:
    return stored_results.load_cell(path, key) is not None


def _has_value(path: Path, key: str) -> bool:
    return stored_results.load_value(path, key) is not None


def _content(path: Path) -> bytes:
    """A file's bytes. Raises RunError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None


def _log(folder: Path) -> bytes:
    """Log of the cells that a folder has run, as lines."""
    path = folder / wall_times.CELLS
    return _content(path) if path.is_file() else b""
