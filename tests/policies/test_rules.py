"""Every rule in a world so small that its decision can be worked out.

A task has 1 Mbit: 1 s by radio and 1 s a hop. A server of 1 GHz does 1 s of work in 1 s. Users
take 1e6 s by themselves unless said otherwise, so that they offload everything.
"""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from helpers.small_worlds import FAR, act, costing, decide, first_memory, line, network, seen

from isma.contract import Action, Memory, Observation
from isma.policies import registry
from isma.policies.pricing.search import chances_to_move
from isma.world.scenario import Visibility

SLOW = 1e6
THREE = network([1e9] * 3, line(3))
TWO = network([1e9] * 3, [[0, 1, FAR], [1, 0, FAR], [FAR, FAR, 0]])
"""Two servers a hop apart, and a third that nobody would use."""
CROWD = {"host": [0, 0, 0], "work_s": 4, "local_s": SLOW, "visibility": Visibility.FULL}


def by(name: str, observation: Observation, seed: int = 0) -> Action:
    found = decide(registry.get(name), observation, seed)
    seen_users = np.flatnonzero(observation.visible)
    columns = (found.server, found.offload_ratio, found.cpu_share)
    return Action(*(column[seen_users] for column in columns), found.price_s)


def rows(action: Action) -> list[list[float]]:
    columns = (action.server, action.offload_ratio, action.cpu_share)
    return [np.asarray(column).tolist() for column in columns]


def test_local_keeps_everything_at_home() -> None:
    found = by("local", seen(THREE, host=[0, 2], station=[1, 1]))
    assert rows(found) == [[0, 2], [0, 0], [0, 0]]
    np.testing.assert_array_equal(found.price_s, [0, 0, 0])


def test_stay_shares_out_what_it_has() -> None:
    """Works 1 and 4 on server 0: shares as 1 : 2. Alone on server 2: all of it."""
    found = by("stay", seen(THREE, [0, 0, 2], [2, 1, 0], work_s=[1, 4, 1], local_s=SLOW))
    assert rows(found)[:2] == [[0, 0, 2], [1, 1, 1]]
    np.testing.assert_allclose(found.cpu_share, [1 / 3, 2 / 3, 1], rtol=1e-3)


def test_a_far_host_is_worth_less_of_a_task() -> None:
    """10 s alone, 1 s of work; two hops away τ = 3.

    η = 0.7: local 3, edge 2.1 + 0.7 = 2.8 with the whole server. η = 0.8: 2.4 + 0.8 = 3.2.
    With a share of 0.7 / (3 - 2.1) = 0.778 the edge takes 3 s, which is enough.
    """
    found = by("stay", seen(THREE, [0], [2], local_s=10))
    np.testing.assert_allclose(found.offload_ratio, [0.7], rtol=1e-5)
    np.testing.assert_allclose(found.cpu_share, [0.7 / 0.9], rtol=1e-3)


def test_nearest_follows_the_radio() -> None:
    """User 0 goes to server 1, user 1 to server 0 and has server 2 behind it, user 2 stays."""
    found = by("nearest", seen(THREE, [0, 2, 1], [1, 0, 1], local_s=SLOW))
    assert rows(found)[:2] == [[1, 0, 1], [1, 1, 1]]
    assert float(found.cpu_share[2]) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("threshold", [2, 0]),
        pytest.param("threshold:hops=1", [2, 1], marks=pytest.mark.slow),  # And in few servers.
    ],
)
def test_threshold_waits_for_the_distance(name: str, target: list[int]) -> None:
    """User 0 is two hops from its host, user 1 is one hop away."""
    assert rows(by(name, seen(THREE, [0, 0], [2, 1], local_s=SLOW)))[0] == target


def test_a_share_for_the_road_is_that_of_homes_price() -> None:
    """Nearest sends one of works 1 and 4 away; the other, alone with 4, has λ = 4, and √(1 / 4) = 1/2."""
    found = by("nearest", seen(TWO, [0, 0], [1, 0], work_s=[1, 4], local_s=SLOW))
    np.testing.assert_allclose(found.cpu_share, [0.5, 1], rtol=2e-3)


