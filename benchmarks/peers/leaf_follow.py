# pyright: reportMissingImports=false
"""LEAF: one application a user, moved to the server that it has reached, its power metered."""

import simpy
from leaf.application import Application, ProcessingTask, SourceTask
from leaf.infrastructure import Infrastructure, Link, Node
from leaf.mobility import Location
from leaf.orchestrator import Orchestrator
from leaf.power import PowerMeter, PowerModelLink, PowerModelNode

from benchmarks.peers.walk import Counts, PeerReady, Walk

_BITS_PER_S = 1e6
_ENOUGH = 1e12
_MOMENT = 0.5
"""Meters read half a step after users have moved."""


class _Follow(Orchestrator):
    """Places each application where its user is; counts what moved by where it was."""

    def __init__(self, infrastructure: Infrastructure):
        super().__init__(infrastructure)
        self.target: Node | None = None

    def _processing_task_placement(self, processing_task, application):
        return self.target


class _World:
    """Six servers, and users each with a node, a location, a radio link and an application."""

    def __init__(self, walk: Walk):
        self.walk, self.env, self.infrastructure = walk, simpy.Environment(), Infrastructure()
        self.orchestrator = _Follow(self.infrastructure)
        self.servers = [
            Node(f"server {number}", cu=walk.users, power_model=PowerModelNode(max_power=200))
            for number in range(len(walk.site_m))
        ]
        for a, b in walk.links:
            self._join(self.servers[a], self.servers[b])
            self._join(self.servers[b], self.servers[a])
        self.users = [Node(f"user {number}", cu=1) for number in range(walk.users)]
        self.applications = [_application(user) for user in self.users]
        self.tasks = [found.tasks(ProcessingTask)[0] for found in self.applications]
        self.meters = [PowerMeter(found, name="user") for found in self.applications]
        self.moves = 0
        for user in range(walk.users):
            self.users[user].location = Location(*walk.position_m[0, user])
            self._place(user, self.servers[walk.station[0, user]])
        self.env.process(self._live())
        for meter in self.meters:
            self.env.process(meter.run(self.env, delay=1 + _MOMENT))

    def _join(self, source: Node, target: Node) -> None:
        self.infrastructure.add_link(Link(source, target, _ENOUGH, PowerModelLink(1e-9), latency=1))

    def _place(self, user: int, server: Node) -> None:
        self._join(self.users[user], server)
        self.orchestrator.target = server
        self.orchestrator.place(self.applications[user])

    def _live(self):
        for step in range(1, self.walk.steps + 1):
            yield self.env.timeout(1)
            for user, (x, y) in enumerate(self.walk.position_m[step]):
                self.users[user].location = Location(x, y)
                server = self.servers[self.walk.station[step, user]]
                before = self.tasks[user].node
                if server is not before:
                    self.applications[user].deallocate()
                    self.infrastructure.remove_node(self.users[user])
                    self._place(user, server)
                    self.moves += self.tasks[user].node is not before

    def counts(self) -> Counts:
        served = sum(
            float(measured) > 0 for meter in self.meters for measured in meter.measurements
        )
        return Counts(served, self.moves)


def _application(user: Node) -> Application:
    application, source = Application(), SourceTask(cu=0, bound_node=user)
    application.add_task(source)
    application.add_task(ProcessingTask(cu=1), [(source, _BITS_PER_S)])
    return application


def ready(walk: Walk) -> PeerReady:
    """A world in which users walk, services follow, and meters read what each draws in each step."""
    world = _World(walk)
    return PeerReady(lambda: world.env.run(until=walk.steps + 1), world.counts)
