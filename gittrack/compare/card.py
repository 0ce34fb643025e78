"""One run on one page: what `git track show` says, as labelled lines and small tables."""

import contextlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.compare.listing import SYSTEM, came_from, continued, duration, time_text
from gittrack.compare.text import MISSING, cell, count, json_text, line, setting, size
from gittrack.core import codec, fields, layout, spans
from gittrack.core.model import Record
from gittrack.runs.row import Row

if TYPE_CHECKING:
    from gittrack.runs.artifacts import Artifact

CHECKPOINT = "checkpoint"
MOST_FILES = 10
WIDEST = 80  # of a parameter's value; --json has it whole
FRAMEWORKS = ("torch", "tensorflow", "jax", "keras", "scikit-learn", "numpy", "pandas", "transformers", "lightning",
              "xgboost", "lightgbm")  # fmt: skip
_PIN = re.compile(r"(?:# )?([A-Za-z0-9][\w.-]*) ?(?:==\s*([^\s;]+)|@ ?(\S+)|\((in development))")


class Part(NamedTuple):
    """A heading and what stands under it: lines (label, text), or a table with titles."""

    heading: str
    lines: Sequence[tuple[str, str]] = ()
    titles: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    right: Sequence[int] = ()  # columns that hold numbers
    keep: Sequence[int] = ()  # of each column, how willingly it goes on a narrow terminal: see render.Column


def parts(
    row: Row,
    record: Record,
    environment: Mapping[str, bytes],
    now: float,
    everything: bool = False,
    artifacts: "Sequence[Artifact]" = (),
    steps: Mapping[str, int] | None = None,
) -> list[Part]:
    """All of the page that there is something to say for. System metrics are there with `everything`. `steps`: at how
    many each metric was recorded, where that is known; else its points are counted."""
    found = [facts(row, record, now), code(record), params(record), metrics(row, record, everything, steps)]
    found += [checkpoints(row), files(row, artifacts), environment_part(environment), left_out(record)]
    found.append(warnings(record))
    return [part for part in found if part.lines or part.rows]


def facts(row: Row, record: Record, now: float) -> Part:
    given: dict[str, Any] = {
        "name": row.name,
        "state": state(row, now),
        "command": line(row.command),
        "directory": record.facts.get("cwd") if record.facts.get("cwd") != "." else None,
        "started": f"{time_text(row.started)} ({_ago(now - row.started)})" if row.started else None,
        "by": " on ".join(filter(None, (row.user, row.host))),
        **launched(record),
        "experiment": row.experiment,
        "tags": ", ".join(row.tags),
        "baseline": "yes, of its experiment" if row.baseline else None,
        "deleted": "yes; `git track restore` brings it back" if row.deleted else None,
        "continues": continued(row),
        "from": came_from(row),
        "started by": row.parent[: layout.SHORT] if row.parent else None,
    }
    lines = [(label, cell(text)) for label, text in given.items() if text]
    return Part("", lines + [("note", cell(note)) for note in row.notes])


def launched(record: Record) -> dict[str, Any]:
    """Where a job was sent to, and what it ran in."""
    found = record.facts.get("launched")
    if not isinstance(found, dict):
        return {}
    host, sender, image, digest, made_from = (
        found.get(name) for name in ("host", "from", "image", "digest", "made_from")
    )
    short = str(digest or "").removeprefix("sha256:")[:12]
    return {
        "at": f"{host}, sent from {sender}" if host and sender else host,
        "image": f"{image} ({short})" if image and short else image or short,
        "made from": made_from,
    }


def _ago(seconds: float) -> str:
    text = spans.format_age(seconds)
    return text if text == "now" else f"{text} ago"


def state(row: Row, now: float) -> str:
    """`failed (exit code 1) after 3m 05s`."""
    how = f" (exit code {row.exit_code})" if row.exit_code else f" ({row.signal})" if row.signal else ""
    seconds = duration(row, now)
    took = f" {'for' if row.status == 'running' else 'after'} {spans.format_duration(seconds)}" if seconds else ""
    reason = f": {row.reason}" if row.reason else ""
    return f"{row.status}{how}{took}{reason}"


