"""What is cut becomes commits: the part of folding that is the same whoever made the cuts, and wherever.

Objects are written before the ref moves, and the ref moves by compare-and-swap, so this may be killed at any
instruction and done again.
"""

import functools
import os
import re
from collections.abc import Sequence
from typing import Any

from gittrack import errors
from gittrack.core import events, fold, layout, parcels, story
from gittrack.git import catfile, objects
from gittrack.git.repository import RefChange, Repository
from gittrack.git.trees import TreeEditor
from gittrack.runs import bombs, foreign, operations
from gittrack.runs.blobs import Blobs

BATCH_BYTES = 8 * 1024 * 1024
BATCH_OBJECTS = 4000
LONGEST_COMMAND = 200  # characters of a command line in the log of operations

_CUT = re.compile(rb"^Track-Cut: (\d+)$", re.MULTILINE)


class Contradicted(errors.RefConflict):
    """The journal is not that of the run whose ref is there, or makes no record at all."""


class Committer:
    """Commits the cuts of one run. Whoever uses it holds the folder's lock; after a failure a new one is made.

    `doubting`: a ref that is there already must say what this journal says, before it is moved on.
    """

    def __init__(self, repo: Repository, directory: str, doubting: bool = False) -> None:
        self.repo = repo
        self.directory = directory
        self.run_id = os.path.basename(directory.rstrip("/"))
        self.ref = layout.run_ref(self.run_id)
        self.tip: str | None = None
        self._doubting = doubting
        self._now = 0.0  # of the last call, for the log of operations: the record takes its times from the journal
        self._closed = False
        self._fold = fold.Fold()
        self._folded = 0  # cuts taken in by self._fold
        self._tree: TreeEditor | None = None
        self._pending: dict[str, objects.Object] = {}
        self._pending_bytes = 0
        self._bases: dict[str, str] = {}  # pending object -> the version before it
        self._blobs = Blobs(directory)
        self._arrived: set[str] = set()  # digests of small files whose commit is not on the ref yet

    def documents(self, cut: events.Cut) -> tuple[dict[str, Any], dict[str, Any]]:
        """status.json and summary.json as of `cut`, the last one, without reading them back."""
        return self._fold.status(cut), self._fold.summary.document()

    def commit(self, cuts: Sequence[events.Cut], now: float) -> None:
        """Fold every cut that is not on the ref yet. Raises GittrackError, OSError."""
        self._now, self._closed = now, bool(cuts) and cuts[-1].reason == "final"
        if self.tip is None and not self._take_up(cuts):
            return
        old = tip = self.tip
        for number in range(self._folded, len(cuts)):
            tip = self._commit_one(cuts[number], tip)
            if self._pending_bytes > BATCH_BYTES or len(self._pending) > BATCH_OBJECTS:
                old = self._move(old, tip, number + 1 == len(cuts))
        if tip is not None and tip != old:
            self._move(old, tip, True)

    def _take_up(self, cuts: Sequence[events.Cut]) -> bool:
        """Go on from where the ref stands. False: it is further than the cuts that are known."""
        tip = self.repo.refs(self.ref).get(self.ref)
        done = self._committed(tip) if tip else 0
        if self._doubting and done > len(cuts):
            return False
        said: dict[str, str] = {}
        put = functools.partial(self._note, said) if self._doubting else _nowhere
        for cut in cuts[self._folded : done]:  # on the ref already: only the state is needed
            self._fold.advance(cut, self._read, put, self._blobs.note)
        self._folded = max(self._folded, min(done, len(cuts)))
        if tip and any((entry := self._editor(tip).get(path)) is None or entry.oid != said[path] for path in said):
            raise Contradicted(
                f"run {self.run_id[: layout.SHORT]} is known here, and its record says other things than this journal",
                "nothing was changed; `git track show` shows what is known",
            )
        self.tip = tip
        if tip and (left := self._blobs.left()):  # killed between the ref and their removal
            self._blobs.remove(left, self._editor(tip))
        return True

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

    def _move(self, old: str | None, tip: str, last: bool) -> str:
        """Write the pending objects, flushed, then move the refs to `tip`: code before the record that names it."""
        self._flush()
        if self._doubting and last and self._closed:
            self._judge(old, tip)
        changes = []
        snapshot = self._fold.facts.get("snapshot")
        if old is None and snapshot and self._is_code(snapshot):
            code = layout.code_ref(snapshot)
            if not self.repo.refs(code).get(code):
                changes.append(RefChange(code, None, snapshot))
        self._update(changes)
        self._update([RefChange(self.ref, old, tip)], log=old is None or (last and self._closed))
        self.tip = tip
        self._blobs.remove(self._arrived, self._editor(tip))
        self._arrived.clear()
        return tip

    def _judge(self, old: str | None, tip: str) -> None:
        """Nothing that a host says becomes a record that no other clone would take. Raises Contradicted."""
        why = foreign.wrong(self.repo, {self.run_id: tip}).get(self.run_id)
        if why is None:
            return
        if old is not None and foreign.wrong(self.repo, {self.run_id: old}):  # it was none all the time
            what = f"refuse run {self.run_id[: layout.SHORT]}"
            operations.apply(self.repo, [RefChange(self.ref, old, None)], what, self._now, keep=False)
        raise Contradicted(f"what came of run {self.run_id[: layout.SHORT]} makes no sound record: {why}", "")

    def _is_code(self, oid: str) -> bool:
        """Whether it is here. What a host calls so may be anything that is here."""
        if not self._doubting:
            return self.repo.exists(oid)
        found = catfile.measured(self.repo.git, [oid])[0]
        return found is not None and found[0] == "commit" and found[1] <= bombs.COMMIT_LIMIT

    def _editor(self, commit: str | None) -> TreeEditor:
        """The tree that is being edited, from `commit` on where there is none yet."""
        if self._tree is None:
            self._tree = TreeEditor(self.repo.algorithm, self._read_object, self._tree_of(commit))
        return self._tree

    def _update(self, changes: list[RefChange], log: bool = True) -> None:
        """Move refs. The log of operations has a run's first move and its last: what is between, an undo joins. Where
        small files are removed afterwards, or a host is told that all is here, the ref must survive a power cut."""
        durable = bool(self._arrived) or self._doubting
        try:
            if changes and not log:
                self.repo.update_refs(changes, durable)
            elif changes:
                verb = operations.BROUGHT if self._doubting else "run"
                what = " ".join(f"{verb} {self._fold.facts.get('command')}".split())[:LONGEST_COMMAND]
                who = story.author(self._fold.facts)
                operations.apply(self.repo, changes, what, self._now, who=who, group=self.run_id, durable=durable)
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

    def _note(self, said: dict[str, str], path: str, data: bytes) -> None:
        said[path] = objects.blob(data, self.repo.algorithm).oid

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


def _nowhere(_path: str, _data: bytes) -> None:
    """Where files go that are on the ref already."""
