"""The benchmark of the rules: which rows it has, and that a rule that cannot decide says why."""

import json
from collections.abc import Callable
from dataclasses import fields

import pytest
from jaxtyping import PRNGKeyArray
from typer.testing import CliRunner

from benchmarks import commands, rules
from isma.contract import Memory
from isma.errors import DataError
from isma.policies import registry
from isma.policies.rules.local_random import Local
from isma.world.scenario import Scenario


class Unable(Local):
    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        raise DataError("a table for 3 servers is too large")


@pytest.fixture(scope="module")
def decisions() -> rules.Decisions:
    return rules.measure(sizes=((7, 3),), rules=("nearest", "break-even", f"{__name__}:Unable"))


def test_every_rule_is_asked_at_every_size_beside_the_numpy_loop(
    decisions: rules.Decisions,
) -> None:
    rows = [(row.rule, row.scenario, row.users, row.servers) for row in decisions.decisions]
    assert rows == [
        ("nearest, NumPy loop", "paper", 7, 3),
        ("nearest", "paper", 7, 3),
        ("break-even", "paper-migration", 7, 3),
        (f"{__name__}:Unable", "paper", 7, 3),
    ]
    for row in decisions.decisions[:3]:
        assert row.median_ms is not None
        assert row.p99_ms is not None
        assert 0 < row.median_ms <= row.p99_ms


def test_a_rule_that_cannot_decide_says_why(decisions: rules.Decisions) -> None:
    assert decisions.decisions[3].median_ms is None
    assert "a table for 3 servers is too large" in rules.as_text(decisions)


def test_a_rule_that_is_too_large_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_MOST_USERS", {"full-information": 6})
    decision = rules._decision("full-information", rules._warm_world("paper", 7, 3))
    assert decision.median_ms is None
    assert decision.why_not == "weighs pairs of users: asked of at most 6"


def test_json_has_every_field(decisions: rules.Decisions) -> None:
    told = json.loads(rules.as_json(decisions))
    assert list(told) == [field.name for field in fields(rules.Decisions)]
    names = [field.name for field in fields(rules.DecisionTime)]
    assert [list(row) for row in told["decisions"]] == [names] * 4


@pytest.mark.parametrize(("flags", "last"), [([], (500, 30)), (["--large"], (5_000, 300))])
def test_the_command_prints_json_alone(
    flags: list[str], last: tuple, decisions: rules.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measure(on_step: Callable[[str], None], sizes: tuple) -> rules.Decisions:
        asked.append(sizes)
        return decisions

    monkeypatch.setattr(rules, "measure", measure)
    shown = CliRunner().invoke(commands.app, ["rules", "--json", *flags])
    assert shown.exit_code == 0
    assert len(json.loads(shown.stdout)["decisions"]) == 4
    assert (asked[0][0], asked[0][-1]) == ((40, 6), last)


def test_rules_that_weigh_a_cost_are_rules() -> None:
    assert set(rules._WEIGHS) | set(rules._MOST_USERS) < set(registry.RULES)