def test_random_goes_anywhere_and_asks_for_everything() -> None:
    observation = seen(THREE, [0, 1, 2], local_s=SLOW)
    found = [by("random", observation, seed) for seed in range(60)]
    targets = np.array([np.asarray(action.server) for action in found])
    for user in range(3):
        assert set(targets[:, user]) == {0, 1, 2}
        assert np.bincount(targets[:, user]).min() >= 8
    np.testing.assert_array_equal([action.cpu_share for action in found], np.ones((60, 3)))


def test_random_takes_the_best_ratio_for_what_f_promises() -> None:
    """10 s alone, τ = 1 or 2, a = 1; a load of 4 elsewhere leaves a fifth.

    There η (2 + 5) against 10 (1 - η): η = 0.6 gives max(4, 4.2), η = 0.5 gives 5. At home
    alone η = 0.9 gives max(1, 1.8), and η = 0.8 gives 2.
    """
    observation = seen(TWO, [0], local_s=10, load=[1.0, 4.0, 0.0])
    met = set()
    for seed in range(12):
        found = by("random", observation, seed)
        met.add(int(found.server[0]))
        expected = {0: 0.9, 1: 0.6, 2: 0.0}[int(found.server[0])]
        assert float(found.offload_ratio[0]) == pytest.approx(expected)
    assert met == {0, 1, 2}


def test_greedy_moves_the_one_that_gains_most() -> None:
    """Works 1 and 4 share server 0 (1/3, 2/3; 4 and 7 s); server 1 idles, a hop away (τ = 2).

    At λ = 9 they would ask there for √(1/9) = 1/3 and 2/3: 2 + 3 = 5 s and 2 + 6 = 8 s. Nobody goes.
    From its own station there (τ = 1, and 2 at home) the heavy one: home 8, there 7, gain 1.
    """
    crowd = {"work_s": [1, 4], "local_s": SLOW}
    assert rows(by("greedy", seen(TWO, [0, 0], [0, 0], **crowd)))[0] == [0, 0]
    assert rows(by("greedy", seen(TWO, [0, 0], [0, 1], **crowd)))[0] == [0, 1]
    assert rows(by("greedy", seen(TWO, [0, 0], [1, 1], **crowd)))[0].count(1) == 1, "one a decision"


def test_greedy_heeds_the_load() -> None:
    """As before, but of server 1 more than all is asked: 2/3 of it would be 2/3 / (2/3 + 1)."""
    busy = seen(TWO, [0, 0], [0, 1], work_s=[1, 4], local_s=SLOW, load=[1.0, 1.0, 0.0])
    assert rows(by("greedy", busy))[0] == [0, 0]


def test_prices_are_what_one_more_unit_of_cpu_would_save() -> None:
    """(√1 + √4)² = 9 on server 0, √4² = 4 on server 1, next to nothing where nobody is.

    As dear as others were at last, nobody moves.
    """
    dear = {"load": [1.0] * 3, "price_s": [100.0] * 3}
    found = by("price", seen(THREE, [0, 0, 1], work_s=[1, 4, 4], local_s=SLOW, **dear))
    assert rows(found)[0] == [0, 0, 1]
    np.testing.assert_allclose(found.price_s[:2], [9, 4], rtol=3e-3)
    assert float(found.price_s[2]) < 1e-6


def test_price_moves_to_an_idle_server() -> None:
    """Two alike, S = 2: staying costs 1 + 1 + 2 · 1 = 4, going a hop to an idle server 2 + 1 = 3.

    After one has gone the other has home for itself. Of its new host it asks for everything.
    """
    found = by("price", seen(TWO, [0, 0], local_s=SLOW))
    target = np.asarray(found.server)
    assert sorted(target) == [0, 1]
    assert float(found.cpu_share[target == 1][0]) == pytest.approx(1, rel=1e-2)
    assert float(found.cpu_share[target == 0][0]) == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize(("price_s", "goes"), [(0.04, True), (0.5, False)])
def test_price_goes_where_it_costs_less(price_s: float, goes: bool) -> None:
    """Staying costs 4; going 3 + 2 √λ: 3.4 at λ = 0.04, and 4.41 at λ = 0.5. The margin is 0.3 s."""
    heard = {"load": [1.0, 1.0, 0.0], "price_s": [4.0, price_s, 0.0]}
    found = by("price", seen(TWO, [0, 0], local_s=SLOW, **heard))
    assert bool(np.any(np.asarray(found.server) == 1)) is goes


