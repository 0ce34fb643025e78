"""What people say about runs, appended to the log of this clone.

Every clone writes one log and reads all. An operation is a commit on `refs/track/log/<writer>`, moved by
compare-and-swap like every ref, so that two terminals that annotate at once both succeed, one after the other.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import annotations, layout, select
from gittrack.core.annotations import Op
from gittrack.core.segments import OPEN_LIMIT
from gittrack.git import objects, reflock, signing
from gittrack.git.repository import RefChange, Repository
from gittrack.git.trees import TreeEditor
from gittrack.runs import logs, operations, segments, writer
from gittrack.runs.index import Index
from gittrack.runs.row import QUEUED, Row

_TRIES = 20  # each lost race means that somebody else's operation went through; who is of this clone takes turns
_TURN = "log.lock"


class Saying(NamedTuple):
    """An operation that is not in a log yet. `op` and `value` as in docs/format.md §7."""

    run: str
    op: str
    value: Any


class Author(NamedTuple):
    """Who annotates, when, and by which command line (for the log of operations)."""

    who: str  # "Name <email>"
    now: float
    command: str
    sign: bool = False  # by git, with the key of the user


def say(repo: Repository, sayings: Sequence[Saying], author: Author) -> list[Op]:
    """Append `sayings` to this clone's log, all in one operation that can be undone as one."""
    made: list[Op] = []

    def prepare() -> list[RefChange]:
        change, made[:] = append(repo, sayings, author)
        return [change]

    if sayings:
        attempt(repo, prepare, author)
    return made


def attempt(repo: Repository, prepare: Any, author: Author, undoes: str | None = None) -> str:
    """Move the refs that `prepare()` names, prepared again when somebody else's annotation came first."""
    with reflock.turn(repo.paths, _TURN):
        for left in range(_TRIES - 1, -1, -1):
            changes = prepare()
            try:
                return operations.apply(repo, changes, author.command, author.now, who=author.who, undoes=undoes)
            except errors.RefConflict:
                current = repo.refs(layout.LOG)
                raced = any(one.ref.startswith(layout.LOG) and current.get(one.ref) != one.old for one in changes)
                if not left or not raced:
                    raise
    raise AssertionError


def append(repo: Repository, sayings: Sequence[Saying], author: Author) -> tuple[RefChange, list[Op]]:
    """Write the commit that says `sayings` after all that is known; the log's ref is still to be moved to it."""
    me = writer.writer_id(repo.paths)
    tips = logs.tips(repo)
    tip = tips.get(me)
    if tip is not None:
        layout.check_format(repo.read_path(tip, "format"), layout.log_ref(me), layout.LOG_FORMAT)
    clock = 1 + max((_clock(repo, name, found) for name, found in tips.items()), default=0)
    ops = [
        Op(clock + at, me, 0, os.urandom(8).hex(), one.run, one.op, one.value, author.now, author.who)
        for at, one in enumerate(sayings)
    ]
    commit = extend(repo, tip, b"".join(map(annotations.line, ops)), author, _message(ops))
    return RefChange(layout.log_ref(me), tip, commit), ops


def extend(repo: Repository, tip: str | None, data: bytes, author: Author, message: str) -> str:
    """A commit, written and flushed, that has `data` after all that the log at `tip` says. Raises GitFailed when it is
    to be signed, and cannot be."""
    made: list[objects.Object] = []
    tree = _tree(repo, tip, data, made)
    parents, seconds = [tip] if tip else [], _seconds(repo, tip, author.now)
    if author.sign:
        repo.write(made, durable=True)
        return signing.commit(repo.git, tree, parents, author.who, seconds, message)
    commit = objects.commit(tree, parents, author.who, seconds, message, repo.algorithm)
    repo.write([*made, commit], durable=True)
    return commit.oid


def _clock(repo: Repository, name: str, tip: str) -> int:
    """The highest clock in a log: it stands in its last segment, since clocks of one writer only grow."""
    found = segments.oids(repo, tip, logs.ROOT)
    if not found:
        return 0
    data = repo.read(list(found.values())[-1])[1]
    return max((op.clock for op in annotations.parse(data, name)), default=0)


def _tree(repo: Repository, tip: str | None, data: bytes, made: list[objects.Object]) -> str:
    """The log's tree with `data` at its end: in the last segment while that one is short, else in a new one."""
    number = 0
    editor = TreeEditor(repo.algorithm, lambda oid: repo.read(oid)[1], _tree_of(repo, tip))
    found = segments.oids(repo, tip, logs.ROOT) if tip else {}
    if found:
        number, oid = list(found.items())[-1]
        last = repo.read(oid)[1]
        number, data = (number, last + data) if len(last) < OPEN_LIMIT else (number + 1, data)
    for path, content in (
        ("format", layout.format_line(layout.LOG_FORMAT)),
        (layout.segment_path(logs.ROOT, number, logs.SUFFIX), data),
    ):
        made.append(objects.blob(content, repo.algorithm))
        editor.put(path, made[-1].oid)
    return editor.write(lambda new, _before: made.append(new))


