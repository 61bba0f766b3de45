"""Policies of the simulator beside a real server: what they see, what they answer, the same again."""

import asyncio
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from isma.agent.agent_view import situation
from isma.agent.brain import Brain, observation
from isma.agent.config import BroadcastTable, Config, Listen, Server, Service, Tls
from isma.agent.decisions import TaskRequest, nearest, proposed
from isma.agent.news import Bulletins
from isma.agent.planner import PlannerProcess, is_sound
from isma.agent.replay import replay
from isma.agent.situation import AgentView, Proposal, ProposedAction, Recorded, UserView
from isma.agent.worker import proposed as proposed_by
from isma.errors import PolicyError
from isma.world import files

SCENARIO = files.load("paper")


def seen(number: int, *users: UserView) -> AgentView:
    return AgentView(
        *(number, ("a", "b", "c"), 1),
        *((1e10, 2e10, 3e10), (5e9, 1e10, 3e10), (0.1, 0.2, 0.3), (0.5, 0.0, 2.5)),
        *(1.0, 0.5, 10 * number, users),
    )


def row(name: str, station: int, **changed: float) -> UserView:
    told = UserView(name, station, 4e6, 1e9, 1e9, 1.0, 1.0, 1e-10)
    return msgspec.structs.replace(told, **changed)


def test_an_observation_is_what_this_server_knows() -> None:
    moment = seen(3, row("x", 2), row("y", 0, cycles=2e9))
    found = observation(moment, SCENARIO, {"x": 4, "y": 1}, 8)
    assert np.flatnonzero(found.visible).tolist() == [1, 4]
    assert np.flatnonzero(found.decides).tolist() == [1, 4]
    assert (int(found.station[4]), int(found.station[1])) == (2, 0)
    assert (int(found.host[4]), int(found.host[0])) == (1, 0)
    assert found.requests.cycles.tolist() == [0, 2e9, 0, 0, 1e9, 0, 0, 0]
    assert found.news.remaining_hz[1].tolist() == pytest.approx([5e9, 1e10, 3e10])
    assert found.news.age_s[1].tolist() == [0.5, 0, 2.5]
    assert not found.news.remaining_hz[0].any()
    assert found.acting.tolist() == found.due.tolist() == [False, True, False]
    assert int(found.slot) == 30
    assert found.infrastructure.hops.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_actions_come_back_to_their_contexts() -> None:
    brain = Brain("nearest", SCENARIO)
    users = [row("x", 2), row("y", 0), row("z", 1)]
    first = brain.propose(seen(1, *users))
    assert {one.context: one.server for one in first.choices} == {"x": 2, "y": 0, "z": 1}
    second = brain.propose(seen(2, row("w", 0), row("z", 1)))
    assert {one.context: one.server for one in second.choices} == {"w": 0, "z": 1}
    assert len(first.digest) == 64


def test_recorded_situations_give_the_same_actions(tmp_path: Path) -> None:
    brain = Brain("nearest", SCENARIO)
    moments = [seen(n, *(row(f"u{i}", (i + n) % 3) for i in range(n, n + 3))) for n in range(1, 6)]
    lines = [Recorded(moment, (brain.propose(moment),)) for moment in moments]
    record = tmp_path / "decisions.jsonl"
    record.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    assert replay(record, "paper") == (5, 0)
    other = lines[2].proposals[0]
    choice = msgspec.structs.replace(
        other.choices[0], cpu_share=math.nextafter(other.choices[0].cpu_share, 2)
    )
    spoilt = msgspec.structs.replace(other, choices=(choice, *other.choices[1:]))
    lines[2] = Recorded(moments[2], (spoilt,))
    record.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    assert replay(record, "paper") == (5, 1)


