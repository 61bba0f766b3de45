"""The suite: every rule of the contract, tried on one policy in worlds of one scenario."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp

from isma.contract import Policy
from isma.errors import PolicyError, ScenarioError
from isma.evaluation.conformance import form, secrecy
from isma.evaluation.conformance.probes import Answer, ProbeMoment, ask, hide, remembered, sights
from isma.evaluation.conformance.rules import BrokenRuleError, Rule, RuleOutcome, RuleVerdict
from isma.policies.plain_python import PlainPolicy, first_line, policy_errors
from isma.simulator.params import Params, build
from isma.world.scenario import Scenario, Visibility

_LATER = 2
"""Decisions by which the memory that replaces another is the older one."""
_FULL = "it needs to see everybody: a reference, not a policy"
_NEEDED = (Rule.MEMORY_ROWS, Rule.SHAPES, Rule.NOBODY, Rule.ANSWERS, Rule.SAME_ANSWER)
"""Rules without which those after them cannot be tried: the last compare one answer with another."""
_JAX_ADVICE = "keep what is remembered in Memory, and draw what is random from the key"
_PLAIN_ADVICE = (
    "draw what is random from view.random, keep what is remembered in user_memory or server_memory, "
    "and nothing in attributes or globals"
)


def check(policy: Policy, scenario: Scenario) -> list[RuleVerdict]:
    """Try every rule. Raises ScenarioError for as many users as servers, whose rows would look alike."""
    params = build(scenario)
    users, servers = params.shape.num_users, params.shape.num_servers
    if users == servers:
        raise ScenarioError(
            f"a policy must be checked with other numbers of users than of servers, got {users} of "
            "both: set users.count"
        )
    verdicts: list[RuleVerdict] = []
    missing: Rule | None = None
    for rule, trial in _Trials(policy, scenario, params).in_order():
        if missing is not None:
            verdicts.append(
                RuleVerdict(rule, RuleOutcome.NOT_TRIED, f"{missing.value!r} is broken")
            )
            continue
        verdicts.append(_verdict(policy, rule, trial))
        if verdicts[-1].outcome is RuleOutcome.BROKEN and rule in _NEEDED:
            missing = rule
    return verdicts


def _verdict(policy: Policy, rule: Rule, trial: Callable[[], str]) -> RuleVerdict:
    try:
        with policy_errors(policy):
            why_not = trial()
    except (BrokenRuleError, PolicyError) as broken:
        return RuleVerdict(rule, RuleOutcome.BROKEN, str(broken))
    except Exception as error:  # An error of the simulator on a policy's answer is a finding too.
        return RuleVerdict(rule, RuleOutcome.BROKEN, f"{type(error).__name__}: {first_line(error)}")
    return RuleVerdict(rule, RuleOutcome.NOT_TRIED if why_not else RuleOutcome.KEPT, why_not)


class _Trials:
    """One policy's moments, and the trials of each rule on them; a trial says why it was not made."""

    def __init__(self, policy: Policy, scenario: Scenario, params: Params) -> None:
        self._policy, self._params = policy, params
        self._view = policy.visibility or scenario.visibility
        self._advice = _PLAIN_ADVICE if isinstance(policy, PlainPolicy) else _JAX_ADVICE
        self._sights = sights(params, self._view, seed=0)
        shape = params.shape
        self._sizes = shape.num_users, shape.num_servers
        with policy_errors(
            policy
        ):  # A policy that the world does not fit raises here, before any rule is tried.
            self._first = policy.init(scenario, *self._sizes, jax.random.key(0))
        self._moments: list[ProbeMoment] = []
        self._others: list[ProbeMoment] = []
        self._answered: list[Answer] = []

    def in_order(self) -> Iterator[tuple[Rule, Callable[[], str]]]:
        """Every rule with its trial; those that others build on come first."""
        yield Rule.MEMORY_ROWS, self._memory_rows
        yield Rule.SHAPES, self._shapes
        yield Rule.NOBODY, self._nobody
        yield Rule.ANSWERS, self._answers
        yield Rule.RANGES, self._ranges
        yield Rule.SAME_ANSWER, self._same_answer
        yield Rule.HIDDEN_USERS, lambda: self._each(secrecy.check_hidden, reference=True)
        yield Rule.OTHERS_USERS, lambda: self._each(secrecy.check_users)
        yield Rule.OTHERS_NEWS, lambda: self._each(secrecy.check_news)
        yield Rule.OTHERS_MEMORY, lambda: self._each(secrecy.check_memory)

    def _memory_rows(self) -> str:
        form.check_rows(self._first, *self._sizes)
        return ""

    def _shapes(self) -> str:
        form.check_shapes(
            self._policy, ProbeMoment(self._first, self._sights[0], jax.random.key(0))
        )
        return ""

    def _nobody(self) -> str:
        nobody = hide(self._sights[0], jnp.ones_like(self._sights[0].visible))
        moment = ProbeMoment(self._first, nobody, jax.random.key(0))
        form.check_ranges(moment, ask(self._policy, moment))
        return ""

    def _answers(self) -> str:
        others = sights(self._params, self._view, seed=1)
        self._moments = remembered(self._policy, self._first, self._sights, seed=0)
        self._others = remembered(self._policy, self._first, others, seed=1)
        answers = [ask(self._policy, moment) for moment in (*self._moments, *self._others)]
        self._answered = jax.block_until_ready(answers)  # Else the last would raise only when read.
        return ""

    def _ranges(self) -> str:
        moments = (*self._moments, *self._others)
        for moment, answer in zip(moments, self._answered, strict=True):
            form.check_ranges(moment, answer)
        return ""

    def _same_answer(self) -> str:
        once = [ask(self._policy, moment) for moment in self._moments]
        backwards = [ask(self._policy, moment) for moment in reversed(self._moments)][::-1]
        anew = eqx.filter_jit(lambda policy, moment: Answer(*policy.act(*moment)))
        compiled_again = [anew(self._policy, moment) for moment in self._moments]
        for again, how in ((backwards, "in another order"), (compiled_again, "compiled again")):
            for one, other in zip(once, again, strict=True):
                if _bytes(one) != _bytes(other):
                    raise BrokenRuleError(
                        f"the same moment gets another answer when asked {how}: {self._advice}"
                    )
        return ""

    def _each(
        self, trial: Callable[[Policy, ProbeMoment, ProbeMoment], None], reference: bool = False
    ) -> str:
        if self._view is Visibility.FULL and not reference:
            return _FULL
        for number, moment in enumerate(self._moments):
            donor = self._others[number]._replace(
                memory=self._others[(number + _LATER) % len(self._others)].memory
            )
            trial(self._policy, moment, donor)
        return ""


def _bytes(answer: Answer) -> list[bytes]:
    return [secrecy.numbers(leaf).tobytes() for leaf in jax.tree.leaves(answer)]
