"""Every change of a ref that this clone makes goes through here, and is written down so that it can be undone.

Refs outside of refs/heads have no reflog. The log of operations is a file of lines that are only appended: what is
going to be changed, before it is; then how it went. A process that dies in between leaves an operation without an
outcome, and the refs themselves tell whether it took place. Commits that an operation takes the last ref from stay
behind a ref of `KEEP` until the operation is too old to be undone.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.git.discover import Paths
from gittrack.git.repository import RefChange, Repository

KEEP = "refs/track-undo/"
EXPIRY = 90 * 86400.0  # seconds after which an operation may be forgotten, and can no longer be undone
LONG = 1024 * 1024  # bytes of log from which on it is looked at whether there is something to forget

DONE, FAILED, INTERRUPTED = "done", "failed", "interrupted"
BY_ITSELF = ", by itself"  # how the command of an operation ends that nobody asked for
BROUGHT = "bring"  # how one begins by which a run that a host recorded came here
_BROUGHT = b'"command":"%s ' % BROUGHT.encode()


class Remote(NamedTuple):
    """What was to be changed elsewhere: refs of a git remote. Which of them moved is asked there."""

    name: str
    url: str
    changes: tuple[RefChange, ...]


class Operation(NamedTuple):
    """One change of refs, all or nothing; or of refs at a remote."""

    id: str
    command: str
    when: float
    who: str
    group: str | None  # operations of one run: they are undone together
    undoes: str | None
    changes: tuple[RefChange, ...]
    outcome: str  # DONE, FAILED, INTERRUPTED
    remote: Remote | None = None
    commit: str | None = None  # on a branch of the user's, that was made


def path(paths: Paths) -> str:
    return os.path.join(paths.common_dir, "track", "operations.jsonl")


def apply(
    repo: Repository,
    changes: Sequence[RefChange],
    command: str,
    now: float,
    *,
    who: str = "",
    group: str | None = None,
    undoes: str | None = None,
    keep: bool = True,
    durable: bool = False,
) -> str:
    """Move refs by compare-and-swap, all or nothing, and return the operation's id.

    Without `keep`, what loses its last ref is not kept for an undo: something else holds it. `durable` as in
    Repository.update_refs.
    Raises RefConflict when a ref is not at its old value; CannotWrite before anything moved when it cannot be logged.
    Objects must have been written before.
    """
    op_id = os.urandom(6).hex()
    intent: dict[str, Any] = {
        "op": op_id,
        "command": command,
        "w": now,
        "who": who,
        "refs": [list(one) for one in changes],
    }
    intent |= {key: value for key, value in (("group", group), ("undoes", undoes)) if value}
    _append(repo.paths, intent)
    try:
        repo.update_refs([*(_kept(repo, changes) if keep else ()), *changes], durable)
    except errors.GittrackError as error:  # all or nothing: mostly nothing. Otherwise the refs are asked, see `log`
        if isinstance(error, errors.RefConflict) or not _has_begun(repo, changes):
            _outcome(repo.paths, op_id, FAILED)
        raise
    _outcome(repo.paths, op_id, DONE)
    if _is_long(repo.paths, now):
        expire(repo, now)
    return op_id


def begin(
    paths: Paths,
    command: str,
    now: float,
    *,
    who: str = "",
    group: str | None = None,
    undoes: str | None = None,
    remote: Remote | None = None,
    commit: str | None = None,
) -> str:
    """Write down that files, or refs at a remote, are going to be changed, or that a commit was made for the user, and
    return the operation's id.

    It changes no ref here; whoever changes the files keeps what was there (`placing`), so that one that was killed half
    way can be taken back, too. Raises CannotWrite.
    """
    op_id = os.urandom(6).hex()
    line: dict[str, Any] = {"op": op_id, "command": command, "w": now, "who": who, "refs": []}
    line |= {key: value for key, value in (("group", group), ("undoes", undoes), ("commit", commit)) if value}
    if remote is not None:
        line["remote"] = [remote.name, remote.url, [list(one) for one in remote.changes]]
    _append(paths, line)
    return op_id


def end(paths: Paths, op_id: str, outcome: str) -> None:
    """All has been changed, or nothing."""
    _outcome(paths, op_id, outcome)


def log(repo: Repository) -> list[Operation]:
    """All operations that are remembered, the oldest first."""
    intents: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, str] = {}
    for line in _lines(repo.paths):
        if "refs" in line:
            intents[line["op"]] = line
        elif "outcome" in line:
            outcomes[line["op"]] = line["outcome"]
    current = repo.refs("refs/track/") if len(outcomes) < len(intents) else {}
    return [_operation(line, outcomes.get(op_id), current) for op_id, line in intents.items()]


def begun(operations: Iterable[Operation]) -> list[Operation]:
    """Those that stand for themselves, and of each group the one it began with: what can be undone as a whole."""
    first: dict[str, Operation] = {}
    for one in operations:
        first.setdefault(one.group or one.id, one)
    return [*first.values()]


def net(operations: Iterable[Operation]) -> dict[str, RefChange]:
    """What these operations, in order, changed altogether: ref -> its first old and its last new."""
    found: dict[str, RefChange] = {}
    for operation in operations:
        for change in operation.changes:
            old = found[change.ref].old if change.ref in found else change.old
            found[change.ref] = RefChange(change.ref, old, change.new)
    return {ref: change for ref, change in found.items() if change.old != change.new}


def _has_begun(repo: Repository, changes: Iterable[RefChange]) -> bool:
    """Whether a disk that ran full, say, has stopped it half way."""
    current = repo.refs()
    return any(one.new != one.old and current.get(one.ref) == one.new for one in changes)


def keep_ref(oid: str) -> str:
    return f"{KEEP}{oid[-2:]}/{oid}"


def expire(repo: Repository, now: float, age: float = EXPIRY) -> int:
    """Forget operations older than `age` seconds and let go of what only they kept. Returns how many there were."""
    with _locked(repo.paths):
        lines = list(_lines(repo.paths))
        old = {line["op"] for line in lines if "refs" in line and line["w"] < now - age}
        if not old:
            return 0
        rest = [line for line in lines if line["op"] not in old]
        _write_anew(repo.paths, rest)
        needed = {keep_ref(oid) for line in rest if "refs" in line for _, *oids in line["refs"] for oid in oids if oid}
        kept = repo.refs(KEEP)
        repo.update_refs([RefChange(ref, oid, None) for ref, oid in kept.items() if ref not in needed])
    return len(old)


def _write_anew(paths: Paths, lines: Iterable[dict[str, Any]]) -> None:
    temporary = f"{path(paths)}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        file.writelines(map(_encoded, lines))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path(paths))


def forget(paths: Paths, wanted: Callable[[Mapping[str, Any]], bool]) -> None:
    """Take the operations whose lines are `wanted` out of the log, with what their commands were."""
    with _locked(paths):
        lines = list(_lines(paths))
        gone = {line["op"] for line in lines if wanted(line)}
        if gone:
            _write_anew(paths, [line for line in lines if line["op"] not in gone])


def _kept(repo: Repository, changes: Sequence[RefChange]) -> list[RefChange]:
    """Refs that keep alive what a deletion lets go of."""
    lost = {change.old for change in changes if change.new is None and change.old is not None}
    refs = {keep_ref(oid): oid for oid in lost}
    there = repo.refs(KEEP) if refs else {}
    return [RefChange(ref, None, oid) for ref, oid in refs.items() if ref not in there]


def _operation(line: dict[str, Any], outcome: str | None, current: dict[str, str]) -> Operation:
    changes = tuple(RefChange(*fields) for fields in line["refs"])
    if outcome is None:  # a crash: the refs know. Of files the one who kept them knows, see `begin`
        happened = bool(changes) and all(current.get(change.ref) == change.new for change in changes)
        outcome = DONE if happened else INTERRUPTED
    return Operation(
        line["op"],
        line["command"],
        line["w"],
        line.get("who", ""),
        line.get("group"),
        line.get("undoes"),
        changes,
        outcome,
        _remote(line.get("remote")),
        commit if isinstance(commit := line.get("commit"), str) else None,
    )


def _remote(fields: Any) -> Remote | None:
    if not fields:
        return None
    name, url, changes = fields
    return Remote(name, url, tuple(RefChange(*change) for change in changes))


def _lines(paths: Paths) -> Iterator[dict[str, Any]]:
    """The lines that are whole: a crash or a full disk may have cut any of them short."""
    try:
        with open(path(paths), "rb") as file:
            for text in file:
                with contextlib.suppress(ValueError):
                    line = json.loads(text)
                    if isinstance(line, dict) and isinstance(line.get("op"), str):
                        yield line
    except FileNotFoundError:
        return


def _append(paths: Paths, line: dict[str, Any]) -> None:
    try:
        with _locked(paths) as descriptor:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            data = (b"\n" if torn else b"") + _encoded(line)
            if os.write(descriptor, data) < len(data):
                raise OSError(28, "no space left on device")
    except OSError as error:
        raise errors.CannotWrite(
            f"cannot write {path(paths)}: {error.strerror}",
            "nothing was changed; make room, or make the repository's .git directory writable for you",
        ) from error


def _outcome(paths: Paths, op_id: str, outcome: str) -> None:
    with contextlib.suppress(errors.CannotWrite):  # the refs know as well, see `log`
        _append(paths, {"op": op_id, "outcome": outcome})


def _is_long(paths: Paths, now: float) -> bool:
    """Whether half of what could be forgotten is long due: a log is rewritten once in months, not at each operation."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path(paths), "rb") as file:
        if os.fstat(file.fileno()).st_size > LONG:
            first: float = json.loads(file.readline())["w"]
            return first < now - 2 * EXPIRY
    return False


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


