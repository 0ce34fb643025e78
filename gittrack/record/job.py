"""What is to be run and recorded, and how it went, as values that cross between the front process and the keeper."""

from typing import Any, NamedTuple

from gittrack.git.discover import Paths
from gittrack.record.starter import Starter
from gittrack.record.terminal import Wiring


class Command(NamedTuple):
    """What is started. Known before the keeper is made."""

    file: str
    argv: tuple[str, ...]
    environ: dict[str, str]


class Site(NamedTuple):
    """Where and with what a run is recorded; known before the keeper is made."""

    paths: Paths
    directory: str
    starter: Starter
    command: Command
    wiring: Wiring


class Job(NamedTuple):
    """What the keeper must know besides. Sent when the snapshot is there, so of values that JSON has."""

    run_id: str
    autolog: bool  # whether the command is looked into
    params_files: list[str]
    metric_files: list[str]
    system_metrics: bool
    git_config: dict[str, str]
    variables: dict[str, str]  # of the environment, as far as they are recorded
    artifacts: str = ""  # which files that `torch.save` writes are kept: see surroundings.artifacts


class Final(NamedTuple):
    """What the closed record says."""

    status: str
    duration: float
    metrics: dict[str, Any]  # as in summary.json
    primary: dict[str, Any] | None
    warnings: list[str]
    artifacts: dict[str, int] | None = None  # as in summary.json


class Outcome(NamedTuple):
    """How it went. `final` is None while the run is not closed: then `error` says why, or processes are still there."""

    run_id: str
    code: int | None
    signal: int | None
    duration: float
    final: Final | None
    error: str | None
    unkept: int | None = None  # bytes of its files that are still being kept
