"""The suite: every rule of the contract, tried on one policy in worlds of one scenario."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp

from isma.contract import Memory, Policy
from isma.errors import IsmaError, ScenarioError
from isma.evaluation.conformance import form, secrecy
from isma.evaluation.conformance.moments import Answer, Moment, ask, hide, remembered, sights
from isma.evaluation.conformance.rules import BrokenRuleError, Outcome, Rule, Verdict
from isma.simulator.params import Params, build
from isma.world.scenario import Scenario, Visibility

_LATER = 2
"""Decisions by which the memory that replaces another is the older one."""
_FULL = "it needs to see everybody: a reference, not a policy"
_CUT = "a rule before it is broken"
_NEEDED = (Rule.MEMORY_ROWS, Rule.SHAPES, Rule.NOBODY)
"""Rules without which the others cannot be tried."""


def check(policy: Policy, scenario: Scenario) -> list[Verdict]:
    """Try every rule. Raises ScenarioError where users could not be told from servers."""
    params = build(scenario)
    users, servers = params.shape.num_users, params.shape.num_servers
    if users == servers:
        raise ScenarioError(
            f"a policy must be checked with other numbers of users than of servers, got {users} of "
            "both: set users.count"
        )
    verdicts: list[Verdict] = []
    for rule, trial in _Trials(policy, scenario, params).in_order():
        cut = any(v.outcome is Outcome.BROKEN and v.rule in _NEEDED for v in verdicts)
        verdicts.append(Verdict(rule, Outcome.NOT_TRIED, _CUT) if cut else _verdict(rule, trial))
    return verdicts


def _verdict(rule: Rule, trial: Callable[[], str]) -> Verdict:
    try:
        why_not = trial()
    except BrokenRuleError as broken:
        return Verdict(rule, Outcome.BROKEN, str(broken))
    except IsmaError:
        raise
    except Exception as error:  # Whatever a stranger's class may raise is a finding.
        return Verdict(rule, Outcome.BROKEN, f"it raises {_first_line(error)}")
    return Verdict(rule, Outcome.NOT_TRIED if why_not else Outcome.KEPT, why_not)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    # What was raised inside a callback stands at the end of what the compiler makes of it.
    told = lines[-1] if len(lines) > 1 and "allback" in lines[0] else "".join(lines[:1])
    return f"{type(error).__name__}: {told}"


class _Trials:
    """One policy's moments, and the trials of each rule on them; a trial says why it was not made."""

    def __init__(self, policy: Policy, scenario: Scenario, params: Params) -> None:
        self._policy, self._scenario, self._params = policy, scenario, params
        self._view = policy.visibility or scenario.visibility
        self._sights = sights(params, self._view, seed=0)
        self._first = Memory.none()
        self._moments: list[Moment] = []
        self._others: list[Moment] = []

    def in_order(self) -> Iterator[tuple[Rule, Callable[[], str]]]:
        """Every rule with its trial; those that others build on come first."""
        yield Rule.MEMORY_ROWS, self._memory_rows
        yield Rule.SHAPES, self._shapes
        yield Rule.NOBODY, self._nobody
        yield Rule.RANGES, self._ranges
        yield Rule.SAME_ANSWER, self._same_answer
        yield Rule.HIDDEN_USERS, lambda: self._each(secrecy.check_hidden, reference=True)
        yield Rule.OTHERS_USERS, lambda: self._each(secrecy.check_users)
        yield Rule.OTHERS_NEWS, lambda: self._each(secrecy.check_news)
        yield Rule.OTHERS_MEMORY, lambda: self._each(secrecy.check_memory)

    def _memory_rows(self) -> str:
        shape = self._params.shape
        sizes = shape.num_users, shape.num_servers
        self._first = self._policy.init(self._scenario, *sizes, jax.random.key(0))
        form.check_rows(self._first, *sizes)
        return ""

    def _shapes(self) -> str:
        form.check_shapes(self._policy, Moment(self._first, self._sights[0], jax.random.key(0)))
        return ""

    def _nobody(self) -> str:
        nobody = hide(self._sights[0], jnp.ones_like(self._sights[0].visible))
        moment = Moment(self._first, nobody, jax.random.key(0))
        form.check_ranges(moment, ask(self._policy, moment))
        return ""

    def _ranges(self) -> str:
        others = sights(self._params, self._view, seed=1)
        self._moments = remembered(self._policy, self._first, self._sights, seed=0)
        self._others = remembered(self._policy, self._first, others, seed=1)
        for moment in [*self._moments, *self._others]:
            form.check_ranges(moment, ask(self._policy, moment))
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
                        f"the same memory, observation and key get another answer when asked {how}: "
                        "keep what is remembered in Memory, and draw what is random from the key"
                    )
        return ""

    def _each(
        self, trial: Callable[[Policy, Moment, Moment], None], reference: bool = False
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
