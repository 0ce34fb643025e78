"""What people say about a run after the fact, as a state folded from operations. docs/format.md §7 in code.

Every clone appends operations to a log of its own and reads all logs it knows, so the fold may depend on nothing but
the set of operations: not on the order in which logs arrived, nor on how often an operation was seen. Pure, like every
fold here; the logs themselves are `runs/annotations.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.core import codec, layout

KINDS = ("name", "tag", "untag", "note", "baseline", "deleted", "archived", "pruned", "purged", "undo")
START_TAG = "start:"
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HIGHEST_CLOCK = 2**62  # a clock beyond is no count of operations; sqlite could not hold its successor


class Op(NamedTuple):
    """One operation. The first three fields are its place in the order of all operations."""

    clock: int
    writer: str
    place: int  # line number in the writer's log
    id: str
    run: str
    op: str
    value: Any
    when: float
    who: str


class Given(NamedTuple):
    """What run.json says: the state before the first operation."""

    name: str | None = None
    tags: Sequence[str] = ()
    note: str | None = None


class State(NamedTuple):
    name: str | None
    tags: Mapping[str, tuple[str, ...]]  # tag -> the ids that hold it up: what an untag has to name
    notes: tuple[str, ...]
    deleted: bool
    archived: bool


def line(op: Op) -> bytes:
    """The line of a log that says `op`."""
    return codec.dumps(
        {"clock": op.clock, "id": op.id, "op": op.op, "run": op.run, "value": op.value, "w": op.when, "who": op.who}
    )


def parse(data: bytes, writer: str, place: int = 0) -> list[Op]:
    """The operations of (a part of) a log whose first line is number `place`.

    A line that says nothing this version understands keeps its number and is passed over: a newer gittrack may have
    written it, and one bad line must not take the others with it.
    """
    found: list[Op] = []
    for number, text in enumerate(data.split(b"\n")[:-1], place):
        op = _operation(text, writer, number)
        if op is not None:
            found.append(op)
    return found


def _operation(text: bytes, writer: str, place: int) -> Op | None:
    try:
        fields = codec.loads(text)
        clock, op_id, run, op = fields["clock"], fields["id"], fields["run"], fields["op"]
    except (ValueError, KeyError, TypeError):
        return None
    if (
        type(clock) is not int
        or not 0 < clock < _HIGHEST_CLOCK
        or not isinstance(op_id, str)
        or not isinstance(run, str)
    ):
        return None
    value, when, who = fields.get("value"), fields.get("w"), fields.get("who")
    if op not in KINDS or not _valid(op, value):
        return None
    return Op(clock, writer, place, op_id, run, op, value, float(when) if type(when) in (int, float) else 0.0, str(who))


def _valid(op: str, value: Any) -> bool:
    if op in ("untag", "pruned", "purged", "undo"):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if op in ("baseline", "deleted", "archived"):
        return isinstance(value, bool)
    return isinstance(value, str) or (op == "name" and value is None)


def standing(ops: Iterable[Op]) -> list[Op]:
    """The operations that count, in order: each once, without those that an `undo` took back.

    An undo that was itself taken back takes nothing. It can only name what came before it, hence one walk from the end.
    None reaches `purged`: the bytes are gone, and must not come back from a clone that still has them.
    """
    return [op for op in _counting(ordered(ops)) if op.op != "undo"]


def undoing(ops: Iterable[Op]) -> set[str]:
    """The ids of the undos that count."""
    return {op.id for op in _counting(ordered(ops)) if op.op == "undo"}


def _counting(ops: Sequence[Op]) -> list[Op]:
    """Those that no undo has taken back; of undos those that still take something back."""
    taken: set[tuple[str, str]] = set()  # with the run: an undo reaches no other run than its own
    kept: list[Op] = []
    for op in reversed(ops):
        if (op.run, op.id) not in taken or op.op == "purged":
            kept.append(op)
            taken.update((op.run, op_id) for op_id in (op.value if op.op == "undo" else ()))
    kept.reverse()
    return kept


def ordered(ops: Iterable[Op]) -> list[Op]:
    """Sorted, and of several with one id the first: an operation may stand in two logs after a restored backup."""
    seen: dict[str, Op] = {}
    for op in sorted(ops, key=lambda op: op[:3]):
        seen.setdefault(op.id, op)
    return list(seen.values())


def fold(given: Given, ops: Iterable[Op]) -> State:
    """The state of one run: what it was given at its start, and all operations on it, in any order."""
    name, notes = given.name, [given.note] if given.note else []
    deleted = archived = False
    tags: dict[str, list[str]] = {tag: [START_TAG + tag] for tag in given.tags}
    removed: set[str] = set()
    for op in standing(ops):
        if op.op == "name":
            name = op.value
        elif op.op == "tag":
            tags.setdefault(op.value, []).append(op.id)
        elif op.op == "untag":
            removed.update(op.value)
        elif op.op == "note":
            notes.append(op.value)
        elif op.op == "deleted":
            deleted = op.value
        elif op.op == "archived":
            archived = op.value
    # add wins: an untag removes the tags it has seen, and only those, wherever it stands in the order
    held = {tag: tuple(one for one in ids if one not in removed) for tag, ids in tags.items()}
    return State(name, {tag: ids for tag, ids in held.items() if ids}, tuple(notes), deleted, archived)


def baselines(ops: Iterable[Op], experiments: Mapping[str, str | None]) -> set[str]:
    """The runs marked as baseline, at most one per experiment. `experiments`: run id -> its experiment (or None)."""
    marked: dict[str | None, str] = {}
    for op in standing(op for op in ops if op.op in ("baseline", "undo")):
        if op.run in experiments:
            experiment = experiments[op.run]
            if op.value:
                marked[experiment] = op.run
            elif marked.get(experiment) == op.run:
                del marked[experiment]
    return set(marked.values())


def pruned(ops: Iterable[Op]) -> dict[str, dict[str, Op]]:
    """Run id -> the parcels whose files need not be kept any more, each with the first operation that said so."""
    return _by_parcel(standing(op for op in ops if op.op in ("pruned", "undo")))


def ever_pruned(ops: Iterable[Op]) -> dict[str, dict[str, Op]]:
    """The same, of all that it was ever said of, taken back or not: the bytes may be gone since."""
    return _by_parcel(ordered(op for op in ops if op.op == "pruned"))


def kept_loose(ops: Iterable[Op]) -> set[str]:
    """The runs of which it was said last that they shall not be archived."""
    last = {op.run: op.value for op in standing(ops) if op.op == "archived"}
    return {run for run, value in last.items() if value is False}


def deleted(ops: Iterable[Op]) -> set[str]:
    """The runs that are not in the lists any more."""
    last = {op.run: op.value for op in standing(op for op in ops if op.op in ("deleted", "undo"))}
    return {run for run, value in last.items() if value is True}


def purged(ops: Iterable[Op]) -> dict[str, set[str]]:
    """Run id -> the objects of it that nobody may have any more. Whatever else was said, and in whatever order.

    What is no id of a run or object is passed over: things are looked for, and removed, by these names.
    """
    found: dict[str, set[str]] = {}
    for op in ops:
        if op.op == "purged" and layout.is_id(op.run):
            found.setdefault(op.run, set()).update(oid for oid in op.value if _OID.fullmatch(oid))
    return found


class Tombstones(NamedTuple):
    """What was purged: runs, whatever cut of them a clone still has, and objects, under whatever name they stand."""

    runs: frozenset[str] = frozenset()
    oids: frozenset[str] = frozenset()

    def forbid(self, ref: str, oid: str | None) -> bool:
        """Whether `ref` at `oid` must not be pushed, nor taken from a remote."""
        return oid in self.oids or layout.id_of_ref(ref) in self.runs


def tombstones(ops: Iterable[Op]) -> Tombstones:
    found = purged(ops)
    return Tombstones(frozenset(found), frozenset(oid for oids in found.values() for oid in oids))


def _by_parcel(ops: Iterable[Op]) -> dict[str, dict[str, Op]]:
    found: dict[str, dict[str, Op]] = {}
    for op in ops:
        for parcel in op.value:
            found.setdefault(op.run, {}).setdefault(parcel, op)
    return found
