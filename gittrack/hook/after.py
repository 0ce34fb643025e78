"""The hooks after a commit: which run it has to do with is written down, and what amend and rebase make of it."""

import os
import re
import sys
from collections.abc import Mapping, Sequence

from gittrack.hook.place import Place, here
from gittrack.lazy import lazy
from gittrack.runs import links

_OID = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"


def committed(environ: Mapping[str, str], _args: Sequence[str]) -> bool:
    """Link the new commit with the runs that it names, or with the one it was the code of. Raises GittrackError."""
    place = here(environ)
    if not place.tracked or place.is_rebasing:
        return False
    said = place.git.run("log", "-1", "--no-show-signature", "--format=%H %T%n%B", "HEAD").decode("utf-8", "replace")
    head, _, message = said.partition("\n")
    commit, tree = head.split(" ")
    run = lazy("gittrack.hook.runs_here").of_tree(place, tree)
    for one in dict.fromkeys([*links.named(message), *([run] if run else [])]):
        links.add(place.paths, commit, one)
    return False


def rewritten(environ: Mapping[str, str], args: Sequence[str]) -> bool:
    """git gives `OLD NEW` lines; the pre-commit framework does not hand them on. Raises CannotWrite."""
    place = here(environ)
    if not place.tracked:
        return False
    by = args[0] if args else environ.get("PRE_COMMIT_REWRITE_COMMAND", "")
    text = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
    links.rewritten(place.paths, _pairs(text) or _pairs(_known_to_git(place, by)))
    return False


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in re.finditer(rf"(?m)^({_OID}) ({_OID})(?: |$)", text)]


def _known_to_git(place: Place, by: str) -> str:
    """What was rewritten, from where git itself keeps it meanwhile."""
    if by == "amend":
        return " ".join(place.git.lines("rev-parse", "HEAD@{1}", "HEAD"))
    for folder in ("rebase-merge", "rebase-apply"):
        for name in ("rewritten-list", "rewritten"):
            path = os.path.join(place.paths.git_dir, folder, name)
            if os.path.exists(path):
                with open(path) as file:
                    return file.read()
    return ""