STOPS = [
    (0.0, 1.0, True),
    (0.0, 2.0, False),
    (10.0, 2.0, True),
    (10.0, 5.0, False),
    (0.5, 1.0, False),
]
"""In how many seconds a move has to pay, the stop, and whether it does."""


@pytest.mark.parametrize(
    "case",
    slow_but_for(
        [("greedy", stop) for stop in STOPS[:2]] + [("price", stop) for stop in STOPS[2:4]],
        itertools.product(["greedy", "price"], STOPS),
    ),
    ids=str,
)
def test_a_move_must_pay_for_its_stop(case: tuple[str, tuple[float, float, bool]]) -> None:
    """Of the two above, greed gains 1 - 0.16 s and price 1 - 0.3 s, less 0.06 s by chance.

    A stop of 1 s costs 0.5 s²: 0.25 s of every task in a period of 2 s, 1 s of those in 0.5 s. One
    of 2 s costs 2 s²: 1 s of every task in a period, 0.2 s of those in 10 s; one of 5 s 1.25 s of those.
    """
    name, (stay_s, downtime_s, goes) = case
    crowd = {"greedy": {"station": [0, 1], "work_s": [1, 4]}, "price": {}}[name]
    observation = costing(seen(TWO, [0, 0], local_s=SLOW, **crowd), downtime_s)
    assert bool(np.any(np.asarray(by(f"{name}:stay_s={stay_s}", observation).server) == 1)) is goes


@pytest.mark.parametrize(("weight", "goes"), [(1, True), (6, False)])
def test_a_stop_counts_as_often_as_asked(weight: int, goes: bool) -> None:
    """Of 0.7 s that a move gains, a stop of 2 s costs 0.2 s of every task in 10 s; six times 1.2 s."""
    observation = costing(seen(TWO, [0, 0], local_s=SLOW), 2.0)
    found = by(f"price:stay_s=10:downtime_weight={weight}", observation)
    assert bool(np.any(np.asarray(found.server) == 1)) is goes


def test_rules_of_the_radio_move_at_any_price() -> None:
    observation = costing(seen(THREE, [0, 0], [2, 1], local_s=SLOW), downtime_s=1e3)
    assert rows(by("nearest", observation))[0] == [2, 1]
    assert rows(by("threshold", observation))[0] == [2, 0]


def test_break_even_moves_once_it_has_paid_the_price() -> None:
    """A hop costs 1 s a task, 2 s² in a period of 2 s; a stop of 3 s costs 4.5 s²: the third time.

    User 1 is at its station and pays nothing. User 2 does not decide, and nothing is reckoned.
    """
    where = {"host": [0, 1, 2], "station": [1, 1, 1], "decides": [True, True, False]}
    observation = costing(seen(THREE, **where, local_s=SLOW), downtime_s=3.0)
    policy = registry.get("break-even")
    memory, targets, paid = first_memory(policy, observation), [], []
    for _ in range(4):
        found, memory = act(policy, memory, observation, jax.random.key(0))
        targets.append(int(found.server[0]))
        paid.append(np.asarray(memory.per_user)[:3])
    assert targets == [0, 0, 1, 0]
    np.testing.assert_allclose(paid, [[2, 0, 0], [4, 0, 0], [0, 0, 0], [2, 0, 0]], rtol=1e-3)


def test_break_even_follows_at_once_where_it_is_free() -> None:
    observation = seen(THREE, [0, 0], [2, 1], local_s=SLOW)
    assert rows(by("break-even", observation)) == rows(by("nearest", observation))
    assert rows(by("mdp", observation)) == rows(by("nearest", observation))


@pytest.mark.parametrize(("downtime_s", "targets"), [(1.0, [1, 1]), (50.0, [0, 0])])
def test_mdp_goes_as_far_as_its_table_says(downtime_s: float, targets: list[int]) -> None:
    """Two hops and one hop away, at 1 s a hop: a stop of 1 s has paid after 0.5 s, one of 50 s after 1250 s.

    The table leaves one hop of two, and none of one, up to 100 s; beyond, nobody moves.
    """
    table = np.tile([0, 1, 2], (3, 41, 1))
    table[:, :24] = [0, 0, 1]
    observation = costing(seen(THREE, [0, 0], [2, 1], local_s=SLOW), downtime_s)
    memory = Memory(jnp.asarray(table, jnp.int16), None)
    found, after = act(registry.get("mdp"), memory, observation, jax.random.key(0))
    np.testing.assert_array_equal(found.server[:2], targets)
    assert after.per_server is not None


