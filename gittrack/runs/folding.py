"""From journals to refs: the one path by which anything of a run becomes a commit.

Live, at the end, after a crash, after a remote run: whoever holds the folder's lock cuts the journal where it is due
and folds what is cut. Everything here may be killed at any instruction and done again: cuts are appended and flushed
before they are folded, folding is pure, objects are written before the ref moves, the ref moves by compare-and-swap,
and the folder goes last.
"""

import contextlib
import fcntl
import functools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import events, fold, layout, parcels, story
from gittrack.git import objects
from gittrack.git.repository import RefChange, Repository
from gittrack.git.trees import TreeEditor
from gittrack.runs import live, operations, tail
from gittrack.runs.blobs import Blobs
from gittrack.runs.cutting import Cutter

BATCH_BYTES = 8 * 1024 * 1024
BATCH_OBJECTS = 4000
TIDY_EVERY = 30  # advances of a long run between two calls of `maintenance.tidy`, which is its caller's to make
LONGEST_COMMAND = 200  # characters of a command line in the log of operations

_CUT = re.compile(rb"^Track-Cut: (\d+)$", re.MULTILINE)


class Dead(NamedTuple):
    """What `fold_dead` found: runs it ended, runs that cannot be decided from here, and runs whose files are still to
    be kept before they can be ended."""

    folded: list[str]
    unknown: list[str]
    waiting: tuple[str, ...] = ()


