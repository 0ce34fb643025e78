"""`git track run`: snapshot, start, stream, record. The order in which things happen is here, and nothing else."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.git.discover import Paths
from gittrack.record import beginning, command, environment, terminal
from gittrack.record.beginning import Beginning, Wish, plan
from gittrack.record.facts import Labels
from gittrack.record.front import Front
from gittrack.record.job import Command, Job, Outcome, Site
from gittrack.record.starter import Starter
from gittrack.record.surroundings import artifacts, look
from gittrack.record.waiting import Show
from gittrack.recorder.resume import RESUME
from gittrack.runs import live

__all__ = ["Labels", "Result", "Wish", "plan", "run"]


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
    before = beginning.came(wish, paths, environ)
    variables = {name: value for name, value in environ.items() if name != RESUME}  # that of a run around this one
    if before.resumed is not None:
        variables[RESUME] = before.resumed.text()
    run_id, starter = _begin(paths)
    made: dict[str, Any] = {}

    def prepare() -> Job:
        around = look(paths, environ)
        front.redact = around.redactor.stream
        began = beginning.begin(run_id, wish, around, environ, before)
        made.update(facts=began.facts, notes=began.kept.notes)
        _write_start(starter, began)
        begun(run_id, before.resumed.note() if before.resumed else None)
        return _job(run_id, wish, began, environ)

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


def _write_start(starter: Starter, began: Beginning) -> None:
    starter.event("start", began.start)
    if began.params:
        starter.event("params", {"source": "command", "values": began.params})
    for text in began.warnings:
        starter.event("warning", {"text": text})


def _job(run_id: str, wish: Wish, began: Beginning, environ: Mapping[str, str]) -> Job:
    around, settings = began.around, began.around.settings
    autolog = settings.autolog if wish.autolog is None else wish.autolog
    return Job(
        run_id,
        autolog,
        list(settings.params),
        list(settings.metrics),
        settings.system_metrics and autolog,
        around.redactor.mapping(around.git_config),
        around.redactor.mapping(environment.variables(environ, settings.env_names)),
        artifacts(settings, autolog),
    )
