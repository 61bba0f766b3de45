"""Models that can be trained, by name, with their options."""

import dataclasses
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from isma.errors import RunError, short, unknown
from isma.errors import given as given_as
from isma.model import checkpoint, describe
from isma.model.latent import Kind
from isma.policies.learned import team
from isma.training.dqn import DqnLearner, DqnOptions
from isma.training.drac import DracLearner, DracOptions
from isma.training.forecast import ForecastLearner, ForecastOptions
from isma.training.latent import LatentLearner, LatentOptions
from isma.training.learner import Learner
from isma.training.team import TeamLearner, TeamOptions
from isma.world import files
from isma.world.scenario import Scenario


class _Model(NamedTuple):
    options: type
    """Dataclass of the options."""
    make: Callable[[Sequence[Scenario], Any], Any]
    """The learner for these scenarios, with such options."""
    layers: Callable[[Any], str]
    """The layers of a learner's frame as text."""


_MODELS: dict[str, _Model] = {
    **{
        str(kind): _Model(LatentOptions, partial(LatentLearner.make, kind), describe.as_text)
        for kind in Kind
    },
    "dqn": _Model(DqnOptions, DqnLearner.make, describe.plainly),
    "drac": _Model(DracOptions, DracLearner.make, describe.plainly),
    **{
        kind: _Model(TeamOptions, partial(TeamLearner.make, kind), describe.plainly)
        for kind in (team.INDEPENDENT, team.CENTRAL)
    },
    "isma2": _Model(ForecastOptions, ForecastLearner.make, describe.plainly),
}

NAMES = tuple(_MODELS)
"""Models that `isma train` knows."""


def learner(
    name: str, scenarios: Sequence[Scenario], steps: int | None, options: Mapping[str, Any]
) -> Learner:
    """The learner of that model, for `steps` updates in all. Raises RunError, ScenarioError."""
    made = model_of(name).make(scenarios, options_of(name, options))
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
        "steps": made.total_steps,
        "seed": seed,
        "options": dict(options),
    }


def refuse_other_training(path: Path, wanted: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that was trained for other worlds or otherwise. Raises IsmaError."""
    config = checkpoint.about(path).get("config")
    held = config if isinstance(config, dict) else {}
    plain = [name for name in wanted if name != "scenarios" and held.get(name) != wanted[name]]
    if plain:
        rule = f"{plain[0]} must be {short(wanted[plain[0]])}, got {short(held.get(plain[0]))}"
    elif _worlds(held.get("scenarios"), path) != _worlds(wanted["scenarios"], path):
        rule = "its scenarios are others"
    else:
        return
    raise RunError(f"{path}: was trained otherwise: {rule}; give other models, or train them here")


def _worlds(texts: Any, path: Path) -> list[Scenario]:
    """Scenarios of a training, independent of the order of their fields."""
    try:
        return [files.validate(tomllib.loads(text), str(path)) for text in texts]
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: says not on which scenarios it was trained: {error}") from None


def description(name: str, scenario: Scenario, options: Mapping[str, Any]) -> str:
    """The model's layers with the paper's. Raises RunError, ScenarioError."""
    model = model_of(name)
    return model.layers(model.make([scenario], options_of(name, options)).frame)


def model_of(name: str) -> _Model:
    """Model of that name. Raises RunError."""
    if name not in _MODELS:
        raise RunError(unknown("model", name, NAMES))
    return _MODELS[name]


_WORDS = (
    ("Value error, ", ""),
    ("Input should be", "must be"),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("greater than", "above"),
)
"""Words of pydantic, and ours."""


def options_of(name: str, given: Mapping[str, Any]) -> Any:
    """Validated options of a model. Raises RunError."""
    kind = model_of(name).options
    names = [field.name for field in dataclasses.fields(kind)]
    for key in given:
        if key not in names:
            raise RunError(f"model {name}: {unknown('option', key, names)}")
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        rule = first["msg"]
        for theirs, ours in _WORDS:
            rule = rule.replace(theirs, ours)
        field = ".".join(map(str, first["loc"]))
        message = f"{field} {rule}, got {given_as(first['input'])}" if field else rule
        raise RunError(f"model {name}: {message}") from None
