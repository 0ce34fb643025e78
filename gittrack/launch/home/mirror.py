"""A run comes home while it goes on: its journal is copied from the host, byte for byte, and what is cut is folded.

Only the host makes cuts, and folding is pure, so every clone that does this has the same commits, whoever comes first.
The order makes any instruction a good one to be killed at: journals come first, which say which files are needed; then
these files; then the cuts, of which none is written before all that it speaks of is on the disk. So a cut that is here
can be folded without the host, and one that is not comes the next time.
"""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.config import environment, settings
from gittrack.core import layout
from gittrack.git import command
from gittrack.git.discover import Paths
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.launch.home import claims, placed
from gittrack.launch.home.claims import Odd
from gittrack.launch.home.journal import Copy
from gittrack.launch.home.kept_files import Bringing, Show
from gittrack.launch.link.protocol import Link, silent
from gittrack.lazy import lazy
from gittrack.record import uploads
from gittrack.runs import away, live, writer
from gittrack.runs.archiving import ENDED
from gittrack.runs.committing import Contradicted
from gittrack.runs.folding import Following
from gittrack.runs.own_store import own_store

FETCHED = "fetched"  # folder of a job: who has all of it
GLANCE = 2.0  # seconds between two looks at the journal while large files come


class News(NamedTuple):
    """How it stands after a look."""

    is_final: bool = False  # all that the run left is here, and its folder is gone
    grown: bool = False  # something came
    began: bool = False  # its journal has begun
    elsewhere: bool = False  # another process of this clone brings it
    cut_short: bool = False  # its journals have more than is taken
    missing: frozenset[str] = frozenset()  # files (sha256) that the host has not, or not as they should be


class _Here(NamedTuple):
    """The folder of the run, while this process is the one that brings it."""

    repo: Repository
    following: Following
    copy: Copy
    bringing: Bringing


