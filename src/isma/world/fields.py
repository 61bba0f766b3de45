"""Kinds of a scenario's fields: numbers with units, ranges, and the rules they keep."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from isma import units

LEAST, MOST = 1e-30, 1e15
"""Magnitudes between which numbers of a scenario lie, in SI units and bits, unless they are 0."""


def is_text(value: str) -> bool:
    """Whether a file in UTF-8 can hold it."""
    return "\0" not in value and value.encode(errors="replace").decode() == value


class Section(BaseModel):
    """A part of a scenario: frozen, complete, and closed to unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _no_truth(cls, tree: object) -> object:
        """Refuse true where a number is wanted: it would count as 1."""
        for name, value in tree.items() if isinstance(tree, Mapping) else ():
            parts = value if isinstance(value, list | tuple) else (value,)
            has_truth = any(isinstance(part, bool) for part in parts)
            field = cls.model_fields.get(name) if has_truth else None
            if field is not None and field.annotation is not bool:
                raise ValueError(f"{name} must not be true or false, got {value}")
        return tree

    @field_validator("*")
    @classmethod
    def _in_proportion(cls, value: object) -> object:
        """Numbers that single precision can multiply, and text that a file can hold."""
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int) and abs(one) >= 2**31:
                raise ValueError("must be below 2^31")
            if isinstance(one, float) and one != 0 and not LEAST <= abs(one) <= MOST:
                raise ValueError(f"must be 0 or from {LEAST:g} to {MOST:g}")
            is_unusable = isinstance(one, str) and not is_text(one)
            if is_unusable or (isinstance(one, Path) and "\0" in str(one)):
                raise ValueError("must be text, without NUL and without half characters")
        return value


def _number(table: dict[str, float]) -> BeforeValidator:
    return BeforeValidator(lambda value: units.quantity(value, table))


def _bounds(table: dict[str, float]) -> BeforeValidator:
    """A range `[low, high]`; a single value stands for both ends."""

    def parse(value: object) -> object:
        ends = value if isinstance(value, list | tuple) else [value, value]
        if len(ends) != 2:
            raise ValueError("must be one value or a range [low, high]")
        return tuple(units.quantity(end, table) for end in ends)

    return BeforeValidator(parse)


Positive = Field(gt=0)
Ratio = Annotated[float, Field(ge=0, le=1), _number(units.RATIO)]

# Physical limits of each kind of number, far from all that is asked for in earnest.
_Wait = Annotated[float, Field(ge=0, le=1e9)]  # Thirty years.
_Time = Annotated[float, Field(ge=1e-9, le=1e9)]  # From a nanosecond.
_Rate = Annotated[float, Field(ge=1, le=1e15)]
_Amount = Annotated[float, Field(ge=1, le=1e15)]
_Power = Annotated[float, Field(ge=1e-24, le=1e9)]  # Thermal noise in 1 Hz is some 4e-21 W.
_Length = Annotated[float, Field(ge=0.01, le=4e7)]  # A centimetre to once around the Earth.
_Speed = Annotated[float, Field(ge=0, le=299_792_458)]  # That of light.
_Density = Annotated[float, Field(ge=1e-6, le=1e9)]

Seconds = Annotated[_Wait, _number(units.SECONDS)]
"""A time that may be zero."""
PositiveSeconds = Annotated[_Time, _number(units.SECONDS)]
Hertz = Annotated[_Rate, _number(units.HERTZ)]
Watts = Annotated[_Power, _number(units.WATTS)]
Metres = Annotated[_Length, _number(units.METRES)]
MetresPerSecond = Annotated[_Speed, _number(units.METRES_PER_S)]
Bits = Annotated[_Amount, _number(units.BITS)]
BitsPerSecond = Annotated[_Rate, _number(units.BITS_PER_S)]
Decibels = Annotated[float, Field(ge=0, le=300)]
"""A loss: with 300 dB nothing is left that single precision could add to noise."""
SecondsRange = Annotated[tuple[_Time, _Time], _bounds(units.SECONDS)]
HertzRange = Annotated[tuple[_Rate, _Rate], _bounds(units.HERTZ)]
BitsRange = Annotated[tuple[_Amount, _Amount], _bounds(units.BITS)]
CyclesRange = Annotated[tuple[_Amount, _Amount], _bounds(units.CYCLES)]
DensityRange = Annotated[tuple[_Density, _Density], _bounds(units.DENSITY)]
WaitRange = Annotated[tuple[_Wait, _Wait], _bounds(units.SECONDS)]
"""A range of times that may be zero."""


def each(value: float | tuple[float, ...]) -> tuple[float, ...]:
    """The values of a field that is one for all or a list."""
    return value if isinstance(value, tuple) else (value,)


def check_ordered(name: str, ends: tuple[float, float]) -> None:
    """Raise unless a range's low end is at most its high end."""
    if ends[0] > ends[1]:
        raise ValueError(
            f"{name} must be [low, high] with low at most high, got [{ends[0]:g}, {ends[1]:g}]"
        )


def check_whole(name: str, value: float, unit_name: str, unit: float) -> None:
    """Raise unless `value` is a whole positive multiple of `unit` (or zero), to rounding."""
    multiple = value / unit
    if not math.isclose(multiple, round(multiple), rel_tol=1e-6, abs_tol=1e-9) or (
        value > 0 and multiple < 0.5
    ):
        raise ValueError(
            f"{name} must be a whole multiple of {unit_name} ({unit:g}), got {value:g}"
        )


def check_file_given(kind: str, file: Path | None) -> None:
    """Raise unless a section that comes from a file names it."""
    if kind == "file" and file is None:
        raise ValueError('file must be given when kind is "file"')
