"""Pages as a reader opens them: headless Chromium, with the network off."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser")) if p), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
_OFF = ("gpu", "background-networking", "component-update", "sync")


def opens_offline(page: Path, scratch: Path) -> None:
    """It renders, and nothing complains on the console."""
    shot = scratch / "page.png"
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--no-first-run"),
            *(f"--disable-{part}" for part in _OFF),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"),
            *(f"--user-data-dir={scratch / 'profile'}", f"--screenshot={shot}"),
            *("--window-size=1100,3000", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    # An empty page of that size is a few kilobytes.
    assert shot.stat().st_size > 100_000
