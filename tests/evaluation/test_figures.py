"""The figures: there, legible, the same bytes every time, and one colour for each policy."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from helpers import made_up_runs
from helpers.fast_cases import slow_but_for
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from isma.errors import RunError
from isma.evaluation.comparison.tables import Run
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import (
    city,
    delay,
    distribution,
    draw_all,
    load,
    phase,
    servers,
    style,
    timeline,
    vary,
)
from isma.evaluation.report.figures.drawing import Drawing, Figure

SPEEDS = {"mobility.speed_mps": [20 / 3.6, 60 / 3.6, 120 / 3.6]}
WORLDS = {
    "paper": made_up_runs.World(),
    "city": made_up_runs.city(),
    "trace": made_up_runs.World(unit="user", seeds=1),
    "speed": made_up_runs.World(vary=SPEEDS, seeds=2),
    "words": made_up_runs.World(vary={"visibility": ["user", "server", "full"]}, seeds=3),
    "servers": made_up_runs.World(vary={"servers.count": [20, 50, 100]}, seeds=2),
    "grid": made_up_runs.World(vary={"servers.decision_period_s": [2.0, 6.0], **SPEEDS}, seeds=3),
    "chance": made_up_runs.World(vary={"users.count": [20, 40], **SPEEDS}, seeds=2, noise=0.2),
    "odd": made_up_runs.World(
        means_s={"<b>x</b> $_$ & co": 31.0, "some.package:AVeryLongNameForAPolicyClass": 32.0},
        seeds=1,
    ),
    "references": made_up_runs.World(means_s={"full-information": 30.0}, seeds=2),
}
CROWDED = ("paper", "city", "words", "servers", "grid", "chance", "odd")
"""Those with the most to write: the others have fewer policies, servers or points of the same figures."""
ORDINARY = (delay.draw, distribution.draw, timeline.draw, load.draw, city.draw)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: Run.load(made_up_runs.write(folder / name, w)) for name, w in WORLDS.items()}


@pytest.fixture(scope="module")
def drawn(runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> list[Figure]:
    return draw_all(runs["paper"], tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize("name", slow_but_for(CROWDED, WORLDS))
def test_no_text_is_clipped_or_covers_another(runs: dict[str, Run], name: str) -> None:
    with style.theme():
        for drawing in _drawings(runs[name]):
            canvas = drawing.canvas
            for _ in range(2):
                canvas.draw_without_rendering()
            boxes = [(text.get_text(), text.get_window_extent()) for text in _texts(canvas)]
            assert boxes
            page = canvas.bbox
            for words, box in boxes:
                inside = (
                    box.x0 >= page.x0 - 1
                    and box.x1 <= page.x1 + 1
                    and box.y0 >= page.y0 - 1
                    and box.y1 <= page.y1 + 1
                )
                assert inside, f"{drawing.name}: {words!r} is clipped"
            for index, (words, box) in enumerate(boxes):
                for others, other in boxes[index + 1 :]:
                    message = f"{drawing.name}: {words!r} covers {others!r}"
                    assert not _smaller(box).overlaps(_smaller(other)), message


def test_an_ordinary_run_has_five_figures_with_captions(drawn: list[Figure]) -> None:
    names = ["delay", "distribution", "timeline", "load", "map"]
    assert [figure.name for figure in drawn] == names
    for figure in drawn:
        assert figure.svg_path.name == f"{figure.name}.svg"
        assert figure.svg_path.parent.name == "figures"
        assert figure.png_path.read_bytes().startswith(b"\x89PNG")
        assert figure.title
        assert len(figure.caption) > 40


def test_the_same_tables_give_the_same_bytes_whatever_a_persons_settings(
    runs: dict[str, Run], drawn: list[Figure], tmp_path: Path
) -> None:
    with matplotlib.rc_context({"lines.linewidth": 9.0, "svg.hashsalt": "mine"}):
        before = dict(matplotlib.rcParams)
        again = draw_all(runs["paper"], tmp_path)
        assert dict(matplotlib.rcParams) == before
    for one, other in zip(drawn, again, strict=True):
        assert one.svg_path.read_bytes() == other.svg_path.read_bytes(), one.name
        assert one.png_path.read_bytes() == other.png_path.read_bytes(), one.name
        assert b"<dc:date>" not in one.svg_path.read_bytes()


def test_a_policy_has_one_look_in_every_run_and_references_are_grey(runs: dict[str, Run]) -> None:
    paper, town = style.of_policies(runs["paper"]), style.of_policies(runs["city"])
    for policy in set(paper) & set(town):
        assert paper[policy] == town[policy]
    assert paper["full-information"].colour == style.MUTED
    own = [look for policy, look in paper.items() if policy not in runs["paper"].references]
    assert len({look.colour for look in own}) == len(own)


def test_varied_fields_bring_their_figures(runs: dict[str, Run]) -> None:
    with style.theme():
        assert servers.draw(runs["servers"]) is not None
        assert servers.draw(runs["speed"]) is None
        assert vary.draw(runs["paper"]) is None
        assert phase.draw(runs["paper"]) is None
        assert vary.draw(runs["speed"]) is not None
        assert phase.draw(runs["speed"]) is None
        assert vary.draw(runs["grid"]) is None
        assert phase.draw(runs["grid"]) is not None


def test_a_cell_names_its_winner_and_whether_it_is_chance(runs: dict[str, Run]) -> None:
    run = runs["grid"]
    for point in run.points:
        found = phase.cell(run, point)
        ranked = run.ranked(point)
        assert found is not None
        assert found.winner == ranked[0].policy
        assert found.lead == ranked[1].above_best_ratio
        assert found.certain == (ranked[1].above_best_low > 0)
    assert any(not phase.cell(runs["chance"], p).certain for p in runs["chance"].points)  # type: ignore[union-attr]


def test_the_course_of_a_run_starts_at_0_and_its_warm_up_is_set_off(runs: dict[str, Run]) -> None:
    """Intervals of 10 s up to 600 s, two of which are joined: their middles are 10, 30, ..., 590 s."""
    drawing = timeline.draw(runs["paper"])
    assert drawing is not None
    above, below = drawing.canvas.axes
    np.testing.assert_allclose(above.lines[0].get_xdata(), np.arange(10, 600, 20))
    assert below.get_xlim() == (0, 600)
    for axes in (above, below):
        (shade,) = axes.patches
        assert shade.get_extents().transformed(axes.transData.inverted()).intervalx.tolist() == (
            pytest.approx([0, 60])
        )
    assert "not counted" in [text.get_text() for text in above.texts]
    assert "warm-up is not counted" in drawing.caption


def test_a_policy_ten_times_slower_is_off_the_scale(runs: dict[str, Run]) -> None:
    assert set(style.far(runs["paper"], ())) == {"local"}
    assert style.limit([30.0, 31.0, 36.0]) == float("inf")
    # 1.6 times the best
    assert style.limit([30.0, 307.0]) == pytest.approx(48.0)


def test_a_gap_in_the_histogram_is_flat_in_the_curve(runs: dict[str, Run]) -> None:
    # half the tasks take 1 to 2 s, half take 8 to 9 s, none between
    table = pd.DataFrame(
        {"policy": "price", "low_s": [8.0, 1.0], "high_s": [9.0, 2.0], "tasks": [5.0, 5.0]}
    )
    run = dataclasses.replace(
        runs["references"], distribution=table.assign(policy="full-information")
    )
    with style.theme():
        drawing = distribution.draw(run)
    assert drawing is not None
    line = drawing.canvas.axes[0].lines[0]
    assert np.asarray(line.get_xdata()).tolist() == [1.0, 2.0, 8.0, 9.0]
    assert np.asarray(line.get_ydata()).tolist() == [0.0, 0.5, 0.5, 1.0]


def test_neighbouring_servers_differ_in_colour(runs: dict[str, Run]) -> None:
    for name in ("paper", "city"):
        colours = city.server_colours(runs[name])
        pairs = city.linked_pairs(runs[name].links)
        assert pairs
        assert all(colours[a] != colours[b] for a, b in pairs)


def test_a_world_without_trail_links_or_tasks_still_has_its_figures(
    runs: dict[str, Run],
) -> None:
    run = runs["odd"]
    bare = dataclasses.replace(
        run, trail=run.trail[:0], links=run.links[:0], distribution=run.distribution[:0]
    )
    with style.theme():
        assert [drawing.name for drawing in _drawings(bare)] == ["delay", "timeline", "load", "map"]


def test_a_folder_that_cannot_be_written_is_one_line(runs: dict[str, Run], tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(RunError, match=r"^.*figures/delay\.svg: cannot be written: [^\n]+$"):
        draw_all(runs["references"], tmp_path)


def test_labels_are_spread_only_as_far_as_needed() -> None:
    heights = np.array([0.1, 0.11, 0.5, 1.0])
    spread = style.spread_apart(heights, 0.1)
    assert np.all(np.diff(spread) >= 0.1 - 1e-12)
    assert spread[2] == 0.5
    assert spread[-1] <= 1.0
    # the first two share their mean: (0.1 + 0.11) / 2
    assert spread[:2].mean() == pytest.approx(0.105)


def test_an_axis_has_the_readable_unit_or_categories() -> None:
    axis = formatting.axis("mobility.speed_mps", [20 / 3.6, 120 / 3.6])
    assert axis.label == "mobility.speed (km/h)"
    assert axis.ticks == ("20", "120")
    named = formatting.axis("visibility", ["user", "full"])
    assert not named.numeric
    assert named.positions == (0.0, 1.0)


def _drawings(run: Run) -> Iterator[Drawing]:
    pages = (servers.draw, vary.draw, phase.draw) if run.vary else ORDINARY
    for page in pages:
        drawing = page(run)
        if drawing is not None:
            yield drawing


def _texts(canvas: matplotlib.figure.Figure) -> Iterator[Text]:
    """All text that a reader sees, without the tick labels outside an axis's limits."""
    for legend in canvas.legends:
        yield from (text for text in legend.get_texts() if text.get_text())
    for axes in canvas.axes:
        if not axes.get_visible():
            continue
        found = [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]  # type: ignore[attr-defined]
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(limits)
            found += [
                label
                for tick in axis.get_major_ticks()
                for label in (tick.label1,)
                if low <= tick.get_loc() <= high  # type: ignore[attr-defined]
            ]
        yield from (text for text in found if text.get_visible() and text.get_text().strip())


def _smaller(box: Bbox) -> Bbox:
    """A box without the air around its letters."""
    return Bbox.from_extents(box.x0 + 1, box.y0 + 2, box.x1 - 1, box.y1 - 2)
