# pyright: reportMissingImports=false
"""EdgeSimPy: a stateless service a user, its image on every server, provisioned where its user is."""

import math

from edge_sim_py import (
    Application,
    BaseStation,
    CircularDurationAndIntervalAccessPattern,
    ContainerImage,
    ContainerLayer,
    EdgeServer,
    NetworkLink,
    NetworkSwitch,
    Service,
    Simulator,
    Topology,
    User,
)

from benchmarks.peers.walk import Counts, PeerReady, Walk

_DIGEST = "image"


def ready(walk: Walk) -> PeerReady:
    """A simulation that keeps its log, and writes nothing to disk."""
    simulator, services, patterns = _world(walk)
    return PeerReady(simulator.run_model, lambda: _counts(simulator, services, patterns))


def ready_without_log(walk: Walk) -> PeerReady:
    """Simulation with no component collected: a step costs what it simulates."""
    simulator, services, patterns = _world(walk)
    simulator.monitor = lambda: None
    return PeerReady(simulator.run_model, lambda: _counts(simulator, services, patterns))


def _world(walk: Walk) -> tuple[Simulator, list, list]:
    simulator = Simulator(
        stopping_criterion=lambda model: model.schedule.steps == walk.steps,
        resource_management_algorithm=_follow,
        resource_management_algorithm_parameters={},
        dump_interval=math.inf,
    )
    simulator.initialize({})  # An empty world; it also forgets the objects of the last.
    stations = [_station(simulator, (float(x), float(y))) for x, y in walk.site_m]
    _join(simulator, walk, stations)
    made = [_user(simulator, walk, number, stations) for number in range(walk.users)]
    return simulator, [service for service, _ in made], [pattern for _, pattern in made]


def _follow(parameters: dict) -> None:
    for service in Service.all():
        target = service.users[0].base_station.edge_servers[0]
        if service.server is not target and not service.being_provisioned:
            service.provision(target_server=target)


def _station(simulator: Simulator, coordinates: tuple[float, float]) -> BaseStation:
    station, switch, server = BaseStation(), NetworkSwitch(), EdgeServer(cpu=1000, memory=1000)
    station.coordinates, station.wireless_delay = coordinates, 0
    image = ContainerImage(digest=_DIGEST, name=_DIGEST, layers=[_DIGEST])
    layer = ContainerLayer(digest=_DIGEST, size=1, instruction="")
    image.server, layer.server = server, server
    server.container_images.append(image)
    server.container_layers.append(layer)
    for agent in (station, switch, server, image, layer):
        simulator.initialize_agent(agent)
    station._connect_to_network_switch(switch)
    station._connect_to_edge_server(server)
    return station


def _join(simulator: Simulator, walk: Walk, stations: list[BaseStation]) -> None:
    topology = Topology.first()
    for a, b in walk.links:
        link, ends = NetworkLink(), [stations[n].network_switch for n in (a, b)]
        link["topology"], link["nodes"], link["delay"], link["bandwidth"] = topology, ends, 1, 1000
        simulator.initialize_agent(link)
        topology.add_edge(*ends)
        topology._adj[ends[0]][ends[1]] = topology._adj[ends[1]][ends[0]] = link


def _user(
    simulator: Simulator, walk: Walk, number: int, stations: list[BaseStation]
) -> tuple[Service, CircularDurationAndIntervalAccessPattern]:
    user, application = User(), Application()
    service = Service(image_digest=_DIGEST, cpu_demand=1, memory_demand=1)
    for agent in (user, application, service):
        simulator.initialize_agent(agent)
    first = stations[walk.station[0, number]]
    user._set_initial_position(first.coordinates)
    user.coordinates_trace = [stations[at].coordinates for at in walk.station[1:, number]]
    application.connect_to_service(service)
    user._connect_to_application(application, delay_sla=1)
    pattern = CircularDurationAndIntervalAccessPattern(
        user=user, app=application, duration_values=[walk.steps], interval_values=[1]
    )
    service.users.append(user)
    service.server, service._available = first.edge_servers[0], True
    service.server.services.append(service)
    user.set_communication_path(application)
    return service, pattern


def _counts(simulator: Simulator, services: list, patterns: list) -> Counts:
    """Steps in which users accessed a service that ran, and migrations that came to an end."""
    simulator.agent_metrics.clear()  # Every simulator ever made is kept, with its log.
    served = sum(access["access_time"] for pattern in patterns for access in pattern.history)
    ended = [move["end"] is not None for one in services for move in one._Service__migrations]
    return Counts(served, sum(ended))
