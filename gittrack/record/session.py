"""Runs that a program begins by itself: `gittrack.init()` without `git track run`.

The program is the training: nothing here may slow it. Git, settings and environment are looked at once per process, the
work tree is kept again only when it changed, and what is folded before the end is folded by a helper process.
"""

import atexit
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gittrack import errors
from gittrack.config.environment import current
from gittrack.config.user import user_of
from gittrack.git import snapshot
from gittrack.git.discover import Paths, discover
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.git.snapshot import Plan, Snapshot
from gittrack.record import beginning, drain, environment, exit_code, facts, notebook, resuming, surroundings, uploads
from gittrack.record.assistant import Assistant
from gittrack.record.facts import Labels
from gittrack.record.surroundings import Surroundings
from gittrack.record.waiting import Show
from gittrack.recorder import active, complain, packages
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal
from gittrack.runs import folding, live, origins, writer

STARTER = "run.jsonl"


def start(
    params: Mapping[str, Any] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    experiment: str | None = None,
    note: str | None = None,
    snapshot: bool = True,
    include: Sequence[str] = (),
    resume: str | None = None,
    show: Show = lambda _: None,
    origin: str | None = None,
) -> ActiveRun:
    """Begin a run of this process. A run that it began before is finished: a notebook's cell is run again and again.
    `resume` names the run that this one continues, `origin` one that it starts from; `show` hears how far its files are
    kept when it has ended.

    Raises NotARepository, BadConfig, GitFailed, CannotWrite, and RunNotFound and the like for `resume` and `origin`.
    """
    labels = Labels(name, tags, note, experiment).check()
    previous = active.current()
    if previous is not None and previous.is_own():
        previous.finish()
    session = _session(discover_here(current()))
    return session.begin(params, labels, snapshot, include, resume, show, origin)


def discover_here(environ: Mapping[str, str]) -> Paths:
    """The repository of the current directory; failing that, of the program's file."""
    try:
        return discover(os.getcwd(), environ)
    except errors.NotARepository as error:
        script = getattr(sys.modules.get("__main__"), "__file__", None)
        if not script or not script.endswith(".py") or os.path.realpath(script).startswith(sys.prefix + os.sep):
            raise
        try:
            return discover(os.path.dirname(os.path.abspath(script)), environ)
        except errors.NotARepository:
            raise error from None


class Session:
    """What this process knows of one repository."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.pid = os.getpid()
        self._environ = current()
        self._around: Surroundings | None = None
        self._repository: Repository | None = None
        self._plan: Plan | None = None
        self._snapshot: Snapshot | None = None
        self._environment: list[tuple[str, Any]] | None = None

    def begin(
        self,
        params: Mapping[str, Any] | None,
        labels: Labels,
        keep_code: bool,
        include: Sequence[str],
        resume: str | None,
        show: Show,
        given: str | None,
    ) -> ActiveRun:
        around = self._look()
        origin, said = (resuming.find(self.paths, self._environ, text) if text else None for text in (resume, given))
        if origin and origin.note():
            complain.say(str(origin.note()))
        with origins.looking(around.git) as find:
            kept = self._take(around, include) if keep_code else around.without_snapshot()
            found = None if origin or said else find(kept.base, kept.oid)
        beginning.keep_code(self._repo(), kept.oid)
        run_id, journal = self._journal()
        labels = labels._replace(experiment=labels.experiment or around.settings.experiment)
        book = notebook.path()
        record = facts.facts(
            run_id,
            [os.path.basename(book)] if book else sys.orig_argv,
            labels,
            kept,
            user_of(around.git_config, self._environ),
            around.redactor,
            {
                "cwd": facts.relative_cwd(self.paths, os.getcwd()),
                "notebook": facts.relative_cwd(self.paths, book) if book else None,
                "parent": facts.parent_of(current()),
                "continues": origin.facts() if origin else None,
                "origin": said.said() if said else found and found.facts(),
                "writer": writer.writer_id(self.paths),
            },
            time.time(),
        )
        journal.event("start", run=record, goals=dict(around.settings.goals), **facts.stored(around.settings.store))
        for text in kept.notes:
            journal.event("warning", text=around.redactor.text(text))
        for file, value in self._describe(around):
            journal.event("environment", name=file, value=value)
        assistant = Assistant(self.paths, journal.dir)
        run = ActiveRun(
            journal,
            run_id,
            params=params,
            on_finish=lambda run: self._finish(run, assistant, at_exit, show),
            continues=origin.text() if origin else None,
            artifacts=surroundings.artifacts(around.settings),
        )
        at_exit = partial(_at_exit, run)
        exit_code.watch()
        atexit.register(at_exit)  # runs before the run's own
        return run

    def _look(self) -> Surroundings:
        if self._around is None:
            self._around = surroundings.look(self.paths, self._environ)
        return self._around

    def _take(self, around: Surroundings, include: Sequence[str]) -> Snapshot:
        """The snapshot of the work tree, taken anew only when that differs from last time."""
        plan = around.plan(include, self._plan)
        if self._snapshot is None or plan is not self._plan:
            self._snapshot = snapshot.take(around.git, plan)
            self._plan = plan
        return self._snapshot

    def _repo(self) -> Repository:
        if self._repository is None:
            self._repository = open_repository(self.paths, self._environ)
        return self._repository

    def _journal(self) -> tuple[str, Journal]:
        try:
            run_id, directory = live.create(self.paths)
            journal = Journal(directory, STARTER)
            journal.open()
        except OSError as error:
            raise errors.CannotWrite(
                f"cannot write {live.root(self.paths)}: {error.strerror}", "make the .git directory writable for you"
            ) from error
        return run_id, journal

    def _describe(self, around: Surroundings) -> list[tuple[str, Any]]:
        """The files of environment/, worked out once."""
        if self._environment is None:
            variables = around.redactor.mapping(environment.variables(self._environ, around.settings.env_names))
            self._environment = [
                *environment.describe(around.git, around.redactor.mapping(around.git_config), variables),
                ("python.json", packages.interpreter()),
                ("requirements.txt", packages.requirements(sys.path)),
            ]
        return self._environment

    def _finish(self, run: ActiveRun, assistant: Assistant, at_exit: Callable[[], None], show: Show) -> None:
        """Make the last cut and fold it, here or by the helper that has been folding so far."""
        atexit.unregister(at_exit)
        waited = drain.wait(assistant.storer, run.dir, show)
        if assistant.finish(waited):
            if waited:
                drain.wait_for_upload(self.paths, run.dir, show)
                uploads.resume(self.paths)
            return
        if not waited:  # the storer closes the run, when it has kept the files
            assistant.storer.let_go()
            return
        try:
            folder = folding.Folder.open(self._repo(), run.dir)
        except FileNotFoundError:  # another command has folded this run
            return
        if folder is None:  # or does now
            return
        try:
            folder.finish(time.time(), "crashed", mine=(STARTER,))
        finally:
            folder.close()
        drain.wait_for_upload(self.paths, run.dir, show)
        uploads.resume(self.paths)


def _at_exit(run: ActiveRun) -> None:
    """End a run that is still going on as failed, when the program is."""
    ending = exit_code.ending()
    if ending is not None and run.is_own():
        run.__exit__(type(ending), ending, None)


_sessions: dict[Paths, Session] = {}


def _session(paths: Paths) -> Session:
    session = _sessions.get(paths)
    if session is None or session.pid != os.getpid():  # a forked process opens everything for itself
        session = _sessions[paths] = Session(paths)
    return session
