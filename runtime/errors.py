"""The two errors a user can meet. Each message is one sentence that names the file and the remedy."""

from __future__ import annotations


class HtrjandError(Exception):
    """An input cannot be used. The command line prints the message and exits with status 1."""

    exit_status = 1


class UsageError(HtrjandError):
    """What was asked for cannot be done as asked (a wrong option, key or combination): exit status 2."""

    exit_status = 2
