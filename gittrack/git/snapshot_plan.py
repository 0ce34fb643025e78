"""Decide what a snapshot holds, before a byte is hashed: list, judge by size, name and content, say why not.

Nothing is written but (where an index carries assume-unchanged marks) a temporary index that is removed at once.
"""

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.git import hidden, untracked
from gittrack.git.command import Git
from gittrack.git.snapshot_values import LARGER, Entry, Found, LeftOut, Plan, Policy, Rules
from gittrack.git.status import Change, Status, operation, status

_BINARY_PROBE = 8000  # git's own measure: a NUL in the first 8000 bytes makes a file binary
_LINK, _FILE = stat.S_IFLNK, stat.S_IFREG
Stamp = tuple[int, ...]


class _Listing(NamedTuple):
    """What git said, before anything is judged."""

    status: Status
    changes: dict[str, Change]
    untracked: untracked.Untracked
    marks: tuple[str, ...]  # paths that git was told not to look at
    marked: frozenset[str]  # those of them that changed
    stamps: dict[str, Stamp]


def plan(git: Git, policy: Rules | None = None, include: Sequence[str] = (), previous: Plan | None = None) -> Plan:
    """What a snapshot taken now would hold. `include`: paths or patterns, relative to the top of the work tree.

    `previous` itself comes back when nothing changed since: then its snapshot can be used again.
    """
    policy = policy or Policy()
    worktree = git.paths.worktree
    if worktree is None:
        return _without_work_tree(git, policy)
    index = index_stamp(git)
    unmarked = previous is not None and previous.key[-2:] == ((), index)
    listing = _list(git, worktree, (*include, *policy.include), unmarked)
    state = operation(git.paths.git_dir)
    stamps = tuple(listing.stamps.items())
    key = (listing.status.raw, listing.untracked, stamps, state, listing.marks, index)
    include = tuple(include)
    if previous is not None and (previous.key, previous.policy, previous.include) == (key, policy, include):
        return previous
    return _Judge(git, worktree, policy, listing).plan(state, key, include)


def index_stamp(git: Git) -> Stamp | None:
    """Identity of the user's index: git replaces the file with each change."""
    return stamp_of(os.path.join(git.paths.git_dir, "index"))


