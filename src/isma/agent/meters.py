"""Counters and gauges for Prometheus; no user is named."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Meters:
    """Counters of one agent."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "isma_requests",
            "Requests answered, by HTTP status.",
            ["status"],
            registry=self._registry,
        )
        self.refused = Counter(
            "isma_refused", "Requests of somebody who may not.", ["why"], registry=self._registry
        )
        self.endings = Counter(
            "isma_migrations",
            "Migrations that ended, by how.",
            ["outcome"],
            registry=self._registry,
        )
        self.contexts = Gauge("isma_contexts", "Contexts served here.", registry=self._registry)
        self.granted = Gauge(
            "isma_granted_ratio",
            "Part of the CPU that is granted or kept.",
            registry=self._registry,
        )
        self.decisions = Histogram(
            "isma_decision_seconds", "Time of a decision for all users.", registry=self._registry
        )
        self.late = Counter(
            "isma_decisions_late",
            "Decisions for which no policy answered in time.",
            registry=self._registry,
        )
        self.shadow = Counter(
            "isma_shadow_decisions",
            "Decisions of a policy in shadow, which nothing follows from.",
            registry=self._registry,
        )
        self.shadow_moves = Counter(
            "isma_shadow_moves",
            "Migrations that a policy in shadow would have begun.",
            registry=self._registry,
        )

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)
