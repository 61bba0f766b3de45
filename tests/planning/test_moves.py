"""Moves against prices, in worlds small enough to work out by hand.

Everybody takes 1 s of transfer anywhere, and offloads all of every task. A user with a = 1 s of work
has a root price of 1; a server's price is the square of their sum S; to join costs 1 + 1 + 2 S.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Bool, Float, Int

from isma.planning.allocation import Offer
from isma.planning.moves import MoveSearch, best_moves, cheapest
from isma.planning.segment_sums import Pools

SERVERS = 3


@partial(jax.jit, static_argnums=(8, 9))
def move(
    offer: Offer,
    host: Array,
    maker: Pools,
    price_s: Array,
    movable: Array,
    least_gain_s: Array,
    added_cost_s: Array,
    hop_saving_s: Array,
    may: Callable,
    max_moves: int,
) -> MoveSearch:
    root_price = jnp.sqrt(price_s)
    row = jnp.minimum(maker.pool, maker.num_pools - 1)
    places = cheapest(offer, host, root_price[row], added_cost_s, hop_saving_s, number=8)
    return best_moves(places, maker, root_price, movable, least_gain_s, may, max_moves)


def anyone(gain_s: Float[Array, "users"], to: Int[Array, "users"]) -> Bool[Array, "users"]:
    return jnp.ones_like(to, bool)


def for_much_and_not_to_the_last(
    gain_s: Float[Array, "users"], to: Int[Array, "users"]
) -> Bool[Array, "users"]:
    return (gain_s > 1) & (to < SERVERS - 1)


def moves(
    host: list[int],
    price_s: list[list[float]] | list[float],
    work_s: float | list[float] = 1.0,
    movable: list[bool] | None = None,
    least_gain_s: float = 0.0,
    added_cost_s: list[float] | None = None,
    hop_saving_s: list[float] | None = None,
    maker: list[int] | None = None,
    max_moves: int = 4,
    fixed_s: list[float] | None = None,
    may: Callable = anyone,
) -> MoveSearch:
    users = len(host)

    def table(value: Any, rows: int = users) -> Array:
        return jnp.asarray(np.broadcast_to(np.asarray(value, float), (rows, SERVERS)))

    work = np.broadcast_to(np.asarray(work_s, float), (users,))[:, None]
    fixed = None if fixed_s is None else table(fixed_s)
    offer = Offer(jnp.asarray(np.full((users, 1), 1e6)), table(1.0), table(work), fixed)
    return move(
        offer,
        jnp.array(host, jnp.int32),
        Pools(jnp.array(host if maker is None else maker, jnp.int32), SERVERS),
        table(price_s, SERVERS),
        jnp.array([True] * users if movable is None else movable),
        jnp.asarray(np.full(users, least_gain_s)),
        table(added_cost_s or 0.0),
        table(hop_saving_s or 0.0),
        may,
        max_moves,
    )


def test_who_is_not_let_go_stays() -> None:
    """Two on server 0: the first would gain 2 s on server 1, and on server 2 where that is dearer.

    Three on server 0 would gain 1 s and no more.
    """
    let_go = lambda *world: moves(*world, may=for_much_and_not_to_the_last).target.tolist()  # noqa: E731
    assert let_go([0, 0], [4, 0, 0.01]) == [1, 0]
    assert let_go([0, 0], [4, 0.01, 0]) == [0, 0]
    assert let_go([0, 0, 0], [9, 2.25, 100]) == [0, 0, 0]


def test_one_of_two_moves_to_an_idle_server() -> None:
    """Two on server 0: S = 2. Without itself S = 1: staying costs 4, going to server 1 costs 2.

    The first among equals goes. Then the other has server 0 for itself: 2 there and 2 on server 2.
    Server 2's price is 0.01: going there costs 2.2, so that server 1 is chosen.
    """
    found = moves([0, 0], [4, 0, 0.01])
    np.testing.assert_array_equal(found.target, [1, 0])
    np.testing.assert_array_equal(found.moved, [True, False])
    assert float(found.share[0]) == pytest.approx(1)
    np.testing.assert_allclose(found.root_price[0], [1, 1, 0.1], rtol=1e-5)
    np.testing.assert_allclose(found.root_price[1], [2, 0, 0.1], rtol=1e-5)


def test_the_newcomers_own_weight_counts() -> None:
    """Three on server 0, S = 3: staying costs 2 + 4 = 6. Server 1 at S = 1.5: going costs 5, gain 1.

    After one has gone S is 2 and 2.5: staying 4, going 7. The share asked for is 1 / (1.5 + 1).
    """
    found = moves([0, 0, 0], [9, 2.25, 100])
    np.testing.assert_array_equal(found.target, [1, 0, 0])
    assert float(found.share[0]) == pytest.approx(0.4)


def test_the_one_with_most_to_gain_goes_first() -> None:
    """Works 1, 4 and 1, so root prices 1, 2 and 1, and S = 4; the other servers are idle.

    A light one stays for 1 + 1 + 2 · 3 = 8 and goes for 2: gain 6. The heavy one stays for
    1 + 4 + 2 · 2 · 2 = 13 and goes for 5: gain 8, so it goes first, to server 1. Then S = 2: a light
    one stays for 4 and goes to server 2 for 2. The first of them does, and the other is alone.
    """
    found = moves([0, 0, 0], [16, 0, 0], work_s=[1, 4, 1])
    np.testing.assert_array_equal(found.target, [2, 1, 0])
    np.testing.assert_array_equal(
        moves([0, 0, 0], [16, 0, 0], [1, 4, 1], max_moves=1).moved, [0, 1, 0]
    )


@pytest.mark.parametrize(
    ("wish", "moved"),
    [
        ({}, True),
        ({"least_gain_s": 1.99}, True),
        ({"least_gain_s": 2.01}, False),
        ({"least_gain_s": 3.99, "hop_saving_s": [0.0, 1.0, 1.0]}, True),
        ({"least_gain_s": 4.01, "hop_saving_s": [0.0, 1.0, 1.0]}, False),
        ({"least_gain_s": 99.0, "hop_saving_s": [0.0, 3.0, 3.0]}, True),
        ({"least_gain_s": 1.99, "hop_saving_s": [0.0, -1.0, -1.0]}, True),
        ({"least_gain_s": 2.01, "hop_saving_s": [0.0, -1.0, -1.0]}, False),
        ({"movable": [False, False]}, False),
        ({"max_moves": 0}, False),
        ({"added_cost_s": [0.0, 1.9, 1.9]}, True),
        ({"added_cost_s": [0.0, 2.1, 2.1]}, False),
        ({"added_cost_s": [100.0, 0.0, 0.0]}, True),
        ({"fixed_s": [5.0, 6.9, 6.9]}, True),
        ({"fixed_s": [5.0, 7.1, 7.1]}, False),
    ],
)
def test_what_holds_a_user_back(wish: dict, moved: bool) -> None:
    """The gain of moving one of two to an idle server is 2 s, less what latency is more there.

    Home has no added cost. The least gain holds for the part that is not certain.
    """
    assert bool(moves([0, 0], [4, 0, 0], **wish).moved.any()) is moved


def test_only_who_may_moves() -> None:
    found = moves([0, 0], [4, 0, 0], movable=[False, True])
    np.testing.assert_array_equal(found.moved, [False, True])


def test_added_costs_choose_among_equals() -> None:
    assert int(moves([0, 0], [4, 0, 0], added_cost_s=[0, 0.5, 0.1]).target[0]) == 2


def test_each_decides_on_its_own_belief() -> None:
    """Server 0's two users and server 1's two all see server 2 as idle, and one of each goes there.

    Server 0 takes server 1 for dear, and the other way round. No maker knows of the other's move.
    """
    beliefs = [[4, 100, 0], [100, 4, 0], [0, 0, 0]]
    found = moves([0, 0, 1, 1], beliefs)
    np.testing.assert_array_equal(found.target, [2, 0, 2, 1])
    np.testing.assert_allclose(found.root_price[:2], [[1, 10, 1], [10, 1, 1]], rtol=1e-5)


def test_nobody_moves_twice() -> None:
    """Alone against three servers whose news is too good to be true, with moves to spare."""
    found = moves([0, 0, 0, 0, 0, 0], [36, 0, 0], max_moves=20)
    counts = np.bincount(np.asarray(found.target), minlength=3)
    np.testing.assert_array_equal(counts, [2, 2, 2])
    assert int(found.moved.sum()) == 4


def test_users_without_a_maker_stay() -> None:
    found = moves([0, 0], [4, 0, 0], movable=[False, False], maker=[SERVERS, SERVERS])
    np.testing.assert_array_equal(found.target, [0, 0])
