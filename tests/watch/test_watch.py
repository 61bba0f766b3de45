"""What makes, serves and writes a replay's page; nothing here opens a browser."""

import gzip
import json
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from helpers.small_worlds import tiny

from benchmarks.made_up_replays import made_up
from isma.cli.watch import watch
from isma.errors import DataError, RunError
from isma.evaluation.comparison.tables import InlinePage
from isma.evaluation.explain.explanation import Explanation, ServerCost
from isma.evaluation.plan import Plan
from isma.evaluation.replay_recorder import replay_path
from isma.replay_format import ReplayFile, header_line
from isma.storage import digest
from isma.watch import browser, page, pictures, run_replays, served, streets


def test_libraries_are_those_that_are_named() -> None:
    vendor = files("isma.watch").joinpath("vendor")
    told = tomllib.loads(vendor.joinpath("vendor.toml").read_text())
    assert {entry["package"] for entry in told["file"]} == set(told["integrity"])
    named = {"vendor.toml"}
    for entry in told["file"]:
        content = vendor.joinpath(entry["name"]).read_bytes()
        plain = gzip.decompress(content) if entry.get("compressed") else content
        assert digest(plain) == entry["sha256"]
        assert "permission notice" in vendor.joinpath(entry["license_file"]).read_text()
        named |= {entry["name"], entry["license_file"]}
    assert {path.name for path in vendor.iterdir()} == named


def test_a_page_is_the_same_each_time_and_asks_nobody() -> None:
    made = page.render([made_up(), made_up(policy="stay")])
    assert made == page.render([made_up(), made_up(policy="stay")])
    assert "connect-src data: blob:" in made
    assert "default-src 'none'" in made
    # What both share is there once: places do not depend on the policy.
    data = made.split('id="replays">')[1].split("</script>")[0]
    told = json.loads(data)
    assert told["replays"][1]["blocks"][0]["columns"]["x_m"] == "="
    assert told["replays"][1]["blocks"][0]["columns"]["host"] != "="


def claimed_run(folder: Path) -> Path:
    plan = Plan(tiny(), ("nearest", "price"), (0,), {})
    with plan.claimed(folder):
        pass
    for policy in plan.policies:
        made = made_up(policy=policy)
        write(replay_path(folder, policy, 0), made)
    return folder


