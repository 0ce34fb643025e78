"""Notebooks that carry outputs: diffs nobody can read, and data that nobody meant to publish. Off by default."""

import json
import shlex
from collections.abc import Sequence

from gittrack.hook.finding import Finding
from gittrack.hook.place import Place
from gittrack.hook.staged import Change


def findings(place: Place, changes: Sequence[Change]) -> list[Finding]:
    found = []
    for change in changes:
        if change.path.endswith(".ipynb"):
            count = _outputs(place.git.run("cat-file", "blob", change.oid))
            if count:
                name = shlex.quote(change.path)
                clear = f"jupyter nbconvert --clear-output --inplace {name} && git add {name}"
                found.append(Finding(change.path, f"a notebook with outputs in {count} cells", (clear,)))
    return found


def _outputs(data: bytes) -> int:
    """How many cells have outputs; of what is no notebook, none."""
    try:
        cells = json.loads(data)["cells"]
        return sum(bool(cell.get("outputs")) for cell in cells)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 0
