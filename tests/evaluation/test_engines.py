"""Engines: jobs that are lost are submitted again, and the files are those of one process."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from evaluation.test_compare import contents, plan_of

from isma.errors import OptionError, RunError
from isma.evaluation.comparison import dispatch, engines
from isma.evaluation.comparison.compare import CompareProgress, compare
from isma.evaluation.comparison.engines import EngineChoice, Handle, Job, Work
from isma.policies import registry


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_POLL_S", 0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ry", "unknown engine 'ry'"),
        ("processes:2", "--engine is written NAME:option=value,..., got 'processes:2'"),
        ("processes:jobs=0", "engine processes: jobs must be at least 1, got 0"),
        ("threads:jobs=2", "engine threads has no options"),
    ],
)
def test_an_engine_is_told_by_name_and_options(text: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        EngineChoice.parse(text)


def test_what_an_engine_does_not_have_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert EngineChoice.parse("threads") is None
    assert EngineChoice.parse("processes:jobs=3") == EngineChoice("processes", {}, 3)
    for text in ("processes:at_once=0", "processes:speed=9"):
        chosen = EngineChoice.parse(text)
        assert chosen is not None
        with pytest.raises(OptionError, match=r"engine processes: .*(at_once|speed)"):
            chosen.opened(tmp_path)
    monkeypatch.setitem(
        engines.ENGINES, "none", engines.EngineKind(HereAndNow, "no_such_module", "none")
    )
    with pytest.raises(
        RunError, match=r"engine none needs no_such_module: pip install 'isma.none.'"
    ):
        EngineChoice("none", {}, None).opened(tmp_path)


class HereAndNow:
    """An engine that does a job when it is submitted."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __enter__(self) -> "HereAndNow":
        return self

    def __exit__(self, *failure: Any) -> None:
        pass

    def submit(self, work: Work, job: Job) -> Handle:
        self.jobs.append(job)
        future = Future[str | None]()
        try:
            future.set_result(work(job))
        except Exception as error:
            future.set_exception(error)
        return future


def two_results(out: Path) -> dispatch.ShardFiles:
    return dispatch.ShardFiles(plan_of(), out, {1: [out / "a", out / "b"], 2: [out / "c"]})


def run(out: Path, work: Work, engine: HereAndNow | None = None) -> list[CompareProgress]:
    heard: list[CompareProgress] = []
    dispatch.run_all(engine or HereAndNow(), two_results(out), None, heard.append, work)
    return heard


def test_a_lost_job_is_submitted_again_while_it_gets_on(tmp_path: Path) -> None:
    (tmp_path / "c").touch()  # Nothing is to be done for the second shard.
    rests = ["a", "", "", "b"]

    def work(job: Job) -> None:
        done = rests.pop(0)
        if done:
            (tmp_path / done).touch()
        if rests:
            raise EOFError

    engine = HereAndNow()
    parts = [progress.part for progress in run(tmp_path, work, engine)]
    assert parts == pytest.approx([2 / 3, 2 / 3, 2 / 3, 1])
    assert [job.shard for job in engine.jobs] == ["1/2"] * 4
    assert all((tmp_path / name).exists() for name in "abc")


def lose(job: Job) -> None:
    raise EOFError("the worker is gone")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (
            lose,
            "the job of shard 1/2 was lost 3 times without a new result: EOFError the worker is gone",
        ),
        (lambda job: "no such policy", "^no such policy$"),
        (lambda job: None, "shard 1/2 is done, and 2 results are not in .*: workers must see that"),
    ],
    ids=["lost", "mistake", "elsewhere"],
)
def test_a_job_that_gets_no_further_is_told(work: Work, said: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=said):
        run(tmp_path, work)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compare(plan_of(), tmp_path_factory.mktemp("runs") / "whole")


