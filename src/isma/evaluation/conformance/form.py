"""Form of a single answer by the contract: its shapes, its ranges, the rows of its memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from isma.contract import Memory, Policy, misfit
from isma.evaluation.conformance.probes import Answer, ProbeMoment
from isma.evaluation.conformance.rules import BrokenRuleError

_ON_GRID = 1e-4


def check_rows(memory: object, users: int, servers: int) -> None:
    """Every leaf of a memory has a row for each server, or for each user. Raises BrokenRuleError."""
    if not isinstance(memory, Memory):
        raise BrokenRuleError(
            f"init must return an isma.contract.Memory, got {type(memory).__name__}"
        )
    kinds = (("per_server", "server", servers), ("per_user", "user", users))
    for name, owner, rows in kinds:
        for path, leaf in jax.tree_util.tree_leaves_with_path(getattr(memory, name)):
            shape = jnp.shape(leaf)
            if not shape or shape[0] != rows:
                raise BrokenRuleError(
                    f"Memory.{name}{jax.tree_util.keystr(path)} must have a leading axis with a row "
                    f"for each {owner} ({rows}), got shape {shape}: keep what belongs to one {owner} in "
                    f"its row, and what is common to all in none"
                )


def check_shapes(policy: Policy, moment: ProbeMoment) -> None:
    """The answer has the contract's shapes and types, and memory keeps its own. Raises BrokenRuleError."""
    answer = eqx.filter_eval_shape(policy.act, *moment)
    wrong = misfit(answer, moment.memory, moment.observation)
    if wrong is not None:
        raise BrokenRuleError(wrong)


def check_ranges(moment: ProbeMoment, answer: Answer) -> None:
    """Check that decisions of users that decide can be carried out. Raises BrokenRuleError."""
    observation, action = moment.observation, answer.action
    takes = np.asarray(observation.decides & observation.visible)
    servers = observation.acting.shape[0]
    server, ratio, share = (
        np.asarray(value) for value in (action.server, action.offload_ratio, action.cpu_share)
    )
    host = np.asarray(observation.host)

    def every(good: np.ndarray, name: str, rule: str, value: np.ndarray, way_out: str) -> None:
        bad = np.flatnonzero(takes & ~good)
        if bad.size:
            raise BrokenRuleError(
                f"{name} must be {rule} for every user that decides, got {value[bad[0]]} for user "
                f"{bad[0]} of server {host[bad[0]]}: {way_out}"
            )

    every(
        good=(server >= 0) & (server < servers),
        name="server",
        rule=f"an index from 0 to {servers - 1}",
        value=server,
        way_out="keep the host where there is nothing better",
    )
    on_grid = np.isfinite(ratio) & (np.abs(ratio * 10 - np.round(ratio * 10)) < _ON_GRID)
    every(
        good=on_grid & (ratio >= 0) & (ratio <= 1),
        name="offload_ratio",
        rule="one of 0, 0.1, ..., 1",
        value=ratio,
        way_out="round it, and guard divisions by what may be 0",
    )
    every(
        good=np.isfinite(share) & (share >= 0) & (share <= 1),
        name="cpu_share",
        rule="a number in [0, 1]",
        value=share,
        way_out="clip it, and guard divisions by what may be 0",
    )
    every(
        good=(share > 0) | (ratio == 0),
        name="cpu_share",
        rule="above 0 where something is offloaded",
        value=share,
        way_out="ask for a share, or set offload_ratio to 0: the task would never end",
    )
    price, acting = np.asarray(action.price_s), np.asarray(observation.acting)
    bad = np.flatnonzero(acting & ~(np.isfinite(price) & (price >= 0)))
    if bad.size:
        raise BrokenRuleError(
            f"price_s must be a number of 0 or more for every acting server, got {price[bad[0]]} "
            f"for server {bad[0]}: 0 asks for none"
        )