def code(record: Record) -> Part:
    """Where the code is, and the git commands that get it."""
    snapshot, base = record.facts.get("snapshot"), record.facts.get("base")
    if not snapshot:
        text = f"commit {base[:10]} was checked out; the work tree was not kept" if base else "not kept"
        return Part("code", [("snapshot", text)])
    short = snapshot[:10]
    lines = [("snapshot", f"{short}, the commit that was checked out, unchanged" if snapshot == base else short)]
    if base and snapshot != base:
        lines += [("base", base[:10]), ("changes", f"git diff {base[:10]} {short}")]
    if record.facts.get("branch"):
        lines.append(("branch", cell(record.facts["branch"])))
    if record.facts.get("state"):
        lines.append(("during", cell(record.facts["state"])))
    return Part("code", [*lines, ("look", f"git show {short}:FILE"), ("get", f"git worktree add --detach DIR {short}")])


def params(record: Record) -> Part:
    rows = [(cell(name), _clip(setting(found["value"])), cell(found.get("source")))
            for name, found in sorted(record.params.items())]  # fmt: skip
    return Part("parameters", titles=("name", "value", "from"), rows=rows)


def metrics(row: Row, record: Record, everything: bool, steps: Mapping[str, int] | None = None) -> Part:
    found = record.summary.get("metrics") or {}
    names = [name for name in sorted(found) if everything or not name.startswith(SYSTEM)]
    main = row.primary[0] if row.primary else None
    names.sort(key=lambda name: name != main)
    rows = [_metric(name, found[name], row.goals.get(name)) for name in names]
    if not found and not row.live:
        return Part("metrics", lines=[("none", "`run.log()`, or `metrics: [FILE]` in gittrack.yaml, records them")])
    if steps is not None:
        rows = [[*texts[:-1], cell(steps.get(name))] for name, texts in zip(names, rows, strict=True)]
    counted = "points" if steps is None else "steps"
    return Part("metrics", titles=("name", "last", "best", "min", "max", counted), rows=rows, right=(1, 2, 3, 4, 5))


def _metric(name: str, state: Mapping[str, Any], goal: str | None) -> list[str]:
    arrow = {"minimize": " ↓", "maximize": " ↑"}.get(goal or "", "")
    texts = [_at(state, key) if key in state else MISSING for key in ("last", "best", "min", "max")]
    return [cell(name) + arrow, *texts, cell(state.get("count"))]


def _at(state: Mapping[str, Any], key: str) -> str:
    step = state.get(f"{key}_step")
    return cell(state[key]) + (f" @{step}" if step is not None else "")


def checkpoints(row: Row) -> Part:
    if not row.checkpoints:
        return Part("checkpoints")
    lines = [("kept", str(row.checkpoints))]
    if row.latest_checkpoint:
        lines.append(("latest", f"step {cell(row.latest_checkpoint.get('step'))}"))
    if row.best_checkpoint:
        best = row.best_checkpoint
        lines.append(("best", f"step {cell(best.get('step'))}: {cell(best.get('metric'))} {cell(best.get('value'))}"))
    return Part("checkpoints", lines)


def files(row: Row, artifacts: "Sequence[Artifact]") -> Part:
    """How many files there are, and those of the last checkpoint, or the last ones that were logged."""
    if not artifacts:
        return Part("files")
    short = row.id[: layout.SHORT]
    lines = [("kept", f"{len(artifacts)}, {size(sum({one.sha256: one.size for one in artifacts}.values()))}")]
    lines += [("list", f"git track artifacts {short}"), ("get", f"git track checkout {short} --artifacts -o DIR")]
    last = next((one.parcel for one in reversed(artifacts) if one.kind == CHECKPOINT), None)
    shown = [one for one in artifacts if one.parcel == last] or list(artifacts)
    rows = [(line(one.path), cell(one.step), size(one.size), cell(one.kind)) for one in shown[-MOST_FILES:]]
    return Part("files", lines, titles=("path", "step", "size", "kind"), rows=rows, right=(1, 2))


