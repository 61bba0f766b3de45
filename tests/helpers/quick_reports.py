"""Reports that are written in no time, for tests of all else that a run leaves."""

import pytest

from isma.evaluation.report import figures


def leave_out_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have reports written without figures: to draw the five of a run takes seconds."""
    monkeypatch.setattr(figures, "draw_all", lambda run, folder: [])