def stamp_of(path: str) -> Stamp | None:
    """What tells that a file was not changed meanwhile, or None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _without_work_tree(git: Git, policy: Rules) -> Plan:
    head = git.run("rev-parse", "--verify", "-q", "HEAD", check=False).decode().strip() or None
    note = "the repository is bare: there is no work tree to capture"
    return Plan(head, None, None, (), (), (note,), (), (), frozenset(), (head,), policy, ())


def _list(git: Git, worktree: str, include: Sequence[str], unmarked: bool) -> _Listing:
    """`unmarked`: the index is known to carry no marks, so that one process is enough."""
    listing = None if unmarked else hidden.start_listing(git)
    try:
        state = status(git)
    except errors.GittrackError:
        if listing:
            listing.kill()
            listing.communicate()
        raise
    marks = hidden.flagged(git, listing, worktree) if listing else ()
    changes = {change.path: change for change in state.changes}
    marked = frozenset(_add_hidden(git, marks, changes))
    found = [*state.untracked, *_in_place_of_files(worktree, changes)]
    others = untracked.list_untracked(git, worktree, found, changes, include)
    stamps: dict[str, Stamp] = {}
    for path in (*changes, *others.paths):
        stamp = stamp_of(os.path.join(worktree, path))
        if stamp:
            stamps[path] = stamp
    return _Listing(state, changes, others, marks, marked, stamps)


def _in_place_of_files(worktree: str, changes: dict[str, Change]) -> list[str]:
    """Directories where the index has a file: git status tells that the file is gone, and nothing of what came."""
    gone = (change.path for change in changes.values() if change.absent)
    return [path + "/" for path in gone if stat.S_ISDIR((stamp_of(os.path.join(worktree, path)) or (0,))[0])]


def _add_hidden(git: Git, marked: tuple[str, ...], changes: dict[str, Change]) -> list[str]:
    """Put edits of assume-unchanged files among the changes."""
    found = hidden.edits(git, marked) if marked else ()
    for edit in found:
        work_mode = "000000" if edit.absent else edit.mode
        staged = changes.get(edit.path)
        if staged:
            changes[edit.path] = staged._replace(unstaged="M", work_mode=work_mode)
        else:
            changes[edit.path] = Change(edit.path, ".", "M", "N...", edit.mode, edit.oid, work_mode, False)
    return [edit.path for edit in found]


class _Judge:
    """Collects the plan; one pass over what was listed."""

    def __init__(self, git: Git, worktree: str, policy: Rules, listing: _Listing) -> None:
        self.git = git
        self.worktree = worktree
        self.policy = policy
        self.listing = listing
        self.zero = "0" * len(listing.status.head or "0" * 40)
        self.entries: list[Entry] = []
        self.left_out: list[LeftOut] = []
        self.resets: list[tuple[str, str, str]] = []
        self.digests: set[str] = set()
        self.notes: list[str] = []

    def plan(self, state: str | None, key: tuple[object, ...], include: tuple[str, ...]) -> Plan:
        names = self.listing.untracked
        still_there = set(names.paths)
        wanted = (*include, *self.policy.include)
        for change in self.listing.changes.values():
            if change.path not in still_there:
                self.change(change, wanted)
        for path in names.paths:
            self.other(path)
        self.limit_total()
        self.whole_entries()
        self.remark(state)
        head = self.listing.status
        unmatched = tuple(pattern for pattern in names.unmatched if pattern in include)
        return Plan(
            head.head, head.branch, state, tuple(self.entries), tuple(self.left_out), tuple(self.notes),
            unmatched, tuple(self.resets), frozenset(self.digests), key, self.policy, include,
        )  # fmt: skip

    def change(self, change: Change, include: tuple[str, ...]) -> None:
        """A tracked path."""
        if change.submodule.startswith("S"):
            self.submodule(change)
            return
        if change.absent:
            if change.unstaged != "." or change.conflicted:
                self.resets.append(("0", self.zero, change.path))
            self.entries.append(Entry(change.path, "deleted", 0, None, False))
            return
        wanted = any(untracked.matches(pattern, change.path) for pattern in include)
        hashed = change.unstaged != "." or change.conflicted
        refused = self.refusal(change.path, change, wanted, hashed)
        if refused:
            self.leave_out(refused, change)
            self.keep_head(change)
            return
        if change.path in self.listing.marked:  # with its mark, git would not look at the file
            self.resets.append(("0", self.zero, change.path))
        added = change.head_mode == "000000"
        kind = "conflicted" if change.conflicted else "added" if added else "modified"
        self.accept(change.path, kind, hashed)

    def other(self, path: str) -> None:
        """A path that the index does not have. HEAD may: then it is a change like any other."""
        change = self.listing.changes.get(path)
        names = self.listing.untracked
        refused = self.refusal(path, change, path in names.wanted, True)
        if refused:
            self.leave_out(refused, change)
            if change:
                self.resets.append((change.head_mode, change.head_oid, path))
            return
        self.accept(path, "modified" if change else "ignored" if path in names.ignored else "untracked", True)

    def submodule(self, change: Change) -> None:
        if change.absent:
            self.resets.append(("0", self.zero, change.path))
            self.entries.append(Entry(change.path, "deleted", 0, None, False))
            return
        if change.submodule[1] == "C" or change.staged != ".":
            self.entries.append(Entry(change.path, "submodule", 0, None, change.unstaged != "."))
            self.notes.append(
                f"submodule {change.path} is not at the commit that HEAD records: push that commit from the submodule, "
                "or nobody else can check it out"
            )
        inside = [
            word for flag, word in zip(change.submodule[2:], ("changed", "untracked"), strict=True) if flag != "."
        ]
        if inside:
            reason = f"a submodule with {' and '.join(inside)} files: only its commit is recorded; commit them there"
            self.left_out.append(LeftOut(change.path, None, reason, include=False))

    def accept(self, path: str, kind: str, hashed: bool) -> None:
        stamp = self.listing.stamps.get(path)
        self.entries.append(Entry(path, kind, stamp[1] if stamp else 0, stamp, hashed))

    def leave_out(self, refused: LeftOut, change: Change | None) -> None:
        kept = "; the snapshot has the committed version" if change and change.head_mode != "000000" else ""
        self.left_out.append(refused._replace(reason=refused.reason + kept))

    def keep_head(self, change: Change) -> None:
        """The snapshot keeps the file as HEAD has it, whatever was staged."""
        if change.head_mode == "000000":
            self.resets.append(("0", self.zero, change.path))
        elif change.staged != "." or change.conflicted:
            self.resets.append((change.head_mode, change.head_oid, change.path))

    def refusal(self, path: str, change: Change | None, wanted: bool, hashed: bool) -> LeftOut | None:
        """Why this file stays out, or None."""
        stamp = self.listing.stamps.get(path)
        if stamp is None:
            return None  # gone since it was listed: what is not there cannot be captured
        kind, size = stat.S_IFMT(stamp[0]), stamp[1]
        if kind not in (_FILE, _LINK):
            return LeftOut(path, None, "not a regular file", include=False)
        if not wanted:
            if any(untracked.matches(pattern, path) for pattern in self.policy.exclude):
                return LeftOut(path, size, "excluded in the settings")
            reason = self.policy.refuse_path(path) if change is None else None
            if reason:
                return LeftOut(path, size, reason)
        if kind == _LINK:
            return None
        if hashed and not wanted and size > self.policy.max_file:
            self.digests.add(path)
            return LeftOut(path, size, f"{LARGER} {human(self.policy.max_file)}")
        return self.content_refusal(path, size, change, wanted)

    def content_refusal(self, path: str, size: int, change: Change | None, wanted: bool) -> LeftOut | None:
        try:
            content = b"" if wanted else _text(os.path.join(self.worktree, path), self.policy)
        except FileNotFoundError:
            return None
        except OSError as error:
            return LeftOut(path, size, f"cannot be read: {error.strerror}", include=False)
        found = self.policy.find_secrets(path, content) if content else frozenset()
        if found and change is not None and change.head_mode != "000000":
            found -= self.committed_secrets(path, change)
        if not found:
            return None
        names = ", ".join(sorted({name for name, _ in found}))
        return LeftOut(path, size, f"looks like it holds a secret ({names})")

    def committed_secrets(self, path: str, change: Change) -> Found:
        """What HEAD's version of the file gives away already is not new."""
        old = self.git.run("cat-file", "blob", change.head_oid, check=False)
        return self.policy.find_secrets(path, self.policy.as_text(old) if b"\0" in old[:_BINARY_PROBE] else old)

    def limit_total(self) -> None:
        """Take the heaviest untracked directory out when all together are too much."""
        names = self.listing.untracked
        sizes = {e.path: e.size for e in self.entries if e.kind == "untracked" and e.path not in names.wanted}
        if sum(sizes.values()) <= self.policy.max_total and len(sizes) <= self.policy.max_files:
            return
        chosen = untracked.heaviest(sizes, self.policy.max_total, lambda size: size)
        rest = {path: size for path, size in sizes.items() if not _under(path, chosen)}
        chosen += untracked.heaviest(rest, self.policy.max_files, lambda _size: 1)
        for path in chosen:
            inside = [size for name, size in sizes.items() if _under(name, [path])]
            count = f"{len(inside)} files, " if path.endswith("/") else ""
            reason = f"{count}{human(sum(inside))} untracked: all untracked files together are too many or too large"
            self.left_out.append(LeftOut(path.rstrip("/"), sum(inside), reason))
        out = {path for path in sizes if _under(path, chosen)}
        self.entries = [entry for entry in self.entries if entry.path not in out]

    def whole_entries(self) -> None:
        for path, reason in self.listing.untracked.whole:
            self.left_out.append(LeftOut(path, None, reason))
        for path in self.listing.untracked.nested:
            reason = (
                "a git repository of its own inside the work tree: commit and record it there, or add it as a submodule"
            )
            self.left_out.append(LeftOut(path, None, reason, include=False))
        for path, why in self.listing.status.closed:
            self.left_out.append(LeftOut(path, None, f"cannot be read: {why}", include=False))

    def remark(self, state: str | None) -> None:
        conflicted = [entry.path for entry in self.entries if entry.kind == "conflicted"]
        if conflicted:
            doing = state or "resolving"
            self.notes.append(f"{doing}: captured with their conflict markers: {', '.join(conflicted)}")


def _text(path: str, policy: Rules) -> bytes:
    """The content to look for secrets in: nothing for a binary file."""
    with open(path, "rb", buffering=0) as file:
        head = file.read(_BINARY_PROBE)
        zeros = b"\0" in head
        if zeros and not policy.as_text(head):
            return b""
        whole = head + file.read() if len(head) == _BINARY_PROBE else head
        return policy.as_text(whole) if zeros else whole


def _under(path: str, chosen: Sequence[str]) -> bool:
    return any(path == name or (name.endswith("/") and path.startswith(name)) for name in chosen)


def human(size: int) -> str:
    """1.5 MB."""
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "KB")):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B"
