"""Last broadcasts of the other agents: remaining computing resources, price and age."""

import math

import msgspec

MOST_HZ, MOST_PRICE_S = 1e15, 1e9


class Bulletin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One broadcast of an agent."""

    boot: int
    """Start of its process in nanoseconds since 1970; numbers restart with it."""
    number: int
    """Rises by one with each broadcast of a start."""
    server_hz: float
    """CPU clock f^e."""
    remaining_hz: float
    """Remaining computing resources F."""
    price_s: float
    """Seconds of delay that one more unit of its CPU share would save."""


class ReceivedBulletin(msgspec.Struct, frozen=True):
    """A bulletin, and the time of its arrival by this process's monotonic clock."""

    bulletin: Bulletin
    at_s: float


class Bulletins:
    """The newest bulletin of each expected agent; older, duplicate and implausible ones are refused."""

    def __init__(self, expected: frozenset[str], stale_s: float) -> None:
        self.expected, self.stale_s = expected, stale_s
        self.refused = 0
        self._newest: dict[str, ReceivedBulletin] = {}

    def take(self, name: str, payload: bytes, now_s: float) -> bool:
        """Take a bulletin; False if it is refused."""
        try:
            bulletin = msgspec.json.decode(payload, type=Bulletin)
        except msgspec.DecodeError:
            self.refused += 1
            return False
        before = self._newest.get(name)
        is_old = before is not None and (bulletin.boot, bulletin.number) <= (
            before.bulletin.boot,
            before.bulletin.number,
        )
        if name not in self.expected or is_old or not _is_possible(bulletin):
            self.refused += 1
            return False
        self._newest[name] = ReceivedBulletin(bulletin, now_s)
        return True

    def of(self, name: str) -> ReceivedBulletin | None:
        """The newest of an agent."""
        return self._newest.get(name)

    def stale(self, now_s: float) -> list[str]:
        """Agents without a fresh bulletin."""
        return sorted(
            name
            for name in self.expected
            if (newest := self._newest.get(name)) is None or now_s - newest.at_s > self.stale_s
        )


def _is_possible(bulletin: Bulletin) -> bool:
    bounds = (
        (bulletin.server_hz, MOST_HZ),
        (bulletin.remaining_hz, bulletin.server_hz),
        (bulletin.price_s, MOST_PRICE_S),
    )
    return all(math.isfinite(value) and 0 <= value <= most for value, most in bounds)
