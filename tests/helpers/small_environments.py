"""A world that compiles in seconds, for the tests of environments."""

from typing import Any

SMALL: dict[str, Any] = {"users.count": 7, "sites.count": 3, "duration_s": 20, "warmup_s": 5}
"""For `overrides`: ten decisions of each server."""


def options(**more: Any) -> dict[str, Any]:
    """Options of a small environment among neighbours that are quick to compile."""
    return {"overrides": SMALL, "others": "local", **more}
