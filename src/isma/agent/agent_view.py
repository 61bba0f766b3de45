"""View of an agent for its policies, from its users and its news."""

from collections.abc import Mapping

from isma.agent.config import Config
from isma.agent.decisions import TaskRequest
from isma.agent.news import Bulletins
from isma.agent.situation import AgentView, UserView

_SLOT_S = 0.1
_NEVER_S = 1e6
_FULL = 1e-6


def situation(
    number: int,
    config: Config,
    users: Mapping[str, TaskRequest],
    own: tuple[float, float, float],
    news: Bulletins,
    now_s: float,
) -> AgentView:
    """This server's present view; a server without news counts as full.

    `own` is this server's clock, remaining computing resources and price; `now_s` is monotonic.
    """
    names = tuple(sorted({config.name, *config.peers}))
    index = {name: place for place, name in enumerate(names)}
    columns: list[tuple[float, float, float, float]] = []
    for name in names:
        received = news.of(name)
        if name == config.name:
            columns.append((*own, 0.0))
        elif received is None:
            columns.append((own[0], _FULL * own[0], 0.0, _NEVER_S))
        else:
            bulletin = received.bulletin
            numbers = bulletin.server_hz, bulletin.remaining_hz, bulletin.price_s
            columns.append((*numbers, now_s - received.at_s))
    server_hz, remaining_hz, price_s, age_s = zip(*columns, strict=True)
    me = index[config.name]
    period_s = config.server.decision_period_s
    rows = tuple(
        UserView(
            context,
            index.get(request.station, me),
            request.data_bits,
            request.cycles,
            request.local_hz,
            request.deadline_s,
            request.interval_s,
            request.gain,
        )
        for context, request in sorted(users.items())
    )
    return AgentView(
        number,
        names,
        me,
        server_hz,
        remaining_hz,
        price_s,
        age_s,
        period_s,
        period_s if config.broadcast is None else config.broadcast.period_s,
        number * max(round(period_s / _SLOT_S), 1),
        rows,
    )
