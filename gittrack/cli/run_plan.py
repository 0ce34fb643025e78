"""`git track run --dry-run`: what the snapshot would hold, and what else would go to a host."""

import os
import sys
from typing import TYPE_CHECKING, Any

from gittrack.cli.context import Workplace
from gittrack.compare.text import count, size
from gittrack.core import codec
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.git.snapshot_values import Plan
    from gittrack.launch.sending.inputs import Inputs

LISTED = 50


def given(place: Workplace, plan: "Plan") -> "Inputs":
    """What a job would get besides the snapshot. Raises UsageError."""
    code = lazy("gittrack.launch.sending.snapshots").Code(place.paths, os.environ, plan.base or "", "")
    found: Inputs = lazy("gittrack.launch.sending.inputs").preview(code, plan, place.settings.inputs)
    return found


def show(plan: "Plan", json: bool, sent: "Inputs | None" = None) -> None:
    """Print it. `sent`: what would go to a host, where one is named."""
    if json:
        document: dict[str, Any] = {
            "base": plan.base,
            "state": plan.state,
            "size": plan.size,
            "files": [{"path": each.path, "kind": each.kind, "size": each.size} for each in plan.entries],
            "left_out": [
                {"path": each.path, "size": each.size, "reason": each.reason, "include": each.include}
                for each in plan.left_out
            ],
            "notes": list(plan.notes),
        }
        if sent is not None:
            document["inputs"] = [{"path": each.path, "size": each.size} for each in sent.files]
            document["notes"] += sent.remarks
        sys.stdout.write(codec.dumps(document).decode())
        return
    sys.stdout.write("".join(line + "\n" for line in [*_lines(plan), *(_sent(sent) if sent is not None else ())]))


def _sent(found: "Inputs") -> list[str]:
    lines = [f"Besides, {count(len(found.files), 'input')} would be sent, {size(found.size)}:"] if found.files else []
    lines += [f"  {'input':<10} {size(each.size):>9}  {each.path}" for each in found.files[:LISTED]]
    if len(found.files) > LISTED:
        lines.append(f"  and {len(found.files) - LISTED:,} more; --json names them")
    return [*lines, *(f"Note: {remark}" for remark in found.remarks)]


def _lines(plan: "Plan") -> list[str]:
    base = f"on {plan.base[:SHORT]}" if plan.base else "no commit yet"
    if not plan.entries:
        lines = [f"The work tree is as committed ({base}): that commit is the snapshot."]
    else:
        lines = [
            f"The snapshot ({base}) would differ in {count(len(plan.entries), 'file')}, {size(plan.size)} to read:"
        ]
        lines += [f"  {each.kind:<10} {size(each.size):>9}  {each.path}" for each in plan.entries]
    if plan.left_out:
        lines.append("Left out:")
        for each in plan.left_out:
            how_large = size(each.size) if each.size is not None else ""
            lines.append(f"  {each.reason:<24} {how_large:>9}  {each.path}")
        wanted = next((each.path for each in plan.left_out if each.include and "secret" not in each.reason), None)
        if wanted is not None:
            lines.append(f"To keep such a file: git track run --include {wanted} ...")
    lines += [f"Note: {note}" for note in plan.notes]
    return lines
