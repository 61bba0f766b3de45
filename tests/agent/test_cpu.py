"""CPU shares in control groups."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isma.agent.cpu import Cgroup, NoEnforcer, enforcer
from isma.errors import RunError

VERSION_1 = Path("/sys/fs/cgroup/cpu")


def prepared(folder: Path, *names: str) -> Path:
    """A folder that looks like a control group, so far as files are concerned."""
    for name in ("", *names):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def test_version_2_has_a_quota_and_a_period(tmp_path: Path) -> None:
    made = Cgroup(prepared(tmp_path / "isma", "a-1"), 2, 2.0)
    assert (tmp_path / "isma/cpu.max").read_text() == "2000000 1000000"
    assert (tmp_path / "isma/cgroup.subtree_control").read_text() == "+cpu"
    made.grant("a-1", 250_000)
    assert (tmp_path / "isma/a-1/cpu.max").read_text() == "500000 1000000"
    made.grant("a-1", 0)
    assert (tmp_path / "isma/a-1/cpu.max").read_text() == "1000 1000000"


def test_version_1_has_two_files(tmp_path: Path) -> None:
    made = Cgroup(prepared(tmp_path / "isma", "a-1"), 1, 1.0)
    made.grant("a-1", 333_333)
    assert (tmp_path / "isma/a-1/cpu.cfs_quota_us").read_text() == "333333"
    assert (tmp_path / "isma/a-1/cpu.cfs_period_us").read_text() == "1000000"


def test_a_group_that_cannot_be_written_is_a_mistake_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cpu\.folder must be a control group \(version 2\)"):
        enforcer("cgroup2", str(tmp_path / "file/isma"), 1.0)


def test_none_promises_only() -> None:
    made = enforcer("none", "", 1.0)
    assert isinstance(made, NoEnforcer)
    made.grant("a-1", 5)
    made.withdraw("a-1")


def _may_make_groups() -> bool:
    return (VERSION_1 / "cpu.cfs_quota_us").exists() or (
        os.access(VERSION_1, os.W_OK) and VERSION_1.exists()
    )


@pytest.mark.slow
@pytest.mark.skipif(not _may_make_groups(), reason="needs control groups of version 1, and root")
def test_the_kernel_keeps_to_the_share() -> None:
    folder = VERSION_1 / f"isma-test-{os.getpid()}"
    made = Cgroup(folder, 1, 1.0)
    made.grant("a-1", 200_000)
    program = "import time\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", program]) as burner:
        try:
            (folder / "a-1/cgroup.procs").write_text(str(burner.pid))
            began_s, before_s = time.monotonic(), _used_s(burner.pid)
            time.sleep(6)
            part = (_used_s(burner.pid) - before_s) / (time.monotonic() - began_s)
        finally:
            burner.kill()
            burner.wait()
            time.sleep(0.2)
            made.withdraw("a-1")
            folder.rmdir()
    assert 0 < part < 0.25


def _used_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
