"""Conditional updates: rows that are renewed, and a branch that is skipped, also in a batch.

Under `jax.vmap` a `lax.cond` computes both branches for every row. Decisions are due in few worlds
at once, so here a batch runs the branch for those worlds alone, in blocks.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

Tree = Any


def choose(rows: Bool[Array, "rows"], yes: Tree, no: Tree) -> Tree:
    """Leaves like those of `no`, with the rows of `yes` where `rows`."""
    return jax.tree.map(
        lambda a, b: jnp.where(rows.reshape(-1, *(1,) * (b.ndim - 1)), a, b), yes, no
    )


def when(
    condition: Bool[Array, ""], branch: Callable[..., Tree], unchanged: Tree, *operands: Tree
) -> Tree:
    """`branch(unchanged, *operands)` where `condition` holds, `unchanged` elsewhere.

    `branch` must return a tree like `unchanged` and may not close over traced values.
    """

    @jax.custom_batching.custom_vmap
    def run(condition: Array, unchanged: Tree, operands: Tree) -> Tree:
        return jax.lax.cond(
            condition, lambda u, o: branch(u, *o), lambda u, o: u, unchanged, operands
        )

    @run.def_vmap
    def run_batch(
        size: int, batched: Any, condition: Array, unchanged: Tree, operands: Tree
    ) -> Any:
        rows = (batched[1], batched[2])
        condition = jnp.broadcast_to(condition, (size,))
        unchanged = jax.tree.map(
            lambda leaf, has: leaf if has else jnp.broadcast_to(leaf, (size, *leaf.shape)),
            unchanged,
            rows[0],
        )
        result = _in_blocks(size, condition, branch, unchanged, operands, rows[1])
        return result, jax.tree.map(lambda _: True, unchanged)

    return run(condition, unchanged, operands)


def _in_blocks(
    size: int,
    condition: Array,
    branch: Callable[..., Tree],
    unchanged: Tree,
    operands: Tree,
    batched: Tree,
) -> Tree:
    block = max(1, size // 8)
    order = jnp.argsort(~condition, stable=True)
    order = jnp.concatenate([order, jnp.full((block,), size, order.dtype)])
    count = jnp.sum(condition)
    vectorised = jax.vmap(
        lambda u, o: branch(u, *o), in_axes=(0, jax.tree.map(lambda b: 0 if b else None, batched))
    )

    def more(carry: Tree) -> Array:
        return carry[0] < count

    def one_block(carry: Tree) -> Tree:
        start, result = carry
        index = jax.lax.dynamic_slice_in_dim(order, start, block)
        # Past the last due world the index is out of range: gathered rows are filler, not written.
        index = jnp.where(start + jnp.arange(block) < count, index, size)
        take = lambda leaf: jnp.take(leaf, index, axis=0, mode="clip")  # noqa: E731
        chosen = jax.tree.map(lambda leaf, has: take(leaf) if has else leaf, operands, batched)
        new = vectorised(jax.tree.map(take, result), chosen)
        put = lambda old, leaf: old.at[index].set(leaf, mode="drop")  # noqa: E731
        return start + block, jax.tree.map(put, result, new)

    return jax.lax.while_loop(more, one_block, (jnp.zeros((), count.dtype), unchanged))[1]
