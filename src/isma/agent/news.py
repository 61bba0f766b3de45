"""The CPU that the other agents have left, as each has broadcast it last, and how old that is."""

import math

import msgspec

MOST_HZ, MOST_PRICE_S = 1e15, 1e9


class Bulletin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One broadcast of an agent."""

    boot: int
    """Start of its process: nanoseconds since 1970, so that the numbers of a later start count anew."""
    number: int
    """Rises by one with each broadcast of a start."""
    server_hz: float
    """CPU clock f^e."""
    remaining_hz: float
    """Remaining computing resources F."""
    price_s: float
    """Seconds of delay that one more unit of its CPU share would save."""


class HeardBulletin(msgspec.Struct, frozen=True):
    """A bulletin, and when it came by this process's monotonic clock."""

    bulletin: Bulletin
    at_s: float


class Bulletins:
    """The newest bulletin of each expected agent: nothing older, twice, or absurd is taken."""

    def __init__(self, expected: frozenset[str], stale_s: float) -> None:
        self.expected, self.stale_s = expected, stale_s
        self.refused = 0
        self._heard: dict[str, HeardBulletin] = {}

    def take(self, name: str, payload: bytes, now_s: float) -> bool:
        """Take a bulletin; False if it says nothing new or nothing possible."""
        try:
            bulletin = msgspec.json.decode(payload, type=Bulletin)
        except msgspec.DecodeError:
            self.refused += 1
            return False
        before = self._heard.get(name)
        is_old = before is not None and (bulletin.boot, bulletin.number) <= (
            before.bulletin.boot,
            before.bulletin.number,
        )
        if name not in self.expected or is_old or not _is_possible(bulletin):
            self.refused += 1
            return False
        self._heard[name] = HeardBulletin(bulletin, now_s)
        return True

    def of(self, name: str) -> HeardBulletin | None:
        """The newest of an agent."""
        return self._heard.get(name)

    def stale(self, now_s: float) -> list[str]:
        """Agents of whom nothing is known, or nothing fresh."""
        return sorted(
            name
            for name in self.expected
            if (heard := self._heard.get(name)) is None or now_s - heard.at_s > self.stale_s
        )


def _is_possible(bulletin: Bulletin) -> bool:
    bounds = (
        (bulletin.server_hz, MOST_HZ),
        (bulletin.remaining_hz, bulletin.server_hz),
        (bulletin.price_s, MOST_PRICE_S),
    )
    return all(math.isfinite(value) and 0 <= value <= most for value, most in bounds)
