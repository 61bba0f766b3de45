"""The commands: the only package that talks to a terminal."""

from isma.cli.main import main

__all__ = ["main"]
