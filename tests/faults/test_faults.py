"""A few of each fault at every run of the tests; `make faults` tries all of them (docs/faults.md)."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import flips, interrupts, kills, mutations, pairs
from faults.commands import Ended, Pool
from faults.kills import differing
from faults.mutants import mutant
from faults.record import Counts, Record, drawn


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    cache = os.environ["JAX_COMPILATION_CACHE_DIR"]
    made = Pool(tmp_path_factory.mktemp("servers"), Path(cache), 1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    cache = os.environ["JAX_COMPILATION_CACHE_DIR"]
    made = Pool(tmp_path_factory.mktemp("servers"), Path(cache), 2)
    yield made
    made.close()


def all_kept(counts: Counts) -> None:
    """Each was tried, and nothing was wrong."""
    assert counts
    for name, (tried, wrong) in counts.items():
        assert tried, name
        assert not wrong, "\n".join(wrong)


def test_an_import_killed_at_any_change(pool: Pool, tmp_path: Path) -> None:
    some = [command for command in kills.COMMANDS if command.name.startswith("import csv")]
    all_kept(kills.every_kill(pool, tmp_path, Record(), some, times=2))


def test_a_flipped_bit_in_what_was_imported(pool: Pool, tmp_path: Path) -> None:
    some = [kind for kind in flips.KINDS if "import" in kind.name]
    all_kept(flips.every_flip(pool, tmp_path, Record(), some, times=2))


def test_mutated_inputs(pool: Pool, tmp_path: Path) -> None:
    some = [one for one in mutations.FORMATS if not one.before and "command line" not in one.name]
    kept, record = tmp_path / "kept", Record()
    all_kept(mutations.every_mutation(pool, tmp_path, kept, record, some, times=3))


@pytest.mark.slow
def test_killed_at_some_changes(pool: Pool, tmp_path: Path) -> None:
    all_kept(kills.every_kill(pool, tmp_path, Record(), times=6))


@pytest.mark.slow
def test_a_flipped_bit_in_every_kind_of_file(pool: Pool, tmp_path: Path) -> None:
    all_kept(flips.every_flip(pool, tmp_path, Record(), times=3))


@pytest.mark.slow
def test_mutated_inputs_of_every_format(pool: Pool, tmp_path: Path) -> None:
    kept, record = tmp_path / "kept", Record()
    all_kept(mutations.every_mutation(pool, tmp_path, kept, record, mutations.FORMATS, times=40))


@pytest.mark.slow
def test_two_at_once(two: Pool, tmp_path: Path) -> None:
    all_kept(pairs.every_pair(two, tmp_path, Record(), apart_s=(0.0, 0.3)))


@pytest.mark.slow
def test_interrupted(tmp_path: Path) -> None:
    """The status and the line; how soon it ends is for `make faults` on a quiet machine."""
    folder, cache = tmp_path / "here", Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    folder.mkdir()
    for moment_s in (0.3, 1.5, 4.0):
        stopped = interrupts.interrupted(interrupts.COMMANDS[0], moment_s, folder, cache)
        assert stopped is not None
        assert (stopped.status, len(stopped.err.splitlines())) == (interrupts.INTERRUPTED, 1)


@pytest.mark.parametrize(
    ("status", "err", "grown_bytes", "took_s", "said"),
    [
        (0, "", 0, 1.0, None),
        (0, "a warning\nand another\n", 0, 1.0, None),
        (1, "isma: no such file\n", 0, 1.0, None),
        (1, "", 0, 1.0, "0 lines"),
        (1, "isma: no\nsuch file\n", 0, 1.0, "2 lines"),
        (1, "laying out the city: 10 s\nisma: no such file\n", 0, 1.0, None),
        (1, "Traceback (most recent call last):\nKeyError: 3\n", 0, 1.0, "traceback"),
        (1, f"isma: {500 * 'x'}\n", 0, 1.0, "a line of 506 letters"),
        (-9, "", 0, 1.0, "ended by signal 9"),
        (70, "isma: KeyError: 3: this should not happen\n", 0, 1.0, "an error that nobody foresaw"),
        (None, "", 0, 1.0, "had to be stopped"),
        (1, "isma: no\n", 2**31, 1.0, "took 2.0 GB"),
        (0, "", 0, 11.0, "took 11 s"),
    ],
)
def test_an_end_that_is_not_as_promised(
    status: int | None, err: str, grown_bytes: int, took_s: float, said: str | None
) -> None:
    assert Ended(("show",), status, "", err, grown_bytes, took_s).wrong(10.0) == said


def test_mutants_come_again() -> None:
    content = b"count = 3\nname = 'paper'\n" * 20
    drawn = [mutant(content, random.Random(number)) for number in range(50)]
    assert drawn == [mutant(content, random.Random(number)) for number in range(50)]
    assert sum(one != content for one in drawn) > 45


def test_a_flip_is_one_bit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    bit = flips.flip(path, random.Random(0))
    there = int.from_bytes(path.read_bytes(), "little") ^ int.from_bytes(b"abc", "little")
    assert there == 1 << bit


def test_what_differs() -> None:
    assert differing({"a": b"1", "b": b"2"}, {"b": b"3", "c": b"4"}) == ["a", "b", "c"]


def test_a_run_goes_on_from_what_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "kills.jsonl"
    first = Record(path)
    first.note("compare", 3, [])
    first.note("compare", 5, ["table.csv differs"], 2)
    again = Record(path)
    assert again.has("compare", 3)
    assert not again.has("compare", 4)
    assert not again.has("bound", 3)
    assert again.counts() == {"compare": (3, ["table.csv differs"])}


def test_more_of_a_kind_are_drawn_after_fewer() -> None:
    few, more = drawn(range(100), 10, "compare"), drawn(range(100), 30, "compare")
    assert more[:10] == few
    assert sorted(drawn(range(100), None, "compare")) == list(range(100))