def test_what_a_policy_cannot_do_is_told() -> None:
    class Broken:
        name, digest = "broken", "0"

        def propose(self, moment: AgentView) -> Proposal:
            raise ZeroDivisionError("no\nway")

    found = proposed_by(Broken(), seen(1))  # pyright: ignore[reportArgumentType]
    assert found.error == "ZeroDivisionError: no way"


def test_a_policy_that_must_see_everything_is_refused() -> None:
    with pytest.raises(PolicyError, match="needs to see"):
        Brain("full-information", SCENARIO)


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": 3},
        {"server": -1},
        {"offload_ratio": math.nan},
        {"offload_ratio": 1.1},
        {"cpu_share": math.inf},
        {"cpu_share": -0.1},
        {"context": "other"},
    ],
)
def test_an_unsound_proposal_is_not_carried_out(wrong: dict[str, Any]) -> None:
    moment, choice = seen(1, row("x", 0)), ProposedAction("x", 2, 0.5, 0.5)
    assert is_sound(Proposal(1, "p", "d", (choice,)), moment)
    spoilt = msgspec.structs.replace(choice, **wrong)
    assert not is_sound(Proposal(1, "p", "d", (spoilt,)), moment)
    assert not is_sound(Proposal(1, "p", "d", ()), moment)
    assert not is_sound(Proposal(1, "p", "d", (choice,), math.nan), moment)


def config(*peers: str) -> Config:
    told = BroadcastTable("h:1", dict.fromkeys(peers, "h:2"), stale_s=2.0)
    tls, service = Tls("", "", ""), Service("")
    addresses = dict.fromkeys(peers, "https://h")
    return Config("b", "", Listen(1), tls, service, Server(2e10), addresses, told)


def test_a_decision_says_how_old_its_news_is() -> None:
    heard = Bulletins(frozenset({"a", "c"}), 2.0)
    bulletin = b'{"boot": 1, "number": 1, "server_hz": 1e10, "remaining_hz": 4e9, "price_s": 0.5}'
    heard.take("a", bulletin, 10.0)
    request = TaskRequest("a", 4e6, 1e9, 1e9, 1.0)
    moment = situation(7, config("a", "c"), {"x": request}, (2e10, 1e10, 0.0), heard, 13.5)
    assert moment.servers == ("a", "b", "c")
    assert (moment.me, moment.users[0].station) == (1, 0)
    assert moment.remaining_hz == (4e9, 1e10, 2e4)
    assert moment.age_s == (3.5, 0.0, 1e6)
    proposal = Proposal(7, "price", "d" * 64, (ProposedAction("x", 0, 0.5, 0.25),))
    decision = proposed(proposal, moment, heard.stale(13.5))["x"]
    assert (decision.server, decision.share_ppm) == ("a", 250_000)
    assert "news of a, c is stale" in decision.reason
    assert decision.digest == "d" * 64


def test_nearest_shares_what_is_there() -> None:
    users = {name: TaskRequest(at, 1, 1, 1, 1) for name, at in zip("xyz", "abq", strict=True)}
    found = nearest("a", users, ["b"], 600_000)
    assert {name: one.server for name, one in found.items()} == {"x": "a", "y": "b", "z": "a"}
    assert {one.share_ppm for one in found.values()} == {300_000}


@pytest.mark.slow
def test_the_planner_answers_by_its_deadline_or_not_at_all(tmp_path: Path) -> None:
    record = tmp_path / "decisions.jsonl"

    async def play() -> None:
        planner = PlannerProcess(["local", "nearest"], "paper", record)
        running = asyncio.create_task(planner.run_for_ever())
        found: list[Proposal] = []
        for _ in range(600):
            moment = seen(planner.next_number(), row("x", 0))
            found = await planner.ask(moment, 0.2)
            if len(found) == 2:
                break
            await asyncio.sleep(0.2)
        assert [one.policy for one in found] == ["local", "nearest"]
        assert found[1].choices[0].server == 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(play())
    total, differ = replay(record, "paper")
    assert total > 0
    assert not differ
