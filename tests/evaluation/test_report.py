"""The report: whole, safe, the same every time, and it opens with the network off."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from helpers import made_up_runs
from helpers.headless_browser import needs_chromium, opens_offline

from isma.errors import RunError
from isma.evaluation.comparison.tables import Run
from isma.evaluation.report import page as report
from isma.evaluation.report.figures import delay, phase, style, vary
from isma.evaluation.report.figures.drawing import Drawing, Figure, save
from isma.storage import write_atomically

_VOID = {"meta", "br", "hr", "img", "input", "link", "path", "use", "rect", "circle", "line"}
_LOADING = {"src", "href", "xlink:href", "srcset", "action", "poster", "data", "formaction"}

COMMAND = "isma compare paper --seeds 8"


class Page(HTMLParser):
    """What a page refers to, and whether its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.svgs: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        self._note(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open and self.open[-1] == "style":
            self._urls(data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in _LOADING:
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            self._urls(value or "")
        if tag == "svg":
            self.svgs.append(dict(attrs))

    def _urls(self, text: str) -> None:
        self.references += re.findall(r"url\(\s*['\"]?([^)'\"]*)", text)
        assert "@import" not in text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made_up_runs.write(tmp_path_factory.mktemp("paper"))
    report.write(folder, COMMAND)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def test_nothing_refers_outside(page: Page) -> None:
    assert page.references
    assert all(reference.startswith("#") for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)


def test_elements_are_closed_and_ids_are_unique(page: Page) -> None:
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_figures_have_names_and_captions_for_those_who_cannot_see_them(page: Page) -> None:
    assert len(page.svgs) == 5
    for svg in page.svgs:
        assert svg["role"] == "img"
        assert svg["aria-label"]
        assert svg["aria-describedby"] in page.ids
    assert page.tags.count("figcaption") == 5
    assert page.tags.count("caption") == page.tags.count("table")


def test_findings_come_first_and_the_command_is_there(page: Page) -> None:
    words = " ".join("".join(page.words).split())
    assert words.index("is fastest") < words.index("All policies") < words.index("Figures Who")
    assert COMMAND in words
    assert "summary.csv" in words


def test_settings_that_differ_are_marked(folder: Path) -> None:
    settings = {setting.field: setting for setting in report.settings_of(Run.load(folder))}
    assert settings["servers.decision_period_s"].changed
    assert settings["servers.decision_period_s"].value == "4 s"
    assert settings["servers.decision_period_s"].default == "2 s"
    assert not settings["servers.clock_hz"].changed
    assert settings["radio.noise_w"].meaning
    assert not settings["radio.noise_w"].changed


def test_the_same_tables_give_the_same_page(folder: Path) -> None:
    names = ["delay", "distribution", "timeline", "load", "map"]
    paths = [folder / "figures" / name for name in names]
    drawn = [
        Figure(path.name, "title", "caption", path.with_suffix(".svg"), path.with_suffix(".png"))
        for path in paths
    ]
    run = Run.load(folder)
    assert report.render(run, drawn) == report.render(run, drawn)
    assert not list(folder.glob(".*"))


def test_what_people_typed_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>--><b>`x`$_$"
    world = made_up_runs.World(
        means_s={evil: 31.0, "nearest": 32.0}, name="</title><script>x", seeds=2
    )
    text = _rendered(made_up_runs.write(tmp_path, world), delay.draw)
    parsed = Page(text)
    assert parsed.tags.count("script") == 1
    assert "b" not in parsed.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    ("vary_", "draw"),
    [
        ({"mobility.speed_mps": [10.0, 20.0]}, vary.draw),
        ({"visibility": ["user", "full"], "servers.decision_period_s": [2.0, 4.0]}, phase.draw),
    ],
)
def test_a_varied_run_has_its_winners_and_its_figure(
    tmp_path: Path, vary_: dict[str, list], draw: Callable[[Run], Drawing]
) -> None:
    few = {"greedy": 31.9, "price": 31.0, "full-information": 30.8}
    world = made_up_runs.World(means_s=few, vary=vary_, seeds=2)
    parsed = Page(_rendered(made_up_runs.write(tmp_path, world), draw))
    words = " ".join("".join(parsed.words).split())
    assert "The fastest policy at each point" in words
    assert len(parsed.svgs) == 1
    for field in vary_:
        assert field in words


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    made_up_runs.write(tmp_path)
    (tmp_path / "load.parquet").unlink()
    with pytest.raises(RunError, match=r"^[^\n]*load\.parquet: missing[^\n]*$"):
        report.write(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.toml", b"run = [", "config.toml: damaged"),
        ("config.toml", b"name = 'x'", r"must hold a table \[run\]"),
        ("users.parquet", b"PAR1 no", "users.parquet: damaged"),
        ("summary.csv", b"", "summary.csv: damaged"),
        ("summary.csv", b"policy\nprice\n", "summary.csv: must have a column 'reference'"),
        ("sites.csv", b"server,x_m,y_m\n0,here,1\n", "x_m must hold numbers"),
    ],
)
def test_a_damaged_table_is_one_line(
    tmp_path: Path, file: str, content: bytes, message: str
) -> None:
    made_up_runs.write(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(RunError, match=message) as caught:
        Run.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_mean_that_is_no_number_is_named(tmp_path: Path) -> None:
    made_up_runs.write(tmp_path)
    table = pd.read_csv(tmp_path / "summary.csv")
    table.loc[0, "mean_s"] = float("nan")
    table.to_csv(tmp_path / "summary.csv", index=False)
    with pytest.raises(RunError, match="mean_s must be a finite number, got nan for local"):
        Run.load(tmp_path)


def test_ranges_are_the_same_value_in_every_table(tmp_path: Path) -> None:
    world = made_up_runs.World(vary={"users.local_hz": ["[1.0, 2.0]", "[3.0, 4.0]"]}, seeds=2)
    made_up_runs.write(tmp_path, world)
    table = pd.read_parquet(tmp_path / "load.parquet")
    table["users.local_hz"] = [[float(text[1]), float(text[6])] for text in table["users.local_hz"]]
    table.to_parquet(tmp_path / "load.parquet")
    run = Run.load(tmp_path)
    assert all(len(run.at(run.load_by_server, point)) for point in run.points)


def test_a_file_that_cannot_be_put_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(RunError, match=r"^[^\n]*report\.html: cannot be written: [^\n]+$"):
        write_atomically(tmp_path / "report.html", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@needs_chromium
def test_the_page_opens_with_the_network_off(folder: Path, tmp_path: Path) -> None:
    opens_offline(folder / "report.html", tmp_path)


def _rendered(folder: Path, draw: Callable[[Run], Drawing]) -> str:
    """The page of a folder with one figure."""
    run = Run.load(folder)
    with style.theme():
        return report.render(run, [save(draw(run), folder)])
