"""The documents of a record as values: decoded, checked, and flattened into the row that tables read.

A record may have been damaged by hand or written by a newer version; which ref and which file is wrong is known here
and nowhere above, so here the error gets its words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gittrack import errors
from gittrack.core import codec, layout
from gittrack.core.model import Record
from gittrack.runs.row import DAMAGED, NEWER, Row

FILES = ("format", "run.json", "status.json", "params.json", "summary.json")


def decode(run_id: str, tip: str, files: Sequence[bytes | None]) -> Record:
    """The record whose FILES are given. Raises DamagedRecord and NewerFormat, naming the ref."""
    ref = layout.run_ref(run_id)
    layout.check_format(files[0], ref)
    documents = [_document(ref, path, data) for path, data in zip(FILES[1:], files[1:], strict=True)]
    if documents[0].get("id") != run_id:
        raise _damaged(ref, "run.json", f"it says that it is run {documents[0].get('id')!r}")
    return Record(run_id, tip, *documents)


def row(record: Record) -> Row:
    """`record` as a row, not annotated. Raises DamagedRecord when a document lacks what the format promises."""
    facts, status, summary = record.facts, record.status, record.summary
    try:
        checkpoints = summary.get("checkpoints") or {}
        primary = summary.get("primary")
        tags = [_a(str, tag) for tag in facts.get("tags") or ()]
        given = (_a(str, facts.get("name")), tags, _a(str, facts.get("note")))
        return Row(
            id=record.id,
            tip=record.tip,
            created=_time(facts.get("created")),
            started=_time(status.get("started")),
            ended=_time(status.get("ended")),
            duration=_a((int, float), status.get("duration")),
            status=_a(str, status["status"]),
            name=given[0],
            experiment=_a(str, facts.get("experiment")),
            command=_a(str, facts.get("command")) or "",
            user=_user(facts.get("user")),
            host=_a(str, facts.get("host")) or "",
            base=facts.get("base"),
            snapshot=facts.get("snapshot"),
            exit_code=status.get("exit_code"),
            signal=status.get("signal"),
            reason=status.get("reason"),
            heartbeat=_time(status.get("heartbeat")),
            points=summary.get("points") or 0,
            checkpoints=checkpoints.get("count") or 0,
            latest_checkpoint=checkpoints.get("latest"),
            best_checkpoint=checkpoints.get("best"),
            primary=(primary["metric"], primary["goal"]) if primary else None,
            goals=summary.get("goals") or {},
            parent=facts.get("parent"),
            continues=facts.get("continues"),
            given=given,
            tags=tags,
            notes=[given[2]] if given[2] else [],
            params={name: param["value"] for name, param in record.params.items()},
            metrics=summary.get("metrics") or {},
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(layout.run_ref(record.id), "a document", repr(error)) from error


def indexed(run_id: str, tip: str, files: Sequence[bytes | None]) -> Row:
    """The row of a record that may be damaged or too new: one bad record must not hide the others from a table."""
    try:
        return row(decode(run_id, tip, files))
    except errors.DamagedRecord as error:
        return Row(run_id, tip, status=DAMAGED, reason=error.message)
    except errors.NewerFormat as error:
        return Row(run_id, tip, status=NEWER, reason=error.message)


def _document(ref: str, path: str, data: bytes | None) -> dict[str, Any]:
    if data is None:
        raise _damaged(ref, path, "it is not there")
    try:
        value = codec.loads(data)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(ref, path, str(error)) from error
    if not isinstance(value, dict):
        raise _damaged(ref, path, "it is not a JSON object")
    return value


def _damaged(ref: str, path: str, what: str) -> errors.DamagedRecord:
    return errors.DamagedRecord(
        f"{path} of {ref} cannot be read: {what}",
        f"`git track doctor` checks all records; `git log {ref}` shows whether an older commit of it is whole",
    )


def _a(kind: type | tuple[type, ...], value: Any) -> Any:
    """`value`, when it is of that kind or None: the index cannot hold just anything."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of the kind that the format says")
    return value


def _time(text: str | None) -> float | None:
    return None if text is None else codec.parse_time(text)


def _user(user: Mapping[str, Any] | None) -> str:
    return (user or {}).get("name") or (user or {}).get("email") or ""
