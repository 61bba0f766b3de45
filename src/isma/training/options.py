"""Rules for options of a training, in words for the person who typed them."""

import math

from isma.errors import RunError


def at_least(options: object, least: int, *names: str) -> None:
    """Refuse smaller ones. Raises ValueError."""
    for name in names:
        if getattr(options, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(options, name)}")


def within(options: object, low: float, high: float, *names: str) -> None:
    """Refuse what lies outside. Raises ValueError."""
    for name in names:
        if not low <= getattr(options, name) <= high:
            raise ValueError(
                f"{name} must be from {low:g} to {high:g}, got {getattr(options, name)}"
            )


def positive(options: object, *names: str) -> None:
    """Refuse what is not a finite number above zero. Raises ValueError."""
    for name in names:
        value = getattr(options, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a finite number above 0, got {value}")


def not_negative(options: object, *names: str) -> None:
    """Refuse what is not a finite number from zero on. Raises ValueError."""
    for name in names:
        value = getattr(options, name)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number of at least 0, got {value}")


def rounds_for(steps: int, per_round: int) -> int:
    """Number of whole rounds that so many updates need. Raises RunError."""
    if steps < 1:
        raise RunError(f"steps must be at least 1, got {steps}")
    return -(-steps // per_round)
