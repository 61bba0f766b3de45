"""What an import says that it understood: columns, unit of time, encoding, motion, who takes part."""

from pathlib import Path

import numpy as np
import pytest

from isma.errors import DataError, ScenarioError
from isma.world import files, traces
from isma.world.importers.csv_traces import Columns
from isma.world.importers.make import ImportResult, import_scenario

NOON_S = 1_700_000_000
SITES = "site_id,latitude,longitude\na,48.85,2.34\nb,48.856,2.352\nc,48.862,2.345\nd,48.853,2.365\n"


def fixes(step_s: float = 60.0, begin: float = NOON_S, unit_s: float = 1.0) -> list[list[str]]:
    """Three users who move 45 m a step for 31 steps, in rows of user, time, latitude, longitude."""
    return [
        [
            f"u{user}",
            f"{begin + step * step_s / unit_s:.10g}",
            f"{48.85 + 1e-4 * step:.6f}",
            f"{2.34 + 6e-4 * step + 1e-3 * user:.6f}",
        ]
        for user in range(3)
        for step in range(31)
    ]


def table(rows: list[list[str]], header: str = "user,time,lat,lon") -> str:
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def make(folder: Path, text: str | bytes, kind: str = "csv", **given: object) -> ImportResult:
    source = folder / "t.csv"
    source.write_bytes(text.encode() if isinstance(text, str) else text)
    (folder / "sites.csv").write_text(SITES)
    asked = {"source": source, "duration_s": 1200.0, "sites": folder / "sites.csv"} | given
    return import_scenario(kind, out=folder / "o.toml", **asked)  # type: ignore[arg-type]


def odd(result: ImportResult) -> list[str]:
    return [line for line in result.lines if line.startswith("odd: ")]


def test_a_plain_table_is_told_and_nothing_is_odd(tmp_path: Path):
    lines = make(tmp_path, table(fixes())).lines
    assert lines[2:8] == (
        "read t.csv: 93 rows, UTF-8, commas",
        "who moves: user, time: time, lat: lat, lon: lon",
        "time: UNIX seconds, by the size of the numbers",
        "kept 93 of 93 fixes, 3 of 3 users",
        "dropped nothing",
        # 1e-4 and 6e-4 degrees at 49 north: 11 and 44 m, 45 m in 60 s.
        "from 2023-11-14T22:13:20Z to 2023-11-14T22:43:20Z (1,800 s), a fix every 60 s, "
        "median speed 0.75 m/s",
    )
    assert not odd(make(tmp_path, table(fixes())))
    assert all(f"# {line}\n" in (tmp_path / "o.toml").read_text() for line in lines)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("1700000300000", "'1700000300000' in line 7"),
        ("0", "'0' in line 7"),
        ("1e18", "'1e18' in line 7"),
        ("-2000000000", "'-2000000000' in line 7"),
    ],
)
def test_a_number_that_cannot_be_true_is_counted_with_its_line(
    tmp_path: Path, cell: str, shown: str
):
    rows = fixes()
    rows[5][1] = cell
    result = make(tmp_path, table(rows))
    assert "dropped 1 unreadable (the first in line 7)" in result.lines
    assert odd(result)[0].endswith(shown)
    frame = traces.read(tmp_path / "o.trace.parquet")
    assert len(frame) == 92
    assert np.ptp(frame["time_s"]) == 1800


