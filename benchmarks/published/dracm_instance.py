"""San Francisco test of DRACM (arXiv 2012.08679), as the script in its repository sets it up.

Parameters are read from the script as data: it is parsed, not run. Draws follow the order in which its
environment makes them from NumPy's legacy generator, so that a seed gives the same loads, tasks and migration
costs as there, to single precision. One user at a time; loads of servers are drawn anew in every slot.
"""

import ast
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.published.checkout import file_of
from isma.errors import DataError

REPOSITORY = "linkpark/pomdp-service-migration"
SCRIPT = "testing_with_san_traces.py"
TRACES = "environment/san_traces_coordinate.txt"
_CALL = "EnvironmentParameters"
_GIGA, _MEGA = 1024.0**3, 1024.0**2
"""Units in which its environment counts cycles and bits of tasks."""
_ARITHMETIC = {ast.Mult: operator.mul, ast.Add: operator.add, ast.Div: operator.truediv}


@dataclass(frozen=True)
class Parameters:
    """Numbers of the test."""

    first_trace: int
    num_traces: int
    slots: int
    stride: int
    """Fixes of a trace from slot to slot."""
    columns: int
    rows: int
    width_m: float
    height_m: float
    server_rate: float
    """Cycles of a server in a second, in 2³⁰."""
    server_tasks: tuple[float, ...]
    """Mean number of other users' tasks at each server in a slot."""
    user_tasks: float
    data_bits: tuple[float, float]
    """Range of a task's data; of others' tasks and of the user's."""
    cycles_per_bit: tuple[float, float]
    fibre_mbps: float
    hop_s: float
    """Latency of a hop."""
    move_s_per_hop: tuple[float, float]
    image_mb: tuple[float, float]
    radio_mbps: tuple[float, ...]
    """Rates in the rings of a cell, from its middle outwards."""


class Instance(NamedTuple):
    """Traces with all that was drawn for them."""

    station: np.ndarray
    """traces × slots: the server in whose cell the user is."""
    delay_s: np.ndarray
    """traces × slots × servers: delay of the slot's tasks at each server, migration aside."""
    load: np.ndarray
    """traces × slots × servers: others' work at each server, in 2³⁰ cycles."""
    work: np.ndarray
    """traces × slots: the user's own work, in 2³⁰ cycles."""
    hop_move_s: np.ndarray
    """traces × slots: time that a migration takes for each hop."""
    image_s: np.ndarray
    """traces × slots: time to transfer the service's image."""
    hops: np.ndarray
    """servers × servers."""


def parameters_of(source: Path) -> Parameters:
    """Parameters of the test in a checkout. Raises DataError."""
    text = file_of(source, SCRIPT, REPOSITORY).read_text(errors="replace")
    named = arguments_of(text)
    try:
        return _parameters(named)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{SCRIPT} must give {_CALL} its numbers as literals; {error} is missing or none: "
            f"check out the commit that docs/benchmarks.md names"
        ) from None


def instance_of(source: Path, test: Parameters, seed: int) -> Instance:
    """The test's traces with the draws of a seed. Raises DataError."""
    return drawn(positions_of(source, test), test, seed)


def positions_of(source: Path, test: Parameters) -> np.ndarray:
    """Positions of the users, traces × slots × 2, in metres. Raises DataError."""
    path = file_of(source, TRACES, REPOSITORY)
    fixes: dict[str, list[tuple[float, float]]] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if line.startswith("["):
            continue
        try:
            user, x, y = line.split()
            fixes.setdefault(user, []).append((float(x), float(y)))
        except ValueError:
            raise DataError(f"{TRACES} must have `user x y` in line {number}: {line!r}") from None
    users = list(fixes)[test.first_trace : test.first_trace + test.num_traces]
    taken = [fixes[user][:: test.stride][: test.slots] for user in users]
    if len(taken) < test.num_traces or any(len(one) < test.slots for one in taken):
        raise DataError(
            f"{TRACES} must have {test.num_traces} traces of {test.slots} slots from trace "
            f"{test.first_trace} on, got {sum(len(one) == test.slots for one in taken)}"
        )
    position_m = np.array(taken)
    inside = (position_m >= 0).all() and (position_m < [test.width_m, test.height_m]).all()
    if not inside:
        raise DataError(f"{TRACES} must have positions within the map, got some outside it")
    return position_m


def drawn(position_m: np.ndarray, test: Parameters, seed: int) -> Instance:
    """Draws of a seed for users at such positions (traces × slots × 2, metres)."""
    traces, slots, _ = position_m.shape
    servers, generator = test.columns * test.rows, np.random.RandomState(seed)
    load = np.zeros((traces, slots, servers))
    work, data_mbit, hop_move_s, image_s = np.zeros((4, traces, slots))
    for slot in range(slots):
        for trace in range(traces):
            at = trace, slot
            number = max(1, generator.poisson(test.user_tasks))
            work[at], data_mbit[at] = _tasks(generator, number, test)
            for server, mean in enumerate(test.server_tasks):
                load[(*at, server)] = _tasks(generator, generator.poisson(mean), test)[0]
            image_s[at] = generator.uniform(*test.image_mb) * 8 / test.fibre_mbps
            hop_move_s[at] = generator.uniform(*test.move_s_per_hop)
    station, radio_mbps = _radio(position_m, test)
    hops = hops_of(test)
    return Instance(
        station,
        (load + work[..., None]) / test.server_rate
        + transfer_s(hops[station], data_mbit[..., None], test)
        + (data_mbit / radio_mbps)[..., None],
        load,
        work,
        hop_move_s,
        image_s,
        hops,
    )


