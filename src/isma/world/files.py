"""Scenario files: presets and TOML, overridden from the command line, written back unchanged in value."""

import hashlib
import tomllib
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from isma.errors import DataError, ScenarioError, ScenarioWarning, given, short, unknown
from isma.storage import is_intact
from isma.world import dependencies, inputs, services
from isma.world.motion import Road, Steady, Trace
from isma.world.scenario import Scenario, ServiceClass
from isma.world.services import USE
from isma.world.shipped import PRESETS, preset_names

IMPORTED = {
    "san-francisco": "isma scenario import cabspotting TRACE.tar.gz --sites CELLS.csv "
    "--backhaul delaunay --users throughout --out sf.toml",
}
"""Presets made of data that the package may not carry, and the command that makes each."""


_DEEPEST = 8
_SHORT_ENOUGH = "whole numbers must be below 2^63"
_FLAT_ENOUGH = f"must have at most {_DEEPEST} levels, one table in another"
MOST_BYTES = 10_000_000
"""Bytes of a scenario's file."""
COUNT = "count"
"""The field that a section's name may stand for."""
RUN, SEAL, GIVEN, SHARD = "run", "sha256", "given", "shard"
"""The table of a run's `config.toml` that is not part of its scenario, and in it the file's digest,
policies given from Python, and the shard of a run that the folder holds."""


def scenario_names() -> list[str]:
    """Names of all presets, also of those that are made from data."""
    return sorted([*preset_names(), *IMPORTED])


def load(
    source: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    varied: Collection[str] = (),
) -> Scenario:
    """Load a preset by name or a scenario from a TOML file or its tables, with fields overridden by name.

    Relative paths in a file are taken from the file's folder. An override of what is switched off is
    refused, unless its switch is among the fields that are going to be `varied`; in a file it gives a
    ScenarioWarning. An override of a varied field is refused too. Raises ScenarioError.
    """
    tree, label, folder = _tree(source)
    if not isinstance(tree.pop(RUN, {}), Mapping):
        raise ScenarioError(f"{label}: {RUN} must be a table of what was run: leave it out")
    given_fields = list(_leaves(tree))
    changed = {full_name(field): value for field, value in (overrides or {}).items()}
    _refuse_oversized(changed, label)
    for field, value in changed.items():
        _put(tree, field, value)
        if field.endswith(".file"):  # Another file has another digest.
            tree[field.removesuffix(".file")].pop("sha256", None)
    made = validate(_with_paths(tree, folder), label)
    _refuse_others(made, label)
    _refuse_varied(changed, varied)
    _refuse_idle(made, changed, varied)
    warning = dependencies.warning(made, given_fields, {*varied, *changed})
    if warning is not None:
        warnings.warn(f"{label}: {warning}", ScenarioWarning, stacklevel=2)
    return made


def _refuse_changed(run: Any, text: str, label: str) -> None:
    """Refuse a run's file that has changed since it was written, if it is sealed. Raises ScenarioError."""
    seal = run.get(SEAL) if isinstance(run, dict) else None
    if seal is not None and not is_intact(text.encode(), str(seal)):
        raise ScenarioError(
            f"{label}: has changed since it was written: if that was on purpose, take {RUN}.{SEAL} out"
        )


def _refuse_others(made: Scenario, label: str) -> None:
    """Refuse a table that is not the one of which the scenario has the digest. Raises DataError."""
    for name in ("sites", "backhaul", "mobility", "presence"):
        section = getattr(made, name)
        file, wanted = getattr(section, "file", None), getattr(section, "sha256", None)
        if (
            wanted is None or file is None or not file.exists()
        ):  # A missing file is reported where it is read.
            continue
        inputs.plain(file, "file")
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != wanted:
                raise DataError(
                    f"{file}: must be the file whose digest {label} has as {name}.sha256, got another: "
                    f"import it again, or if it was changed on purpose take {name}.sha256 out"
                )


def run_table(source: str | Path) -> Mapping[str, Any] | None:
    """The table `[run]` of a run's `config.toml`; None for any other scenario. Raises ScenarioError."""
    tree, label, _ = _tree(source)
    table = tree.get(RUN)
    if table is None:
        return None
    try:
        return _RunTable.model_validate(table).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise ScenarioError(f"{label}: {RUN}.{_first(error)}") from None