@pytest.mark.parametrize(
    "cell", ["0001-01-01T00:00:00", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "99999-01-01"]
)
def test_a_date_that_cannot_be_true_is_counted_with_its_line(tmp_path: Path, cell: str):
    rows = fixes()
    for row, fix in enumerate(rows):
        fix[1] = cell if row == 4 else traces.utc_text(float(fix[1]))
    result = make(tmp_path, table(rows))
    assert "dropped 1 unreadable (the first in line 6)" in result.lines
    assert "time: ISO 8601, their zones as written" in result.lines


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["csv", "cabspotting"])
def test_other_units_are_named_and_can_be_given(tmp_path: Path, unit: str, kind: str):
    per_s = {"ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    rows = fixes()
    for row in rows:
        row[1] = str(int(row[1]) * per_s)
    source = tmp_path / "cabs"
    source.mkdir()
    for user in range(3):
        lines = [f"{row[2]} {row[3]} 0 {row[1]}\n" for row in rows if row[0] == f"u{user}"]
        (source / f"new_{user}.txt").write_text("".join(lines))
    given: dict[str, object] = {"source": source} if kind == "cabspotting" else {}
    name = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
    with pytest.raises(DataError, match=rf"if these are {name}, give --time-unit {unit}"):
        make(tmp_path, table(rows), kind, **given)
    assert not (tmp_path / "o.toml").exists()
    result = make(tmp_path, table(rows), kind, time_unit=unit, **given)
    assert any(f"time: numbers of {unit}, as given" in line for line in result.lines)
    assert any("a fix every 60 s, median speed 0.75 m/s" in line for line in result.lines)


@pytest.mark.parametrize(
    ("unit_s", "seen", "unit"),
    [(0.001, "a fix every 2e+03 s", "ms"), (60.0, "a fix every 1 s", "min")],
)
def test_numbers_that_count_from_a_start_are_doubted(
    tmp_path: Path, unit_s: float, seen: str, unit: str
):
    # A fix every 2 s, in ms; a fix every minute, in minutes.
    rows = fixes(2.0 if unit == "ms" else 60.0, 0.0, unit_s)
    duration_s = 20.0
    if unit == "ms":  # 2000 s apart as they were read: nobody is followed.
        with pytest.raises(DataError, match="fixes must follow each other sooner"):
            make(tmp_path, table(rows), duration_s=duration_s)
    else:
        result = make(tmp_path, table(rows), duration_s=duration_s)
        assert any(seen in line and "from 1970-01-01" in line for line in result.lines)
        assert any("count from 0, not from 1970" in line for line in odd(result))
        assert any("faster than 16" in line for line in odd(result))
    told = make(tmp_path, table(rows), duration_s=duration_s, time_unit=unit)
    assert not any("1970 as" in line for line in odd(told))


def test_seconds_that_are_said_to_be_seconds_are_not_doubted(tmp_path: Path):
    rows = fixes(begin=0.0)
    assert odd(make(tmp_path, table(rows)))
    assert not odd(make(tmp_path, table(rows), time_unit="s"))


def test_another_column_that_may_tell_who_moves_is_named_and_can_be_given(tmp_path: Path):
    # The point's number within each way is called id: 31 users that never were.
    rows = [[str(row % 31), *fix] for row, fix in enumerate(fixes())]
    text = table(rows, "id,taxi,timestamp,lat,lon")
    with pytest.raises(DataError) as caught:
        make(tmp_path, text)
    assert "--columns id=NAME" in str(caught.value)
    assert "taxi" in str(caught.value)
    result = make(tmp_path, text, columns=Columns.typed("id=taxi"))
    assert "who moves: taxi, time: timestamp, lat: lat, lon: lon" in result.lines
    assert traces.read(tmp_path / "o.trace.parquet")["user_id"].nunique() == 3
    by_number = make(tmp_path, text, columns=Columns.typed("id=2"))
    assert by_number.lines == result.lines


def test_a_point_s_number_that_goes_through_is_odd(tmp_path: Path):
    # Ten ways one after another, a point every 10 s, all at once over in five minutes: the point's
    # number has a fix in each way.
    rows = [
        [str(k), f"cab{way}", str(NOON_S + 250 * way + 10 * k), f"{48.85 + 1e-5 * k:.5f}", "2.34"]
        for way in range(10)
        for k in range(25)
    ]
    result = make(tmp_path, table(rows, "id,taxi,time,lat,lon"))
    assert "who moves: id, time: time, lat: lat, lon: lon (taxi there too: --columns id=taxi)" in (
        result.lines
    )
    assert any("id counts up from row to row" in line for line in odd(result))


def test_single_fixes_name_the_column_and_the_others(tmp_path: Path):
    rows = [[str(row), *fix] for row, fix in enumerate(fixes())]
    with pytest.raises(DataError) as caught:
        make(tmp_path, table(rows, "id,plate,time,lat,lon"))
    assert "--columns id=NAME names another column than id for who moves (plate)" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "columns"),
    [
        ("cab,when,north,east", Columns("cab", "when", "north", "east")),
        ("id=taxi,time=t", Columns("taxi", "t")),
        ("lon=4, lat=3", Columns(None, None, "3", "4")),
        ("latitude=y,lng=x,user_id=who", Columns("who", None, "y", "x")),
    ],
)
def test_columns_as_typed(typed: str, columns: Columns):
    assert Columns.typed(typed) == columns


@pytest.mark.parametrize(
    "typed", ["", "taxi", "id", "id=", "id=a,id=b", "who=a", "a,b,c", "a,,c,d"]
)
def test_columns_that_cannot_be_read_are_refused(typed: str):
    with pytest.raises(ScenarioError, match="--columns must name columns as id=NAME"):
        Columns.typed(typed)


