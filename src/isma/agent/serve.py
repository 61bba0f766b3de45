"""The agent's process: from a config to its end."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from aiohttp import web

from isma.agent.agent import Agent
from isma.agent.config import Config
from isma.agent.doors import app
from isma.agent.identity import Identity, Kind, context, counted, of_certificate
from isma.agent.journal import Journal
from isma.agent.runtime import note
from isma.errors import RunError

_MOST_HEADER_BYTES = 8_192


def serve(config: Config) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises RunError."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # It logs the bytes of what is no HTTP, as much as a stranger cares to send.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    check_certificate(config)
    journal = Journal(Path(config.folder))
    try:
        asyncio.run(_serve(config, journal))
    finally:
        journal.close()


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
    runner = web.AppRunner(
        app(agent),
        max_line_size=_MOST_HEADER_BYTES,
        max_field_size=_MOST_HEADER_BYTES,
        keepalive_timeout=30,
        lingering_time=1,
    )
    await runner.setup()
    listen = config.listen
    tls = counted(context(config.tls, server=True), agent.refused)
    site = web.TCPSite(runner, listen.address, listen.port, ssl_context=tls)
    try:
        try:
            await site.start()
        except OSError as error:
            raise RunError(
                f"listen must be an address and a free port, got {listen.address}:{listen.port}: "
                f"{error.strerror or error}"
            ) from None
        agent.start()
        note("listening", name=config.name, address=listen.address, port=listen.port)
        note("cpu", enforce=config.cpu.enforce)
        await _work_until_ended(config, agent)
    finally:
        await runner.cleanup()
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
        work.append(asyncio.create_task(radio.tell_for_ever(period_s, agent.bulletin)))
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
