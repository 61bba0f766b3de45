"""Options of trainings: dataclasses whose annotations state the ranges, checked by pydantic."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

Positive = Annotated[int, Field(ge=1)]
Several = Annotated[int, Field(ge=2)]
Part = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, a probability, or a discount."""
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class LearnerOptions:
    """Options of every training."""

    rounds: Positive = 60
    """Rounds of experience and learning."""
    learning_rate: Rate = 1e-3
    """Step size of Adam at first; it falls to zero over the training."""
    clip_norm: Rate = 10.0
    """Largest norm of a gradient."""


@dataclass(frozen=True)
class UserLearnerOptions(LearnerOptions):
    """Options of trainings on decisions about one user after another."""

    worlds: Positive = 64
    """Worlds in each round."""
    periods: Several = 16
    """Decisions about each user that are recorded in a world."""
    test_every: Positive = 10
    """Rounds from one test without exploring to the next."""
    width: Positive = 64
    """Units of the hidden layers."""