class Folder:
    """Cuts and folds one live run. Only one process at a time can have it open."""

    def __init__(self, repo: Repository, directory: str, lock: int) -> None:
        self.repo = repo
        self.directory = directory
        self.run_id = os.path.basename(directory.rstrip("/"))
        self.ref = layout.run_ref(self.run_id)
        self._lock = lock
        self._now = 0.0  # of the last call, for the log of operations: the record takes its times from the journal
        self._start_over()

    def _start_over(self) -> None:
        """Know nothing but what is in the folder and on the ref."""
        self._cutter = Cutter(self.directory)
        self._fold = fold.Fold()
        self._folded = 0  # cuts taken in by self._fold
        self._tip: str | None = None
        self._tree: TreeEditor | None = None
        self._pending: dict[str, objects.Object] = {}
        self._pending_bytes = 0
        self._bases: dict[str, str] = {}  # pending object -> the version before it
        self._blobs = Blobs(self.directory)
        self._arrived: set[str] = set()  # digests of small files whose commit is not on the ref yet
        self._sound = True  # False after a failure: then cuts, bytes or commits may be missing from all of the above

    @classmethod
    def open(cls, repo: Repository, directory: str) -> "Folder | None":
        """Take the folder's lock; None when another process has it. Raises OSError when it cannot be written."""
        lock = os.open(os.path.join(directory, events.LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        if not os.path.exists(os.path.join(directory, events.LOCK)):  # folded and removed while we waited
            os.close(lock)
            return None
        return cls(repo, directory, lock)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def advance(self, now: float) -> None:
        """Cut where a cut is due, and commit what is cut. Raises GittrackError; the next call goes on from there."""
        with self._at_work(now):
            if not self._cutter.closed:
                self._cutter.started(now)
                self._cutter.checkpoints()
                self._cutter.in_time(now)
            self._commit()

    def finish(self, now: float, status: str | None = None, mine: tuple[str, ...] = ()) -> bool:
        """Make the final cut, fold it and remove the folder; False while another process of the run is alive, or while
        parcels wait to be kept.

        `mine` names journals whose lock the caller itself holds. `status` is for a run that wrote no `end` event.
        """
        with self._at_work(now):
            if not self._cutter.closed and not self._close(now, status, mine):
                return False
            self._commit()
            live.remove(self.directory)
        return True

    def admit(self) -> bool:
        """Whether parcels wait to be kept. Who comes to do it is not turned away by the mark of a killed process."""
        waiting = bool(live.parcels(self.directory))
        if waiting:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, events.CLOSING))
        return waiting

    def documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """status.json and summary.json as of the last cut, without reading them back."""
        return self._fold.status(self._cutter.cuts[-1]), self._fold.summary.document()

    @contextlib.contextmanager
    def _at_work(self, now: float) -> Iterator[None]:
        """One turn. After one that failed (a full disk, a ref that somebody moved) the next starts over, or it would
        go on without what the failed one had in hand."""
        with _disk_errors(self.directory):
            if not self._sound:
                self._start_over()
            self._now, self._sound = now, False
            yield
            self._sound = True

    def _close(self, now: float, status: str | None, mine: tuple[str, ...]) -> bool:
        """The final cut, unless somebody is still there or files wait. The mark comes first: see docs/format.md §5."""
        if self.admit():
            return False
        closing = os.path.join(self.directory, events.CLOSING)
        with open(closing, "wb"):
            pass
        names = live.process_files(self.directory)
        others = [name for name in names if name not in mine]
        if live.held(self.directory, others) or live.parcels(self.directory):  # handed over, and gone, since the first
            os.unlink(closing)
            return False
        tail.close_left(self.directory, os.path.join(live.track_dir(self.repo.paths), "cache"))
        self._cutter.started(now)
        self._cutter.checkpoints(all_of_them=True)
        self._cutter.final(now, status, names)  # a file that came since is taken back by its process: it sees the mark
        return True

    def _commit(self) -> None:
        """Fold every cut that is not on the ref yet."""
        cuts = self._cutter.cuts
        if self._tip is None:
            self._tip = self.repo.refs(self.ref).get(self.ref)
            done = self._committed(self._tip) if self._tip else 0
            for cut in cuts[self._folded : done]:  # on the ref already: only the state is needed
                self._fold.advance(cut, self._read, _nowhere, self._blobs.note)
            self._folded = max(self._folded, min(done, len(cuts)))
            if self._tip and (left := self._blobs.left()):  # killed between the ref and their removal
                self._blobs.remove(left, self._editor(self._tip))
        old = tip = self._tip
        for cut in cuts[self._folded :]:
            tip = self._commit_one(cut, tip)
            if self._pending_bytes > BATCH_BYTES or len(self._pending) > BATCH_OBJECTS:
                old = self._move(old, tip)
        if tip is not None and tip != old:
            self._move(old, tip)

    def _commit_one(self, cut: events.Cut, parent: str | None) -> str:
        tree = self._editor(parent)
        put, keep = functools.partial(self._put, tree), functools.partial(self._keep, tree)
        commit = self._fold.advance(cut, self._read, put, keep)
        self._folded += 1
        made = objects.commit(
            tree.write(self._emit),
            [parent] if parent else [],
            commit.author,
            commit.seconds,
            commit.message,
            self.repo.algorithm,
        )
        self._emit(made, None)
        return made.oid

    def _move(self, old: str | None, tip: str) -> str:
        """Write the pending objects, flushed, then move the refs to `tip`: code before the record that names it."""
        self._flush()
        changes = []
        snapshot = self._fold.facts.get("snapshot")
        if old is None and snapshot and self.repo.exists(snapshot):
            code = layout.code_ref(snapshot)
            if not self.repo.refs(code).get(code):
                changes.append(RefChange(code, None, snapshot))
        self._update(changes)
        last = self._cutter.closed and self._folded == len(self._cutter.cuts)
        self._update([RefChange(self.ref, old, tip)], log=old is None or last)
        self._tip = tip
        self._blobs.remove(self._arrived, self._editor(tip))
        self._arrived.clear()
        return tip

    def _editor(self, commit: str | None) -> TreeEditor:
        """The tree that is being edited, from `commit` on where there is none yet."""
        if self._tree is None:
            self._tree = TreeEditor(self.repo.algorithm, self._read_object, self._tree_of(commit))
        return self._tree

    def _update(self, changes: list[RefChange], log: bool = True) -> None:
        """Move refs. The log of operations has a run's first move and its last: what is between, an undo joins. Where
        small files are removed afterwards, the ref must survive a power cut, as they would not."""
        try:
            if changes and not log:
                self.repo.update_refs(changes, durable=bool(self._arrived))
            elif changes:
                what = " ".join(f"run {self._fold.facts.get('command')}".split())[:LONGEST_COMMAND]
                who = story.author(self._fold.facts)
                operations.apply(self.repo, changes, what, self._now, who=who, group=self.run_id)
        except errors.RefConflict:
            if any(self.repo.refs(change.ref).get(change.ref) != change.new for change in changes):
                raise  # another run of the same code may have made the code ref: that is no conflict

    def _put(self, tree: TreeEditor, path: str, data: bytes) -> None:
        blob = objects.blob(data, self.repo.algorithm)
        self._emit(blob, tree.put(path, blob.oid))
        if self._pending_bytes > BATCH_BYTES:
            self._flush()  # objects without a ref are harmless; memory is bounded

    def _keep(self, tree: TreeEditor, file: parcels.File) -> None:
        """Put a file that the run kept into the tree, if its bytes are anywhere."""
        data = file.data if file.data is not None else self._blobs.read(file)
        if data is not None:
            blob = objects.blob(data, self.repo.algorithm)
            self._emit(blob, None)
            oid = blob.oid
        elif entry := self._blobs.earlier(file.sha256, tree):
            oid = entry.oid
        else:
            return
        tree.put(file.path, oid, file.mode)
        if file.data is None:
            self._blobs.note(file)
            self._arrived.add(file.sha256)
        if self._pending_bytes > BATCH_BYTES:
            self._flush()

    def _emit(self, made: objects.Object, before: str | None) -> None:
        if made.oid not in self._pending:
            self._pending[made.oid] = made
            self._pending_bytes += len(made.data)
            if before is not None:
                self._bases[made.oid] = before

    def _flush(self) -> None:
        self.repo.write(list(self._pending.values()), durable=True, bases=self._bases)
        self._pending.clear()
        self._bases.clear()
        self._pending_bytes = 0

    def _read(self, name: str, start: int, end: int) -> bytes:
        with open(os.path.join(self.directory, name), "rb") as file:
            file.seek(start)
            return file.read(end - start)

    def _read_object(self, oid: str) -> bytes:
        made = self._pending.get(oid)
        return made.data if made is not None else self.repo.read(oid)[1]

    def _tree_of(self, commit: str | None) -> str | None:
        if commit is None:
            return None
        return objects.parse_commit(self.repo.read(commit)[1]).tree

    def _committed(self, tip: str) -> int:
        """How many cuts the commit `tip` and those before it cover."""
        found = _CUT.findall(self.repo.read(tip)[1])
        if not found:
            raise errors.DamagedRecord(f"{self.ref} is not the ref of this run's record", "run `git track doctor`")
        return int(found[-1]) + 1


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


def _nowhere(_path: str, _data: bytes) -> None:
    """Where files go that are on the ref already."""


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
