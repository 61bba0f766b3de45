"""The replay's page in headless Chromium, with the network off: driven, read and looked at."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.headless_browser import needs_chromium
from helpers.replay_pages import DRIVER, opened, shown, told, typed
from helpers.small_worlds import tiny
from PIL import Image

from benchmarks.made_up_replays import made_up
from isma.evaluation.comparison.compare import compare
from isma.evaluation.plan import Plan
from isma.watch import page, pictures, replays
from isma.watch.browser import Browser

pytestmark = needs_chromium

HOSTILE = (
    "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>\u2028{{ 7 }}"
)


@pytest.fixture(scope="module")
def made(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    html = page.render([made_up(failing=True), made_up(policy="stay", failing=True)])
    return opened(browser, tmp_path_factory.mktemp("page"), html)


def test_the_map_is_drawn_and_moves(made: Browser) -> None:
    made.ask("replay.seek(2)")
    before = shown(made)
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 200
    made.ask("replay.seek(15)")
    assert np.abs(shown(made) - before).max(-1).astype(bool).sum() > 300
    assert not [line for line in made.complaints if DRIVER not in line]
    asked = made.ask("performance.getEntriesByType('resource').map(e => e.name)")
    assert not [name for name in asked if not name.startswith(("data:", "blob:"))]


def test_keys_do_what_they_say(made: Browser) -> None:
    state = lambda of: made.ask(f"replay.{of}")  # noqa: E731
    made.ask("(document.activeElement.blur(), replay.play(false), replay.seek(5), 0)")
    made.press("ArrowRight")
    assert state("timeS") == 5.5
    made.press("ArrowLeft", shift=True)
    assert state("timeS") == 0.5
    made.press("End")
    assert state("timeS") == 20
    made.press("Home")
    made.press("Space")
    made.until("replay.timeS > 0.2")
    made.press("Space")
    assert not state("playing")
    made.press("n")
    tick = made.ask(
        "replay.sides().flatMap(c => c.moves.tick.map(t => t / 10)).sort((a, b) => a - b)"
    )
    assert state("timeS") in tick
    for key, of in (("c", "colouring"), ("v", "flat"), ("]", "speed"), ("b", "b")):
        before = state(of)
        made.press(key)
        made.until(f"replay.{of} !== {before!r}".replace("None", "null").replace("False", "false"))
    theme = made.ask("document.documentElement.dataset.theme")
    made.press("t")
    assert made.ask("document.documentElement.dataset.theme") != theme
    made.press("?")
    assert made.ask("document.getElementById('keys').open")
    made.ask("document.getElementById('keys').close()")


def test_find_select_and_the_link_that_restores(made: Browser, tmp_path: Path) -> None:
    made.ask("(replay.seek(12), replay.choose({}), 0)")
    typed(made, "find", "s2")
    assert told(made, "story-title").startswith("Server 2")
    typed(made, "find", "u7")
    assert told(made, "story-title") == "User 7"
    assert "served by server" in told(made, "story")
    typed(made, "users", "1, 3-4")
    assert made.ask("[...replay.selected]") == [1, 3, 4]
    assert "of 3 users" in told(made, "chart-title")
    want = made.ask("replay.sides()[0].meanDelay(0, 1, [1, 3, 4])")
    assert made.ask("replay.chart.plot.data[2][0]") == pytest.approx(want)
    link = made.ask("location.hash")
    there = (
        "[replay.timeS, replay.user, [...replay.selected], replay.colouring, replay.b,"
        " replay.city.view.zoom.toFixed(2)]"
    )
    before = made.ask(there)
    made.ask("(replay.seek(1), replay.choose({}), replay.select([]), 0)")
    html = page.render([made_up(failing=True), made_up(policy="stay", failing=True)])
    opened(made, tmp_path, html, link)
    assert made.ask(there) == before
    made.press("Escape")
    assert made.ask("[replay.user, replay.selected.size]") == [None, 0]


def test_labels_for_those_who_listen(made: Browser) -> None:
    slider = "document.querySelector('#time [role=slider]')"
    assert made.ask(f"{slider}.getAttribute('aria-label')") == "time"
    nameless = made.ask(
        "[...document.querySelectorAll('button, input, select')].filter(e => !(e.ariaLabel || e.textContent"
        ".trim() || e.labels?.length || e.title)).map(e => e.outerHTML)"
    )
    assert nameless == []
    assert "failures of servers" in made.ask("document.getElementById('marks').ariaLabel")


def test_hostile_names_are_shown_and_do_nothing(browser: Browser, tmp_path: Path) -> None:
    header: dict[str, Any] = {
        "scenario": HOSTILE,
        "station_id": [HOSTILE, "b", "c", "d"],
        "user_id": [HOSTILE, *range(1, 12)],
    }
    made = [made_up(policy=name, **header) for name in (HOSTILE, "stay")]
    opened(browser, tmp_path, page.render(made))
    browser.ask("(replay.choose({ user: 0 }), replay.show(), 0)")
    assert told(browser, "story-title") == f"User {HOSTILE}"
    browser.ask("(replay.choose({ server: 0 }), replay.show(), 0)")
    assert HOSTILE in told(browser, "story-title")
    assert browser.ask("document.querySelector('h1').textContent").startswith("</script><script>")
    assert HOSTILE in browser.ask("document.getElementById('policy-a').textContent")
    assert browser.ask("window.hurt") is None
    assert browser.ask("document.querySelectorAll('img').length") == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = Plan(tiny(), ("nearest", "random"), (0,), {})
    return compare(plan, tmp_path_factory.mktemp("runs") / "tiny", then=replays.write_page)


def test_numbers_are_those_of_the_tables(run: Path, browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path, (run / "replay.html").read_text())
    timeline, load = (pd.read_parquet(run / f"{name}.parquet") for name in ("timeline", "load"))
    browser.ask("(replay.compare(0, 1), 0)")
    browser.until("replay.b === 1")
    browser.ask("(replay.seek(Infinity), replay.show(), 0)")
    for row, policy in enumerate(("nearest", "random")):
        table = timeline[timeline.policy == policy]
        cells = f"document.getElementById('numbers').rows[{row}]"
        assert browser.ask(f"{cells}.cells[0].textContent") == policy
        assert browser.ask(f"{cells}.cells[2].textContent") == str(table.migrations.sum())
        course, begins_s = f"replay.courses[{row}]", [0.0, *table.time_s]
        for begin_s, end_s, mean_s in zip(begins_s[:-1], table.time_s, table.mean_s, strict=True):
            frames = ", ".join(f"Math.round({s} / {course}.frameS)" for s in (begin_s, end_s))
            assert browser.ask(f"{course}.meanDelay({frames})") == pytest.approx(mean_s, rel=1e-6)
        ends_s = [end_s for end_s in table.time_s if end_s > 5]
        for server in range(3):
            at = [
                f"{course}.value('load', {server}, Math.round({s} / {course}.frameS) - 1)"
                for s in ends_s
            ]
            found = np.mean([browser.ask(one) for one in at])
            want = load[(load.policy == policy) & (load.server == server)].requested_share.item()
            assert found == pytest.approx(want, abs=1e-4)
    bars = browser.ask(
        "[...document.querySelectorAll('#servers .bar b')].map(b => Number(b.textContent))"
    )
    ends = browser.ask(
        "[0, 1, 2].flatMap(s => replay.sides().map(c => c.value('load', s, c.frames - 1)))"
    )
    assert sorted(bars) == pytest.approx(sorted(ends), abs=0.0051)


def test_a_film_and_a_picture(tmp_path: Path) -> None:
    html, shot = page.render([made_up(users=3, frames=8)]), pictures.Shot(320, 240, "dark")
    pictures.film(html, tmp_path / "a.gif", shot, 0.2, 10)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.size, getattr(film, "n_frames", 1)) == ((320, 240), 2)
    pictures.shoot(html, tmp_path / "a.png", shot)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (320, 240)
