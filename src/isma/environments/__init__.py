"""The simulator as environments: one learning server, many worlds of it, and all servers as agents."""

from isma.environments.network_env import NetworkEnv
from isma.environments.server_env import ServerEnv
from isma.environments.vector_env import VectorServerEnv

__all__ = ["NetworkEnv", "ServerEnv", "VectorServerEnv"]
