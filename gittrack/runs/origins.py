"""Which run a new run comes from, where that is certain: `origin` of run.json.

`git track checkout` and `apply` leave a note of what they put into a work tree; it holds for as long as HEAD stands
where it stood and something of it can still be there. The commit on which a run is based may itself have come from a
run: by `git track branch`, by `promote`, or by a commit of the very code that a run had. What is not certain is not
said: no origin is better than a wrong one.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gittrack.git.command import Git
from gittrack.git.discover import Paths
from gittrack.runs import links

SAID, CHECKOUT, CHECKPOINT, APPLY, COMMIT = "said", "checkout", "checkpoint", "apply", "commit"
WAYS = (SAID, CHECKOUT, CHECKPOINT, APPLY, COMMIT)
NEAR = 20  # commits back in which a run is looked for
_LARGEST = 4096
_LOG = ("-c", "log.showSignature=false", "log", "--first-parent", f"-{NEAR}", "--no-color", "--no-decorate",
        "--no-notes", "-z", "--format=%H %B", "HEAD", "--")  # fmt: skip


class Origin(NamedTuple):
    """The run, the step of the checkpoint that was taken (None: none), and how it came."""

    run: str
    step: int | None
    how: str

    def facts(self) -> dict[str, Any]:
        """What run.json says."""
        return {"run": self.run, "step": self.step, "how": self.how}


def note(git: Git, origin: Origin, operation: str | None = None) -> None:
    """Leave word that this came into the work tree, as HEAD stands now. `operation`: what an undo would take back.

    Never raises: a note is a convenience.
    """
    place = _place(git.paths)
    said = {**origin.facts(), "head": _head(git), "operation": operation}
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        temporary = f"{place}.{os.getpid()}.tmp"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(said, file)
        os.replace(temporary, place)


def forget(paths: Paths, operation: str) -> None:
    """What the note is about was taken back."""
    found = _noted(paths)
    if found and found.get("operation") == operation:
        with contextlib.suppress(OSError):
            os.unlink(_place(paths))


@contextlib.contextmanager
def looking(git: Git) -> Iterator[Callable[[str | None, str | None], Origin | None]]:
    """Look at the commits below HEAD while the caller takes his snapshot; then give him `(base, snapshot) -> origin`.

    Finding nothing is the worst that may happen: this stands in the way of a training that is about to start.
    """
    reading = git.popen(*_LOG)

    def find(base: str | None, snapshot: str | None) -> Origin | None:
        said = reading.communicate()[0]
        return _from_note(git.paths, base, snapshot) or (_from_commits(git.paths, base, said) if base else None)

    try:
        yield find
    finally:
        if reading.poll() is None:
            reading.kill()
        reading.communicate()


def _from_note(paths: Paths, base: str | None, snapshot: str | None) -> Origin | None:
    found = _noted(paths)
    if not found or found.get("head") != base:
        return None
    run, step, how = found.get("run"), found.get("step"), found.get("how")
    if not isinstance(run, str) or how not in WAYS or type(step) not in (int, type(None)):
        return None
    if snapshot == base and how != CHECKPOINT and step is None:  # clean: what was put there has gone again
        return None
    return Origin(run, step, how)


def _from_commits(paths: Paths, base: str, said: bytes) -> Origin | None:
    """The nearest commit, the base first, that a run became, or that became one. `said`: what git says of them."""
    known = links.read(paths)
    fields = said.split(b"\0")
    if not fields[0].startswith(base.encode()):  # HEAD moved meanwhile
        fields = [base.encode()]
    for field in fields:
        commit, _, message = field.partition(b" ")
        found = links.named(message) or links.runs_of(paths, commit.decode("ascii", "replace"), known)
        if found:
            return Origin(found[-1], None, COMMIT)
    return None


def _head(git: Git) -> str | None:
    done = git.call("rev-parse", "--verify", "-q", "HEAD")
    return done.out.decode().strip() if done.code == 0 else None


def _place(paths: Paths) -> str:
    """One for each work tree of the repository."""
    whose = hashlib.sha256(os.fsencode(paths.git_dir)).hexdigest()[:16]
    return os.path.join(paths.common_dir, "track", "origins", f"{whose}.json")


def _noted(paths: Paths) -> dict[str, Any] | None:
    try:
        with open(_place(paths), "rb") as file:
            found = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
