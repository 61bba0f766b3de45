"""Replays of a run's folder: those that it holds, those that grow, and those that are made again."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from isma.errors import RunError, unknown
from isma.evaluation import cell, replay_recorder
from isma.evaluation.plan import CellKey, Plan, plan_of
from isma.policies import registry
from isma.policies.plain_python import policy_errors
from isma.replay_format import ReplayFile
from isma.simulator.params import build

OnShare = Callable[[str, float], None]
"""Callback with the policy that is run again, and the part of it that is done."""


def recorded(folder: Path, policies: Sequence[str] | None = None) -> list[ReplayFile]:
    """Replays in a folder, in the order of its policies; running ones as far as they are.

    Raises RunError.
    """
    plan = plan_of(folder)
    names = _chosen(plan, folder, policies)
    paths = [replay_recorder.replay_path(folder, name, plan.seeds[0]) for name in names]
    replays = [_first_there(path) for path in paths]
    return [replay for replay in replays if replay is not None]


def all_of(
    folder: Path,
    policies: Sequence[str] | None = None,
    on_share: OnShare = lambda policy, share: None,
) -> list[ReplayFile]:
    """Replays of a run's policies in its first world; those that it lacks are run again and kept.

    Of a run that another process is writing those so far. Raises IsmaError.
    """
    plan = plan_of(folder)
    names = _chosen(plan, folder, policies)
    lacking = [
        name
        for name in names
        if not replay_recorder.replay_path(folder, name, plan.seeds[0]).is_file()
    ]
    if lacking and not is_running(folder):
        registry.refuse_outside(
            lacking, folder, f"if you trust it, type --policies {','.join(lacking)}"
        ) if policies is None else None
        for name in lacking:
            _run_again(folder, plan, name, on_share)
    replays = recorded(folder, policies)
    if not replays:
        raise RunError(
            f"{folder}: must hold a replay, and its run has not begun one: wait a little"
        )
    return replays


def is_running(folder: Path) -> bool:
    """Whether another process is writing the folder."""
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # A folder that cannot be written is read all the same.
        return False
    lock.release()
    return False


def _chosen(plan: Plan, folder: Path, policies: Sequence[str] | None) -> Sequence[str]:
    for name in policies or ():
        if name not in plan.policies:
            raise RunError(f"{folder}: {unknown('policy of this run', name, plan.policies)}")
    return plan.policies if policies is None else policies


def _first_there(path: Path) -> ReplayFile | None:
    for one in (path, replay_recorder.partial_path(path)):
        if one.is_file():
            replay = ReplayFile.load(one)
            _check_lines(replay, one)
            return replay
    return None


def _check_lines(replay: ReplayFile, path: Path) -> None:
    for number, line in enumerate(replay.lines):
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            raise RunError(
                f"{path}: line {number + 2} is damaged: remove the file, and it is made again"
            ) from None


def _run_again(folder: Path, plan: Plan, name: str, on_share: OnShare) -> None:
    scenario, seed = plan.points()[0].scenario, plan.seeds[0]
    params, policy = build(scenario), registry.get(name)
    done = 0

    def advance(ticks: int) -> None:
        nonlocal done
        done += ticks
        on_share(name, done / scenario.time.num_ticks)

    on_share(name, 0.0)
    key = CellKey(0, name, seed)
    with (
        policy_errors(policy),
        replay_recorder.recorder(folder, scenario, params, key, policy) as recorder,
    ):
        cell.run(scenario, params, policy, seed, advance, recorder=recorder)
