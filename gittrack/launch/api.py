"""Jobs from Python: `gittrack.launch(...)`, and the job that it returns."""

import contextlib
import os
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gittrack import errors
from gittrack.config import environment
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.launch.engine.position import Position
from gittrack.launch.jobs import choosing, launching, stopping
from gittrack.launch.jobs.following import look_once
from gittrack.launch.jobs.job import Asked
from gittrack.launch.jobs.lasting import Lasting, reach_again
from gittrack.launch.reached import At, Clone, Talk
from gittrack.record.beginning import Wish
from gittrack.record.facts import Labels
from gittrack.record.surroundings import look
from gittrack.runs import away, live, reader

if TYPE_CHECKING:
    from typing_extensions import Self


def launch(
    command: str | Sequence[str],
    host: str | None = None,
    image: str | None = None,
    gpus: str | int | None = None,
    detach: bool = True,
    *,
    name: str | None = None,
    tags: Sequence[str] = (),
    experiment: str | None = None,
    note: str | None = None,
    params: Mapping[str, Any] | None = None,
    resume: str | None = None,
    repo: str = ".",
    **options: Any,
) -> "Job":
    """Start a job at a host; in a container of this machine where none is given. See `gittrack.launch`."""
    argv = shlex.split(command) if isinstance(command, str) else [os.fspath(each) for each in command]
    if not argv:
        raise errors.UsageError("no command is given", 'for example: gittrack.launch("python train.py", host="gpu1")')
    environ = environment.current()
    paths = discover(repo, environ)
    around = look(paths, environ)
    clone = Clone(paths, environ, around.settings)
    wish = Wish(argv, Labels(name, tags, note, experiment), params or {}, resume=resume)
    asked = Asked(host or "", image, None if gpus is None else str(gpus), **_options(options))
    started = launching.begin(clone, around, wish, asked, Talk())
    job = Job(clone, started.run_id, started.at)
    if not detach:
        job.wait()
    return job


class Job:
    """A run at a host. Keeps one connection while it is used; `close`, or the end of a `with`, gives it back."""

    def __init__(self, clone: Clone, run_id: str, at: At | None = None) -> None:
        self.id = run_id
        self.host = at.host.name if at else launching.asked_of(clone, run_id).host
        self._clone = clone
        self._at = at

    def __repr__(self) -> str:
        return f"<Job {self.id[:7]} at {self.host}>"

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def status(self) -> str:
        """`running`, or how it ended: `completed`, `failed`, `killed`, `crashed`. Asks the host while that is open.

        Raises HostFailed, LinkLost."""
        if self._is_away():
            look_once(self._reached(), self._clone.paths, self.id)
        return "running" if self._is_away() else str(self._record().status["status"])

    @property
    def exit_code(self) -> int | None:
        """Of the command; None while it runs, and where a signal ended it."""
        return None if self._is_away() else self._record().status["exit_code"]

    def wait(self, timeout: float | None = None) -> str:
        """Wait until it is over and its results are here; its status. A connection that breaks is made again, for as
        long as the setting `reconnect` says. Raises TimeoutError, HostFailed, LinkLost."""
        if self._is_away():
            watched = Lasting(self._reached(), self._clone, self.id, Talk(), tail=0)
            clock = threading.Timer(timeout, watched.interrupt) if timeout is not None else None
            try:
                if clock:
                    clock.start()
                if not watched.console(lambda _stream, _data: None):
                    raise TimeoutError(f"{self!r} is still running after {timeout} seconds")
                watched.finish()
            finally:
                watched.close()
                if clock:
                    clock.cancel()
        return self.status

    def logs(self, follow: bool = False) -> Iterator[str]:
        """What it printed so far, standard output and error together, in pieces; with `follow` until it is over, across
        connections as `wait`.

        Raises HostFailed, LinkLost."""
        if not self._is_away():
            repository = open_repository(self._clone.paths, self._clone.environ)
            with contextlib.closing(repository):
                for data in reader.console(repository, reader.read(repository, self.id)):
                    yield data.decode("utf-8", "replace")
            return
        position = Position()
        while True:
            at = self._reached()
            try:
                found = at.engine.find(self.id)
                for _, data in at.engine.logs(found.id, follow, position=position) if found else ():
                    yield data.decode("utf-8", "replace")
                return
            except errors.LinkLost as error:
                self._at = reach_again(error, at, self._clone, Talk())

    def stop(self, grace: int = stopping.GRACE) -> None:
        """End it: SIGTERM, and SIGKILL after the grace period. Raises HostFailed, LinkLost."""
        if self._is_away():
            stopping.stop(self._reached(), self.id, grace)

    def close(self) -> None:
        """Leave the host; the job goes on. May be called twice."""
        if self._at is not None:
            self._at.close()
            self._at = None

    def _is_away(self) -> bool:
        return away.is_there(live.folder(self._clone.paths, self.id))

    def _record(self) -> Any:
        with contextlib.closing(open_repository(self._clone.paths, self._clone.environ, "cli")) as repository:
            return reader.read(repository, self.id)

    def _reached(self) -> At:
        if self._at is None or self._at.link.lost:
            self.close()
            host = choosing.hosts_of(self._clone, launching.asked_of(self._clone, self.id).host)[0]
            self._at = launching.attach(self._clone, self.id, host, Talk())
        return self._at


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises TypeError for what is none."""
    lists = {"mounts", "ports", "env", "secrets", "inputs"}
    known = {"cpus", "memory", "shm_size", "network", *lists}
    for name in given:
        if name not in known:
            raise TypeError(f"gittrack.launch: {name} is no option; it takes {', '.join(sorted(known))}")
    return {
        name: tuple(_env(value) if name == "env" else value) if name in lists else str(value)
        for name, value in given.items()
    }


def _env(value: Any) -> list[str]:
    return [f"{name}={text}" for name, text in value.items()] if isinstance(value, Mapping) else list(value)
