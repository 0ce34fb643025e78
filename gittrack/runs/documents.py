"""The documents of a record as values: decoded, checked, and flattened into the row that tables read.

A record may have been damaged by hand or written by a newer version; which ref and which file is wrong is known here
and nowhere above, so here the error gets its words.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack import errors
from gittrack.core import codec, layout, shape
from gittrack.core.model import Record
from gittrack.runs import away
from gittrack.runs.row import DAMAGED, NEWER, Row

if TYPE_CHECKING:
    from gittrack.core.archive import Line

FILES = ("format", "run.json", "status.json", "params.json", "summary.json")
_DOCTOR = "`git track doctor` checks all records"


def decode(run_id: str, tip: str, files: Sequence[bytes | None], root: str | None = None) -> Record:
    """The record whose FILES are given, read from `root` (None: from `tip`). Raises DamagedRecord and NewerFormat,
    naming where it stands."""
    where = _where(run_id, tip, root)
    layout.check_format(files[0], where)
    run, status, params, summary = (_document(where, *one) for one in zip(FILES[1:], files[1:], strict=True))
    return _of(Record(run_id, tip, run, status, params, summary, root or tip))


def of_line(line: "Line") -> Record:
    """The record of a run as the list of an archive has it. Raises DamagedRecord and NewerFormat."""
    layout.check_format(line.files[0], _where(line.id, line.tip, line.tree))
    run, status, params, summary = line.values
    return _of(Record(line.id, line.tip, run, status, params, summary, line.tree))


def listed(line: "Line") -> Row:
    """Its row, sound or not: see `indexed`."""
    try:
        return row(of_line(line))
    except (errors.DamagedRecord, errors.NewerFormat) as error:
        return _unreadable(line.id, line.tip, error)._replace(archived=True)


def _of(record: Record) -> Record:
    """`record`, when it is that of the run it stands under, and sound."""
    if record.facts.get("id") != record.id:
        what = f"it says that it is run {record.facts.get('id')!r}"
        raise _damaged(_where(*record[:2], record.root), "run.json", what)
    return checked(record)


def _where(run_id: str, tip: str | None, root: str | None) -> str:
    """Where a record stands, for messages."""
    return layout.run_ref(run_id) if root in (None, tip) else f"the archived run {run_id}"


def checked(record: Record) -> Record:
    """`record`, when its documents have the shape of the format. Raises DamagedRecord."""
    for path, document in zip(FILES[1:], record[2:6], strict=True):
        wrong = shape.problem(path, document)
        if wrong:
            raise _damaged(_where(record.id, record.tip, record.root), path, wrong)
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
        archived=record.archived,
        experiment=_text(facts.get("experiment")),
        command=_text(facts.get("command")) or "",
        user=_user(facts.get("user")),
        host=_host(facts),
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
        origin=facts.get("origin"),
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
    except (errors.DamagedRecord, errors.NewerFormat) as error:
        return _unreadable(run_id, tip, error)


def _unreadable(run_id: str, tip: str, error: errors.GittrackError) -> Row:
    status = NEWER if isinstance(error, errors.NewerFormat) else DAMAGED
    return Row(run_id, tip, status=status, reason=error.message)


def _document(where: str, path: str, data: bytes | None) -> dict[str, Any]:
    if data is None:
        raise _damaged(where, path, "it is not there")
    try:
        value = codec.loads(data)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(where, path, str(error)) from error
    if not isinstance(value, dict):
        raise _damaged(where, path, "it is not a JSON object")
    return value


def _damaged(where: str, path: str, what: str) -> errors.DamagedRecord:
    older = f"; `git log {where}` shows whether an older commit of it is whole" if where.startswith("refs/") else ""
    return errors.DamagedRecord(f"{path} of {where} cannot be read: {what}", f"{_DOCTOR}{older}")


def _text(value: str | bytes | None) -> str | None:
    """Text; of what was no UTF-8 (a path, an argument), every other byte escaped."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _time(record: Record, text: str | None) -> float | None:
    try:
        return None if text is None else codec.parse_time(text)
    except ValueError as error:
        raise _damaged(_where(record.id, record.tip, record.root), "a document", str(error)) from error


def _host(facts: Mapping[str, Any]) -> str:
    """A job's host as who sent it calls it, and as it is called while it runs; of a run without one, the machine."""
    launched = facts.get("launched")
    name = _text(launched.get("host")) if isinstance(launched, dict) else None
    return name if name and name != away.HERE else _text(facts.get("host")) or ""


def _user(user: Mapping[str, Any] | None) -> str:
    return _text((user or {}).get("name")) or _text((user or {}).get("email")) or ""
