"""The uncommitted changes of a run, brought to the work tree as it is now: a three-way merge, as git would do it.

The merge happens in objects, so all is decided before anything is written. Files come by `placing`: each whole, and
back again by an undo. The index is only touched where git's own merge would: files in conflict have their versions in
it, so that `git status`, `git mergetool` and `git add` do what everybody knows.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core.model import Record
from gittrack.git import export, merging
from gittrack.git.merging import NOTHING, SUBMODULE, Change, Merged
from gittrack.git.repository import Repository
from gittrack.git.temporary_index import TemporaryIndex, temporary_index
from gittrack.runs import checkout_plan, code, origins, placing
from gittrack.runs.annotations import Author
from gittrack.runs.code import Code

NEW, CHANGED, REMOVED, CONFLICT = "new", "changed", "removed", "in conflict"
LOCAL, IN_THE_WAY, REFUSED = "has changes of yours", "in the way", "refused"
INDEX = "index"  # in the folder of what an operation replaced: what the index had


class Piece(NamedTuple):
    """What becomes of one file. `local`: it has changes that are not committed."""

    path: str
    state: str
    mode: str
    oid: str
    local: bool = False
    reason: str = ""


class Applying(NamedTuple):
    """What would be done in the folder `root`."""

    root: str
    code: Code
    pieces: Sequence[Piece]
    merged: Merged | None
    same: int = 0  # files that have the run's change already
    notes: Sequence[str] = ()

    def of(self, *states: str) -> list[Piece]:
        return [one for one in self.pieces if one.state in states]


def prepare(repo: Repository, record: Record) -> Applying:
    """Merge, and look at what is there; nothing is changed. Raises RunNotFound, GitFailed, UsageError, Unsupported."""
    root = repo.paths.worktree
    if root is None:
        raise errors.UsageError("this repository has no work tree", "`git track branch` makes a branch of the run")
    found = code.of(repo, record)
    changed = code.changes(repo, found)
    notes = _notes(found, changed)
    if not changed:
        return Applying(root, found, (), None, notes=notes)
    with temporary_index(repo.git) as index:
        if index.run("ls-files", "-u", "-z"):
            raise errors.UsageError(
                "some files are in conflict already", "resolve them and `git add` them, or take the merge back, first"
            )
        ours = _work_tree(index, root, changed)
    head = _head_tree(repo)
    merged = code.merge(repo, found, ours, "your work tree")
    local = {change.path for change in merging.changes(repo.git, head, ours)}
    conflicts = set(merged.conflicts)
    pieces = [_piece(root, one, one.path in local, conflicts) for one in merging.changes(repo.git, ours, merged.tree)]
    written = {one.path for one in pieces}
    pieces += [Piece(path, CONFLICT, NOTHING, "") for path in merged.conflicts if path not in written]
    pieces = [one for one in pieces if SUBMODULE not in (one.mode,)]
    touched = {one.path for one in pieces}
    same = sum(one.path not in touched and SUBMODULE not in (one.old_mode, one.new_mode) for one in changed)
    return Applying(root, found, pieces, merged, same, notes)


def refuse(plan: Applying, force: bool) -> None:
    """Raise for what stands in the way."""
    bad = plan.of(REFUSED)
    if bad:
        lines = checkout_plan.few([f"{one.path}: {one.reason}" for one in bad])
        raise errors.Refused(
            f"files of the run cannot be put here, so nothing was done:\n{lines}", "look at them: git track diff"
        )
    blocked = plan.of(IN_THE_WAY)
    if blocked:
        lines = checkout_plan.few([f"{one.path}: {one.reason}" for one in blocked])
        raise errors.WouldOverwrite(f"nothing was done, since this is in the way:\n{lines}", "move it away")
    local = [one.path for one in plan.pieces if one.local]
    if local and not force:
        lines = checkout_plan.few(local)
        raise errors.WouldOverwrite(
            f"nothing was done, since these files have changes of yours that are not committed:\n{lines}",
            "commit them first, or give --force: then both are merged, and `git track undo` brings yours back",
        )


def apply(repo: Repository, plan: Applying, author: Author, force: bool, progress: Callable[[int], None]) -> list[str]:
    """Do what is planned. Returns remarks. Raises what `refuse` raises, and CannotWrite."""
    refuse(plan, force)
    if plan.merged is None or not plan.pieces:
        return []
    notes: list[str] = []
    with placing.replacing(repo.paths, plan.root, author.command, author.who) as target:
        made = os.path.join(target.staging, "code")
        os.mkdir(made)
        todo = [one for one in plan.pieces if one.mode != NOTHING]
        remark = export.write_paths(repo.git, plan.merged.tree, [one.path for one in todo], made)
        notes += [remark] if remark else []
        _mark(repo, plan.merged, placing.kept_folder(repo.paths, target.operation))
        for piece in plan.pieces:
            if piece.mode != NOTHING:
                target.put(os.path.join(made, piece.path), piece.path, replace=force or piece.state != NEW)
            elif os.path.lexists(os.path.join(plan.root, piece.path)):
                target.remove(piece.path)
                tidy(plan.root, piece.path)
            progress(1)
        operation = target.operation
    origins.note(repo.git, origins.Origin(plan.code.run, None, origins.APPLY), operation)
    return notes


def conflict(plan: Applying) -> errors.Conflicting | None:
    """The error that says what is left to the user, for after the rest is done."""
    if plan.merged is None or not plan.merged.stages:
        return None
    lines = checkout_plan.few(plan.merged.messages or plan.merged.conflicts)
    return errors.Conflicting(
        f"applied with conflicts:\n{lines}", "resolve them and `git add` the files; or take it back: git track undo"
    )


def unmark(repo: Repository, operation: str) -> None:
    """Give the index back what an operation has replaced in it by versions in conflict, as far as they are there."""
    try:
        with open(os.path.join(placing.kept_folder(repo.paths, operation), INDEX), "rb") as file:
            before = file.read()
    except FileNotFoundError:
        return
    repo.git.run("update-index", "-z", "--index-info", input=before)
    repo.git.call("update-index", "-q", "--refresh")


def _mark(repo: Repository, merged: Merged, kept: str) -> None:
    """Put the versions of what is in conflict into the index, and keep what it had."""
    if not merged.stages:
        return
    zero = "0" * len(merged.tree)
    names = b"".join(os.fsencode(f":(top,literal){path}") + b"\0" for path in merged.conflicts)
    there = repo.git.run(
        "ls-files", "-s", "-z", "--full-name", "--", *os.fsdecode(names).removesuffix("\0").split("\0")
    )
    gone = b"".join(f"{NOTHING} {zero}\t".encode() + os.fsencode(path) + b"\0" for path in merged.conflicts)
    with open(os.path.join(kept, INDEX), "wb") as file:
        file.write(gone + there)
    staged = b"".join(
        f"{one.mode} {one.oid} {one.stage}\t".encode() + os.fsencode(one.path) + b"\0" for one in merged.stages
    )
    repo.git.run("update-index", "-z", "--index-info", input=gone + staged)


def _work_tree(index: TemporaryIndex, root: str, changed: Sequence[Change]) -> str:
    """The tree of the files as they stand: of those that git tracks, and of others that the run has."""
    index.call("update-index", "-q", "--refresh")
    paths = dict.fromkeys(os.fsdecode(index.run("diff-files", "--name-only", "-z", "--ignore-submodules")).split("\0"))
    for change in changed:
        if SUBMODULE not in (change.old_mode, change.new_mode):
            seen = placing.look(root, change.path)
            if seen.kind in (checkout_plan.FILE, checkout_plan.LINK) and not seen.blocker:
                paths[change.path] = None
    paths.pop("", None)
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    if names:
        words = ("update-index", "--add", "--remove", "--replace", "--ignore-skip-worktree-entries", "-z", "--stdin")
        index.run(*words, input=names)
    return index.write_tree()


def _head_tree(repo: Repository) -> str:
    done = repo.git.call("rev-parse", "--verify", "-q", "HEAD^{tree}")
    return done.out.decode().strip() if done.code == 0 else merging.empty_tree(repo)


def _piece(root: str, change: Change, local: bool, conflicts: set[str]) -> Piece:
    state = REMOVED if change.new_mode == NOTHING else NEW if change.old_mode == NOTHING else CHANGED
    piece = Piece(change.path, CONFLICT if change.path in conflicts else state, change.new_mode, change.new, local)
    if change.new_mode == NOTHING:
        return piece
    wrong = checkout_plan.problem(change.path, placing.room(root))
    if wrong:
        return piece._replace(state=REFUSED, reason=wrong)
    seen = placing.look(root, change.path)
    if seen.blocker:
        return piece._replace(state=IN_THE_WAY, reason=f"{seen.blocker} is no folder of its own")
    if seen.kind in (checkout_plan.FOLDER, checkout_plan.OTHER):
        return piece._replace(
            state=IN_THE_WAY, reason="a folder is there" if seen.kind == checkout_plan.FOLDER else "no ordinary file"
        )
    return piece


def _notes(found: Code, changed: Sequence[Change]) -> list[str]:
    notes = []
    modules = [one.path for one in changed if SUBMODULE in (one.old_mode, one.new_mode)]
    if modules:
        notes.append(f"submodules are left as they are: {', '.join(modules[: checkout_plan.LISTED])}")
    return [*notes, *left_out(found)]


def left_out(found: Code) -> list[str]:
    """What to say of files that the run had, and its snapshot has not."""
    if not found.left_out:
        return []
    shown = ", ".join(found.left_out[: checkout_plan.LISTED]) + ", …" * (len(found.left_out) > checkout_plan.LISTED)
    return [f"not in the snapshot, so not here either: {shown}"]


def tidy(root: str, path: str) -> None:
    """Remove the folders that `path` was the last file of: git leaves no empty folder behind, either."""
    folder = os.path.dirname(path)
    while folder:
        try:
            os.rmdir(os.path.join(root, folder))
        except OSError:
            return
        folder = os.path.dirname(folder)