class Mirror:
    """Brings one run home. `sync` may be called from any thread, and again after every failure."""

    def __init__(self, link: Link, paths: Paths, run_id: str, show: Show = silent) -> None:
        """`show`: bytes of files that have come, of how many."""
        self._link = link
        self._paths = paths
        self._run_id = run_id
        self._directory = live.folder(paths, run_id)
        self._show = show
        self._glanced = time.monotonic()
        self._guard = threading.Lock()
        self._environ = environment.current()
        self._here: _Here | None = None
        self._folded = 0  # cuts
        self._final = False
        self._is_placed = False  # this is the host that has it
        self._missing: frozenset[str] = frozenset()

    def sync(self) -> News:
        """Bring what is new, and fold what is cut.

        Raises LinkLost; HostFailed of what is refused; CannotWrite, RefConflict, StoreFailed of this side."""
        with self._guard:
            if self._final:
                return News(True, missing=self._missing)
            try:
                here = self._open()
                if here is not None:
                    return self._look(here)
                if not (home := self._is_home()) and not os.path.isdir(self._directory):
                    raise _forgotten(self._link.name, self._run_id)
                return News(home, elsewhere=not home)
            except errors.LinkLost:  # for good: another link gets another mirror, which must find the run free
                self.close()
                raise
            except (Odd, Contradicted, OSError) as error:
                raise self._failed(error) from error

    def close(self) -> None:
        """Let others bring it."""
        if self._here is not None:
            self._here.following.close()
            self._here.repo.close()
            self._here = None

    def _look(self, here: _Here) -> News:
        if not self._is_placed:
            return News()
        copy = here.copy
        if copy.cuts and copy.cuts[-1].reason == "final":  # it was killed before it had folded that
            here.following.advance(time.time())
            self._finish(here)
            return News(True, began=True, missing=self._missing)
        grown = copy.bring()
        before = copy.waits
        if before is not None:
            grown = copy.bring() or grown
            # Listed after that cut had been read, and what a cut covers is written before it.
            if copy.waits is not None and copy.waits.cut.number <= before.cut.number:
                raise Odd(f"cut {before.cut.number} covers more than there is")
        began = copy.has_begun(self._run_id)
        if began:
            if here.bringing.bring(copy.wanted()):
                self._begin_uploads(here.repo)
            self._missing |= here.bringing.missing
            copy.accept()
        if len(copy.cuts) > self._folded:
            here.following.advance(time.time())
            self._folded = len(copy.cuts)
        if copy.cuts and copy.cuts[-1].reason == "final":
            self._finish(here)
        return News(self._final, grown, began, cut_short=copy.is_cut_short, missing=self._missing)

    def _came(self, done: int, total: int) -> None:
        """Some of a large file. Metrics and console do not wait for the rest of it."""
        self._show(done, total)
        if self._here is not None and time.monotonic() - self._glanced >= GLANCE:
            self._here.copy.glance()
            self._glanced = time.monotonic()

    def _finish(self, here: _Here) -> None:
        """All is folded: what else is done when a run has ended, and the folder goes."""
        self._begin_uploads(here.repo)
        with contextlib.suppress(errors.HostFailed):  # the results are here; `git track fetch` says it to the host
            mark(self._link, self._paths, self._run_id)
        here.following.remove()
        self._final = True
        for module in ("gittrack.record.archiver", "gittrack.record.pusher"):  # as after a run of this machine
            with contextlib.suppress(errors.GittrackError, OSError):
                lazy(module).begin(here.repo)
        self.close()

    def _begin_uploads(self, repo: Repository) -> None:
        with contextlib.suppress(errors.GittrackError, OSError):  # later commands go on with it
            found = settings.load(self._paths, self._environ, command.config(repo.git))
            if any("://" in each for each in found.store):
                uploads.begin(self._paths, self._run_id)

    def _failed(self, error: Exception) -> errors.GittrackError:
        """What is said of a failure. What nothing may fold is put aside; else the next try starts over."""
        self.close()
        if isinstance(error, OSError):
            return errors.CannotWrite(
                f"cannot write {error.filename or self._directory}: {error.strerror or error}",
                "nothing is lost, the host has it; make room or correct the permissions, then run it again",
            )
        if isinstance(error, Contradicted):
            live.put_aside(self._directory)
            return claims.refused(self._link.name, self._run_id, error.message)
        return claims.refused(self._link.name, self._run_id, str(error))

    def _open(self) -> _Here | None:
        """Be the one who brings it. None: another process is, or all of it is here."""
        if self._here is not None and self._is_placed and os.path.isdir(self._directory):
            return self._here
        self.close()
        sent = away.read(self._directory)
        if sent is None:
            return None
        self._is_placed = self._is_placed or placed.check(self._link, self._run_id, self._directory, sent)
        job = f"{self._link.folder()}/jobs/{self._run_id}"
        with contextlib.ExitStack() as opened:
            repo = opened.enter_context(contextlib.closing(open_repository(self._paths, self._environ)))
            following: Following | None = None
            with contextlib.suppress(FileNotFoundError):
                following = Following.open(repo, self._directory)
            if following is None:
                return None
            opened.callback(following.close)
            copy = Copy(self._link, f"{job}/run", self._directory)
            bringing = Bringing(self._link, job, self._directory, own_store(self._paths), self._came)
            self._here = _Here(repo, following, copy, bringing)
            opened.pop_all()  # `close` does it
        self._folded = 0
        return self._here

    def _is_home(self) -> bool:
        """Whether somebody else has brought all of it."""
        if os.path.isdir(self._directory):
            return False
        with contextlib.closing(open_repository(self._paths, self._environ, "cli")) as repo:
            return status_of(repo, self._run_id).get("status") in ENDED


def _forgotten(name: str, run_id: str) -> errors.HostFailed:
    return errors.HostFailed(
        f"run {run_id[: layout.SHORT]} is not waited for here any more: its folder was removed",
        f"`git track fetch {name}` brings what is there of it",
        "gone",
    )


def status_of(repo: Repository, run_id: str) -> Mapping[str, Any]:
    """How the run that is known here stands; empty where none is."""
    with contextlib.suppress(errors.RunNotFound, errors.DamagedRecord):
        found: Mapping[str, Any] = lazy("gittrack.runs.reader").read(repo, run_id).status
        return found
    return {}


def mark(link: Link, paths: Paths, run_id: str) -> None:
    """Tell the host that this clone has all of a run. Raises HostFailed, LinkLost."""
    link.write(f"{link.folder()}/jobs/{run_id}/{FETCHED}/{writer.writer_id(paths)}", b"")
