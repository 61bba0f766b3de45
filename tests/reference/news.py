"""What servers tell each other, and everything that might be seen at a moment."""

from reference.physics import band_hz
from reference.serving import link_gain
from reference.state import State
from reference.world import Draws, News, Server, View, World


def broadcast(world: World, state: State, draws: Draws, tick: int) -> News:
    """Step 1: sends, delivers, and tells what everyone then knows."""
    plan = world.broadcast
    present = [
        (_remaining_hz(one, load, plan.literal), price)
        for one, load, price in zip(world.servers, state.loads, state.prices, strict=True)
    ]
    if tick % plan.period_ticks == 0:
        state.sent[tick] = [
            one if state.outage.up(server, tick) else None for server, one in enumerate(present)
        ]
    sent_at = tick - plan.delay_ticks
    count = len(world.servers)
    if sent_at in state.sent:
        for listener in range(count):
            for server in range(count):
                lost = (
                    draws.heard is not None
                    and draws.heard[tick][listener][server] < plan.loss_ratio
                )
                message = state.sent[sent_at][server]
                if message is not None and not lost:
                    state.held[listener][server] = (*message, sent_at)
    remaining_hz, price, age_s = [], [], []
    for listener in range(count):
        known = list(state.held[listener])
        known[listener] = (*present[listener], tick)
        remaining_hz.append([entry[0] for entry in known])
        price.append([entry[1] for entry in known])
        age_s.append([(tick - entry[2]) * world.tick_s for entry in known])
    return News(remaining_hz, price, age_s)


def view(world: World, state: State, begin: int, there: list[bool], news: News) -> View:
    """Everything that might be seen at this moment."""
    return View(
        positions_m=list(state.positions_m),
        stations=list(state.stations),
        hosts=list(state.hosts),
        there=there,
        waits_s=[max(0, up - begin) * world.slot_s for up in state.up_slots],
        local_cycles=[line.cycles for line in state.local_lines],
        edge_cycles=[line.cycles for line in state.edge_lines],
        gains=[link_gain(world, state, i, state.positions_m[i]) for i in range(len(world.users))],
        bands_hz=[
            band_hz(world.radio, i, state.stations, state.ratios) for i in range(len(world.users))
        ],
        news=news,
    )


def _remaining_hz(server: Server, load: float, literal: bool) -> float:
    if literal:
        return server.clock_hz * (1.0 - min(load, 1.0))
    return server.clock_hz / (1.0 + load)
