"""Engines: where the jobs of a comparison run, each of which computes a shard.

An engine submits a function with its job, and returns a handle like that of `concurrent.futures`. Arguments
and return values are text: results are files in the run's folder, which every worker must see.
"""

import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from isma.errors import OptionError, RunError, given, short, unknown
from isma.evaluation.comparison.compare import cores
from isma.world.vary import scalar

_CONNECT_S = 20
"""Time in which a scheduler has to answer."""


@dataclass(frozen=True)
class Job:
    """Shard of the run that a folder is for."""

    folder: str
    shard: str
    policies: tuple[str, ...]
    workers: int | None
    """Threads; None for as many as cores that the job may use."""
    places: tuple[str, ...] = ()
    """Folders of the import path for users' own policies, after all others."""


Work = Callable[[Job], str | None]
"""Does a job; returns an error of the input in words, or None."""


class Handle(Protocol):
    """Handle of a job that was submitted."""

    def done(self) -> bool:
        """Whether it has ended, also by an error."""
        ...

    def result(self) -> str | None:
        """Return value of the work. Raises any exception where the job was lost."""
        ...


class Engine(Protocol):
    """Executor of jobs, a context manager that cancels unfinished ones at its exit."""

    def submit(self, work: Work, job: Job) -> Handle:
        """Queue a job."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *failure: Any) -> None: ...


@dataclass(frozen=True)
class EngineChoice:
    """Name of an engine with its options, and into how many jobs a run is divided."""

    name: str
    options: Mapping[str, Any]
    jobs: int | None
    """None for as many as there are compiled programs."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `NAME:option=value,...`; None for the threads of this process. Raises OptionError."""
        name, _, rest = text.partition(":")
        if name not in ENGINES and name != THREADS:
            raise OptionError(unknown("engine", name, [THREADS, *ENGINES]))
        options = {}
        for item in rest.split(",") if rest else []:
            key, equals, value = item.partition("=")
            if not equals:
                raise OptionError(f"--engine is written NAME:option=value,..., got {given(text)}")
            options[key.strip()] = scalar(value)
        jobs = options.pop("jobs", None)
        if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
            raise OptionError(f"engine {name}: jobs must be at least 1, got {given(jobs)}")
        if name != THREADS:
            return cls(name, options, jobs)
        if options or jobs is not None:
            raise OptionError(f"engine {THREADS} has no options, got {given(rest)}: see --workers")
        return None

    def opened(self, out: Path) -> Engine:
        """The engine, for a run in that folder. Raises OptionError, or RunError where it is not there."""
        kind = ENGINES[self.name]
        try:
            import_module(kind.module)
        except ImportError:
            raise RunError(
                f"engine {self.name} needs {kind.module}: pip install 'isma[{kind.extra}]'"
            ) from None
        try:
            return kind.make(out, **self.options)
        except (TypeError, NameError, ValueError) as error:  # An option that it does not have.
            raise OptionError(f"engine {self.name}: {short(error, 200)}") from None
        except (OSError, RuntimeError) as error:  # No cluster, or no scheduler.
            raise RunError(f"engine {self.name} cannot be reached: {short(error, 200)}") from None


class _Processes:
    """Processes of this machine, `at_once` in parallel."""

    def __init__(self, out: Path, at_once: int = 2) -> None:
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, got {at_once}")
        self._context = multiprocessing.get_context("spawn")
        self._threads, self._running = ThreadPoolExecutor(at_once), set[BaseProcess]()
        self._workers = max(1, cores() // at_once)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in tuple(self._running):
            process.kill()

    def submit(self, work: Work, job: Job) -> Handle:
        """Run a job in a process of its own."""
        job = replace(job, workers=job.workers or self._workers)
        return self._threads.submit(self._run, work, job)

    def _run(self, work: Work, job: Job) -> str | None:
        """Start a process and wait for it. Raises EOFError where it is killed."""
        receive, send = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_called, args=(send, work, job), daemon=True)
        process.start()
        send.close()
        self._running.add(process)
        try:
            return receive.recv()
        finally:
            process.join()
            self._running.discard(process)


def _called(send: Connection, work: Work, job: Job) -> None:
    """Do a job in a process of its own. Ctrl-C is for the process that started it, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    send.send(work(job))


class _Submitit:
    """Jobs of Slurm, or processes of this machine that are started as those are."""

    def __init__(self, out: Path, cluster: str | None = None, **parameters: Any) -> None:
        import submitit  # pyright: ignore[reportMissingImports]

        out.parent.mkdir(parents=True, exist_ok=True)
        self._logs = Path(tempfile.mkdtemp(prefix=f".{out.name}-jobs-", dir=out.parent))
        try:
            self._executor = submitit.AutoExecutor(self._logs, cluster=cluster)
            self._executor.update_parameters(**{"timeout_min": 60, "name": "isma", **parameters})
        except BaseException:
            shutil.rmtree(self._logs, ignore_errors=True)
            raise
        self._submitted: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        for handle in self._submitted:
            if not handle.done():
                handle.cancel()
        if failure[0] is None:  # Else the jobs' logs may show the reason.
            shutil.rmtree(self._logs, ignore_errors=True)

    def submit(self, work: Work, job: Job) -> Handle:
        """Queue a job."""
        self._submitted.append(self._executor.submit(work, job))
        return self._submitted[-1]


class _Ray:
    """Tasks of a Ray cluster that is running already."""

    def __init__(self, out: Path, address: str = "auto", **resources: Any) -> None:
        import ray  # pyright: ignore[reportMissingImports]

        # Lost jobs are submitted again by the caller, so the engine must not retry.
        self._remote = ray.remote(**{"max_retries": 0, **resources})
        self._remote(_called)  # Refuses unknown resources.
        self._ray, self._is_own = ray, not ray.is_initialized()
        if self._is_own:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        self._submitted: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        for reference in self._submitted:
            self._ray.cancel(reference, force=True)
        if self._is_own:
            self._ray.shutdown()

    def submit(self, work: Work, job: Job) -> Handle:
        """Run a job as a task."""
        self._submitted.append(self._remote(work).remote(job))
        return self._submitted[-1].future()


class _Dask:
    """Tasks of a Dask cluster that is running already."""

    def __init__(
        self, out: Path, scheduler: str | None = None, scheduler_file: str | None = None
    ) -> None:
        from distributed import Client  # pyright: ignore[reportMissingImports]

        if (scheduler is None) == (scheduler_file is None):
            raise ValueError("give scheduler=tcp://HOST:PORT or scheduler_file=FILE")
        self._client = Client(
            scheduler, scheduler_file=scheduler_file, timeout=_CONNECT_S, set_as_default=False
        )
        self._submitted: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        self._client.cancel(self._submitted)
        self._client.close()

    def submit(self, work: Work, job: Job) -> Handle:
        """Run a job as a task, on another worker where the first is gone."""
        self._submitted.append(self._client.submit(work, job, pure=False))
        return self._submitted[-1]


THREADS = "threads"
"""Name of the default: threads of this process."""


class EngineKind(NamedTuple):
    """Constructor of an engine, and the package that it needs."""

    make: Callable[..., Engine]
    module: str
    extra: str = ""


ENGINES: Mapping[str, EngineKind] = {
    "processes": EngineKind(_Processes, "multiprocessing"),
    "submitit": EngineKind(_Submitit, "submitit", "slurm"),
    "ray": EngineKind(_Ray, "ray", "ray"),
    "dask": EngineKind(_Dask, "distributed", "dask"),
}
"""Engines by name."""