def test_a_load_that_has_grown_makes_a_price_stale() -> None:
    """λ = 0.04 at its last decision; a load of 1.8 since: a pull of 0.2 · 0.8 / 0.5 came, √λ = 0.52."""
    found = by("price", seen(TWO, [0, 0], local_s=SLOW, load=[1, 1.8, 0], price_s=[4, 0.04, 0]))
    assert rows(found)[0] == [0, 0]


def test_price_publishes_nothing_where_users_decide_alone() -> None:
    """Also where there are as many users as servers, so that one may not pass for the other."""
    found = by("price", seen(TWO, [0, 0], local_s=SLOW, visibility=Visibility.USER, size=3))
    np.testing.assert_array_equal(found.price_s, [0, 0, 0])
    assert rows(found)[0] in ([1, 1], [0, 0]), "alike, and blind to each other"


def test_full_information_spreads_users() -> None:
    """Three alike on one server, all idle around it, a hop or two away: shared work costs more than hops.

    Works of 4 s. Apart: 5 + 6 + 7 = 18 s. Two and one: 2 · (1 + 8) + 6 = 24 s. Together: 39 s.
    """
    found = by("full-information", seen(THREE, **CROWD))
    assert sorted(np.asarray(found.server)) == [0, 1, 2]
    np.testing.assert_allclose(found.cpu_share, [1, 1, 1], rtol=1e-2)


def test_full_information_carries_out_only_what_is_due() -> None:
    found = by("full-information", seen(THREE, **CROWD, decides=[True, False, False]))
    np.testing.assert_array_equal(found.server[1:], [0, 0])
    assert int(found.server[0]) > 0


@pytest.mark.parametrize("name", ["nearest", "price:stay_s=10.0"])
def test_tasks_are_done_alone_while_the_service_stands_still(name: str) -> None:
    """A stop of 4 s: tasks of the next 2 s wait 3 s on average, and 2 s more by radio and server.

    Who needs 4 s alone does not wait for it, who needs 6 s does; who stays is served.
    """
    world = lambda local_s: costing(  # noqa: E731
        seen(THREE, [0, 2], [1, 2], local_s=[local_s, SLOW], load=[0.0, 0.0, 1.0]), downtime_s=4.0
    )
    for local_s, ratio in ((4.0, 0.0), (6.0, 1.0)):
        found = by(name, world(local_s))
        if name == "nearest":
            assert found.server.tolist() == [1, 2]
            assert float(found.offload_ratio[0]) == pytest.approx(ratio, abs=0.45)
            assert (float(found.cpu_share[0]) == 0) is (ratio == 0)
        assert float(found.offload_ratio[1]) == 1


def test_who_still_waits_does_its_tasks_alone() -> None:
    """3 s to wait, so 2 s on average until the next decision; 1 s of work and 1 s by radio: 4 s."""
    still = seen(THREE, [0], local_s=[3.0])
    still = costing(eqx.tree_at(lambda o: o.wait_s, still, 3.0 * (still.requests.cycles > 0)))
    assert by("stay", still).offload_ratio.tolist() == [0]
    assert by("stay", costing(seen(THREE, [0], local_s=[3.0]))).offload_ratio[0] > 0


def test_odds_count_servers_from_where_a_gain_pays_for_the_way() -> None:
    """Five servers in a row that all decide on each broadcast, and two rivals at most.

    At no hop more there is one, at one hop three for the middle and two for an end, then all five.
    """
    city = network([1e9] * 5, line(5))
    city = eqx.tree_at(lambda n: n.broadcast_period_s, city, jnp.asarray(2.0))
    odds = chances_to_move(seen(city, [0]), rivals=2.0)
    np.testing.assert_allclose(odds[0], [1, 1, 1, 1, 1])
    np.testing.assert_allclose(odds[1], [1, 2 / 3, 2 / 3, 2 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(odds[4:], 2 / 5 * np.ones((29, 5)), rtol=1e-6)