class _RunTable(BaseModel):
    """The table `[run]`: the fields that define a run."""

    policies: list[str] = []
    seeds: list[int] = []
    vary: dict[str, list[Any]] = {}
    p95_limit_s: float | None = None
    given: dict[str, str] = {}
    shard: str | None = None


def override(
    scenario: Scenario, overrides: Mapping[str, Any], varied: Collection[str] = ()
) -> Scenario:
    """A copy of `scenario` with fields replaced by dotted name, validated again; as `load` refuses them."""
    tree = scenario.model_dump()
    changed = {full_name(field): value for field, value in overrides.items()}
    _refuse_oversized(changed, scenario.name)
    for field, value in changed.items():
        _put(tree, field, value)
    made = validate(tree, scenario.name)
    _refuse_idle(made, changed, varied)
    return made


def validate(tree: Mapping[str, Any], label: str) -> Scenario:
    """Build a scenario from nested tables; an error names the field by its dotted name."""
    try:
        return Scenario.model_validate(services.completed(tree, label))
    except ValidationError as error:
        raise ScenarioError(f"{label}: {_first(error)}") from None


def dumps(scenario: Scenario) -> str:
    """Write a scenario as TOML in SI units; `load` gives the same scenario back."""
    return tomli_w.dumps(scenario.model_dump(mode="json", exclude_none=True))


def field_names() -> list[str]:
    """Every field's dotted name, as overrides take it."""
    return sorted({name for model in (Steady, Road, Trace) for name in _walk(Scenario, "", model)})


def full_name(field: str) -> str:
    """Complete a field's name: `speed_mps` is `mobility.speed_mps` where that is the only one.

    A section that counts something may stand for how many: `servers` is `servers.count`.
    """
    names = field_names()
    if field in names:
        return field
    if f"{field}.{COUNT}" in names:
        return f"{field}.{COUNT}"
    ends = [name for name in names if name.rsplit(".", 1)[-1] == field]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ScenarioError(f"field {field!r} must be written in full: one of {', '.join(ends)}")
    known = names if "." in field else {name.rsplit(".", 1)[-1] for name in names}
    raise ScenarioError(unknown("field", field, known))


def _tree(source: str | Path | Mapping[str, Any]) -> tuple[dict[str, Any], str, Path]:
    """A scenario's tables, its label, and the folder of its relative paths. Raises ScenarioError."""
    if isinstance(source, Mapping):
        tree, label, folder = _copied(source), "scenario", Path.cwd()
    else:
        text, label, folder = _read(source)
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ScenarioError(f"{label}: not a TOML file: {short(error, 200)}") from None
        except ValueError:
            raise ScenarioError(
                f"{label}: {_SHORT_ENOUGH}, got one of thousands of digits"
            ) from None
        except RecursionError:
            raise ScenarioError(f"{label}: {_FLAT_ENOUGH}") from None
        _refuse_changed(tree.get(RUN), text, label)
    _refuse_oversized(tree, label)
    return tree, label, folder


