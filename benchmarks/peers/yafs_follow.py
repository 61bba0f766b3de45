# pyright: reportMissingImports=false
"""YAFS: one application a user, a message a step, its module redeployed where the user's link goes."""

import contextlib
import csv
import io
import tempfile
from pathlib import Path

import networkx as nx
from yafs.application import Application, Message
from yafs.core import Sim
from yafs.distribution import deterministic_distribution, deterministicDistributionStartPoint
from yafs.placement import Placement
from yafs.selection import Selection
from yafs.topology import Topology

from benchmarks.peers.walk import Counts, PeerReady, Walk

_MODULE = "Service"
_LINK = {"BW": 1000, "PR": 0.001}
_IPT = 10**9
_INSTRUCTIONS, _BYTES = 10**6, 1000
_MOMENT = 0.5
"""Users move half a step before they send; their tasks arrive and are done within the step."""


class _Shortest(Selection):
    """The shortest path to the one module of a user's application."""

    def get_path(
        self, sim, app_name, message, topology_src, alloc_DES, alloc_module, traffic, from_des
    ):
        (module,) = alloc_module[app_name][message.dst]
        return [nx.shortest_path(sim.topology.G, topology_src, alloc_DES[module])], [module]


class _Follow(Placement):
    """Moves the users' links, and their modules after them."""

    def __init__(self, walk: Walk):
        timing = deterministicDistributionStartPoint(_MOMENT, 1, name="step")
        super().__init__("follow", activation_dist=timing)
        self.walk, self.step = walk, 0

    def initial_allocation(self, sim, app_name):
        self._deploy(sim, app_name, int(self.walk.station[0, int(app_name)]))

    def run(self, sim):
        before, self.step = self.walk.station[self.step], self.step + 1
        for user, station in enumerate(self.walk.station[self.step].tolist()):
            if station == before[user]:
                continue
            node, name = _node(self.walk, user), str(user)
            sim.topology.G.remove_edge(node, int(before[user]))
            sim.topology.G.add_edge(node, station, **_LINK)
            (module,) = sim.alloc_module[name][_MODULE]
            sim.undeploy_module(name, _MODULE, module)
            self._deploy(sim, name, station)

    def _deploy(self, sim, name: str, station: int) -> None:
        sim.deploy_module(name, _MODULE, sim.apps[name].services[_MODULE], [station])


def _node(walk: Walk, user: int) -> int:
    return len(walk.site_m) + user


def _topology(walk: Walk) -> Topology:
    topology = Topology()
    attached = [(_node(walk, user), int(at)) for user, at in enumerate(walk.station[0])]
    nodes = [{"id": number, "IPT": _IPT} for number in range(len(walk.site_m) + walk.users)]
    links = [{"s": a, "d": b, **_LINK} for a, b in (*walk.links, *attached)]
    topology.load_all_node_attr({"entity": nodes, "link": links})
    return topology


def _application(name: str) -> tuple[Application, Message]:
    application = Application(name=name)
    application.set_modules(
        [{"User": {"Type": Application.TYPE_SOURCE}}, {_MODULE: {"Type": Application.TYPE_MODULE}}]
    )
    message = Message("task", "User", _MODULE, instructions=_INSTRUCTIONS, bytes=_BYTES)
    application.add_source_messages(message)
    application.add_service_module(_MODULE, message)
    return application, message


def ready(walk: Walk) -> PeerReady:
    """A simulation with its log, as it comes, in a folder of its own."""
    folder = tempfile.TemporaryDirectory()
    log = Path(folder.name) / "log"
    sim = Sim(_topology(walk), default_results_path=str(log))
    follow, path = _Follow(walk), _Shortest()
    for user in range(walk.users):
        application, message = _application(str(user))
        sim.deploy_app(application, follow, path)
        each = deterministic_distribution(1, name="task")
        sim.deploy_source(application.name, _node(walk, user), message, each)

    def go() -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # It prints every deployment.
            sim.run(walk.steps + _MOMENT / 2)

    def count() -> Counts:
        with log.with_suffix(".csv").open() as file:
            served = [(row["app"], row["TOPO.dst"]) for row in csv.DictReader(file)]
        folder.cleanup()
        last, moves = {str(u): str(at) for u, at in enumerate(walk.station[0])}, 0
        for user, station in served:
            moves += last[user] != station
            last[user] = station
        return Counts(len(served), moves)

    return PeerReady(go, count)
