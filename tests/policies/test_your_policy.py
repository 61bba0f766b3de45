"""The page docs/your-policy.md: its two examples run as they stand, and plain Python is no second class."""

import re
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from helpers.small_worlds import SERVERS, USERS, at_random, decide, first_memory, new_world, tiny

from isma.contract import Memory
from isma.errors import PolicyError
from isma.evaluation.conformance.rules import RuleOutcome
from isma.evaluation.conformance.suite import check
from isma.planning.allocation import RATIOS
from isma.policies import registry
from isma.policies.plain_python import Decision, PlainPolicy, ServerView
from isma.policies.rules.follow import Nearest
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk, run_chunk_of_worlds
from isma.simulator.state import reset
from isma.world.scenario import Visibility

PAGE = Path(__file__).parents[2] / "docs" / "your-policy.md"
EXAMPLES = ("homeward:Homeward", "calmest:Calmest")
PARAMS = build(tiny({"speed_mps": 150}))
"""Fast users, so that radios hand over within seconds."""


@pytest.fixture
def ideas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's modules, in the folder that it names, under a name of their own."""
    package = tmp_path / "page_ideas"
    package.mkdir()
    blocks = re.findall(r"in `ideas/(\w+)\.py`:\n\n```python\n(.*?)```", PAGE.read_text(), re.S)
    for name, code in blocks:
        (package / f"{name}.py").write_text(code)
    assert len(blocks) == len(EXAMPLES)
    monkeypatch.syspath_prepend(tmp_path)
    return package.name


@pytest.mark.parametrize("example", slow_but_for(EXAMPLES[1:], EXAMPLES))
def test_the_pages_examples_keep_to_the_contract_and_run(ideas: str, example: str) -> None:
    policy = registry.get(f"{ideas}.{example}:rest=2")
    assert {v.outcome for v in check(policy, tiny())} == {RuleOutcome.KEPT}
    key = jax.random.key(0)
    memory = policy.init(tiny(), USERS, SERVERS, key)
    _, _, outcome = run_chunk(PARAMS, policy, new_world(PARAMS, key), memory, key, 100)
    time_s = outcome.completion_time_s[~jnp.isnan(outcome.completion_time_s)]
    assert time_s.size > 0
    assert jnp.all(jnp.isfinite(time_s))
    assert jnp.sum(outcome.migrations) > 0, "the examples move somebody"


class Follows(PlainPolicy):
    """As much of `nearest` as is decided without prices: the server, with equal shares."""

    def first_server_memory(self, scenario) -> dict[str, float]:
        return {"decisions": 0.0}

    def first_user_memory(self, scenario) -> np.ndarray:
        return np.zeros(2, np.float32)

    def decide(self, view: ServerView) -> Decision:
        users = len(view.station)
        kept = view.user_memory + np.array([1, view.server], np.float32)
        counted = {"decisions": view.server_memory["decisions"] + 1}
        return Decision(view.station, 0.5, 1 / users, 0.25, counted, kept)


def test_it_decides_as_the_same_rule_in_jax() -> None:
    observation = at_random(0)
    plain, compiled = (decide(policy, observation) for policy in (Follows(), Nearest()))
    np.testing.assert_array_equal(plain.server, compiled.server)
    users = np.bincount(observation.host, minlength=SERVERS)[np.asarray(observation.host)]
    np.testing.assert_allclose(plain.cpu_share, 1 / users, rtol=1e-6)
    np.testing.assert_array_equal(plain.price_s, [0.25] * SERVERS)


def test_what_it_remembers_is_in_its_rows() -> None:
    observation, policy = at_random(1), Follows()
    before = first_memory(policy, observation)
    _, after = policy.act(before, observation, jax.random.key(0))
    np.testing.assert_array_equal(after.per_server["decisions"], [1] * SERVERS)
    wanted = np.stack([np.ones(USERS), observation.host], axis=1)
    np.testing.assert_array_equal(after.per_user, wanted)
    np.testing.assert_array_equal(before.per_user, np.zeros((USERS, 2)))


def test_a_batch_of_worlds_equals_one_after_another() -> None:
    keys = jax.random.split(jax.random.key(3), 2)
    policy, states = Follows(), jax.vmap(reset, in_axes=(None, 0))(PARAMS, keys)
    memory = policy.init(tiny(), USERS, SERVERS, keys[0])
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), memory)
    _, together, batch = run_chunk_of_worlds(PARAMS, policy, states, twice, keys, 30)
    for world in range(2):
        state = jax.tree.map(lambda leaf, world=world: leaf[world], states)
        _, alone, outcome = run_chunk(PARAMS, policy, state, memory, keys[world], 30)
        np.testing.assert_allclose(
            batch.completion_time_s[world], outcome.completion_time_s, rtol=1e-5
        )
        np.testing.assert_array_equal(together.per_user[world], alone.per_user)


class Looks(PlainPolicy):
    """Notes whom it sees."""

    views: ClassVar[list[ServerView]] = []

    def decide(self, view: ServerView) -> Decision:
        self.views.append(view)
        return Decision(view.host, RATIOS[3], 0.1)


@pytest.mark.parametrize("visibility", list(Visibility))
def test_it_is_shown_whom_the_scenario_lets_it_see(visibility: Visibility) -> None:
    Looks.views.clear()
    observation = at_random(2, visibility)
    jax.block_until_ready(Looks().act(Memory.none(), observation, jax.random.key(0)))
    host = np.asarray(observation.host)
    match visibility:
        case Visibility.SERVER:
            wanted = [(s, np.flatnonzero(host == s).tolist()) for s in np.unique(host).tolist()]
        case Visibility.FULL:
            wanted = [(s, list(range(USERS))) for s in np.unique(host).tolist()]
        case Visibility.USER:
            wanted = [(s, [u]) for s in range(SERVERS) for u in np.flatnonzero(host == s).tolist()]
    assert len(Looks.views) == len(wanted)
    for view, (server, users) in zip(Looks.views, wanted, strict=True):
        assert view.server == server
        np.testing.assert_array_equal(view.gain, np.asarray(observation.gain)[users])
        own = np.asarray(observation.decides & (observation.host == server))[users]
        np.testing.assert_array_equal(view.decides, own)
        np.testing.assert_array_equal(view.price_s, observation.news.price_s[server])


class Misshapen(PlainPolicy):
    """Decides for more users than there are."""

    def decide(self, view: ServerView) -> Decision:
        return Decision(np.zeros(USERS + 1, int), 0.5, 0.1)


class Unasked(PlainPolicy):
    """Remembers what it has not said that it would."""

    def decide(self, view: ServerView) -> Decision:
        return Decision(view.host, 0.5, 0.1, user_memory=view.gain)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (Misshapen(), "Decision.server must be one value or one for each of the"),
        (Unasked(), "Decision.user_memory must have the form of first_user_memory"),
    ],
)
def test_a_mistake_is_told(policy: PlainPolicy, said: str) -> None:
    broken = [v.said for v in check(policy, tiny()) if v.outcome is RuleOutcome.BROKEN]
    assert any(said in line for line in broken), broken
    with pytest.raises((PolicyError, jax.errors.JaxRuntimeError), match=re.escape(said)):
        jax.block_until_ready(policy.act(Memory.none(), at_random(0), jax.random.key(0)))
