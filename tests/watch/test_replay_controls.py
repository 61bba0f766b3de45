"""Every control of the replay's page, used with a mouse or the keyboard alone, and what it shows then."""

import importlib.util
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.headless_browser import needs_chromium
from helpers.replay_pages import READY, box, clicked, on_map, opened, shown, told, typed
from helpers.small_worlds import tiny

from benchmarks.made_up_replays import made_up
from isma.evaluation.comparison.compare import compare
from isma.evaluation.explain import decision
from isma.evaluation.plan import Plan
from isma.watch import page, served
from isma.watch.browser import Browser

pytestmark = needs_chromium

AXE = ("axe_playwright_python", "axe_core_python")
"""Packages that bring axe-core as a file."""


@pytest.fixture(scope="module")
def made(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    html = page.render([made_up(failing=True), made_up(policy="stay", failing=True)])
    return opened(browser, tmp_path_factory.mktemp("page"), html)


@pytest.fixture
def fresh(made: Browser) -> Browser:
    """The page, both policies, nothing chosen, paused at 3 s."""
    made.resize(1000, 620)
    made.ask(
        "(async () => { replay.boxed(false); replay.play(false); replay.select([]); replay.choose({});"
        " replay.tilt(false); replay.setTheme('light'); replay.paint('host'); await replay.compare(0, 1);"
        " replay.seek(3); replay.show(); })()"
    )
    made.until("replay.city.deck.getViewports().length === 2")
    return made


def free(browser: Browser, many: str, places: str) -> int:
    """Number of that one of some places that is farthest from all users."""
    return browser.ask(
        f"(() => {{ const at = {places}, users = replay.courses[0].drawing.place,"
        " far = ([x, y], own) => Math.min(...[...Array(12).keys()].filter(u => u !== own)"
        ".map(u => Math.hypot(users[2 * u] - x, users[2 * u + 1] - y)));"
        f" const gaps = at.map((p, i) => far(p, {many} === 'users' ? i : -1));"
        " return gaps.indexOf(Math.max(...gaps)); })()"
    )


def test_a_click_tells_the_story_of_a_user_and_of_a_server(fresh: Browser) -> None:
    users = "[...Array(12).keys()].map(u => [users[2 * u], users[2 * u + 1]])".replace(
        "users[", "replay.courses[0].drawing.place["
    )
    user = free(fresh, "'users'", users)
    fresh.drag(on_map(fresh, f"[...{users}[{user}], 0]"))
    fresh.until(f"replay.user === {user}")
    fresh.ask("replay.show()")
    assert told(fresh, "story-title") == f"User {user}"
    assert f"isma explain . --user {user} --time 3s --policy price" in told(fresh, "story")
    stations = "[0, 1, 2, 3].map(s => replay.courses[0].station(s))"
    server = free(fresh, "'servers'", stations)
    high = "replay.city.heightM * 0.3"
    fresh.drag(on_map(fresh, f"[...{stations}[{server}], {high}]"))
    fresh.until(f"replay.server === {server} && replay.user === null")
    fresh.ask("replay.show()")
    assert told(fresh, "story-title").startswith(f"Server {server}")
    clicked(fresh, "#story .users button")
    fresh.until("replay.user !== null")
    clicked(fresh, "#servers button")
    fresh.until("replay.server !== null")
    left, top, _, high = box(fresh, "#map")
    fresh.drag((left + 30, top + high - 130))
    fresh.until("replay.server === null && replay.user === null")


def test_the_timeline_and_the_chart_are_dragged_and_clicked(fresh: Browser) -> None:
    left, top, wide, high = box(fresh, "#time .deck-widget-range")
    row = top + high / 2
    thumb = left + wide * 3 / 20
    fresh.drag((thumb, row), (left + wide / 2, row), (left + wide * 0.75, row))
    fresh.until("Math.abs(replay.timeS - 15) < 1.2")
    fresh.ask("replay.show()")
    assert told(fresh, "clock").startswith(fresh.ask("replay.clock(replay.timeS)"))
    left, top, wide, high = box(fresh, "#chart .u-over")
    fresh.drag((left + wide / 4, top + high / 2))
    fresh.until("Math.abs(replay.timeS - 5) < 0.3")


def test_marks_stand_at_migrations_and_failures(fresh: Browser) -> None:
    marks = np.array(
        fresh.ask(
            "(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])"
            "(document.getElementById('marks'))"
        )
    )
    wide = fresh.ask("document.getElementById('marks').width")
    pixels = marks.reshape(-1, wide, 4)
    red = (pixels == (225, 29, 72, 255)).all(-1).all(0)  # From top to bottom.
    (fails,) = fresh.ask("replay.courses[0].failures().map(f => f.timeS / 20)")
    assert abs(np.flatnonzero(red).mean() / wide - fails) < 0.01
    upper = pixels[: len(pixels) // 2, :, 3].any(0) & ~np.convolve(red, np.ones(7), "same").astype(
        bool
    )
    ticks = np.array(fresh.ask("replay.courses[0].moves.tick.map(tick => tick / 200)"))
    blocks = np.array_split(upper, 20)
    moved = np.histogram(ticks, 20, (0, 1))[0] > 0
    assert [block.any() for block in blocks] == moved.tolist()


def test_playing_pausing_and_its_speed(fresh: Browser) -> None:
    clicked(fresh, "#time button")
    fresh.until("replay.playing && replay.timeS > 3")
    clicked(fresh, "#time button")
    fresh.until("!replay.playing")
    typed(fresh, "speed", "60")
    assert fresh.ask("replay.speed") == 60
    clicked(fresh, "#time button")
    fresh.until("replay.timeS === 20 && !replay.playing")
    typed(fresh, "speed", "0.25")


def test_two_policies_and_the_line_between_them(fresh: Browser) -> None:
    widths = "replay.city.deck.getViewports().map(v => Math.round(v.width))"
    first, second = fresh.ask(widths)
    assert abs(first - second) <= 2
    before = shown(fresh)
    left, top, wide, high = box(fresh, ".deck-widget-splitter-handle")
    x, y = left + wide / 2, top + high / 2
    fresh.drag((x, y), (x - 60, y), (x - 150, y))
    fresh.until(f"{widths}[0] < {first - 120}")
    assert box(fresh, "#label-1")[0] < left - 100
    assert np.abs(shown(fresh) - before).max(-1).astype(bool).sum() > 300
    typed(fresh, "policy-b", "")
    fresh.until("replay.city.deck.getViewports().length === 1")
    typed(fresh, "policy-a", "1")
    fresh.until("replay.a === 1 && document.getElementById('label-0').textContent === 'stay'")
    typed(fresh, "policy-b", "0")
    fresh.until("replay.city.deck.getViewports().length === 2")


def test_following_keeps_a_user_in_the_middle(fresh: Browser) -> None:
    fresh.ask("(replay.choose({ user: 4 }), replay.show(), 0)")
    clicked(fresh, "#follow")
    fresh.until("replay.follow")
    left, top, _, _ = box(fresh, "#map")
    wide, high = fresh.ask("(v => [v.width, v.height])(replay.city.deck.getViewports()[0])")
    for time_s in (6, 17):
        fresh.ask(f"(replay.seek({time_s}), replay.show(), 0)")
        x, y = on_map(fresh, "[...replay.courses[0].drawing.place.slice(8, 10), 0]")
        assert x == pytest.approx(left + wide / 2, abs=4)
        assert y == pytest.approx(top + high / 2, abs=4)
    clicked(fresh, "#whole")
    fresh.until("!replay.follow")
    clicked(fresh, "#flat")
    fresh.until("replay.flat && replay.city.view.rotationX === 90")


def test_users_are_coloured_by_every_quantity(fresh: Browser) -> None:
    names = fresh.ask("[...document.getElementById('colour').options].map(o => o.value)")
    pictures = []
    for name in names:
        typed(fresh, "colour", name)
        assert fresh.ask("COLOURINGS[replay.colouring].label") in told(fresh, "legend")
        pictures.append(tuple(fresh.ask("[...replay.courses[0].drawing.fills.value]")))
    assert len(names) == 7
    assert len(set(pictures)) >= 6  # In this world all are on the server at their station.
    assert len(np.unique(shown(fresh).reshape(-1, 3), axis=0)) > 200


def test_the_chart_is_of_those_selected_in_the_map_alone(fresh: Browser) -> None:
    everyone = fresh.ask("replay.chart.plot.data[2]")
    left, top, wide, high = box(fresh, "#map")
    clicked(fresh, "#box")
    fresh.drag(
        (left + 3, top + 3),
        (left + wide / 3, top + high / 2),
        (left + wide / 2 - 60, top + high - 3),
    )
    fresh.until("replay.selected.size > 1")
    fresh.ask("replay.show()")
    chosen = fresh.ask("[...replay.selected]")
    assert len(chosen) < 12
    assert f"of {len(chosen)} users" in told(fresh, "chart-title")
    means = fresh.ask(
        "replay.chart.plot.data[0].map((_, k) => replay.courses[0].meanDelay(k, k + 1, [...replay.selected]))"
    )
    assert fresh.ask("replay.chart.plot.data[2]") == pytest.approx(means)
    assert means != pytest.approx(everyone)
    dim = fresh.ask("[...replay.courses[0].drawing.fills.value].filter((_, i) => i % 4 === 3)")
    assert [row for row, alpha in enumerate(dim) if alpha == 255] == chosen
    fresh.drag((left + 3, top + 3), (left + 9, top + 6), (left + 12, top + 9), shift=True)
    fresh.until("replay.selected.size === 0")


def focused(browser: Browser, keys: Sequence[str]) -> Any:
    """Press keys, then tell what has the focus: an id, or a class."""
    for key in keys:
        browser.press(key)
    return browser.ask(
        "(e => e.id || e.getAttribute('role') || e.className || e.tagName)(document.activeElement)"
    )


def test_with_the_keyboard_alone(fresh: Browser) -> None:
    fresh.ask("(replay.choose({ user: 4 }), replay.show(), document.activeElement.blur(), 0)")
    reached = [focused(fresh, ["Tab"]) for _ in range(45)]
    wanted = {"policy-a", "policy-b", "colour", "find", "users", "box", "follow", "flat", "whole"}
    wanted |= {"link", "keys-open", "deckgl-overlay", "slider", "speed", "scroll"}
    assert wanted <= set(reached)
    fresh.ask("document.querySelector('#time [role=slider]').focus()")
    before = fresh.ask("replay.timeS")
    fresh.press("ArrowRight")
    fresh.until(f"replay.timeS > {before}")
    fresh.ask("document.querySelector('#map canvas').focus()")
    target = fresh.ask("replay.city.view.target[0]")
    fresh.press("ArrowRight")
    fresh.until(f"replay.city.view.target[0] !== {target}")
    fresh.ask("document.getElementById('keys-open').focus()")
    fresh.press("Enter")
    fresh.until("document.getElementById('keys').open")
    assert focused(fresh, []) == "keys-close"
    fresh.press("Enter")
    fresh.until("!document.getElementById('keys').open")
    fresh.press("/")
    assert focused(fresh, []) == "find"


def test_light_dark_and_a_phone(fresh: Browser) -> None:
    light = shown(fresh)
    clicked(fresh, ".deck-widget-theme button")
    fresh.until("document.documentElement.dataset.theme === 'dark'")
    dark = shown(fresh)
    assert light.mean() > 200
    assert dark.mean() < 60
    fresh.resize(390, 844, 2, phone=True)
    fresh.until(
        "replay.city.layout === 'stacked' || document.getElementById('map').clientWidth < 400"
    )
    fresh.until("replay.city.deck.width < 400")
    fresh.ask("replay.show()")
    assert fresh.ask("document.documentElement.scrollWidth") <= 390
    small = fresh.ask(
        "[...document.querySelectorAll('button, select, input, [role=slider]')]"
        ".map(e => [e.id || e.className, e.getBoundingClientRect().height]).filter(([, h]) => h && h < 24)"
    )
    assert small == []
    _, top, _, high = box(fresh, "footer")
    assert top + high == pytest.approx(844, abs=1)


def axe_script() -> str:
    for name in AXE:
        if (found := importlib.util.find_spec(name)) and found.submodule_search_locations:
            return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text()
    pytest.skip(f"axe-core is not installed: pip install {AXE[-1]}")


def faults(browser: Browser) -> list[str]:
    """Serious faults that axe-core finds on the page as it is."""
    told = browser.ask(
        "axe.run({ resultTypes: ['violations'] }).then(r => r.violations"
        ".filter(v => /serious|critical/.test(v.impact)).flatMap(v => v.nodes"
        ".map(n => `${v.id}: ${n.html.slice(0, 160)} ${n.failureSummary.slice(0, 300)}`)))"
    )
    return list(told)


def test_axe_finds_no_serious_fault(fresh: Browser) -> None:
    fresh.ask(axe_script() + "; 0")
    found = faults(fresh)
    fresh.ask("(replay.setTheme('dark'), replay.choose({ user: 4 }), replay.show(), 0)")
    found += faults(fresh)
    fresh.ask("(replay.choose({ server: 1 }), replay.show(), 0)")
    fresh.resize(390, 844, 2, phone=True)
    found += faults(fresh)
    fresh.ask("document.getElementById('keys').showModal()")
    found += faults(fresh)
    fresh.ask("document.getElementById('keys').close()")
    assert sorted(set(found)) == []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = Plan(tiny(), ("nearest", "price"), (0,), {})
    return compare(plan, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def address(run: Path) -> Iterator[str]:
    server = served.made(run, page.PageOptions(live=True), None, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{served.HOST}:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_why_explains_as_the_command_does(run: Path, address: str, browser: Browser) -> None:
    browser.resize(1000, 620)
    browser.open(address)
    browser.until(READY)
    browser.ask("(replay.seek(8), replay.choose({ user: 1 }), replay.show(), 0)")
    clicked(browser, "#story .why button")
    browser.until("document.querySelector('#story .why table')")
    expected = decision.explain(run, 1, 8.0, "price")
    lines = "[...document.querySelectorAll('#story .why')[0].querySelectorAll('li')]"
    assert browser.ask(f"{lines}.map(line => line.textContent)") == list(expected.why)
    cells = "document.querySelector('#story .why tbody').rows[0].cells[2].textContent"
    assert browser.ask(cells) == f"{expected.choices[0].load:.2f}"
