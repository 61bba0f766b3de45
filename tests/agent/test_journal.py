"""The agent's journal: whole after a kill, refused after anything else."""

import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isma.agent.journal import Journal, JournalFullError
from isma.agent.ownership.vocabulary import Moved, Released, Serving
from isma.errors import RunError

FILES = ("journal.sqlite", "journal.sqlite-wal", "journal.head")


def filled(folder: Path, records: int = 20) -> Journal:
    journal = Journal(folder)
    for number in range(records):
        journal.write(f"A-{number % 7}", Serving(1, number), b"about")
    return journal


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for name in FILES:
        if (folder / name).exists():
            (to / name).write_bytes((folder / name).read_bytes())
    return to


def test_what_is_written_is_there_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("A-1", Serving(1, 5), b"about")
    journal.write("A-1", Released(2, 1, "B"), b"other")
    journal.write("A-2", Moved(4, "C"), b"")
    journal.close()
    found = Journal(tmp_path).records()
    assert found == {"A-1": (Released(2, 1, "B"), b"other"), "A-2": (Moved(4, "C"), b"")}


def test_one_process_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(RunError, match="in use by another agent"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


def test_no_lost_tail_is_taken_for_the_whole(tmp_path: Path) -> None:
    journal = filled(tmp_path / "first")
    wal = (tmp_path / "first/journal.sqlite-wal").read_bytes()
    states = journal.records()
    for keep in range(0, len(wal), 8221):
        cut = copied(tmp_path / "first", tmp_path / f"cut-{keep}")
        (cut / FILES[1]).write_bytes(wal[:keep])
        with pytest.raises(RunError):
            Journal(cut)
    whole = Journal(copied(tmp_path / "first", tmp_path / "whole"))
    assert whole.records() == states


def test_a_changed_bit_is_refused_or_without_effect(tmp_path: Path) -> None:
    journal = filled(tmp_path / "first")
    states = journal.records()
    drawn, refused = random.Random(1), 0
    for trial in range(60):
        spoilt = copied(tmp_path / "first", tmp_path / f"bit-{trial}")
        path = spoilt / FILES[trial % 3]
        content = bytearray(path.read_bytes())
        content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
        path.write_bytes(bytes(content))
        try:
            found = Journal(spoilt).records()
        except RunError:
            refused += 1
            continue
        assert found == states
    assert refused > 30


@pytest.mark.parametrize("name", ["journal.sqlite", "journal.head"])
def test_a_file_that_is_gone_is_missed(tmp_path: Path, name: str) -> None:
    filled(tmp_path / "first").close()
    here = copied(tmp_path / "first", tmp_path / "second")
    (here / name).unlink()
    with pytest.raises(RunError, match="is gone"):
        Journal(here)


def _fill(journal: Journal) -> None:
    for number in range(50):
        journal.write("A-0", Serving(2, number), bytes(4000))


def test_a_full_disk_is_refused_and_spoils_nothing(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    before = journal.records()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(tmp_path / FILES[1]), limits[1]))
    try:
        with pytest.raises(JournalFullError):
            _fill(journal)
        full = journal.records()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, usual)
    assert {name: full[name] for name in full if name != "A-0"} == {
        name: before[name] for name in before if name != "A-0"
    }
    journal.write("A-1", Moved(9, "B"), b"")
    journal.close()
    found = Journal(tmp_path).records()
    assert found == {**full, "A-1": (Moved(9, "B"), b"")}


def test_a_killed_writer_leaves_all_that_it_told(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from isma.agent.journal import Journal\n"
        "from isma.agent.ownership.vocabulary import Serving\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    journal.write('A-0', Serving(1, number), b'')\n"
        "    print(number, flush=True)\n"
    )
    for trial in range(3):
        command = [sys.executable, "-c", program, str(tmp_path / str(trial))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(40 + trial):
                told = writer.stdout.readline()
            writer.kill()
            told = (writer.stdout.read().split() or [told])[-1]
        state = Journal(tmp_path / str(trial)).records()["A-0"].state
        assert isinstance(state, Serving)
        assert state.share_ppm >= int(told)