def transfer_s(hops: np.ndarray, data_mbit: np.ndarray | float, test: Parameters) -> np.ndarray:
    """Time from station to server: the data crosses the fibre once, however many hops there are."""
    return data_mbit / test.fibre_mbps * np.minimum(hops, 1) + test.hop_s * hops


def hops_of(test: Parameters) -> np.ndarray:
    """Hops between the cells of the grid, servers × servers."""
    row, column = np.divmod(np.arange(test.columns * test.rows), test.columns)
    return abs(row[:, None] - row) + abs(column[:, None] - column)


def _tasks(generator: Any, number: int, test: Parameters) -> tuple[float, float]:
    """Work (2³⁰ cycles) and data (2²⁰ bits) of some tasks."""
    of_range = generator.random_sample((number, 2))
    (low, high), (least, most) = test.data_bits, test.cycles_per_bit
    bits = low + (high - low) * of_range[:, 0]
    cycles = bits * (least + (most - least) * of_range[:, 1])
    return float(cycles.sum() / _GIGA), float(bits.sum() / _MEGA)


def _radio(position_m: np.ndarray, test: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Cell of each position, and the rate in the square ring around the cell's middle."""
    size = np.array([test.width_m / test.columns, test.height_m / test.rows])
    cell = (position_m / size).astype(int)
    apart = abs(position_m - (cell + 0.5) * size) / (size / 2 / len(test.radio_mbps))
    ring = np.minimum(apart.astype(int).max(axis=-1), len(test.radio_mbps) - 1)
    return cell[..., 1] * test.columns + cell[..., 0], np.array(test.radio_mbps)[ring]


def arguments_of(text: str) -> dict[str, Any]:
    """Arguments that a script's text gives the environment, as far as they are literals."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{SCRIPT} must be Python: {error}") from None
    constants: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = _literal(node.value, constants)
            if value is not None:
                constants[node.targets[0].id] = value
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == _CALL:
            values = ((one.arg, _literal(one.value, constants)) for one in node.keywords)
            return {str(name): value for name, value in values if value is not None}
    raise DataError(f"{SCRIPT} must make {_CALL}, got none")


def _literal(node: ast.expr, constants: Mapping[str, Any]) -> Any:
    """Value of numbers, their lists and products, and of names of such; None of anything else."""
    match node:
        case ast.Constant(value=int() | float() | str() as value):
            return value
        case ast.Name(id=name):
            return constants.get(name)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            values = [_literal(part, constants) for part in parts]
            return None if None in values else values
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            sides = _literal(left, constants), _literal(right, constants)
            numbers = all(isinstance(side, int | float) for side in sides)
            return _ARITHMETIC[type(op)](*sides) if numbers and sides[1] != 0 else None
    return None


def _parameters(named: Mapping[str, Any]) -> Parameters:
    """Parameters by the names that its environment has for them. Raises KeyError, TypeError, ValueError."""

    def span(low: str, high: str) -> tuple[float, float]:
        return float(named[low]), float(named[high])

    test = Parameters(
        first_trace=int(named["trace_start_index"]),
        num_traces=int(named["num_traces"]),
        slots=int(named["trace_length"]),
        stride=int(named["trace_interval"]),
        columns=int(named["num_horizon_servers"]),
        rows=int(named["num_vertical_servers"]),
        width_m=float(named["map_width"]),
        height_m=float(named["map_height"]),
        server_rate=float(named["server_frequency"]),
        server_tasks=tuple(float(mean) for mean in named["server_poisson_rate"]),
        user_tasks=float(named["client_poisson_rate"]),
        data_bits=span("client_task_data_lower_bound", "client_task_data_higher_bound"),
        cycles_per_bit=span("ratio_lower_bound", "ratio_higher_bound"),
        fibre_mbps=float(named["optical_fiber_trans_rate"]),
        hop_s=float(named["backhaul_coefficient"]),
        move_s_per_hop=span("migration_coefficient_low", "migration_coefficient_high"),
        image_mb=span("migration_size_low", "migration_size_high"),
        radio_mbps=tuple(float(rate) for rate in named["transmission_rates"]),
    )
    others = span("server_task_data_lower_bound", "server_task_data_higher_bound")
    if others != test.data_bits or len(test.server_tasks) != test.columns * test.rows:
        raise ValueError("one range of data for all tasks, and a rate for each server,")
    counts = test.num_traces, test.slots, test.stride, test.columns, test.rows
    rates = *test.radio_mbps, test.server_rate, test.fibre_mbps, test.width_m, test.height_m
    if min(counts) < 1 or test.first_trace < 0 or not min(rates) > 0:
        raise ValueError("at least one of each, and rates above 0,")
    return test
