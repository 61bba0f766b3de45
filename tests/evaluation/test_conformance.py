"""The contract suite: who passes, who is caught, and what each is told."""

import pytest
from helpers import faulty_policies
from helpers.small_worlds import tiny

from isma.contract import Policy
from isma.errors import ScenarioError
from isma.evaluation.conformance.rules import Rule, RuleOutcome, RuleVerdict
from isma.evaluation.conformance.suite import check
from isma.policies import registry
from isma.world.scenario import Visibility


def broken(verdicts: list[RuleVerdict]) -> dict[Rule, str]:
    return {v.rule: v.said for v in verdicts if v.outcome is RuleOutcome.BROKEN}


@pytest.mark.parametrize(
    "policy",
    [
        registry.get("nearest"),
        pytest.param(registry.get("price"), marks=pytest.mark.slow),
        faulty_policies.Honest(),
        faulty_policies.Counting(),
    ],
    ids=lambda policy: type(policy).__name__,
)
def test_who_keeps_to_the_contract_passes(policy: Policy) -> None:
    verdicts = check(policy, tiny())
    assert [v.rule for v in verdicts] == list(Rule)
    assert {v.outcome for v in verdicts} == {RuleOutcome.KEPT}, [v.line for v in verdicts]


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(registry.get("full-information"), marks=pytest.mark.slow),
        faulty_policies.Reference(),
    ],
)
def test_a_reference_may_see_everybody(policy: Policy) -> None:
    verdicts = check(policy, tiny())
    assert not broken(verdicts)
    not_tried = {v.rule for v in verdicts if v.outcome is RuleOutcome.NOT_TRIED}
    assert not_tried == {Rule.OTHERS_USERS, Rule.OTHERS_NEWS, Rule.OTHERS_MEMORY}


@pytest.mark.slow
def test_each_user_alone_is_held_to_itself() -> None:
    alone = tiny({"visibility": Visibility.USER})
    assert not broken(check(faulty_policies.Honest(), alone))
    assert Rule.OTHERS_USERS in broken(check(faulty_policies.Peeking(), alone))


@pytest.mark.parametrize(
    ("policy", "rule", "said"),
    [
        (faulty_policies.Peeking(), Rule.OTHERS_USERS, "changed with the users of other servers"),
        (faulty_policies.Overhearing(), Rule.OTHERS_NEWS, "the news that other servers have heard"),
        (faulty_policies.Unseeing(), Rule.HIDDEN_USERS, "rows of users that are not visible"),
        (faulty_policies.NotANumber(), Rule.RANGES, "must be a number in [0, 1]"),
        (faulty_policies.WrongRatio(), Rule.RANGES, "one of 0, 0.1, ..., 1 for every user"),
        (faulty_policies.WrongServer(), Rule.RANGES, "an index from 0 to 2"),
        (faulty_policies.NoShare(), Rule.RANGES, "above 0 where something is offloaded"),
        (faulty_policies.Misfiled(), Rule.MEMORY_ROWS, "a row for each user (7), got shape (3,)"),
        (faulty_policies.Growing(), Rule.SHAPES, "int32[7], got .per_user float32[7]"),
        (
            faulty_policies.Sharing(),
            Rule.OTHERS_MEMORY,
            "the memory of other servers and their users",
        ),
        (faulty_policies.Forgetful(), Rule.SAME_ANSWER, "when asked in another order"),
        (faulty_policies.Chancy(), Rule.SAME_ANSWER, "when asked compiled again"),
        (faulty_policies.Plainly(), Rule.SHAPES, "Plainly raises TracerBoolConversionError"),
        (faulty_policies.Failing(), Rule.SHAPES, "Failing raises KeyError: 'no such thing' ("),
        (
            faulty_policies.PlainlyFailing(),
            Rule.ANSWERS,
            "raises ZeroDivisionError: division by zero (",
        ),
        (faulty_policies.PlainlyFailing(), Rule.ANSWERS, ", in decide)"),
        (faulty_policies.PlainlyChancy(), Rule.SAME_ANSWER, "draw what is random from view.random"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Policy) else None,
)
def test_who_does_not_is_told(policy: Policy, rule: Rule, said: str) -> None:
    found = broken(check(policy, tiny()))
    assert rule in found, found
    assert said in found[rule]


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        (faulty_policies.Failing(), Rule.SHAPES),
        (faulty_policies.PlainlyFailing(), Rule.ANSWERS),
        (faulty_policies.PlainlyChancy(), Rule.SAME_ANSWER),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Policy) else None,
)
def test_what_builds_on_a_broken_rule_is_not_tried(policy: Policy, rule: Rule) -> None:
    verdicts = check(policy, tiny())
    place = [v.rule for v in verdicts].index(rule)
    assert {v.outcome for v in verdicts[:place]} <= {RuleOutcome.KEPT}
    assert verdicts[place].outcome is RuleOutcome.BROKEN
    after = [(v.outcome, v.said) for v in verdicts[place + 1 :]]
    assert set(after) == {(RuleOutcome.NOT_TRIED, f"{rule.value!r} is broken")}


def test_users_must_be_told_from_servers() -> None:
    with pytest.raises(ScenarioError, match="users than of servers"):
        check(faulty_policies.Honest(), tiny({"users.count": 3}))
