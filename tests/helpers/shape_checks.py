"""The checker that holds every annotated array of isma to its shape and type while tests run."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""An int may stand where a float is wanted, as the type checker has it."""

MODULES = (
    "isma.contract",
    "isma.delay",
    "isma.model",
    "isma.planning",
    "isma.policies",
    "isma.simulator",
    "isma.training",
    "isma.environments",
    "isma.bounds",
    "isma.world.mobility",
    "isma.world.radio",
    "isma.world.umi",
    "isma.world.sites",
    "isma.world.backhaul",
    "isma.world.medoids",
    "isma.world.servers",
    "isma.world.traces",
    "benchmarks.peers.walk",
    "isma.evaluation.bounding.world_bound",
    "isma.evaluation.cell",
    "isma.evaluation.comparison.compare",
    "isma.evaluation.comparison.table_writer",
    "isma.evaluation.plan",
    "isma.evaluation.statistics",
    "isma.evaluation.comparison.summary",
)
"""Modules that are checked, with what is in them. Pydantic checks isma.world.scenario itself."""