def test_a_column_s_number_lies_in_the_table(tmp_path: Path):
    with pytest.raises(DataError, match="a column's number must be 1 to 4, got 5"):
        make(tmp_path, table(fixes()), columns=Columns(user_id="5"))
    with pytest.raises(ScenarioError, match="unknown time unit 'sec'"):
        make(tmp_path, table(fixes()), time_unit="sec")


def test_users_who_are_not_followed_are_told(tmp_path: Path):
    rows = fixes()
    late = [row for row in rows if not (row[0] == "u2" and float(row[1]) < NOON_S + 1000)]
    assert any(line.startswith("3 users from") for line in make(tmp_path, table(late)).lines)
    lines = make(tmp_path, table(late), users="throughout").lines
    assert any(line.startswith("2 users from") for line in lines)
    assert lines[-1] == (
        "1 of 3 users do not take part, having no fixes throughout that window without a gap above "
        "300 s: u2; --users present takes them while they are there"
    )


def test_a_trace_mostly_of_jumps_is_refused(tmp_path: Path):
    rows = fixes()
    for row, fix in enumerate(rows):
        fix[2] = f"{48.8 + 0.08 * (row % 4):.2f}"
    with pytest.raises(DataError, match=r"are reached by a jump above 50 m/s .*--time-unit"):
        make(tmp_path, table(rows))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_marked_encodings_are_read_in_every_input(tmp_path: Path, encoding: str):
    text = table([[f"Ünal{row[0]}", *row[1:]] for row in fixes()]).replace(",", "\t")
    (tmp_path / "places.csv").write_bytes(SITES.replace("a,", "é,").encode(encoding))
    result = make(tmp_path, text.encode(encoding), sites=tmp_path / "places.csv")
    assert f"read t.csv: 93 rows, {encoding.removesuffix('-sig').upper()}, tabs" in result.lines
    assert traces.read(tmp_path / "o.trace.parquet")["user_id"][0] == "Ünalu0"
    scenario = (tmp_path / "o.toml").read_text()
    (tmp_path / "o.toml").write_bytes(scenario.encode(encoding))
    assert files.load(tmp_path / "o.toml").name == "o"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "cp1252"])
def test_unmarked_encodings_are_refused_with_the_way_out(tmp_path: Path, encoding: str):
    text = table([[f"Ünal{row[0]}", *row[1:]] for row in fixes()])
    with pytest.raises(DataError, match="save it as CSV UTF-8"):
        make(tmp_path, text.encode(encoding))
    (tmp_path / "sites.csv").write_text(SITES)
    (tmp_path / "o.toml").write_bytes('name = "Ünal"'.encode(encoding))
    with pytest.raises(ScenarioError, match="save it as UTF-8"):
        files.load(tmp_path / "o.toml")


def test_services_and_migration_can_be_named(tmp_path: Path):
    make(tmp_path, table(fixes()), migration="cold", services=["video-analytics"])
    world = files.load(tmp_path / "o.toml")
    assert [service.name for service in world.services] == ["video-analytics"]
    assert (world.migration.kind, world.migration.downtime_per_hop_s) == ("cold", (1.0, 3.0))
    with pytest.raises(ScenarioError, match="did you mean 'cold'"):
        make(tmp_path, table(fixes()), migration="colt")
    with pytest.raises(ScenarioError, match="did you mean 'video-analytics'"):
        make(tmp_path, table(fixes()), services=["video-analytic"])


def test_nothing_that_is_switched_off_stands_in_the_file(tmp_path: Path):
    make(tmp_path, table(fixes()), users="throughout")
    text = (tmp_path / "o.toml").read_text()
    off = ("migration", "queues", "presence", "failures", "energy", "carrier_hz", "services")
    assert not [name for name in off if f"[{name}]" in text or f"{name} =" in text]
    make(tmp_path, table(fixes()), world="full")
    text = (tmp_path / "o.toml").read_text()
    assert "[tasks]" not in text
    assert "loss_at_1km_db" not in text


def test_the_backhaul_can_be_drawn_either_way(tmp_path: Path):
    for kind, count in (("gabriel", 4), ("delaunay", 6)):
        result = make(tmp_path, table(fixes()), backhaul=kind)
        assert any(line.startswith(f"backhaul: {count} links ({kind}") for line in result.lines)
        assert files.load(tmp_path / "o.toml").backhaul.kind == kind
