"""Offers of a shell when Tab is pressed: names, without importing what they stand for."""

from pathlib import Path

from isma.policies.defaults import DEFAULT
from isma.world import files


def complete_scenario(incomplete: str) -> list[str]:
    """Presets, and TOML files and folders that begin so."""
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    found = [name for name in files.preset_names() if name.startswith(incomplete)]
    try:
        beside = sorted(folder.iterdir())
    except OSError:
        return found
    named = [(one, str(one) + ("/" if one.is_dir() else "")) for one in beside]
    return found + [
        name
        for one, name in named
        if name.startswith(incomplete)
        and (one.is_dir() or one.suffix == ".toml")
        and not one.name.startswith(".")
    ]


def complete_policies(incomplete: str) -> list[str]:
    """Policies that go on with the last of those typed, separated by commas."""
    before, comma, last = incomplete.rpartition(",")
    known = before.split(",")
    return [
        f"{before}{comma}{name}"
        for name in (*DEFAULT, "isma2")
        if name.startswith(last) and name not in known
    ]
