"""When, where and how a mobile user's service moves between edge servers."""

from isma import delay
from isma.api import check_policy, compare, explain, load_scenario, parallel_env
from isma.environments.registration import register
from isma.policies import registry as policies

__version__ = "0.1.0"
__all__ = [
    "check_policy",
    "compare",
    "delay",
    "explain",
    "load_scenario",
    "parallel_env",
    "policies",
]

# Gymnasium knows an id once its package has been imported.
register()