def test_jobs_write_the_files_of_one_process(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = HereAndNow()
    monkeypatch.setitem(engines.ENGINES, "here", engines.EngineKind(lambda out: engine, "os"))
    chosen = EngineChoice("here", {}, None)
    out = dispatch.compare(plan_of(), tmp_path / "run", engine=chosen)
    assert contents(out) == contents(whole)
    assert [job.shard for job in engine.jobs] == ["1/2", "2/2"], "one for each policy"
    heard: list[CompareProgress] = []
    dispatch.compare(plan_of(), out, heard.append, engine=chosen)
    assert (heard[-1].computed, heard[-1].taken_up) == (0, 4)
    assert len(engine.jobs) == 2, "everything is there"
    dispatch.compare(plan_of(seeds=(0, 1, 2)), out, heard.append, engine=chosen)
    assert (heard[-1].computed, heard[-1].taken_up) == (2, 4)
    assert [job.shard for job in engine.jobs[2:]] == ["1/2", "2/2"]


def test_an_object_is_not_sent_anywhere(tmp_path: Path) -> None:
    plan = plan_of(policies=("mine",), given={"mine": registry.get("nearest")})
    with pytest.raises(RunError, match="engine processes takes policies by name, and mine is an"):
        dispatch.compare(plan, tmp_path / "run", engine=EngineChoice("processes", {}, None))
    assert not (tmp_path / "run").exists()


def kill_first(text: str, mark: str) -> int:
    """Kill the first process with this text in its command line and that in its environment; how many."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = [(folder / name).read_bytes().decode() for name in ("cmdline", "environ")]
            if text in told[0].replace("\0", " ") and mark in told[1]:
                os.kill(int(folder.name), signal.SIGKILL)
                return 1
    return 0


def compared_with_a_kill(text: str, out: Path, kill: Callable[[], int]) -> int:
    """Compare on an engine, and kill a worker as soon as there is a first result; how many kills."""
    kills = 0

    def watch(progress: CompareProgress) -> None:
        nonlocal kills
        if not kills and list(out.glob("cells/*.npz")) and progress.label.endswith(("job", "jobs")):
            kills += kill()

    dispatch.compare(plan_of(), out, watch, engine=EngineChoice.parse(text))
    return kills


def kill_a_child() -> int:
    running = multiprocessing.active_children()
    for process in running[:1]:
        process.kill()
    return len(running[:1])


@pytest.mark.slow
def test_processes_one_of_which_is_killed(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert compared_with_a_kill("processes:at_once=1", out, kill_a_child) == 1
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_submitit_with_a_killed_job(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("ISMA_TRIED_IN", str(tmp_path))
    out = tmp_path / "run"
    kill = lambda: kill_first("submitit.core._submit", str(tmp_path))  # noqa: E731
    assert compared_with_a_kill("submitit:cluster=local", out, kill) == 1
    assert contents(out) == contents(whole)
    assert list(tmp_path.iterdir()) == [out], "what the jobs have said is removed"


@pytest.mark.slow
def test_dask_with_a_killed_worker(whole: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "run"
    local = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**local, silence_logs=50) as cluster:
        first = next(iter(cluster.workers.values())).pid

        def kill() -> int:
            os.kill(first, signal.SIGKILL)
            return 1

        text = f"dask:scheduler={cluster.scheduler_address}"
        assert compared_with_a_kill(text, out, kill) == 1
    assert contents(out) == contents(whole)
    with pytest.raises(OptionError, match="engine dask: give scheduler=tcp://HOST:PORT or"):
        EngineChoice("dask", {}, None).opened(out)


@pytest.mark.slow
def test_ray_with_a_killed_worker(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("ISMA_TRIED_IN", str(tmp_path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

    out = tmp_path / "run"
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        cluster.add_node(num_cpus=1)
        kill = lambda: kill_first("ray::run_job", str(tmp_path))  # noqa: E731
        assert compared_with_a_kill(f"ray:address={cluster.address}", out, kill) == 1
    finally:
        cluster.shutdown()
    assert contents(out) == contents(whole)
