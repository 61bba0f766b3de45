"""Secrecy: nothing crosses from server to server but the broadcast, so hidden state must not matter."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree

from isma.contract import Memory, News, Observation, Policy
from isma.evaluation.conformance.probes import (
    Answer,
    ProbeMoment,
    ask,
    hide,
    rows_of,
    with_rows,
)
from isma.evaluation.conformance.rules import BrokenRuleError
from isma.when import choose
from isma.world.scenario import Visibility

_MOST_MAKERS = 4
"""Decision makers tried at each moment."""


class Maker(eqx.Module):
    """A decision maker: a server, or with `visibility=user` one user on its server."""

    server: Int[Array, ""]
    own: Bool[Array, "users"]
    """Users whose requests it sees."""
    alone: bool = eqx.field(static=True)

    def among(self, observation: Observation) -> Bool[Array, "servers"]:
        """Its server among all."""
        return jnp.arange(observation.acting.shape[0]) == self.server

    @property
    def name(self) -> str:
        """How messages call it."""
        user = f"user {int(jnp.argmax(self.own))} of " if self.alone else ""
        return f"{user}server {self.server}"


def check_hidden(policy: Policy, moment: ProbeMoment, donor: ProbeMoment) -> None:
    """Noise in rows that are not visible changes nothing. Raises BrokenRuleError."""
    quarter = jnp.arange(moment.observation.host.shape[0]) % 4 == 3
    blank = hide(moment.observation, quarter)
    noise = choose(blank.visible, rows_of(blank), rows_of(donor.observation))
    noisy = replace(with_rows(blank, noise), decides=blank.decides)
    one, other = (ask(policy, moment._replace(observation=seen)) for seen in (blank, noisy))
    changed = _difference(one, other, blank.visible, blank.decides, blank.acting)
    if changed:
        raise BrokenRuleError(
            f"{changed} changed with rows of users that are not visible: leave them out with "
            "jnp.where(observation.visible, ...), also from sums, sorts and maxima"
        )


def check_users(policy: Policy, moment: ProbeMoment, donor: ProbeMoment) -> None:
    """Other servers' users change nothing here. Raises BrokenRuleError."""
    for maker in makers(moment.observation):
        other = _elsewhere(moment.observation, donor.observation, maker)
        _same(
            policy,
            moment,
            changed=moment._replace(observation=other),
            maker=maker,
            what="the users of other servers",
            way_out="combine rows only within observation.pool (isma.planning.segment_sums.Pools)",
        )


def check_news(policy: Policy, moment: ProbeMoment, donor: ProbeMoment) -> None:
    """Check that news received by other servers changes nothing here. Raises BrokenRuleError."""
    for maker in makers(moment.observation):
        mine = maker.among(moment.observation)
        news: News = choose(mine, moment.observation.news, donor.observation.news)
        other = replace(moment.observation, news=news)
        _same(
            policy,
            moment,
            changed=moment._replace(observation=other),
            maker=maker,
            what="the news that other servers have heard",
            way_out="row l of observation.news is server l's: read it as news[observation.host]",
        )


def check_memory(policy: Policy, moment: ProbeMoment, donor: ProbeMoment) -> None:
    """Check that memories of other servers and their users change nothing here. Raises BrokenRuleError."""
    for maker in makers(moment.observation):
        mine = maker.among(moment.observation)
        other = Memory(
            choose(mine, moment.memory.per_server, donor.memory.per_server),
            choose(maker.own, moment.memory.per_user, donor.memory.per_user),
        )
        _same(
            policy,
            moment,
            changed=moment._replace(memory=other),
            maker=maker,
            what="the memory of other servers and their users",
            way_out="read per_server at observation.host and per_user at the user's own row; "
            "only broadcasts cross",
        )


def makers(observation: Observation) -> Iterator[Maker]:
    """Some of those that decide at a moment, the ones with most users first."""
    seen = observation.visible & observation.decides
    host = np.asarray(observation.host)
    users = np.bincount(host, np.asarray(seen), observation.acting.shape[0])
    for server in np.argsort(-users, kind="stable")[:_MOST_MAKERS]:
        own = observation.visible & (observation.host == server)
        if users[server] == 0:
            return
        alone = observation.visibility is Visibility.USER
        if alone:
            own = jnp.arange(len(host)) == jnp.argmax(own & observation.decides)
        yield Maker(jnp.asarray(server), own, alone)


@eqx.filter_jit
def _elsewhere(one: Observation, other: Observation, maker: Maker) -> Observation:
    """Observation with this decision maker's part, and everything else of another world."""
    servers = one.acting.shape[0]
    host = other.host
    if not maker.alone:
        host = jnp.where(host == maker.server, (host + 1) % servers, host)
    rows = choose(maker.own, rows_of(one), rows_of(replace(other, host=host)))
    mine = maker.among(one)
    acting, due = (
        jnp.where(mine, a, b) for a, b in ((one.acting, other.acting), (one.due, other.due))
    )
    mixed = replace(
        with_rows(one, rows),
        visible=jnp.where(maker.own, one.visible, other.visible),
        acting=acting,
        due=due,
    )
    return hide(mixed, ~mixed.visible | ~acting[mixed.host])


def _same(
    policy: Policy, moment: ProbeMoment, changed: ProbeMoment, maker: Maker, what: str, way_out: str
) -> None:
    one, other = ask(policy, moment), ask(policy, changed)
    mine = maker.among(moment.observation)
    servers = jnp.zeros_like(mine) if maker.alone else mine
    difference = _difference(one, other, maker.own, maker.own & moment.observation.decides, servers)
    if difference:
        raise BrokenRuleError(f"{difference} of {maker.name} changed with {what}: {way_out}")


def _difference(
    one: Answer,
    other: Answer,
    users: Bool[Array, "users"],
    deciding: Bool[Array, "users"],
    servers: Bool[Array, "servers"],
) -> str:
    """Name and values of the first thing that differs where it must not; empty if nothing does."""
    parts: list[tuple[str, Callable[[Answer], PyTree], Array]] = [
        ("server", lambda a: a.action.server, deciding),
        ("offload_ratio", lambda a: a.action.offload_ratio, deciding),
        ("cpu_share", lambda a: a.action.cpu_share, deciding),
        ("price_s", lambda a: a.action.price_s, servers),
        ("the new Memory.per_server", lambda a: a.memory.per_server, servers),
        ("the new Memory.per_user", lambda a: a.memory.per_user, users),
    ]
    for name, part, rows in parts:
        for a, b in zip(jax.tree.leaves(part(one)), jax.tree.leaves(part(other)), strict=True):
            first, second = (numbers(leaf)[np.asarray(rows)] for leaf in (a, b))
            differs = ~((first == second) | ((first != first) & (second != second)))
            if np.any(differs):
                return f"{name} (from {first[differs][0]} to {second[differs][0]})"
    return ""


def numbers(leaf: Array) -> np.ndarray:
    """A leaf as numbers, also one of random keys."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)
