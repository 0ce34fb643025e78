"""What a run starts from: git, its configuration, settings, rules for secrets. Both ways to start one use it."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.config import settings
from gittrack.config.file_policy import FilePolicy
from gittrack.config.settings import Settings
from gittrack.core.redact import Redactor, secret_values
from gittrack.git import command, snapshot
from gittrack.git.command import Git
from gittrack.git.discover import Paths
from gittrack.git.snapshot import Plan, Snapshot


class Surroundings(NamedTuple):
    """One look at them; nothing in it changes during a run."""

    git: Git
    git_config: dict[str, str]
    settings: Settings
    redactor: Redactor
    policy: FilePolicy

    def plan(self, include: Sequence[str] = (), previous: Plan | None = None) -> Plan:
        """What a snapshot would hold now; `previous` itself when nothing has changed since."""
        return snapshot.plan(self.git, self.policy, include, previous)

    def without_snapshot(self) -> Snapshot:
        """Where the code stands, with nothing kept of it."""
        head = self.git.call("rev-parse", "--verify", "-q", "HEAD")
        base = head.out.decode().strip() if head.code == 0 else None
        return Snapshot(None, base, None, (), (), (), ())


def look(paths: Paths, environ: Mapping[str, str]) -> Surroundings:
    """Raises BadConfig, GitFailed."""
    git = Git(paths, environ)
    config = command.config(git)
    found = settings.load(paths, environ, config)
    redactor = found.redactor(environ)
    return Surroundings(git, config, found, redactor, found.policy(redactor))


def artifacts(found: Settings, autolog: bool | None = None) -> str:
    """What of torch.save is kept, as the recorder reads it from GITTRACK_ARTIFACTS: `0`, `1` or patterns."""
    if not (found.autolog if autolog is None else autolog) or found.artifacts is False:
        return "0"
    return "1" if found.artifacts is True else ",".join(found.artifacts)


def stream_redactor(paths: Paths, environ: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """For a process that takes over a console in the middle."""
    return redactor(paths, environ).stream()


def redactor(paths: Paths, environ: Mapping[str, str]) -> Redactor:
    """For the middle of a run: settings that have become unreadable must not stop it."""
    try:
        return look(paths, environ).redactor
    except errors.GittrackError:
        return Redactor((), secret_values(environ))
