"""Traces by running a SUMO scenario: its configuration is simulated, and its vehicles are the users."""

import importlib
import importlib.util
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from isma.errors import DataError, RunError, short
from isma.world import inputs
from isma.world.importers import sumo_fcd
from isma.world.importers.reading import Reading

PERIOD_S = 5
"""Time between two fixes of a vehicle."""
MOST_FOLDER_BYTES = 2_000_000_000
"""Bytes of the folder that is copied before it is run."""
_CONFIG_BYTES = 10_000_000


def binary() -> Path | None:
    """SUMO's program: that of the package eclipse-sumo, or one on the path; None where there is none."""
    if importlib.util.find_spec("sumo") is not None:
        home = getattr(importlib.import_module("sumo"), "SUMO_HOME", None)
        if home is not None and (Path(home) / "bin" / "sumo").is_file():
            return Path(home) / "bin" / "sumo"
    found = shutil.which("sumo")
    return Path(found) if found else None


def read(config: Path) -> Reading:
    """Run a .sumocfg to its end in a copy of its folder, and read where its vehicles were.

    A run writes files next to its configuration: so it runs in a copy, which is removed. Raises
    RunError without SUMO or where it fails, DataError for a configuration without a network.
    """
    inputs.plain(config, "SUMO configuration")
    net = _network_of(config)
    program = binary()
    if program is None:
        raise RunError(
            "SUMO must be installed to run its scenarios: pip install 'isma[sumo]', or run it elsewhere "
            "with --fcd-output and import that (sumo-fcd)"
        )
    with tempfile.TemporaryDirectory(prefix="isma-sumo-") as scratch:
        folder = Path(scratch) / "scenario"
        _copy(config.resolve().parent, folder)
        trace = Path(scratch) / "fcd.xml"
        _run(program, folder, config.name, trace)
        reading = sumo_fcd.read(trace, folder / net)
    said, movers, time = reading.understood
    ran = f"ran {short(config.name)} in SUMO to its end, a fix of each vehicle every {PERIOD_S} s"
    read_part = said.removeprefix(f"read {trace.name}: SUMO's floating car data, ")
    return replace(reading, understood=(f"{ran}: {read_part}", movers, time))


def _network_of(config: Path) -> str:
    """The network's file by its name in the configuration."""
    text = inputs.decoded(
        inputs.content(config, "SUMO configuration", most_bytes=_CONFIG_BYTES), str(config)
    )
    if "<!DOCTYPE" in text:
        raise DataError(f"{config}: must have no document type (<!DOCTYPE>): take it out")
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise DataError(
            f"{config}: must be a SUMO configuration (.sumocfg): {short(str(error))}"
        ) from None
    found = next(root.iter("net-file"), None)
    name = None if found is None else found.get("value")
    if not name:
        raise DataError(
            f"{config}: a SUMO configuration must name its network (net-file), got none"
        )
    inside = (config.parent / name).resolve()
    if not inside.is_relative_to(config.resolve().parent):
        raise DataError(
            f"{config}: its files must lie in its folder, which is copied before it is run, got {short(name)}"
        )
    return name


def _copy(source: Path, target: Path) -> None:
    size = sum(file.stat().st_size for file in source.rglob("*") if file.is_file())
    if size > MOST_FOLDER_BYTES:
        raise DataError(
            f"{source}: must have at most {MOST_FOLDER_BYTES:,} bytes to be copied, got {size:,}; "
            "put the scenario's files into a folder of their own"
        )
    shutil.copytree(source, target, symlinks=False, ignore_dangling_symlinks=True)


def _run(program: Path, folder: Path, config: str, trace: Path) -> None:
    command = [
        str(program), "-c", config, "--no-step-log", "true", "--duration-log.disable", "true",
        "--fcd-output", str(trace), "--fcd-output.geo", "false", "--device.fcd.period", str(PERIOD_S),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not trace.is_file():
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error")]
        reason = lines[0] if lines else f"it ended with status {done.returncode}"
        raise RunError(f"{config}: SUMO could not run it: {short(reason, 200)}")
