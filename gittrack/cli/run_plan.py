"""`git track run --dry-run`: what the snapshot would hold."""

import sys
from typing import Any

from gittrack.compare.text import count, size
from gittrack.core import codec
from gittrack.core.layout import SHORT


def show(plan: Any, json: bool) -> None:
    """Print it."""
    if json:
        document = {
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
        sys.stdout.write(codec.dumps(document).decode())
        return
    sys.stdout.write("".join(line + "\n" for line in _lines(plan)))


def _lines(plan: Any) -> list[str]:
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
