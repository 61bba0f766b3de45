"""The replay's page in headless Chromium: its first picture, and frames a second while it plays."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.made_up_replays import made_up
from isma.watch import page, run_replays
from isma.watch.browser import Browser

SIZES = ((500, 30), (10_000, 100))
"""Users and servers of the cities that play."""
TRIES = 5
PLAY_S = 5.0
_WIDTH, _HEIGHT = 1280, 800
_READY = "window.replay?.ready && 'drawn' in document.body.dataset"
_FINISHED = """
new PerformanceObserver((list) => {
  if (!list.getEntriesByName("isma:first-picture").length) return;
  const { gl } = replay.city.deck.device;
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  window.finished = performance.now();
}).observe({ type: "mark" });
"""
"""Reading a pixel waits until all that was to be drawn is drawn."""
_PLAYS = """
(() => { const { drawn } = replay; window.count = 0;
  replay.drawn = function () { count += 1; return drawn.call(this); };
  replay.speed = 1; replay.seek(0); replay.play(true); })()
"""
_DRAWS_NOTHING = """
for (const name of ["drawArrays", "drawElements", "drawArraysInstanced", "drawElementsInstanced"])
  WebGL2RenderingContext.prototype[name] = () => {};
"""


@dataclass(frozen=True)
class FirstPicture:
    """Time from the page's address to the first picture of the map, finished by the renderer."""

    page: str
    megabytes: float
    policies: int
    seconds: Sequence[float]
    """Of each try, in order; the first one begins with an empty cache of compiled programs."""
    page_cpu_s: float
    """CPU time of the page's process, median."""
    renderer_cpu_s: float
    """CPU time of the process that draws, median."""


@dataclass(frozen=True)
class PlayRate:
    """Frames a second of a city that plays, and what a frame takes."""

    users: int
    servers: int
    policies: int
    frames_per_s: float
    renderer_ms: float
    """CPU time of the process that draws, a frame; all of the drawing where it is done in software."""
    without_drawing_per_s: float
    """Frames a second where the renderer is told to draw nothing: what scripts alone allow."""
    script_ms: float
    """CPU time of scripts on the page's main thread, a frame: deck.gl's and the page's own."""


@dataclass(frozen=True)
class PageFigures:
    """All figures of one run, and where they were measured."""

    browser: str
    renderer: str
    cores: int
    load: float
    """Processes that wanted a core in the last minute."""
    first: FirstPicture | None
    rates: Sequence[PlayRate]


def measure(
    run: Path | None,
    sizes: Sequence[tuple[int, int]] = SIZES,
    tries: int = TRIES,
    play_s: float = PLAY_S,
    on_step: Callable[[str], None] = lambda label: None,
) -> PageFigures:
    """Measure the page of a run's folder, and made-up cities under two policies. Raises RunError."""
    replays = None if run is None else run_replays.recorded(run)
    rates: list[PlayRate] = []
    with tempfile.TemporaryDirectory() as scratch, Browser(_WIDTH, _HEIGHT) as browser:
        path = Path(scratch) / "page.html"
        first = None
        if run is not None and replays:
            on_step(f"first picture of {run}")
            path.write_text(page.render(replays))
            first = _first(browser, path, str(run), len(replays), tries)
        for users, servers in sizes:
            on_step(f"{users:,} users")
            made = [made_up(users, servers, policy=policy) for policy in ("price", "stay")]
            path.write_text(page.render(made))
            rates.append(_rate(browser, path, users, servers, play_s))
        return PageFigures(
            browser.send("Browser.getVersion")["product"],
            browser.ask("replay.renderer()"),
            os.cpu_count() or 1,
            os.getloadavg()[0],
            first,
            rates,
        )


def _first(browser: Browser, path: Path, name: str, policies: int, tries: int) -> FirstPicture:
    script = browser.send("Page.addScriptToEvaluateOnNewDocument", source=_FINISHED)["identifier"]
    seconds, pages, drawing = [], [], []
    for _ in range(tries):
        browser.open("about:blank")
        before = _cpu_s(browser)
        browser.send("Page.navigate", url=path.as_uri())
        browser.until("window.finished")
        after = _cpu_s(browser)
        seconds.append(browser.ask("finished") / 1000)
        pages.append(after["renderer"] - before["renderer"])
        drawing.append(after["GPU"] - before["GPU"])
        browser.until(_READY)
    browser.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    size = path.stat().st_size / 1e6
    return FirstPicture(name, size, policies, seconds, median(pages), median(drawing))


def _rate(browser: Browser, path: Path, users: int, servers: int, play_s: float) -> PlayRate:
    browser.open("about:blank")
    browser.send("Performance.enable", timeDomain="threadTicks")
    browser.open(path.as_uri())
    browser.until(_READY)
    browser.ask(_PLAYS)
    browser.until("count > 4")  # Programs of the renderer are made at the first frames.
    frames_per_s, renderer_s, _ = _played(browser, play_s)
    browser.ask(_DRAWS_NOTHING)
    browser.until(f"count > {browser.ask('count') + 4}")
    scripts_per_s, _, script_s = _played(browser, play_s)
    policies = browser.ask("replay.sides().length")
    browser.send("Performance.disable")
    return PlayRate(
        *(users, servers, policies, frames_per_s, 1000 * renderer_s),
        *(scripts_per_s, 1000 * script_s),
    )


def _played(browser: Browser, play_s: float) -> tuple[float, float, float]:
    """Frames a second; CPU seconds of the renderer and of scripts, a frame; of two frames at least."""
    drawing, frames, script = _cpu_s(browser)["GPU"], browser.ask("count"), _script_s(browser)
    start = time.perf_counter()
    time.sleep(play_s)
    browser.until(f"count > {frames + 1}")
    frames = browser.ask("count") - frames
    past = time.perf_counter() - start
    drawing, script = _cpu_s(browser)["GPU"] - drawing, _script_s(browser) - script
    return frames / past, drawing / frames, script / frames


def _cpu_s(browser: Browser) -> dict[str, float]:
    """CPU time of the browser's processes by their kind."""
    spent: dict[str, float] = {}
    for process in browser.send("SystemInfo.getProcessInfo")["processInfo"]:
        spent[process["type"]] = spent.get(process["type"], 0.0) + process["cpuTime"]
    return spent


def _script_s(browser: Browser) -> float:
    metrics = browser.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "ScriptDuration")


def as_json(figures: PageFigures) -> str:
    """Figures as JSON."""
    return json.dumps(asdict(figures), indent=1)


def as_text(figures: PageFigures) -> str:
    """Figures as lines."""
    lines = [
        f"{figures.browser}, {_WIDTH} x {_HEIGHT}; {figures.renderer}",
        f"{figures.cores} cores, load {figures.load:.1f}",
    ]
    if figures.first is not None:
        first = figures.first
        lines.append(
            f"{first.page}: {first.megabytes:.1f} MB, {first.policies} policies; first picture after "
            f"{', '.join(f'{s:.2f}' for s in first.seconds)} s; CPU time {first.page_cpu_s:.2f} s of "
            f"the page, {first.renderer_cpu_s:.2f} s of the renderer"
        )
    for rate in figures.rates:
        lines.append(
            f"{rate.users:,} users, {rate.servers} servers, {rate.policies} policies: "
            f"{rate.frames_per_s:.1f} frames a second, {rate.renderer_ms:.0f} ms of the renderer's CPU "
            f"time each; without drawing {rate.without_drawing_per_s:.0f}, {rate.script_ms:.1f} ms of "
            "scripts each"
        )
    return "\n".join(lines)