def artifact(one: "Artifact") -> dict[str, Any]:
    """A file of a run for --json."""
    path: str | bytes = os.fsencode(one.path)
    with contextlib.suppress(UnicodeDecodeError):
        path = os.fsencode(one.path).decode()
    return {
        "path": path,
        "sha256": one.sha256,
        "size": one.size,
        "mode": one.mode,
        "where": one.where,
        "kind": one.kind,
        "step": one.step,
        "time": time_text(one.w),
    }


def environment_part(files: Mapping[str, bytes]) -> Part:
    """A summary: interpreter, frameworks, machine. `diff` and --json have all of it."""
    python, system = document(files, "python.json"), document(files, "system.json")
    lines = []
    if python.get("version"):
        lines.append(
            ("python", f"{cell(python['version'])} ({cell(python.get('executable') or python.get('prefix'))})")
        )
    found = packages(files)
    known = [f"{name} {found[name]}" for name in FRAMEWORKS if name in found]
    if found:
        lines.append(("packages", cell(", ".join([*known, f"{len(found)} in all"]))))
    named = [_part(system.get("os"), "text"), system.get("architecture")]
    if any(named):
        lines.append(("system", " ".join(cell(text) for text in named if text)))
    if system.get("cpu"):
        lines.append(("cpu", f"{cell(_part(system['cpu'], 'count'))} × {cell(_part(system['cpu'], 'model') or 'CPU')}"))
    inputs = document(files, "inputs.json")
    if isinstance(number := inputs.get("count"), int):
        lines.append(("inputs", f"{count(number, 'file')}, {size(inputs.get('size'))}"))
    gpus = system.get("gpus")
    names = [_part(gpu, "name") or gpu for gpu in (gpus if isinstance(gpus, list) else [])]
    return Part("environment", lines + ([("gpu", ", ".join(map(cell, names)))] if names else []))


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def document(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """A JSON file of environment/, or {} when it is not there or does not decode."""
    try:
        value = codec.loads(files.get(name, b"{}"))
    except (ValueError, KeyError, TypeError):
        return {}
    return value if isinstance(value, dict) else {}


def packages(files: Mapping[str, bytes]) -> dict[str, str]:
    """Package -> version (or address) out of requirements.txt, those that pip cannot install included."""
    text = files.get("requirements.txt", b"").decode(errors="replace")
    pins = (_PIN.match(entry) for entry in text.splitlines())
    return {pin[1].lower().replace("_", "-"): pin[2] or pin[3] or pin[4] for pin in pins if pin}


def left_out(record: Record) -> Part:
    found = record.facts.get("left_out") or []
    rows = [(cell(one.get("path")), size(one.get("size")), cell(one.get("reason"))) for one in found]
    return Part("left out of the snapshot", titles=("path", "size", "why"), rows=rows, right=(1,))


def warnings(record: Record) -> Part:
    return Part("warnings", [("", cell(text)) for text in record.status.get("warnings") or []])


def _clip(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def whole(
    row: Row, record: Record, environment: Mapping[str, bytes], artifacts: "Sequence[Artifact]" = ()
) -> dict[str, Any]:
    """The run for --json: the documents of the record, annotations applied, the environment decoded."""
    annotations = ("name", "tags", "notes", "baseline", "deleted", "archived")
    files: dict[str, Any] = {
        name: document(environment, name) if name.endswith(".json") else data.decode(errors="replace")
        for name, data in environment.items()
    }
    return {
        "id": record.id,
        "tip": record.tip,
        "run": record.facts,
        "status": record.status,
        "params": record.params,
        "summary": record.summary,
        "annotations": {name: fields.value(row, name) for name in annotations},
        "environment": files,
        "artifacts": [artifact(one) for one in artifacts],
    }


def pretty(value: Any) -> str:
    """JSON with line breaks, in the forms of docs/format.md §6."""
    return json_text(json.dumps(json.loads(codec.dumps(value)), indent=2, ensure_ascii=False)) + "\n"