def _tree_of(repo: Repository, tip: str | None) -> str | None:
    return objects.parse_commit(repo.read(tip)[1]).tree if tip else None


def _seconds(repo: Repository, tip: str | None, now: float) -> int:
    """Never earlier than the parent: git walks histories by date."""
    return max(int(now), objects.parse_commit(repo.read(tip)[1]).committed if tip else 0)


def _message(ops: Sequence[Op]) -> str:
    first = ops[0]
    value = "" if first.op in ("untag", "undo") else f" {first.value}" if first.value is not None else ""
    more = f" and {len(ops) - 1} more" if len(ops) > 1 else ""
    subject = f"{first.op} {first.run[: layout.SHORT]}{value}{more}"
    return " ".join(subject.split())[:100]


class Annotations:
    """The commands that annotate. The index must be fresh; each call returns how many runs it changed."""

    def __init__(self, repo: Repository, index: Index, author: Author) -> None:
        self.repo = repo
        self.index = index
        self.author = author

    def rename(self, run_id: str, name: str | None, force: bool = False) -> int:
        """Call the run `name` (None: nothing). A name that another run has is refused unless `force`.

        Runs may share a name, as repeated runs of one job do when it is given at the start; such a name then selects
        none of them alone.
        """
        if name is not None:
            select.validate_name(name)
            taken = [one for one, _, _, deleted in self.index.named(name) if not deleted and one != run_id]
            if taken and not force:
                raise errors.UsageError(
                    f"run {taken[0][: layout.SHORT]} is called {name!r} already",
                    "choose another name, or give it all the same with --force",
                )
        return self._say(Saying(row.id, "name", name) for row in self._rows([run_id]) if row.name != name)

    def tag(self, ids: Sequence[str], tags: Sequence[str]) -> int:
        for tag in tags:
            if not tag.strip() or not tag.isprintable() or len(tag) > select.LONGEST_NAME:
                raise errors.UsageError(f"{tag[:60]!r} cannot be a tag", "a tag is one short line of text")
        return self._say(Saying(row.id, "tag", tag) for row in self._rows(ids) for tag in tags if tag not in row.tags)

    def untag(self, ids: Sequence[str], tags: Sequence[str]) -> int:
        """Raises UsageError when none of the runs has one of the tags."""
        rows = self._rows(ids)
        for tag in tags:
            if not any(tag in row.tags for row in rows):
                known = ", ".join(sorted({one for row in rows for one in row.tags})) or "none"
                raise errors.UsageError(f"no tag {tag!r} to take away", f"tags there: {known}")
        found = []
        for row in rows:
            state = annotations.fold(annotations.Given(*row.given), self.index.operations(row.id))
            found += [Saying(row.id, "untag", list(state.tags[tag])) for tag in tags if tag in state.tags]
        return self._say(found)

    def note(self, ids: Sequence[str], text: str) -> int:
        if not text.strip():
            raise errors.UsageError("an empty note says nothing", "git track note RUN TEXT")
        return self._say(Saying(row.id, "note", text) for row in self._rows(ids))

    def baseline(self, run_id: str, marked: bool = True) -> int:
        """Mark the run as the one that others of its experiment are compared with, or take the mark away."""
        return self._flag([run_id], "baseline", marked)

    def delete(self, ids: Sequence[str]) -> int:
        """Hide the runs. Nothing of them is lost; `restore` brings them back."""
        live = [row.id[: layout.SHORT] for row in self._rows(ids) if row.live and row.status in ("running", QUEUED)]
        if live:
            raise errors.UsageError(f"run {', '.join(live)} is still going", "stop it first, or wait for its end")
        return self._flag(ids, "deleted", True)

    def restore(self, ids: Sequence[str]) -> int:
        return self._flag(ids, "deleted", False)

    def archive(self, ids: Sequence[str], archived: bool = True) -> int:
        return self._flag(ids, "archived", archived)

    def _flag(self, ids: Sequence[str], op: str, value: bool) -> int:
        return self._say(Saying(row.id, op, value) for row in self._rows(ids) if getattr(row, op) != value)

    def _rows(self, ids: Sequence[str]) -> list[Row]:
        return self.index.by_id(list(dict.fromkeys(ids)))

    def _say(self, sayings: Iterable[Saying]) -> int:
        found = list(sayings)
        say(self.repo, found, self.author)
        return len({one.run for one in found})
