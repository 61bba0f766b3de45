"""A line of work, first come, first served."""

from dataclasses import dataclass


@dataclass
class Line:
    """What one CPU, or one share of one, still has to do."""

    cycles: float = 0.0

    def work_off(self, rate_hz: float, seconds: float) -> None:
        """Let some time pass."""
        self.cycles = max(0.0, self.cycles - rate_hz * seconds)

    def join(self, cycles: float) -> float:
        """Put a task at the end; gives what is then to be done until it is finished."""
        self.cycles += cycles
        return self.cycles
