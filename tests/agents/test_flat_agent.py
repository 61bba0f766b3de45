"""Functions of the flat observation as policies: what they are shown, and what becomes of their answers."""

import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_environments import SMALL
from helpers.small_worlds import new_world

from isma import agents
from isma.agents.flat_agent import FlatAgent
from isma.environments import NetworkWorlds
from isma.errors import PolicyError
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import State
from isma.world import files
from isma.world.scenario import Scenario

SCENARIO = files.load("paper", SMALL)
SERVERS, USERS, ROWS = 3, 7, 6
TICKS = 40
KEY = jax.random.key(5)


def run(policy: FlatAgent, ticks: int = TICKS) -> tuple[State, Any]:
    params = build(SCENARIO)
    memory = policy.init(SCENARIO, USERS, SERVERS, KEY)
    state, _, outcome = run_chunk(params, policy, new_world(params, KEY), memory, KEY, ticks)
    return state, outcome


def always(server: int):
    return lambda seen: np.full((len(seen), ROWS), server)


def test_answers_are_carried_out_by_every_server() -> None:
    state, _ = run(agents.from_callable(always(2), SCENARIO))
    # Everybody has been decided for twice by then, and goes where all are sent.
    assert np.asarray(state.placement.host).tolist() == [2] * USERS
    assert float(state.placement.price_s[2]) > 0


def test_it_decides_as_in_the_environment() -> None:
    """The same users at the same servers, with the same shares, when its own answers are told to worlds."""

    def answer(seen: np.ndarray) -> np.ndarray:
        return (np.floor(np.abs(seen[:, 1 : 1 + ROWS] * 1000)) % SERVERS).astype(int)

    worlds = NetworkWorlds(SCENARIO)
    key, _ = jax.random.split(jax.random.key(jnp.uint32(4)))
    params = build(SCENARIO)
    agent = agents.from_callable(answer, SCENARIO)
    expected = run_chunk(
        params, agent, new_world(params, key), agent.init(SCENARIO, USERS, SERVERS, KEY), key, TICKS
    )[0]
    state, seen, _ = worlds.reset([4])
    for _ in range(TICKS):
        state, found = worlds.step(state, answer(np.asarray(seen[0]))[None])
        seen = found.observation
    np.testing.assert_array_equal(state.state.placement.host[0], expected.placement.host)
    np.testing.assert_allclose(
        state.state.placement.granted_share[0], expected.placement.granted_share, atol=1e-4
    )


def test_odds_are_drawn_or_the_likeliest_is_taken() -> None:
    def odds(seen: np.ndarray) -> np.ndarray:
        return np.tile(np.log(np.array([0.001, 0.6, 0.399])), (len(seen), ROWS, 1))

    likeliest, _ = run(agents.from_callable(odds, SCENARIO, sample=False))
    assert np.asarray(likeliest.placement.host).tolist() == [1] * USERS
    drawn, _ = run(agents.from_callable(odds, SCENARIO))
    assert set(np.asarray(drawn.placement.host).tolist()) == {1, 2}
    again, _ = run(agents.from_callable(odds, SCENARIO))
    np.testing.assert_array_equal(drawn.placement.host, again.placement.host)


def test_one_server_alone_among_others() -> None:
    """Server 2 sends its users to server 0; the others, `local`, leave theirs where they are."""
    agent = agents.from_callable(always(0), SCENARIO, server=2, others="local")
    state, _ = run(agent)
    host = np.asarray(state.placement.host)
    stays, _ = run(agents.from_callable(always(0), SCENARIO, server=1, others="local"))
    assert 2 not in host
    assert 2 in np.asarray(stays.placement.host)
    assert eqx.tree_equal(agent.others, registry.get("local"))


@pytest.mark.parametrize(
    ("answer", "options", "message"),
    [
        (lambda seen: None, {}, r"must answer 2 observations with whole numbers \[2, 6\]"),
        (lambda seen: np.zeros((2, 5), int), {}, r"got int64\[2, 5\]"),
        (lambda seen: np.full((2, ROWS), 3), {}, "choose servers from 0 to 2, got 3 to 3"),
        (lambda seen: np.full((2, ROWS, 3), np.nan), {}, "got NaN among its log-odds"),
        (always(0), {"server": 1}, "server and others must be given together"),
        (
            always(0),
            {"server": 1, "others": "full-information"},
            "others must see what servers see",
        ),
    ],
)
def test_what_does_not_fit_is_refused(answer: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        agents.from_callable(answer, SCENARIO, **options)


def test_another_scenario_is_refused() -> None:
    agent = agents.from_callable(always(0), SCENARIO)
    other: Scenario = files.load("paper", {**SMALL, "users.count": 9})
    with pytest.raises(
        PolicyError, match=r"was made for 7 users, 3 servers and .* has 9 users, 3 servers"
    ):
        agent.init(other, 9, 3, KEY)


@pytest.mark.parametrize(
    "make", [lambda: agents.sb3_worlds(2), lambda: agents.StableBaselines3("x.zip")]
)  # pyright: ignore[reportArgumentType]
def test_without_the_library_one_line_says_how_to_get_it(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(PolicyError, match=r"not installed .*: pip install 'isma\[rl\]'"):
        make()
