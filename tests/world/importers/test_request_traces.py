"""Request traces as workloads: what is taken over, to the request, and what is refused."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

from isma.errors import DataError, IsmaError, ScenarioError
from isma.simulator.params import build, fit
from isma.simulator.state import reset
from isma.world import arrivals, files
from isma.world.importers.make import import_scenario
from isma.world.importers.request_traces import Session
from isma.world.switches import Attendance, Presence

DATA = Path(os.environ.get("ISMA_DATA") or Path(__file__).parents[4] / "shared" / "data")
AZURE = DATA / "workload_azure_llm/AzureLLMInferenceTrace_code.csv"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
BURST = [f"2023-11-16 18:00:{30 + at / 10:010.7f},{100 + at},{at}" for at in range(200)]
LONE = ["2023-11-16 18:00:00.0000000,8,2", "2023-11-16 18:02:00.0000000,4,6"]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """200 requests in 20 s after half a minute of quiet; one at 0 s, one at 120 s, and two unreadable."""
    path = tmp_path / "llm.csv"
    rows = [LONE[0], *BURST, LONE[1], "never,1,1", "2023-11-16 18:00:10,none,1"]
    path.write_text("\n".join([HEADER, *rows]))
    return path


def test_the_busiest_window_becomes_users_and_tasks(trace: Path, tmp_path: Path) -> None:
    session = Session(cycles_per_token=1e6, duration_s=5, requests=4)
    made = import_scenario("requests", trace, tmp_path / "w.toml", duration_s=30, session=session)
    world = files.load(made.file)
    # From the burst's first request on, 200 requests of 30 s: 50 users with 4 each, one every 1.25 s.
    assert world.users.count == 50
    assert {service.interval_s for service in world.services} == {(1.25, 1.25)}
    assert world.presence.kind is Attendance.RECORDED
    assert world.presence.stay_s == (5, 5)
    weight = np.array([service.weight for service in world.services])
    data, cycles = (
        np.array([getattr(service, name)[0] for service in world.services])
        for name in ("data_bits", "cycles")
    )
    context, generated = 100 + np.arange(200), np.arange(200)
    assert weight.sum() == 200
    assert np.average(data, weights=weight) == pytest.approx(32 * context.mean())
    assert np.average(cycles, weights=weight) == pytest.approx(1e6 * (context + generated).mean())
    said = "\n".join(made.lines)
    assert "204 requests, time: ISO 8601" in said
    assert "kept 202; dropped 1 without a time, 1 without tokens" in said
    assert "200 requests in 30 s from 2023-11-16T18:00:30Z" in said


def test_users_come_when_requests_came(trace: Path, tmp_path: Path) -> None:
    made = import_scenario(
        "requests", trace, tmp_path / "w.toml", duration_s=100, session=Session(duration_s=5)
    )
    world = files.load(made.file, {"users.count": 400})
    state = jax.jit(reset)(build(world), jax.random.key(0))
    first_s = np.asarray(state.emission.first_slot) / 1000
    recorded = arrivals.read(world.presence)
    assert set(np.round(first_s, 3)) <= set(np.round(recorded, 3))
    assert len(set(first_s)) > 100
    # The window is from the first request on: the burst is from 30 to 50 s, and all but one are in it.
    assert np.mean((first_s >= 30) & (first_s < 50)) > 0.98
    stay_s = np.asarray(state.emission.leave_slot) / 1000 - first_s
    np.testing.assert_allclose(stay_s, 5, atol=1e-3)


def test_a_city_takes_the_requests(trace: Path, tmp_path: Path) -> None:
    places = tmp_path / "sites.csv"
    places.write_text("site_id,latitude,longitude\na,45.0,9.0\nb,45.01,9.0\nc,45.0,9.01\n")
    made = import_scenario(
        "requests",
        trace,
        tmp_path / "w.toml",
        places,
        duration_s=100,
        session=Session(duration_s=5),
    )
    assert fit(files.load(made.file)).num_stations == 3
    assert "3 sites" in made.lines[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"duration_s": 500}, "at most the trace's length"),
        ({"duration_s": 30, "session": Session(duration_s=40)}, "must be shorter than the run"),
        ({"session": Session(cycles_per_token=0)}, "--cycles-per-token must be above 0"),
        ({"session": Session(duration_s=0.005)}, "a slot of 0.001 s for each request"),
        ({"services": ["batch"]}, "--services must not be given with requests"),
        ({"max_gap_s": 3.0}, "--max-gap must not be given with requests"),
        ({"backhaul": "gabriel"}, "--backhaul must be given with --sites alone"),
        ({"sites": Path("hexagonal:500m")}, "--sites must be a table with requests"),
    ],
)
def test_a_mistake_is_told_in_a_line(trace: Path, tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(IsmaError, match=said) as refused:
        import_scenario("requests", trace, tmp_path / "w.toml", **{"duration_s": 60, **options})
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "w.toml").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "missing TIMESTAMP, ContextTokens, GeneratedTokens"),
        (HEADER + "\n", "got none"),
        (HEADER + "\n" + LONE[0] + "\n", "at least two requests"),
        ('"' + HEADER, "must be a CSV file"),
    ],
)
def test_another_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        import_scenario("requests", path, tmp_path / "w.toml")


def test_a_session_is_of_requests_alone(tmp_path: Path) -> None:
    table = tmp_path / "sites.csv"
    table.write_text("site_id,latitude,longitude\na,45.0,9.0\n")
    with pytest.raises(ScenarioError, match="--session must not be given with sites"):
        import_scenario("sites", table, tmp_path / "w.toml", session=Session())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time\n1\n", "must have a column time_s"),
        ("time_s\n1\n-2\n", "line 3: time_s must be a time from 0 on, got '-2'"),
        ("time_s\nsoon\n", "line 2: time_s must be a time from 0 on, got 'soon'"),
        ("time_s\n", "at least one arrival"),
        ("", "must be a CSV with a column time_s"),
    ],
)
def test_a_table_of_arrivals_is_checked(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "arrivals.csv"
    path.write_text(text)
    presence = Presence(enabled=True, kind=Attendance.RECORDED, file=path)
    with pytest.raises(DataError, match=said):
        arrivals.read(presence)


def test_recorded_arrivals_need_their_file() -> None:
    with pytest.raises(ScenarioError, match='file must be given when kind is "recorded"'):
        files.load("paper", {"presence.enabled": True, "presence.kind": "recorded"})


@pytest.mark.skipif(
    not AZURE.exists(), reason=f"no real data at {DATA}: set ISMA_DATA to its folder"
)
def test_azures_trace_is_read_whole(tmp_path: Path) -> None:
    made = import_scenario("requests", AZURE, tmp_path / "code.toml")
    said = "\n".join(made.lines)
    assert "8,819 requests" in said
    assert "kept 8,819" in said
    assert "odd: more than all servers have" in said
    assert fit(files.load(made.file)).num_users == 274
