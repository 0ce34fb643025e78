"""Every error that gittrack raises on purpose: what happened, what to do next, and the exit code of its class.

One handler, at the top of the command line, turns these into text. Codes lie above 63 so that they cannot be taken for
the exit code of a tracked command; `docs/errors.md` lists them.
"""

from __future__ import annotations


class GittrackError(Exception):
    """Base of the tree. `message` says what happened to what; `hint` says what to do next."""

    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GittrackError):
    """The call itself is wrong: an option, an argument, a combination."""

    exit_code = 2


class DamagedRecord(GittrackError):
    """A record, log or snapshot in the repository does not decode."""

    exit_code = 65


class RunNotFound(GittrackError):
    """No run, checkpoint or metric answers to what was asked."""

    exit_code = 66


class AmbiguousSelector(GittrackError):
    """A prefix or name fits several runs."""

    exit_code = 67


class NotARepository(GittrackError):
    """There is no git repository here, or it cannot be opened."""

    exit_code = 68


class GitFailed(GittrackError):
    """The git executable is missing, too old, or a git command failed."""

    exit_code = 69


class CannotWrite(GittrackError):
    """Read-only, no permission, or the disk is full."""

    exit_code = 73


class RefConflict(GittrackError):
    """A ref moved, or is locked, while it was being updated."""

    exit_code = 74


class NewerFormat(GittrackError):
    """Written by a newer gittrack."""

    exit_code = 75


class BadExpression(GittrackError):
    """A `--where` or `--sort` expression does not parse, or names nothing that is known."""

    exit_code = 76


class Unsupported(GittrackError):
    """This system, repository kind or combination is not supported."""

    exit_code = 77


class BadConfig(GittrackError):
    """`gittrack.yaml`, git config or an environment variable holds something that cannot be used."""

    exit_code = 78


class StoreFailed(GittrackError):
    """A store cannot be reached, refuses, or is not set up as it should be."""

    exit_code = 79
    passing = False  # whether it may go away by itself, so that another try is worth it
    partly = False  # whether other stores did answer, and have not got what was asked for


class MissingContent(GittrackError):
    """The bytes of an artifact are in no store that is known here."""

    exit_code = 80


class CorruptContent(GittrackError):
    """The bytes of an artifact are not those that its digest names."""

    exit_code = 81


class WouldOverwrite(GittrackError):
    """Files that are there would be replaced or removed, and nobody said that they may be."""

    exit_code = 82


class Refused(GittrackError):
    """Files of a record that would lie outside of the folder, or could not lie in it together, were left out."""

    exit_code = 83


class RemoteFailed(GittrackError):
    """A git remote cannot be reached, or did not do all that was asked of it."""

    exit_code = 84
    kind = ""  # of `git.remote_errors`
    wait: float | None = None  # seconds after which it may be tried again, where the server says so


class Conflicting(GittrackError):
    """What a run had changed contradicts what was changed elsewhere."""

    exit_code = 85


class HostFailed(GittrackError):
    """A host cannot be reached, or did not do what was asked of it."""

    exit_code = 86
    kind = ""  # of the modules of `launch` that raise it: what went wrong, in one word

    def __init__(self, message: str, hint: str = "", kind: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind or type(self).kind


class ImageFailed(GittrackError):
    """A container image cannot be made, found or used."""

    exit_code = 87


class LinkLost(HostFailed):
    """The connection to a host broke. What runs there goes on."""

    exit_code = 88
    kind = "lost"
