"""Page of a run, ready to be served, written, or photographed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from isma.evaluation.comparison.tables import REPLAY_PAGE
from isma.evaluation.plan import plan_of
from isma.storage import write_atomically
from isma.watch import page, pictures, run_replays, served, streets
from isma.watch.run_replays import OnShare


@dataclass(frozen=True)
class RunReplay:
    """A run that can be watched."""

    folder: Path
    policies: Sequence[str] | None
    options: page.PageOptions

    def html(self) -> str:
        """The page as one file. Raises RunError."""
        return page.render(
            run_replays.recorded(self.folder, self.policies), replace(self.options, live=False)
        )

    def export(self, path: Path) -> None:
        """Write the page. Raises RunError."""
        write_atomically(path, self.html().encode())

    def shoot(self, path: Path, shot: pictures.Shot) -> None:
        """Write a picture of the page as PNG. Raises RunError."""
        pictures.shoot(self.html(), path, shot)

    def film(
        self, path: Path, shot: pictures.Shot, length_s: float, on_share: Callable[[float], None]
    ) -> None:
        """Write a film of the run. Raises RunError."""
        pictures.film(self.html(), path, shot, length_s, pictures.FRAMES_PER_S, on_share)

    def serve(self, port: int, on_open: Callable[[str], None]) -> None:
        """Serve the page until interrupted. Raises RunError."""
        served.serve(self.folder, self.options, self.policies, port, on_open)


def made(
    folder: Path,
    policies: Sequence[str] | None = None,
    streets_file: Path | None = None,
    live: bool = False,
    on_share: OnShare = lambda policy, share: None,
) -> RunReplay:
    """A run's replay; policies that it has no recording of are run again. Raises IsmaError."""
    run_replays.all_of(folder, policies, on_share)
    lines = None
    if streets_file is not None:
        lines = streets.lines_of(streets_file, plan_of(folder).points()[0].scenario)
    return RunReplay(folder, policies, page.PageOptions(live, lines))


def write_page(folder: Path) -> None:
    """Write the page of a run's recordings into its folder; none without recordings.

    Raises RunError.
    """
    path = folder / REPLAY_PAGE
    recorded = run_replays.recorded(folder)
    if recorded:
        write_atomically(path, page.render(recorded).encode())
    else:
        path.unlink(missing_ok=True)
