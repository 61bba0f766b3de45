"""What can be trained, by name, with its options."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from isma.errors import RunError, unknown
from isma.model import describe
from isma.model.latent import Kind
from isma.training.latent import LatentLearner, LatentOptions
from isma.training.session import Learner
from isma.world import files
from isma.world.scenario import Scenario

_LATENT: dict[str, Kind] = {str(kind): kind for kind in Kind}

NAMES = tuple(_LATENT)
"""Models that `isma train` knows."""


def learner(
    name: str, scenarios: Sequence[Scenario], steps: int | None, options: Mapping[str, Any]
) -> Learner:
    """The learner of that model, for `steps` updates in all. Raises RunError, ScenarioError."""
    kind = _kind(name)
    chosen = _options(name, options)
    made = LatentLearner.make(kind, scenarios, chosen)
    return made if steps is None else made.for_steps(steps)


def config(
    name: str,
    scenarios: Sequence[Scenario],
    made: Learner,
    seed: int,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """All that is needed to train again, as a folder of a training keeps it."""
    return {
        "model": name,
        "scenarios": [files.dumps(one) for one in scenarios],
        "steps": made.rounds * made.steps_per_round,
        "seed": seed,
        "options": dict(options),
    }


def description(name: str, scenario: Scenario, options: Mapping[str, Any]) -> str:
    """The model's layers beside the paper's. Raises RunError, ScenarioError."""
    made = LatentLearner.make(_kind(name), [scenario], _options(name, options))
    return describe.as_text(made.frame)


def _kind(name: str) -> Kind:
    if name not in _LATENT:
        raise RunError(unknown("model", name, NAMES))
    return _LATENT[name]


def _options(name: str, given: Mapping[str, Any]) -> LatentOptions:
    known = [field.name for field in dataclasses.fields(LatentOptions)]
    for key in given:
        if key not in known:
            raise RunError(f"model {name}: {unknown('option', key, known)}")
    try:
        return TypeAdapter(LatentOptions).validate_python(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        rule = first["msg"].removeprefix("Value error, ")
        told = f"{field}: {rule}, got {first['input']!r}" if field else rule
        raise RunError(f"model {name}: {told}") from None
