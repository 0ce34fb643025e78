"""From journals to refs: the one path by which anything of a run becomes a commit.

Live, at the end, after a crash, after a remote run: whoever holds the folder's lock cuts the journal where it is due
and folds what is cut. Everything here may be killed at any instruction and done again: cuts are appended and flushed
before they are folded, folding is pure, objects are written before the ref moves, the ref moves by compare-and-swap,
and the folder goes last.
"""

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import errors
from gittrack.core import events
from gittrack.git.repository import Repository
from gittrack.runs import away, closing, live, locking, tail
from gittrack.runs.committing import Committer, Contradicted
from gittrack.runs.cutting import Cutter

if TYPE_CHECKING:
    from typing_extensions import Self

TIDY_EVERY = 30  # advances of a long run between two calls of `maintenance.tidy`, which is its caller's to make


class Dead(NamedTuple):
    """What `fold_dead` found: runs it ended, runs that cannot be decided from here, and runs whose files are still to
    be kept before they can be ended."""

    folded: list[str]
    unknown: list[str]
    waiting: tuple[str, ...] = ()


class Following:
    """One live folder, locked, of which what is cut is committed, and that is cut elsewhere: its journal comes from a
    host. Only one process at a time can have it open."""

    def __init__(self, repo: Repository, directory: str, lock: int) -> None:
        self.repo = repo
        self.directory = directory
        self.run_id = os.path.basename(directory.rstrip("/"))
        self._lock = lock
        self._start_over()

    def _start_over(self) -> None:
        """Know nothing but what is in the folder and on the ref."""
        self._committer = Committer(self.repo, self.directory, doubting=True)
        self._sound = True  # False after a failure: then cuts, bytes or commits may be missing from what is known

    @classmethod
    def open(cls, repo: Repository, directory: str) -> "Self | None":
        """Take the folder's lock; None when another process has it. Raises OSError when it cannot be written."""
        lock = locking.take_run(directory)
        return None if lock is None else cls(repo, directory, lock)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def advance(self, now: float) -> None:
        """Commit what is cut. Raises GittrackError; the next call goes on from there."""
        with self._at_work():
            self._committer.commit(self.cuts(), now)

    def remove(self) -> None:
        """Take the folder away: the ref names the final commit."""
        live.remove(self.directory)

    def cuts(self) -> list[events.Cut]:
        return live.read_cuts(self.directory)

    def documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """status.json and summary.json as of the last cut, without reading them back."""
        return self._committer.documents(self.cuts()[-1])

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """One turn. After one that failed (a full disk, a ref that somebody moved) the next starts over, or it would
        go on without what the failed one had in hand."""
        with _disk_errors(self.directory):
            if not self._sound:
                self._start_over()
            self._sound = False
            yield
            self._sound = True


class Folder(Following):
    """Cuts and folds one live run of this machine."""

    def _start_over(self) -> None:
        super()._start_over()
        self._cutter = Cutter(self.directory)
        self._committer = Committer(self.repo, self.directory, doubting=away.is_there(self.directory))

    @classmethod
    def open(cls, repo: Repository, directory: str) -> "Self | None":
        """None also for a run that is at a host: nobody cuts it here."""
        return None if live.is_away(directory) else super().open(repo, directory)

    def advance(self, now: float) -> None:
        """Cut where a cut is due, and commit what is cut. Raises GittrackError; the next call goes on from there."""
        with self._at_work():
            if not self._cutter.closed:
                self._cutter.started(now)
                self._cutter.checkpoints()
                self._cutter.in_time(now)
            self._committer.commit(self._cutter.cuts, now)

    def finish(self, now: float, status: str | None = None, mine: tuple[str, ...] = ()) -> bool:
        """Make the final cut, fold it and remove the folder; False while another process of the run is alive, or while
        parcels wait to be kept.

        `mine` names journals whose lock the caller itself holds. `status` is for a run that wrote no `end` event.
        """
        with self._at_work():
            if not self._cutter.closed and not self._close(now, status, mine):
                return False
            self._committer.commit(self._cutter.cuts, now)
            self.remove()
        return True

    def admit(self) -> bool:
        """Whether parcels wait to be kept. Who comes to do it is not turned away by the mark of a killed process."""
        return closing.admit(self.directory)

    def cuts(self) -> list[events.Cut]:
        return self._cutter.cuts

    def _close(self, now: float, status: str | None, mine: tuple[str, ...]) -> bool:
        """The final cut, unless somebody is still there or files wait. The mark comes first: see docs/format.md §5."""
        cache = os.path.join(live.track_dir(self.repo.paths), "cache")
        end_console = functools.partial(tail.close_left, self.directory, cache)
        return closing.final_cut(self._cutter, now, status, mine, end_console)


def fold_dead(repo: Repository, now: float, force: bool = False, keep: Callable[[str], None] | None = None) -> Dead:
    """End and fold every run of this clone that nobody can be writing any more; with `force`, the undecided too.

    `keep` is given the folder of a run whose files wait to be kept, and sees to it, now or later: such a run is left as
    it is while they do. What fails for one run is raised when the others are done.
    """
    dead = Dead([], [])
    waiting: list[str] = []
    failed: list[Exception] = []
    here = live.here()
    for run_id in live.ids(repo.paths):
        directory = live.folder(repo.paths, run_id)
        state = live.state(directory, here)
        if state == live.EMPTY:
            live.remove(directory)
        elif state == live.UNKNOWN and not force:
            dead.unknown.append(run_id)
        elif state in (live.DEAD, live.FINAL, live.UNKNOWN):
            try:
                if state != live.FINAL and _still_waits(repo, directory, keep):
                    waiting.append(run_id)
                elif _fold_one(repo, directory, now):
                    dead.folded.append(run_id)
            except (errors.GittrackError, OSError) as error:
                failed.append(error)
    _sweep(repo)
    if failed:
        raise failed[0]
    return dead._replace(waiting=tuple(waiting))


def _still_waits(repo: Repository, directory: str, keep: Callable[[str], None] | None) -> bool:
    """Whether parcels of a dead run wait, also after `keep` was called."""
    if not live.parcels(directory) or keep is None:
        return bool(live.parcels(directory))
    folder = _opened(repo, directory)
    if folder is None:  # somebody sees to this run already
        return True
    try:
        folder.admit()
    finally:
        folder.close()
    keep(directory)
    return bool(live.parcels(directory))


def _opened(repo: Repository, directory: str) -> Folder | None:
    with contextlib.suppress(FileNotFoundError):  # somebody else was faster
        return Folder.open(repo, directory)
    return None


def _fold_one(repo: Repository, directory: str, now: float) -> bool:
    folder = _opened(repo, directory)
    if folder is None:
        return False
    try:
        return folder.finish(now, "crashed")
    except Contradicted:  # what a host has said; or each command would try it again
        live.put_aside(directory)
        raise
    finally:
        folder.close()


def _sweep(repo: Repository) -> None:
    """Take away folders whose removal was interrupted; their runs are on refs."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(live.root(repo.paths)):
            if name.endswith(".done"):
                shutil.rmtree(os.path.join(live.root(repo.paths), name), ignore_errors=True)


@contextlib.contextmanager
def _disk_errors(directory: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.CannotWrite(
            f"cannot fold the run in {directory}: {error.strerror or error}",
            "nothing is lost; make room or correct the permissions, then run `git track recover`",
        ) from error
