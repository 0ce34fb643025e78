"""The documents of a record as values: decoded, checked, and flattened into the row that tables read.

A record may have been damaged by hand or written by a newer version; which ref and which file is wrong is known here
and nowhere above, so here the error gets its words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gittrack import errors
from gittrack.core import codec, layout, shape
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
    return checked(Record(run_id, tip, *documents))


def checked(record: Record) -> Record:
    """`record`, when its documents have the shape of the format. Raises DamagedRecord."""
    for path, document in zip(FILES[1:], record[2:], strict=True):
        wrong = shape.problem(path, document)
        if wrong:
            raise _damaged(layout.run_ref(record.id), path, wrong)
    return record


def row(record: Record) -> Row:
    """`record`, which is as `decode` or `checked` returned it, as a row, not annotated. Raises DamagedRecord."""
    facts, status, summary = record.facts, record.status, record.summary
    checkpoints = summary.get("checkpoints") or {}
    primary = summary.get("primary")
    tags = [_text(tag) or "" for tag in facts.get("tags") or ()]
    given = (_text(facts.get("name")), tags, _text(facts.get("note")))
    return Row(
        id=record.id,
        tip=record.tip,
        created=_time(record, facts.get("created")),
        started=_time(record, status.get("started")),
        ended=_time(record, status.get("ended")),
        duration=status.get("duration"),
        status=status["status"],
        name=given[0],
        experiment=_text(facts.get("experiment")),
        command=_text(facts.get("command")) or "",
        user=_user(facts.get("user")),
        host=_text(facts.get("host")) or "",
        base=facts.get("base"),
        snapshot=facts.get("snapshot"),
        exit_code=status.get("exit_code"),
        signal=_text(status.get("signal")),
        reason=_text(status.get("reason")),
        heartbeat=_time(record, status.get("heartbeat")),
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


def _text(value: str | bytes | None) -> str | None:
    """Text; of what was no UTF-8 (a path, an argument), every other byte escaped."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _time(record: Record, text: str | None) -> float | None:
    try:
        return None if text is None else codec.parse_time(text)
    except ValueError as error:
        raise _damaged(layout.run_ref(record.id), "a document", str(error)) from error


def _user(user: Mapping[str, Any] | None) -> str:
    return _text((user or {}).get("name")) or _text((user or {}).get("email")) or ""
