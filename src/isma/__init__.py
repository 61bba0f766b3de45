"""When, where and how a mobile user's service moves between edge servers."""

from isma import interrupts

interrupts.answer()  # Before seconds of imports, in which Ctrl-C may come.

from isma import delay  # noqa: E402
from isma.api import check_policy, compare, explain, load_scenario, parallel_env  # noqa: E402
from isma.environments.registration import register  # noqa: E402
from isma.policies import registry as policies  # noqa: E402

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