def write(path: Path, made: ReplayFile, lines: int = 1) -> None:
    path.parent.mkdir(exist_ok=True)
    known = ("format", "version", "columns")
    told = {name: value for name, value in made.header.items() if name not in known}
    head = header_line(told, list(made.header["columns"]))
    path.write_text(head + "".join(f"{line}\n" for line in made.lines[:lines]))


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    folder = claimed_run(tmp_path / "run")
    server = served.made(folder, page.PageOptions(live=True), None, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{served.HOST}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def got(address: str, host: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(address, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_page_is_served_to_this_machine_alone(address: str) -> None:
    status, text = got(f"{address}/")
    assert (status, text[:15]) == (200, "<!doctype html>")
    assert "connect-src 'self'" in text
    assert got(f"{address}/", host="elsewhere.example:80")[0] == 403
    assert got(f"{address}/config.toml")[0] == 404


def test_what_has_been_added_is_sent(address: str) -> None:
    told = json.loads(got(f"{address}/blocks?nearest=0&price=1")[1])
    assert [len(one["blocks"]) for one in told["replays"]] == [1, 0]
    error = json.loads(got(f"{address}/explain?user=x&time=1&policy=price")[1])["error"]
    assert error == "an explanation takes user, time and policy"


def test_explanations_say_why_and_what_else_there_was() -> None:
    choice = lambda server, later_s: ServerCost(server, 1, 0.5, 0.8, 10.0, 1.0, later_s, 0.0)  # noqa: E731
    found = Explanation(
        *("price", 3, 12.0, 1, 0, 1, 0.8, 0.2),
        (choice(1, 0.5), choice(0, float("inf"))),
        *(11.0, 0.1, True, 0.0, 2, 10.5),
    )
    told = served.answer_of(found)
    assert told["why"] == found.why
    assert [(c["server"], c["mark"], c["cost_s"]) for c in told["choices"]] == [
        (1, " (chosen)", 11.5),
        (0, " (host)", None),
    ]
    json.dumps(told, allow_nan=False)


def test_a_run_under_way_shows_what_it_has(tmp_path: Path) -> None:
    folder = claimed_run(tmp_path / "run")
    path = replay_path(folder, "price", 0)
    path.rename(path.with_name(f".{path.name}.partial"))
    assert [r.header["policy"] for r in run_replays.recorded(folder)] == ["nearest", "price"]
    assert [r.header["policy"] for r in run_replays.recorded(folder, ["price"])] == ["price"]


def test_a_damaged_replay_is_told(tmp_path: Path) -> None:
    folder = claimed_run(tmp_path / "run")
    path = replay_path(folder, "price", 0)
    text = path.read_text()
    path.write_text(text[: len(text) // 2] + "\n")
    with pytest.raises(RunError, match="line 2 is damaged: remove the file, and it is made again"):
        run_replays.recorded(folder)
    with pytest.raises(RunError, match="policy of this run"):
        run_replays.recorded(folder, ["greedy"])
    with pytest.raises(RunError, match="must be a run's folder"):
        run_replays.recorded(tmp_path)


def test_streets_are_lines_in_metres(tmp_path: Path) -> None:
    path = tmp_path / "streets.geojson"
    line = {"type": "LineString", "coordinates": [[0, 0], [100.4, 50]]}
    far = {"type": "LineString", "coordinates": [[1e6, 0], [1e6, 5]]}
    features = [{"type": "Feature", "geometry": shape, "properties": {}} for shape in (line, far)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = streets.lines_of(path, tiny())
    assert found == [[(0.0, 0.0), (100.0, 50.0)]]
    for text, told in (("{", "must be GeoJSON"), ("[]", "must be GeoJSON"), ("{}", "got none")):
        path.write_text(text)
        with pytest.raises(DataError, match=told):
            streets.lines_of(path, tiny())
    path.write_text(json.dumps({"type": "LineString", "coordinates": [[1, "x"]]}))
    with pytest.raises(DataError, match="pairs of numbers"):
        streets.lines_of(path, tiny())


NET = """<?xml version="1.0"?>
<net><location netOffset="0.00,0.00" projParameter="!"/>
<edge id=":a" function="internal"><lane id=":a_0" shape="1,1 2,2"/></edge>
<edge id="b"><lane id="b_0" shape="0,0 100.4,50,3"/><lane id="b_1" shape="0,3 100,53"/></edge></net>
"""


def test_streets_of_a_sumo_network_are_its_edges(tmp_path: Path) -> None:
    path = tmp_path / "city.net.xml"
    path.write_text(NET)
    assert streets.lines_of(path, tiny()) == [[(0.0, 0.0), (100.0, 50.0)]]
    packed = tmp_path / "city.net.xml.gz"
    packed.write_bytes(gzip.compress(NET.encode()))
    assert streets.lines_of(packed, tiny()) == [[(0.0, 0.0), (100.0, 50.0)]]
    for text, told in (
        (NET.replace("100.4,50,3", "100.4"), "line 4: a lane's shape must be points"),
        (NET[:90], "not XML, or cut short"),
        ("<!DOCTYPE a>" + NET.partition("\n")[2], "must have no document type"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=told):
            streets.lines_of(path, tiny())


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"ends with .gif or .mp4, got 'a.avi'"):
        watch(tmp_path, record=Path("a.avi"))
    with pytest.raises(RunError, match="two numbers from 100 to 8000"):
        watch(tmp_path, shot=Path("a.png"), size="12x")
    with pytest.raises(RunError, match="light or dark, got 'red'"):
        watch(tmp_path, shot=Path("a.png"), theme="red")
    monkeypatch.setattr(pictures.shutil, "which", lambda name: None)
    with pytest.raises(RunError, match="mp4 takes ffmpeg, and none is on PATH"):
        watch(tmp_path, record=Path("a.mp4"))
    monkeypatch.setattr(browser, "NAMES", ("no-such-browser",))
    with pytest.raises(RunError, match="a picture takes Chromium, and none is on PATH"):
        watch(tmp_path, shot=Path("a.png"))


def test_a_notebook_shows_the_page_inline() -> None:
    html = InlinePage('<p title="a">1 & 2</p>', 300)._repr_html_()
    assert 'srcdoc="&lt;p title=&quot;a&quot;&gt;1 &amp; 2&lt;/p&gt;"' in html
