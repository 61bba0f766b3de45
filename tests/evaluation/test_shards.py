"""Shards of a comparison: the files of one run, however it was divided."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation.test_compare import contents, plan_of
from helpers.small_worlds import tiny
from hypothesis import given
from hypothesis import strategies as st

from isma.contract import Policy
from isma.errors import PolicyError, RunError
from isma.evaluation import cell
from isma.evaluation.bounding import world_bound
from isma.evaluation.comparison import compare as comparing
from isma.evaluation.comparison import merging
from isma.evaluation.comparison.compare import compare
from isma.evaluation.comparison.division import divided
from isma.evaluation.comparison.tables import Run
from isma.evaluation.plan import Plan
from isma.evaluation.plan import plan_of as plan_in
from isma.evaluation.shard import Shard, owners
from isma.simulator.params import build

PLAN = plan_of(vary={"mobility.speed_mps": (10, 20)})
OF = 3


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.integers(1, 12))
def test_shards_are_stretches_of_about_equal_weight(weights: list[int], of: int) -> None:
    found = owners(weights, of)
    assert found == sorted(found)
    assert found[0] >= 1
    assert found[-1] <= of
    held = Counter[int]()
    for owner, weight in zip(found, weights, strict=True):
        held[owner] += weight
    assert max(held.values()) <= sum(weights) / of + max(weights)


def test_cells_of_a_program_stay_together() -> None:
    """Four programs, of two policies for 7 and for 9 users; the speed is a number."""
    plan = plan_of(vary={"mobility.speed_mps": (10, 20), "users.count": (7, 9)})
    points = plan.points()
    shapes = [build(point.scenario).shape for point in points]
    cells = divided(plan, points, shapes.__getitem__, 4).cells
    assert set(cells) == set(plan.cells())
    programs = {number: set() for number in (1, 2, 3, 4)}
    for one, number in cells.items():
        programs[number].add((one.policy, points[one.point].scenario.users.count))
    assert [len(found) for found in programs.values()] == [1, 1, 1, 1]
    assert Counter(cells.values()) == Counter({1: 4, 2: 4, 3: 4, 4: 4})


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "1/0", "-1/2", "a/b", "1/999999999"])
def test_a_shard_is_one_of_several(text: str) -> None:
    with pytest.raises(RunError, match="a shard must be i/n, as 2/8"):
        Shard.parse(text)


def shard_of(plan: Plan, number: int, of: int = OF) -> Plan:
    return replace(plan, shard=Shard(number, of))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compare(PLAN, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    runs = tmp_path_factory.mktemp("shards")
    return [compare(shard_of(PLAN, number), runs / str(number)) for number in range(1, OF + 1)]


@pytest.fixture
def no_more_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing is simulated")

    monkeypatch.setattr(cell, "run", refuse)
    monkeypatch.setattr(world_bound, "world_bound_s", refuse)
    monkeypatch.setattr(comparing.Programs, "get", refuse)


def merged(folders: list[Path], out: Path) -> Path:
    return merging.merge(merging.plans_in(folders), out)


def test_shards_together_are_the_run(
    whole: Path, shards: list[Path], tmp_path: Path, no_more_runs: None
) -> None:
    together = merged(shards[::-1], tmp_path / "together")
    assert contents(together) == contents(whole)
    assert Run.load(together).seeds.equals(Run.load(whole).seeds)
    before = contents(together)
    assert contents(merged(shards, together)) == before


def test_a_shard_has_its_own_results_and_no_tables(shards: list[Path]) -> None:
    cells = [sorted(path.name for path in out.glob("cells/*")) for out in shards]
    assert len({name for names in cells for name in names}) == sum(map(len, cells)) == 8 + 4
    assert [len(list(out.glob("cells/*.npz"))) for out in shards] == [3, 2, 3]
    for number, out in enumerate(shards, 1):
        assert not (out / "summary.csv").exists()
        assert plan_in(out) == shard_of(PLAN, number)
        with pytest.raises(RunError, match=rf"holds shard {number}/3 of a run: isma merge puts"):
            Run.load(out)


def test_a_shard_goes_on_where_it_stopped(shards: list[Path], no_more_runs: None) -> None:
    before = contents(shards[1])
    compare(plan_in(shards[1]), shards[1])
    assert contents(shards[1]) == before


def test_more_shards_than_results_leave_some_with_nothing(tmp_path: Path) -> None:
    plan = plan_of(policies=("local",), seeds=(0,))
    outs = [compare(shard_of(plan, number, 4), tmp_path / str(number)) for number in (1, 2, 3, 4)]
    assert sum(len(list(out.glob("cells/*.npz"))) for out in outs) == 1
    assert (merged(outs, tmp_path / "all") / "summary.csv").exists()


def test_a_shard_becomes_the_whole_run_but_not_the_other_way(
    whole: Path, shards: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "grown"
    shutil.copytree(shards[0], out)
    assert contents(compare(PLAN, out)) == contents(whole)
    with pytest.raises(RunError, match="holds a whole run and not a shard"):
        compare(shard_of(PLAN, 1), out)


def damaged(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])


def another_result(held: list[Path]) -> None:
    """A whole file under the key of a result that another shard has."""
    (path,) = sorted(held[0].glob("cells/*.npz"))[:1]
    from isma.evaluation import stored_results

    content = path.read_bytes()
    key = content[-128:-64].decode()
    made = stored_results.load_cell(path, key)
    assert made is not None
    other = replace(made, user_time_s=made.user_time_s * 2)
    stored_results.save_cell(held[1] / "cells" / path.name, key, other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: held.pop(1), "of 2/3 there is no folder: run it with --shard"),
        (lambda held: held.clear(), "merge needs the folders of shards, got none"),
        (
            lambda held: sorted(held[2].glob("cells/*.npz"))[0].unlink(),
            r"3: shard 3/3 must be finished by this version of isma, .* has \d of \d results",
        ),
        (
            lambda held: damaged(sorted(held[2].glob("cells/*.npz"))[0]),
            "shard 3/3 must be finished",
        ),
        (
            lambda held: another_result(held),
            r"seed \d, mobility.speed_mps = \d+ must be the same wherever .* differs between .*1/cells",
        ),
        (lambda held: (held[0] / "config.toml").unlink(), "must be a run's folder"),
        (lambda held: held.append(held[0].parent), "must be a run's folder"),
    ],
    ids=["missing", "none", "unfinished", "damaged", "different", "no run", "no shard"],
)
def test_what_does_not_fit_is_told_and_nothing_written(
    change: Callable[[list[Path]], object], said: str, shards: list[Path], tmp_path: Path
) -> None:
    held = [Path(shutil.copytree(one, tmp_path / one.name)) for one in shards]
    change(held)
    with pytest.raises(RunError, match=said) as error:
        merged(held, tmp_path / "together")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "together").exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (plan_of(vary=PLAN.vary, seeds=(0, 1, 2)), "another run than .*: seeds differ"),
        (plan_of(vary=PLAN.vary, policies=("local",)), "policies differ"),
        (plan_of(vary={"mobility.speed_mps": (10, 30)}), "vary differ"),
        (
            plan_of(scenario=tiny({"duration_s": 10}), vary=PLAN.vary),
            r"time.duration_s is 10.0 there and 20.0 here",
        ),
    ],
)
def test_shards_of_another_run_are_refused(
    other: Plan, said: str, shards: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "other"
    with shard_of(other, 2).claimed(out):
        pass
    with pytest.raises(RunError, match=said):
        merged([shards[0], out, shards[2]], tmp_path / "together")
    with shard_of(PLAN, 2, 4).claimed(tmp_path / "four"):
        pass
    with pytest.raises(RunError, match="4 shards there and 3 here"):
        merged([shards[0], tmp_path / "four"], tmp_path / "together")


def test_a_folder_names_no_code(tmp_path: Path) -> None:
    """Neither a class nor an object is taken from a file; typed, or given, it is."""
    name = "isma.policies.rules.nearest:Nearest"
    plan = shard_of(plan_of(policies=(name,)), 1)
    with plan.claimed(tmp_path / "typed"):
        pass
    with pytest.raises(PolicyError, match="a file cannot ask for code to be run"):
        merging.plans_in([tmp_path / "typed"])
    ((_, held),) = merging.plans_in([tmp_path / "typed"], {name: name})
    assert held == plan
    made: dict[str, str | Policy] = {"mine": plan_of(policies=("nearest",)).made()["nearest"]}
    with replace(plan, policies=("mine",), given=made).claimed(tmp_path / "given"):
        pass
    with pytest.raises(PolicyError, match="'mine' was given from Python"):
        merging.plans_in([tmp_path / "given"])
    with pytest.raises(RunError, match="policies must be those of the shard, in their order, mine"):
        merging.plans_in([tmp_path / "given"], {"yours": made["mine"]})
