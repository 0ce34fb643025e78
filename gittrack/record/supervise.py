"""`git track run`: snapshot, start, stream, record. The order in which things happen is here, and nothing else."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import errors
from gittrack.config.user import user_of
from gittrack.git import snapshot
from gittrack.git.discover import Paths
from gittrack.git.snapshot import Plan, Snapshot
from gittrack.lazy import lazy
from gittrack.record import command, environment, facts, terminal
from gittrack.record.facts import Labels
from gittrack.record.front import Front
from gittrack.record.job import Command, Job, Outcome, Site
from gittrack.record.starter import Starter
from gittrack.record.surroundings import Surroundings, artifacts, look
from gittrack.record.waiting import Show
from gittrack.recorder.resume import RESUME
from gittrack.runs import live, origins, writer

if TYPE_CHECKING:
    from gittrack.record.resuming import Origin


class Wish(NamedTuple):
    """What the user asked for."""

    argv: Sequence[str]
    labels: Labels
    params: Mapping[str, Any]
    snapshot: bool = True
    include: Sequence[str] = ()
    autolog: bool | None = None  # None: as the settings say
    resume: str | None = None  # the run that this one continues
    origin: str | None = None  # the run that it starts from, where the user says so


class Result(NamedTuple):
    """A run that was made, and how it went."""

    outcome: Outcome
    facts: Mapping[str, Any]
    notes: Sequence[str]


Begun = Callable[[str, str | None], None]


def run(
    wish: Wish,
    paths: Paths,
    environ: Mapping[str, str],
    begun: Begun = lambda *_: None,
    show: Show = lambda _: None,
) -> Result:
    """Run and record a command. `begun` hears the run's id, and what the user should know, when the command is about to
    start, `show` how far its files are kept when it has ended.

    Nothing is left behind when it cannot start. Raises CannotStart, NotARepository, BadConfig, GitFailed, CannotWrite,
    and RunNotFound and the like for `resume` and `origin`.
    """
    wish.labels.check()
    file = command.find(wish.argv[0], environ)
    origin, said = (_found(paths, environ, text) for text in (wish.resume, wish.origin))
    variables = {name: value for name, value in environ.items() if name != RESUME}  # that of a run around this one
    if origin is not None:
        variables[RESUME] = origin.text()
    run_id, starter = _begin(paths)
    made: dict[str, Any] = {}

    def prepare() -> Job:
        around = look(paths, environ)
        with origins.looking(around.git) as find:
            kept = take(around, wish)
            found = None if origin or said else find(kept.base, kept.oid)
        front.redact = around.redactor.stream
        came = {"continues": origin and origin.facts(), "origin": said.said() if said else found and found.facts()}
        made.update(facts=_facts(run_id, wish, paths, environ, around, kept, came), notes=kept.notes)
        _write_start(starter, wish, around, made["facts"], kept)
        begun(run_id, origin.note() if origin else None)
        return _job(run_id, wish, around, environ)

    try:
        wiring = terminal.connect()
        front = Front(Site(paths, starter.directory, starter, Command(file, tuple(wish.argv), variables), wiring))
        front.show = show
    except BaseException:
        _discard(starter)
        raise
    try:
        outcome = front.run(prepare)
    except BaseException:
        if not front.may_run:  # else the keeper goes on with it
            _discard(starter)
        raise
    return Result(outcome, made["facts"], made["notes"])


def _found(paths: Paths, environ: Mapping[str, str], text: str | None) -> "Origin | None":
    found: Origin | None = lazy("gittrack.record.resuming").find(paths, environ, text) if text else None
    return found


def plan(wish: Wish, paths: Paths, environ: Mapping[str, str]) -> Plan:
    """What the snapshot of such a run would hold."""
    return look(paths, environ).plan(_from_top(paths, wish.include))


def take(around: Surroundings, wish: Wish) -> Snapshot:
    """The snapshot that is wished for. Raises UsageError for an `--include` that fits nothing."""
    if not wish.snapshot:
        return around.without_snapshot()
    plan_ = around.plan(_from_top(around.git.paths, wish.include))
    if plan_.unmatched:
        raise errors.UsageError(
            f"--include {plan_.unmatched[0]}: no such file in the work tree",
            "paths are relative to the current directory",
        )
    return snapshot.take(around.git, plan_)


def _from_top(paths: Paths, given: Sequence[str]) -> list[str]:
    """Paths as given in the current directory, relative to the top of the work tree."""
    top = paths.worktree or "/"
    here = os.path.realpath(os.getcwd())
    return [os.path.relpath(os.path.normpath(os.path.join(here, path)), top) for path in given]


def _begin(paths: Paths) -> tuple[str, Starter]:
    try:
        run_id, directory = live.create(paths)
        return run_id, Starter(directory)
    except OSError as error:
        raise errors.CannotWrite(
            f"cannot write {live.root(paths)}: {error.strerror}",
            "make the .git directory writable for you",
        ) from error


def _discard(starter: Starter) -> None:
    starter.close()
    live.remove(starter.directory)


def _facts(
    run_id: str,
    wish: Wish,
    paths: Paths,
    environ: Mapping[str, str],
    around: Surroundings,
    kept: Snapshot,
    came: Mapping[str, Any],
) -> dict[str, Any]:
    labels = wish.labels._replace(experiment=wish.labels.experiment or around.settings.experiment)
    place = {
        "cwd": facts.relative_cwd(paths, os.getcwd()),
        "parent": facts.parent_of(environ),
        "writer": writer.writer_id(paths),
        **came,
    }
    user = user_of(around.git_config, environ)
    return facts.facts(run_id, wish.argv, labels, kept, user, around.redactor, place, time.time())


def _write_start(starter: Starter, wish: Wish, around: Surroundings, run: Mapping[str, Any], kept: Snapshot) -> None:
    default = ["experiment"] if run["experiment"] and not wish.labels.experiment else []
    stored = facts.stored(around.settings.store)
    starter.event("start", {"run": run, "goals": dict(around.settings.goals), "default": default, **stored})
    if wish.params:
        starter.event("params", {"source": "command", "values": around.redactor.mapping(wish.params)})
    for note in kept.notes:
        starter.event("warning", {"text": around.redactor.text(note)})


def _job(run_id: str, wish: Wish, around: Surroundings, environ: Mapping[str, str]) -> Job:
    settings = around.settings
    autolog = settings.autolog if wish.autolog is None else wish.autolog
    return Job(
        run_id,
        autolog,
        list(settings.params),
        list(settings.metrics),
        settings.system_metrics and autolog,
        around.redactor.mapping(around.git_config),
        around.redactor.mapping(environment.variables(environ, settings.env)),
        artifacts(settings, autolog),
    )