@contextlib.contextmanager
def _locked(paths: Paths) -> Iterator[int]:
    """The log, open for appending and locked: `expire` puts another file in its place."""
    os.makedirs(os.path.dirname(path(paths)), exist_ok=True)
    while True:
        descriptor = os.open(path(paths), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path(paths), descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_at(name: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(name), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def has_recorded(paths: Paths, run_id: str) -> bool:
    """Whether this clone recorded the run, as far as the log goes back: what a record says of itself may be forged."""
    with contextlib.suppress(OSError), open(path(paths), "rb") as file:
        return any(b'"group":"%s"' % run_id.encode() in line and _BROUGHT not in line for line in file)
    return False


def describe(operation: Operation) -> str:
    """The operation in a few words, for messages."""
    changes = operation.remote.changes if operation.remote else operation.changes
    refs = [change.ref for change in changes if change.ref.startswith(layout.RUNS)]
    whole = [operation.group] if operation.group and not operation.remote else []
    ids = [ref.rpartition("/")[2] for ref in refs] or whole
    shown = [run_id[: layout.SHORT] for run_id in ids[:3]] + ["…"] * (len(ids) > 3)
    return operation.command + (f" ({', '.join(shown)})" if shown else "")


def story(operation: Operation, every: Mapping[str, Operation]) -> str:
    """The same; of an undo what it took back, and of an undo of an undo what is so again. `every`: by id."""
    first, steps, seen = operation, 0, {operation.id}
    while first.undoes and first.undoes in every and first.undoes not in seen:
        first, steps = every[first.undoes], steps + 1
        seen.add(first.id)
    return f"{'redone' if steps % 2 == 0 else 'undone'}: {describe(first)}" if steps else describe(operation)
