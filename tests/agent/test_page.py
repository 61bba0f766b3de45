"""The ten lines of the page do what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from isma.demo.hosts import free_ports

PAGE = Path(__file__).parents[2] / "docs/agent/README.md"


def commands() -> list[str]:
    part = (
        PAGE.read_text().partition("## Three agents on one machine")[2].partition("\nOn three")[0]
    )
    return re.findall(r"^    (\S.*)$", part, re.MULTILINE)


def test_three_agents_on_one_machine(tmp_path: Path) -> None:
    lines = commands()
    assert len(lines) == 10
    lines[0] += f" --first-port {free_ports()}"
    status = lines[8]
    lines[8] = f"for _ in $(seq 300); do {status} && break; sleep 1; done"
    (tmp_path / "isma").write_text(f'#!/bin/sh\nexec {sys.executable} -m isma.cli "$@"\n')
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for name in ("isma", "python"):
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = "set -m\n" + "\n".join(lines) + "\nwait"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert '"name": "a"' in done.stdout
    assert "Traceback" not in done.stderr
