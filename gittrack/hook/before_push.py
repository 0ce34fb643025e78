"""The pre-push hook: with a branch go the runs that its commits name, so that who fetches the branch can look them up.

The user's push is never held up by it: what goes wrong with the runs is said, and git goes on. To a remote that never
got runs nothing is sent unasked, since that publishes more than the branch does.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from gittrack.core import layout
from gittrack.hook.main import GUARD, say
from gittrack.hook.place import Place, here
from gittrack.lazy import lazy
from gittrack.runs import links

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_REF = "--format=%(objectname) %(refname)"
_MOST_COMMITS = 5000
_MOST_RUNS = 500
_SETTING = "track.remote"


def push(environ: Mapping[str, str], args: Sequence[str]) -> bool:
    """`args`: the remote's name and its address. Raises GittrackError."""
    place = here(environ)
    if not place.tracked:
        return False
    name = args[0] if args else environ.get("PRE_COMMIT_REMOTE_NAME", "")
    tips, there = _tips(environ)
    named = _runs(place, tips, there, name) if tips and name else []
    if not named:
        return False
    remote = place.git.call("config", "--get", _SETTING).out.decode("utf-8", "replace").strip() or name
    url = lazy("gittrack.git.network").url(place.git, remote)
    runs = _missing(place, url, named)
    if not runs:
        return False
    what = "the run that these commits name" if len(runs) == 1 else f"the {len(runs)} runs that these commits name"
    manners = lazy("gittrack.share.manners").load(place.paths, url)
    if not manners.agreed:
        words = " ".join(run[: layout.SHORT] for run in runs[:5])
        say(f"gittrack: {what}: not sent, since {remote} never got runs from here (git track push {remote} {words})")
        return False
    if lazy("gittrack.hook.pretending").is_dry_run():
        say(f"gittrack: {what}: would go along")
        return False
    problem = _pushed(environ, [*([] if manners.code else ["--no-code"]), "--", remote, *runs])
    if problem:
        say(f"gittrack: {what}: not sent; your push goes on. `git track push {remote}` said: {problem}")
    return False


def _tips(environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What is pushed, and what those refs are there: git says it by lines, the pre-commit framework by variables."""
    text = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
    rows = [line.rsplit(" ", 3) for line in text.splitlines()]  # what was typed for a ref may have blanks: HEAD@{1 day}
    found = [(row[1], row[3]) for row in rows if len(row) == 4 and not row[2].startswith("refs/track/")]
    found = found or [(environ.get("PRE_COMMIT_TO_REF", ""), environ.get("PRE_COMMIT_FROM_REF", ""))]
    return _oids(tip for tip, _ in found), _oids(old for _, old in found)


def _oids(found: Iterable[str]) -> list[str]:
    return [oid for oid in dict.fromkeys(found) if _OID.match(oid) and oid.strip("0")]


def _runs(place: Place, tips: Sequence[str], there: Sequence[str], remote: str) -> list[str]:
    """The runs of the commits that the remote does not have, by what is known of it."""
    words = ("log", f"--max-count={_MOST_COMMITS}", "--no-show-signature", "-z", "--format=%H%n%B", "--ignore-missing")
    done = place.git.call(*words, *tips, "--not", f"--remotes={_literal(remote)}", *there)
    known = links.read(place.paths)
    found: dict[str, None] = {}
    for field in done.out.decode("utf-8", "replace").split("\0"):
        commit, _, message = field.partition("\n")
        found.update(dict.fromkeys(links.named(message)))
        found.update(dict.fromkeys(links.runs_of(place.paths, commit, known)))
    return list(found)[:_MOST_RUNS]


def _literal(text: str) -> str:
    """As a pattern that fits nothing else."""
    return re.sub(r"([*?\[\\])", r"\\\1", text)


def _missing(place: Place, url: str, runs: Sequence[str]) -> list[str]:
    """Those of `runs` that are here and were not seen there as they are."""
    refs = [layout.run_ref(run) for run in runs]
    rows = [line.split(" ") for line in place.git.lines("for-each-ref", _REF, *refs)]
    seen = lazy("gittrack.runs.remotes").load(place.paths, url)
    there = seen.refs if seen else {}
    loose = {run: oid for oid, ref in rows if (run := layout.id_of_ref(ref))}
    found = [run for run, oid in loose.items() if there.get(layout.run_ref(run)) != oid]
    return [*found, *_archived(place, there, [run for run in runs if run not in loose])]


def _archived(place: Place, there: Mapping[str, str], runs: Sequence[str]) -> list[str]:
    """Those of `runs` that are in archives of this clone's, which are not there as they are here."""
    if not runs:
        return []
    writer = lazy("gittrack.runs.writer")
    mine = {*writer.left(place.paths), writer.known(place.paths)}
    rows = [line.split(" ") for line in place.git.lines("for-each-ref", _REF, layout.ARCHIVE)]
    new = [oid for oid, ref in rows if there.get(ref) != oid and ref.endswith("/records") and ref.split("/")[3] in mine]
    asked = [(run, f"{oid}:{layout.archived_run(run)}") for oid in new for run in runs]
    if not asked:
        return []
    given = "".join(f"{spec}\n" for _, spec in asked).encode()
    said = place.git.lines("cat-file", "--batch-check=%(objecttype)", input=given)
    return [*dict.fromkeys(run for (run, _), kind in zip(asked, said, strict=True) if kind == "tree")]


def _pushed(environ: Mapping[str, str], words: Sequence[str]) -> str:
    """Why it did not work, or nothing: then it says what went. `--yes` is not given: to be asked is not for a hook."""
    beside = os.path.join(os.path.dirname(sys.argv[0]), "git-track")
    program = beside if os.path.isfile(beside) else lazy("shutil").which("git-track") or "git-track"
    try:
        done = subprocess.run(
            [program, "push", *words],
            env={**_outside(environ), GUARD: "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return f"{program}: {error.strerror}"
    if done.returncode == 0:
        say(f"gittrack: {(done.stdout.splitlines() or ['pushed'])[0]}")
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")] or done.stderr.splitlines()[-1:]
    return lines[0] if lines else f"exit code {done.returncode}"


def _outside(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what git sets for the push that goes on."""
    return {name: value for name, value in environ.items() if name not in ("GIT_INDEX_FILE", "GIT_PREFIX")}
