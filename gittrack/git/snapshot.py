"""The work tree as it stands, kept as a commit, without touching the user's index, work tree, HEAD or stash.

`plan` lists and decides, `take` writes. The commit depends on base and content alone (dated as the base, fixed author
and message), so the same code always gives the same commit and a sweep of a thousand runs shares one. A tree that is
the same as HEAD's makes no commit: HEAD is the snapshot.

Nothing is left out silently: what is not captured stands in `left_out` with the reason, and what is captured but may
surprise stands in `notes`. The caller makes the code ref; until then the commit is only kept by git's grace period.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence

from gittrack.git import objects
from gittrack.git.command import Git, failure, version
from gittrack.git.digests import Digests
from gittrack.git.snapshot_plan import index_stamp, plan, stamp_of
from gittrack.git.snapshot_values import Entry, LeftOut, Plan, Policy, Snapshot
from gittrack.git.temporary_index import TemporaryIndex, temporary_index

__all__ = ["Entry", "LeftOut", "Plan", "Policy", "Snapshot", "plan", "take"]

AUTHOR = "gittrack <gittrack@localhost>"
MESSAGE = "Snapshot of the work tree\n"
_MANY = 500  # files from which on the blobs go into one pack: thousands of loose ones would set off the user's gc
_PACKING = (2, 37)  # git from which on update-index writes one pack, not one for each file
_ADD = ("update-index", "--add", "--remove", "--replace", "-z", "--stdin")
# What is no fault of one file: then to look for the file would be to fail for each.
_HOPELESS = (b"No space left on device", b"Disk quota exceeded", b"Read-only file system", b"insufficient permission")
_SETTLE = 3  # times to plan again when the index changes meanwhile


def take(git: Git, plan_: Plan) -> Snapshot:
    """Write what the plan says. Raises CannotWrite, GitFailed."""
    for _ in range(_SETTLE):
        if git.paths.worktree is None or index_stamp(git) == plan_.key[-1]:
            break
        plan_ = plan(git, plan_.policy, plan_.include)
    oid, notes, refused = _write(git, plan_)
    dropped = {entry.path for entry in refused}
    captured = [entry for entry in plan_.entries if entry.path not in dropped]
    others = tuple(entry.path for entry in captured if entry.kind in ("untracked", "ignored"))
    return Snapshot(
        oid=oid,
        base=plan_.base,
        state=plan_.state,
        left_out=_with_digests(git, plan_, refused),
        notes=plan_.notes + tuple(notes),
        modified=tuple(entry.path for entry in captured if entry.kind not in ("untracked", "ignored")),
        untracked=others,
        branch=plan_.branch,
    )


def _write(git: Git, plan_: Plan) -> tuple[str | None, list[str], list[LeftOut]]:
    """(commit, notes, what git itself would not take)."""
    if git.paths.worktree is None or (plan_.base and not plan_.entries and not plan_.resets):
        return plan_.base, [], []
    reading = git.popen("cat-file", "commit", plan_.base) if plan_.base else contextlib.nullcontext()
    with reading as head, temporary_index(git) as index:  # the base is read while files are hashed
        index.put(plan_.resets)
        refused, notes = _Feed(git, index, plan_).all()
        tree = index.write_tree()
        base = objects.parse_commit(head.communicate()[0]) if head else None
    if base and base.tree == tree:
        return plan_.base, notes, refused
    parents = [plan_.base] if plan_.base else []
    algorithm = "sha256" if len(tree) == 64 else "sha1"
    commit = objects.commit(tree, parents, AUTHOR, base.committed if base else 0, MESSAGE, algorithm)
    git.run("hash-object", "-t", "commit", "-w", "--stdin", input=commit.data)
    return commit.oid, notes, refused


class _Feed:
    """Adds the files of a plan to an index copy."""

    def __init__(self, git: Git, index: TemporaryIndex, plan_: Plan) -> None:
        self.git = git
        self.worktree = git.paths.worktree or ""
        self.index = index
        self.plan = plan_
        self.refused: dict[str, LeftOut] = {}

    def all(self) -> tuple[list[LeftOut], list[str]]:
        entries = [entry for entry in self.plan.entries if entry.hashed]
        if len(entries) > _MANY and version(self.git) >= _PACKING:
            self.index.settings = ("-c", "core.bigFileThreshold=0")
        self.add([entry.path for entry in entries])
        notes = [*self.unsettled(entries), *self.stored_elsewhere(entries)]
        return list(self.refused.values()), notes

    def add(self, paths: Sequence[str]) -> None:
        """One process for all; when git stops at a file (a filter failed, …), halves, until that file is known."""
        if not paths:
            return
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        result = self.index.call(*_ADD, input=names)
        if result.code == 0:
            self.ignored(result.err)
        elif any(sign in result.err for sign in _HOPELESS):
            raise failure(_ADD, result.code, result.err, self.git.paths)
        elif len(paths) == 1:
            self.refuse(paths[0], result.err)
        else:
            self.add(paths[: len(paths) // 2])
            self.add(paths[len(paths) // 2 :])

    def ignored(self, err: bytes) -> None:
        """git passes over a name that it would not check out (".git" in disguise), and succeeds."""
        for line in err.splitlines():
            if line.startswith(b"Ignoring path "):
                self.refuse(os.fsdecode(line[14:]), b"git does not allow this name")

    def refuse(self, path: str, err: bytes) -> None:
        said = next((line for line in err.decode("utf-8", "replace").splitlines() if line.strip()), "git failed")
        stamp = stamp_of(os.path.join(self.worktree, path))
        reason = f"git could not add it: {said.removeprefix('error: ').removeprefix('fatal: ')[:200]}"
        self.refused[path] = LeftOut(path, stamp[1] if stamp else None, reason, include=False)

    def unsettled(self, entries: Iterable[Entry]) -> list[str]:
        """Notes on files that changed while git read them; they are read once more first."""
        moved = [entry.path for entry in entries if entry.stamp and self.stamp(entry.path) != entry.stamp]
        before = {path: self.stamp(path) for path in moved}
        self.add(moved)
        restless = [path for path in moved if self.stamp(path) != before[path]]
        return [f"changed while it was read, may be torn in the snapshot: {path}" for path in restless]

    def stored_elsewhere(self, entries: Sequence[Entry]) -> list[str]:
        """A note on files whose content git-lfs keeps: of those, the snapshot has a pointer only."""
        if not entries or not _uses_lfs(self.worktree):
            return []
        names = b"".join(os.fsencode(entry.path) + b"\0" for entry in entries)
        fields = os.fsdecode(self.index.run("check-attr", "-z", "--stdin", "filter", input=names)).split("\0")
        paths = [path for path, value in zip(fields[0::3], fields[2::3], strict=False) if value == "lfs"]
        if not paths:
            return []
        return [f"kept by git-lfs on this machine, where `git lfs prune` may delete them: {', '.join(paths)}"]

    def stamp(self, path: str) -> tuple[int, ...] | None:
        return stamp_of(os.path.join(self.worktree, path))


def _uses_lfs(worktree: str) -> bool:
    """A guess that costs one read: only then is git asked, file by file."""
    try:
        with open(os.path.join(worktree, ".gitattributes"), "rb") as file:
            return b"filter=lfs" in file.read()
    except OSError:
        return False


def _with_digests(git: Git, plan_: Plan, refused: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """Left-out files with their sha256, as far as `max_digest` bytes of reading go; smaller files first."""
    left_out = [*plan_.left_out, *refused]
    if not plan_.digests or git.paths.worktree is None:
        return tuple(left_out)
    digests = Digests(os.path.join(git.paths.common_dir, "track", "cache", "digests.json"))
    budget = plan_.policy.max_digest
    known: dict[str, str | None] = {}
    for entry in sorted(left_out, key=lambda entry: entry.size or 0):
        if entry.path in plan_.digests:
            path = os.path.join(git.paths.worktree, entry.path)
            budget -= digests.cost(path)
            known[entry.path] = digests.get(path) if budget >= 0 else None
    digests.save()
    return tuple(entry._replace(sha256=known.get(entry.path)) for entry in left_out)
