"""Names of the presets that the package brings, without reading any."""

from pathlib import Path

PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """Names of the presets in the package."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))
