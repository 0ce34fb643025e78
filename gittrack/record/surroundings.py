"""What a run starts from: git, its configuration, the settings, rules for secrets. Both ways to start one use it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.core.redact import Redactor, secret_values
from gittrack.git import command, snapshot
from gittrack.git.command import Git
from gittrack.git.discover import Paths
from gittrack.git.snapshot import Plan, Policy, Snapshot


class Defaults(NamedTuple):
    experiment: str | None = None
    goals: Mapping[str, str] = {}
    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    autolog: bool = True
    system_metrics: bool = True


class Surroundings(NamedTuple):
    """One look at them; nothing in it changes during a run."""

    git: Git
    git_config: dict[str, str]
    settings: Any
    redactor: Redactor
    policy: Policy

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
    return Surroundings(git, config, Defaults(), Redactor((), secret_values(environ)), Policy())
