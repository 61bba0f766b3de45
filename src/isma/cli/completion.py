"""Shell completion: names, without importing the policies or scenarios themselves."""

from pathlib import Path

from isma.policies.defaults import DEFAULT
from isma.world import files


def complete_scenario(incomplete: str) -> list[str]:
    """Presets, and TOML files and folders that begin so."""
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    presets = [name for name in files.preset_names() if name.startswith(incomplete)]
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return presets
    named = [(one, str(one) + ("/" if one.is_dir() else "")) for one in entries]
    return presets + [
        name
        for one, name in named
        if name.startswith(incomplete)
        and (one.is_dir() or one.suffix == ".toml")
        and not one.name.startswith(".")
    ]


def complete_policies(incomplete: str) -> list[str]:
    """Policies that go on with the last of those typed, separated by commas."""
    before, comma, last = incomplete.rpartition(",")
    typed_before = before.split(",")
    return [
        f"{before}{comma}{name}"
        for name in (*DEFAULT, "isma2")
        if name.startswith(last) and name not in typed_before
    ]
