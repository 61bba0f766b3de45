"""CPU shares that the kernel enforces: a control group for each context, under one that caps them all.

A service puts a context's processes into the context's group. The group above has all of the server's
cores, so that granted shares never exceed the server in the kernel either. The least quota of a group is a
thousandth of a core.
"""

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from isma.agent.ownership.vocabulary import WHOLE_PPM
from isma.errors import RunError

_PERIOD_US, _LEAST_US = 1_000_000, 1_000


class Enforcer(ABC):
    """Enforces shares."""

    @abstractmethod
    def grant(self, context: str, share_ppm: int) -> None:
        """Give a context this share from now on. Raises OSError."""

    @abstractmethod
    def withdraw(self, context: str) -> None:
        """Forget a context that is not served here."""


class NoEnforcer(Enforcer):
    """Shares are promised and not enforced."""

    def grant(self, context: str, share_ppm: int) -> None:
        """Do nothing."""

    def withdraw(self, context: str) -> None:
        """Do nothing."""


class Cgroup(Enforcer):
    """Quotas of control groups below a folder that this process may write. Raises RunError."""

    def __init__(self, folder: Path, version: int, cores: float) -> None:
        self._folder, self._version, self._cores = folder, version, cores
        try:
            folder.mkdir(exist_ok=True)
            if version == 2:
                (folder / "cgroup.subtree_control").write_text("+cpu")
            self._write(folder, round(cores * _PERIOD_US))
        except OSError as error:
            raise RunError(
                f"cpu.folder must be a control group (version {version}) that this process may write, "
                f'got {folder}: {error.strerror or error}; cpu.enforce = "none" promises without it'
            ) from None

    def grant(self, context: str, share_ppm: int) -> None:
        """Set the group's quota, and make the group if there is none."""
        group = self._folder / context
        group.mkdir(exist_ok=True)
        quota_us = int(share_ppm * self._cores * _PERIOD_US / WHOLE_PPM)
        self._write(group, max(quota_us, _LEAST_US))

    def withdraw(self, context: str) -> None:
        """Remove the group; one in which processes still run keeps the least."""
        group = self._folder / context
        if group.exists():
            with suppress(OSError):
                self._write(group, _LEAST_US)
                group.rmdir()

    def _write(self, group: Path, quota_us: int) -> None:
        if self._version == 2:
            (group / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
            return
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(quota_us))


def enforcer(how: str, folder: str, cores: float) -> Enforcer:
    """The enforcer of a config: `none`, `cgroup1` or `cgroup2`. Raises RunError."""
    if how == "none":
        return NoEnforcer()
    return Cgroup(Path(folder), int(how[-1]), cores)
