"""`python -m leaderboard`: a user's mistake is one line on stderr and a status that is not 0."""

import sys

from isma.cli.last_resort import guarded
from leaderboard.commands import app

if __name__ == "__main__":
    sys.exit(guarded(lambda: app(args=sys.argv[1:], standalone_mode=False), False))