def _copied(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose tables may be changed; a field's dotted name stands for tables in each other."""
    copy: dict[str, Any] = {}
    for name, value in tree.items():
        if not isinstance(name, str):
            raise ScenarioError(f"a scenario's fields must have names, got {given(name)}")
        _put(copy, name, dict(value) if isinstance(value, Mapping) else value)
    return copy


def _refuse_oversized(tree: Mapping[str, Any], label: str) -> None:
    """Refuse tables too deep to be a scenario's, and numbers too long to be shown. Raises ScenarioError."""
    level: list[Any] = [tree]
    for _ in range(_DEEPEST):
        parts = [
            part
            for one in level
            for part in (one.values() if isinstance(one, Mapping) else one)
            if isinstance(part, int | Mapping | list | tuple)
        ]
        if any(isinstance(part, int) and part.bit_length() > 63 for part in parts):
            raise ScenarioError(f"{label}: {_SHORT_ENOUGH}")
        level = [part for part in parts if not isinstance(part, int)]
    if level:
        raise ScenarioError(f"{label}: {_FLAT_ENOUGH}")


def _read(source: str | Path) -> tuple[str, str, Path]:
    path, name = Path(source), str(source)
    if name in preset_names():
        return (
            (PRESETS / f"{name}.toml").read_text(),
            name,
            Path.cwd(),
        )
    if name in IMPORTED and not path.exists():
        raise ScenarioError(f"preset {name!r} is made from data that you import: {IMPORTED[name]}")
    if path.suffix == "" and not path.exists():
        raise ScenarioError(unknown("scenario", name, scenario_names(), "a TOML file"))
    missing = f"file; presets are {', '.join(scenario_names())}"
    content = inputs.content(path, missing, ScenarioError, MOST_BYTES)
    return inputs.decoded(content, str(path), ScenarioError), str(path), path.absolute().parent


def _put(tree: dict[str, Any], field: str, value: Any) -> None:
    *sections, leaf = field.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ScenarioError(f"{section} must be a section, got {given(tree)}")
    tree[leaf] = value


def _refuse_varied(changed: Mapping[str, Any], varied: Collection[str]) -> None:
    """Refuse fields that are set and varied: the value that was set would be in no world."""
    for field in {full_name(name) for name in varied} & set(changed):
        raise ScenarioError(
            f"{field} must be set or varied, not both, got {given(changed[field])} to set: vary it over the "
            "values that are wanted (--vary goes before what a file varies)"
        )


def _refuse_idle(scenario: Scenario, fields: Collection[str], varied: Collection[str]) -> None:
    for field in fields:
        need = dependencies.idle(field, scenario, varied)
        if need is not None:
            raise ScenarioError(dependencies.said(field, scenario, need))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _with_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    for section in tree.values():
        if isinstance(section, dict) and isinstance(section.get("file"), str):
            section["file"] = str(folder / section["file"])
    return tree


def _walk(model: type[BaseModel], prefix: str, mobility: type[BaseModel]) -> list[str]:
    names: list[str] = []
    for name, info in model.model_fields.items():
        section = mobility if name == "mobility" else info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            names += _walk(section, f"{prefix}{name}.", mobility)
        else:
            names.append(prefix + name)
    return names


def _first(error: ValidationError) -> str:
    """One line for the first error: the field, the rule, the value."""
    # Of the kinds that a field may have, the one that parsed the deepest has the best message.
    detail = max(error.errors(include_url=False), key=lambda one: len(one["loc"]))
    path = [
        str(part)
        for part in detail["loc"]
        if part not in ("steady", "road", "trace") and "[" not in str(part)
    ]
    names = [
        part
        for part in path
        if not part.isdigit() and part not in ("float", "tuple", "constrained-float")
    ]
    where, value = ".".join(names), detail.get("input")
    kind, rule = detail["type"], detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden" and where in dependencies.FIELDS:  # Of another kind of motion.
        need = dependencies.FIELDS[where][0]
        return (
            f"{where} must not be given while {need.switch} = {detail['loc'][1]}: it is of kind "
            + (" or ".join(map(str, need.values)))
        )
    if kind == "extra_forbidden":
        fields = [
            *field_names(),
            *(f"services.{name}" for name in (*ServiceClass.model_fields, USE)),
        ]
        siblings = [n for n in fields if n.rsplit(".", 1)[0] == where.rsplit(".", 1)[0]]
        return unknown("field", where, siblings or list(Scenario.model_fields))
    if kind == "union_tag_invalid":
        tags = detail.get("ctx", {})
        known = " or ".join(str(tags.get("expected_tags")).split(", "))
        return f"{where}.kind must be {known}, got {given(tags.get('tag'))}"
    if kind == "missing":
        return f"{where} must be given"
    if kind == "value_error" and isinstance(value, dict | BaseModel):
        return f"{where}.{rule}" if where and not rule.startswith(where) else rule
    if kind == "int_parsing_size":
        rule = "must be a whole number below 2^31"
    if kind != "value_error":
        rule = rule.replace("Input should be", "must be")
    return f"{where} {rule}, got {given(value)}"
