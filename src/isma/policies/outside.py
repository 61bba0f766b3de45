"""Former name of isma.policies.plain_python, kept importable for policies that were written for it."""

from isma.policies.plain_python import Decision, PlainPolicy, ServerView

__all__ = ["Decision", "PlainPolicy", "ServerView"]
