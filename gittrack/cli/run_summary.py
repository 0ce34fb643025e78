"""What is said of a run when its command has ended: a few lines on standard error, or one JSON object."""

import sys
from typing import TYPE_CHECKING, Any

from gittrack.cli import context
from gittrack.compare.text import size
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.record.supervise import Result

SHOWN_METRICS = 6
SHOWN_LEFT_OUT = 5


def tell(text: str) -> None:
    """Nothing of ours is worth failing for: the terminal may be gone by now."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass


def summary(result: "Result", place: context.Workplace) -> list[str]:
    """How it went: one line, and one more for each thing that the user should know."""
    outcome, final = result.outcome, result.outcome.final
    short = outcome.run_id[:SHORT]
    lines = [f"gittrack: run {short} {_how(result)}{_metrics(final.metrics, final.primary) if final else ''}"]
    if outcome.error is not None:
        lines.append(f"  not closed yet: {outcome.error}; nothing is lost, `git track recover` closes it")
    elif outcome.unkept is not None:
        lines.append(f"  {size(outcome.unkept)} of its files are still being kept; `git track recover` waits for that")
    elif final is None:
        lines.append("  processes that it started still run; they are recorded until they end")
    if final and final.artifacts:
        lines.append(f"  {_kept(outcome.run_id, place)}")
    lines += _left_out(result.facts["left_out"])
    lines += [f"  note: {text}" for text in (final.warnings if final else result.notes)]
    lines.append(f"  see: git track show {short}")
    return lines


def _kept(run_id: str, place: context.Workplace) -> str:
    """As `show` counts: what is the same is there once."""
    artifacts, record = lazy("gittrack.runs.artifacts"), lazy("gittrack.runs.reader").read(place.repository, run_id)
    found = artifacts.listed(place.repository, record)
    return f"{len(found)} {'file' if len(found) == 1 else 'files'} kept, {size(artifacts.size_of(found))}"


def _how(result: "Result") -> str:
    outcome, final = result.outcome, result.outcome.final
    duration = lazy("gittrack.core.story").duration(final.duration if final else outcome.duration)
    if outcome.signal is not None:
        return f"killed by {lazy('gittrack.record.signals').name_of(outcome.signal)} after {duration}"
    if outcome.code:
        return f"failed with exit code {outcome.code} after {duration}"
    if outcome.code is None and final is not None and final.status == "killed":
        return f"was stopped, did not end in time, and was killed after {duration}"
    return f"completed in {duration}" if outcome.code == 0 else f"ended after {duration}, nobody knows how"


def _metrics(metrics: dict[str, Any], primary: dict[str, Any] | None) -> str:
    names = [name for name in metrics if not name.startswith("system/")]
    if primary and primary["metric"] in names:
        names.remove(primary["metric"])
        names.insert(0, primary["metric"])
    shown = [
        f"{name} {metrics[name]['last']:.5g}" for name in names[:SHOWN_METRICS] if metrics[name]["last"] is not None
    ]
    more = len(names) - SHOWN_METRICS
    return ": " + ", ".join(shown) + (f" and {more} more" if more > 0 else "") if shown else ""


def _left_out(left: list[dict[str, Any]]) -> list[str]:
    lines = [f"  left out: {each['path']} ({each['reason']})" for each in left[:SHOWN_LEFT_OUT]]
    if len(left) > SHOWN_LEFT_OUT:
        lines.append(f"  left out: {len(left) - SHOWN_LEFT_OUT} more")
    if left:
        wanted = next((each["path"] for each in left if "secret" not in each["reason"]), left[0]["path"])
        lines.append(f"  to keep such a file: git track run --include {wanted} ...")
    return lines


def document(result: "Result") -> dict[str, Any]:
    """What `--json` prints. The same names as in the record."""
    outcome, final = result.outcome, result.outcome.final
    return {
        "id": outcome.run_id,
        "status": final.status if final else "running",
        "exit_code": outcome.code,
        "signal": lazy("gittrack.record.signals").name_of(outcome.signal) if outcome.signal is not None else None,
        "duration": round(final.duration if final else outcome.duration, 6),
        "snapshot": result.facts["snapshot"],
        "metrics": {key: each["last"] for key, each in final.metrics.items()} if final else {},
        "artifacts": (final and final.artifacts) or {"count": 0, "size": 0},
        "left_out": result.facts["left_out"],
        "warnings": final.warnings if final else list(result.notes),
        "error": outcome.error,
    }
