"""How a command becomes a run, wherever it is executed: what the user asked for, the code as it stands, the facts."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import errors
from gittrack.config.user import user_of
from gittrack.core import layout
from gittrack.git import snapshot
from gittrack.git.discover import Paths
from gittrack.git.repository import RefChange, Repository
from gittrack.git.snapshot import Plan, Snapshot
from gittrack.lazy import lazy
from gittrack.record import facts
from gittrack.record.facts import Labels
from gittrack.record.surroundings import Surroundings, look
from gittrack.runs import origins, writer

if TYPE_CHECKING:
    from gittrack.record.resuming import Origin


class Wish(NamedTuple):
    """What the user asked for."""

    argv: Sequence[str]
    labels: Labels
    params: Mapping[str, Any]
    snapshot: bool = True
    include: Sequence[str] = ()
    autolog: bool | None = None  # None: as the settings say
    resume: str | None = None  # the run that this one continues
    origin: str | None = None  # the run that it starts from, where the user says so


class Came(NamedTuple):
    """The runs that the user named: which is continued, from which it starts."""

    resumed: "Origin | None"
    said: "Origin | None"


class Beginning(NamedTuple):
    """All that is known of a run before its command starts."""

    around: Surroundings
    kept: Snapshot
    facts: dict[str, Any]  # run.json
    start: dict[str, Any]  # the fields of the `start` event
    params: dict[str, Any]  # those of the command line
    warnings: tuple[str, ...]


def came(wish: Wish, paths: Paths, environ: Mapping[str, str]) -> Came:
    """Raises RunNotFound and the like for `resume` and `origin`."""
    wish.labels.check()
    return Came(*(_found(paths, environ, text) for text in (wish.resume, wish.origin)))


def begin(run_id: str, wish: Wish, around: Surroundings, environ: Mapping[str, str], before: Came) -> Beginning:
    """Take the snapshot and put together what the record begins with. Raises UsageError, GitFailed, CannotWrite."""
    resumed, said = before
    with origins.looking(around.git) as find:
        kept = take(around, wish)
        found = None if resumed or said else find(kept.base, kept.oid)
    history = {"continues": resumed and resumed.facts(), "origin": said.said() if said else found and found.facts()}
    run = _facts(run_id, wish, environ, around, kept, history)
    default = ["experiment"] if run["experiment"] and not wish.labels.experiment else []
    stored = facts.stored(around.settings.store)
    start = {"run": run, "goals": dict(around.settings.goals), "default": default, **stored}
    redactor = around.redactor
    return Beginning(
        around, kept, run, start, redactor.mapping(wish.params), tuple(redactor.text(note) for note in kept.notes)
    )


def plan(wish: Wish, paths: Paths, environ: Mapping[str, str]) -> Plan:
    """What the snapshot of such a run would hold."""
    return look(paths, environ).plan(_from_top(paths, wish.include))


def take(around: Surroundings, wish: Wish) -> Snapshot:
    """The snapshot that is wished for. Raises UsageError for an `--include` that fits nothing."""
    if not wish.snapshot:
        return around.without_snapshot()
    plan_ = around.plan(_from_top(around.git.paths, wish.include))
    if plan_.unmatched:
        raise errors.UsageError(
            f"--include {plan_.unmatched[0]}: no such file in the work tree",
            "paths are relative to the current directory",
        )
    return snapshot.take(around.git, plan_)


def keep_code(repo: Repository, oid: str | None) -> None:
    """The code's ref comes before the run: from now on no `git gc` can take the snapshot away."""
    if oid is None:
        return
    ref = layout.code_ref(oid)
    if not repo.refs(ref).get(ref):
        try:
            repo.update_refs([RefChange(ref, None, oid)])
        except errors.RefConflict:  # another process of the same sweep was faster
            if repo.refs(ref).get(ref) != oid:
                raise


def _found(paths: Paths, environ: Mapping[str, str], text: str | None) -> "Origin | None":
    found: Origin | None = lazy("gittrack.record.resuming").find(paths, environ, text) if text else None
    return found


def _from_top(paths: Paths, given: Sequence[str]) -> list[str]:
    """Paths as given in the current directory, relative to the top of the work tree."""
    top = paths.worktree or "/"
    here = os.path.realpath(os.getcwd())
    return [os.path.relpath(os.path.normpath(os.path.join(here, path)), top) for path in given]


def _facts(
    run_id: str,
    wish: Wish,
    environ: Mapping[str, str],
    around: Surroundings,
    kept: Snapshot,
    history: Mapping[str, Any],
) -> dict[str, Any]:
    labels = wish.labels._replace(experiment=wish.labels.experiment or around.settings.experiment)
    paths = around.git.paths
    place = {
        "cwd": facts.relative_cwd(paths, os.getcwd()),
        "parent": facts.parent_of(environ),
        "writer": writer.writer_id(paths),
        **history,
    }
    user = user_of(around.git_config, environ)
    return facts.facts(run_id, wish.argv, labels, kept, user, around.redactor, place, time.time())
