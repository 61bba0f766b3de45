"""The simulator as environments: one learning server, many worlds of it, and all servers as agents."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isma.environments.network_env import NetworkEnv
    from isma.environments.network_worlds import NetworkWorlds
    from isma.environments.server_env import ServerEnv
    from isma.environments.vector_env import VectorServerEnv

__all__ = ["NetworkEnv", "NetworkWorlds", "ServerEnv", "VectorServerEnv"]

_WHERE = {
    "NetworkEnv": "isma.environments.network_env",
    "NetworkWorlds": "isma.environments.network_worlds",
    "ServerEnv": "isma.environments.server_env",
    "VectorServerEnv": "isma.environments.vector_env",
}


def __getattr__(
    name: str,
) -> Any:  # Imported when they are first named: ids are known without them.
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'isma.environments' has no attribute {name!r}")
