"""Tests ask what is public; the few that reach into a part say what they break or look at there."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PUBLIC = {"_replace", "_asdict", "_fields", "_exit", "_cache_size", "_repr_png_", "_repr_html_"}
"""Of named tuples, os, compiled functions and what notebooks show, in spite of how they are written."""
REACHED = {
    "agent/simulation/bugs.py": {
        "_bytes_of",
        "_die",
        "_journal",
        "_serve",
    },  # Bugs that are planted.
    "agent/test_agent.py": {
        "_journal",
        "_session",
    },  # A disk that is full; a call without the client.
    # Links that lose messages, and peers that move to other addresses.
    "agent/ages.py": {"_settings"},
    "agent/links.py": {"_peers"},
    "agent/local.py": {"_addresses", "_peers"},
    # Processes that are measured, or killed.
    "agent/load.py": {"_processes"},
    "agent/test_fuzz.py": {"_processes"},
    "agent/test_news.py": {"_session"},  # Bulletins that are forged.
    # A call that no client makes; a decision without waiting for its period; silence without waiting.
    "agent/test_pushes.py": {"_agents", "_decide_by_policy", "_session"},
    "agent/test_transfer.py": {"_last_bytes_s", "_wake"},
    "agent/test_spool.py": {"_ask"},  # A connection that breaks off.
    # What the adapters hand to simulators of others.
    "benchmarks/test_peers.py": {
        *("_Contender", "_Follow", "_World", "_application", "_node", "_topology"),
    },
    # One timing out of a table of minutes.
    "benchmarks/test_rule_timings.py": {"_MOST_USERS", "_WEIGHS", "_decision", "_warm_world"},
    "test_documented_commands.py": {"_protected_args"},  # Click keeps a group's own words there.
    "evaluation/test_figures.py": {"_left_title"},  # Matplotlib has no other way to that artist.
}


def reached(text: str) -> Iterator[str]:
    """Private names that a file takes from anything but its own objects."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and not _own(node.value):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (n for n in names if n.startswith("_") and not n.startswith("__"))


def _own(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def test_no_other_test_reaches_into_a_part() -> None:
    files = {str(path.relative_to(TESTS)): path.read_text() for path in TESTS.rglob("*.py")}
    found = {name: set(reached(text)) - PUBLIC for name, text in files.items()}
    assert {name: names for name, names in found.items() if names} == REACHED


def test_what_is_reached_is_seen() -> None:
    text = "from a import _b\nc._d(c.e)\nself._f\nself.g._h\n"
    assert set(reached(text)) == {"_b", "_d", "_h"}
