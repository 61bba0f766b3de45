"""The agent's process: from a config to its end."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

from isma.agent import listening
from isma.agent.agent import Agent
from isma.agent.config import Config
from isma.agent.http_api import app
from isma.agent.identity import Identity, Kind, context, counted, of_certificate
from isma.agent.journal import Journal
from isma.agent.runtime import note
from isma.errors import RunError


def serve(config: Config) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises RunError."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # It logs the bytes of malformed requests, of any length.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    check_certificate(config)
    journal = Journal(Path(config.folder))
    try:
        _run(_serve(config, journal))
    finally:
        journal.close()


def _run(serving: Coroutine[None, None, None]) -> None:
    """Run on uvloop's event loop, which costs a request less CPU; on Windows there is none."""
    if sys.platform == "win32":
        asyncio.run(serving)
    else:
        import uvloop

        uvloop.run(serving)


def check_certificate(config: Config) -> None:
    """Refuse a certificate that is not this agent's. Raises RunError."""
    import ssl

    context(config.tls, server=True)
    decoded = ssl._ssl._test_decode_cert(config.tls.certificate)  # pyright: ignore
    if of_certificate(decoded) != Identity(Kind.AGENT, config.name):
        raise RunError(
            f"{config.tls.certificate} must have one DNS name, {Identity(Kind.AGENT, config.name).host}"
        )


async def _serve(config: Config, journal: Journal) -> None:
    agent = Agent(config, journal)
    running = listening.runner(app(agent), config.limits)
    await running.setup()
    place, server = config.listen, None
    tls = counted(context(config.tls, server=True), agent.refused)
    try:
        try:
            server = await listening.listen(
                running, place, tls, config.limits, agent.refused_for_many
            )
        except OSError as error:
            raise RunError(
                f"listen must be an address and a free port, got {place.address}:{place.port}: "
                f"{error.strerror or error}"
            ) from None
        agent.start()
        note("listening", name=config.name, address=place.address, port=place.port)
        note("cpu", enforce=config.cpu.enforce)
        await _work_until_ended(config, agent)
    finally:
        if server is not None:
            server.close()
        await running.cleanup()
        await agent.close()


async def _work_until_ended(config: Config, agent: Agent) -> None:
    work = [asyncio.create_task(agent.decide_for_ever())]
    if agent.planner is not None:
        work.append(asyncio.create_task(agent.planner.run_for_ever()))
    radio = None
    if config.broadcast is not None:
        from isma.agent.broadcast import Broadcaster

        radio = Broadcaster(config, config.broadcast, agent.news)
        period_s = config.broadcast.period_s
        work.append(asyncio.create_task(radio.open()))
        work.append(asyncio.create_task(radio.broadcast_for_ever(period_s, agent.bulletin)))
    for task in work:
        task.add_done_callback(_tell_failure)
    await _ended()
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    if radio is not None:
        await radio.close()


def _tell_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        note("failed", reason=f"{type(error).__name__}: {error}"[:300])


async def _ended() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
