"""`git track push`: the runs of this clone, at a git remote."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import asking, render
from gittrack.cli.at_remote import meant, shown
from gittrack.cli.context import Workplace
from gittrack.cli.progress import Progress, Transfer
from gittrack.compare.text import count, json_text, line, size
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.share.push import Prepared, Result, Wish
    from gittrack.share.survey import Survey
    from gittrack.store.transfer import File, Report

LISTED = 5
WHY = {
    "live": "still going",
    "purged": "purged",
    "deleted": "deleted from the lists",
    "other": "the remote has another record of it",
    "diverged": "the remote has something else there (`git track pull` looks at it)",
}


def push(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REMOTE] [RUN...]", help="A remote or URL, and the runs to push."),
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", "-w", metavar="EXPR", help="Push the runs that answer to EXPR.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="All that is here, of whomever.")] = False,
    no_code: Annotated[bool, typer.Option("--no-code", help="Leave the code here.")] = False,
    no_artifacts: Annotated[bool, typer.Option("--no-artifacts", help="Leave large files here.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be sent, with sizes, and send nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Push to a remote for the first time without asking.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    automatic: Annotated[bool, typer.Option("--automatic", hidden=True)] = False,
) -> int:
    """Share runs through a git remote.

    Sends the runs that this clone has recorded and the remote lacks, with their code, their files, and what you said
    about runs. Live runs stay until they have ended, deleted ones unless you name them. REMOTE is
    `git config track.remote`, or the remote that `git push` would use. What was interrupted is taken up by the next
    push; `git track undo` takes a push back.

    The first push to a remote says what will leave this machine, also what looks like a secret in it, and asks. With
    --no-code records go without code: parameters, metrics, and the small files that were kept with a run.

    When many runs have gathered, the older ones are moved into an archive here and there (`git track help archive`).

    Examples:
      git track push
      git track push origin 7c21f best:val/acc
      git track push --where "tag = paper" --no-code
      git track push --dry-run
    """
    place = asking.folded()  # the index is not needed, and thousands of new runs would have to be read for it
    author = place.author
    if automatic:
        author = author._replace(command="git track push" + lazy("gittrack.runs.operations").BY_ITSELF)
    remote, runs = meant(place, what or [])
    if (bool(runs) + bool(where) + everything) > 1:
        raise errors.UsageError("give runs, --where or --all, not several of them", "git track help push")
    wish = _wish(place, runs, where, everything, not no_code, not no_artifacts)
    sharing: Any = lazy("gittrack.share.push")
    with Transfer("looking") as progress:
        seen = lazy("gittrack.share.look").remote(place.repository, remote, progress)
        prepared: Prepared = sharing.prepare(place.repository, seen, wish)
        files: list[File] = (
            lazy("gittrack.share.survey").needed(place.repository, prepared.runs) if wish.artifacts else []
        )
    if dry_run:
        found = _survey(place, prepared, files)
        head = f"would push to {line(shown(prepared.remote.url))}:\n" if prepared.plan.every else ""
        render.write(_surveyed(found, prepared) if as_json else head + _listing(found, prepared, files, remote))
        return 0
    _agree(place, prepared, wish, files, remote, yes)
    report = _bring_files(place, files, remote)
    with Transfer("archiving") as progress:  # older runs first, so that few refs have to move
        gathering: Any = lazy("gittrack.share.gather")
        prepared = gathering.gather(place.repository, prepared, wish, place.settings.archive, author, progress)
    with Transfer("pushing") as progress:
        batch = place.settings.push_batch or sharing.BATCH
        result: Result = sharing.push(place.repository, remote, prepared, wish, author, progress, render.say, batch)
    lazy("gittrack.record.archiver").tidy(place.paths)
    render.write(_document(result, prepared, remote, report) if as_json else _summary(result, prepared, remote, report))
    problem = sharing.problem(result, remote, prepared.wanted)
    if problem is not None:
        raise problem
    return errors.MissingContent.exit_code if _lost(report) else 0


def _wish(
    place: Workplace, runs: Sequence[str], where: list[str] | None, everything: bool, code: bool, artifacts: bool
) -> "Wish":
    ids = None
    if runs:
        ids = frozenset(target.id for target in asking.find_all(runs, deleted=True))
    elif where:
        ids = frozenset(row.id for row in asking.chosen(where, None, None).rows)
    hidden: set[str] = set()
    if ids is None:
        hidden = lazy("gittrack.core.annotations").deleted(lazy("gittrack.runs.logs").operations(place.repository))
    wish: Wish = lazy("gittrack.share.push").Wish(ids, everything, hidden, code, artifacts)
    return wish


def _agree(
    place: Workplace, prepared: "Prepared", wish: "Wish", files: "Sequence[File]", remote: str, yes: bool
) -> None:
    """Ask before anything goes to a remote for the first time. Raises UsageError when it is not wanted."""
    knowing = lazy("gittrack.share.manners")
    notes = knowing.load(place.paths, prepared.remote.url)
    if not prepared.plan.every or (notes.agreed and (notes.code or not wish.code)):
        return
    if not yes:
        found = _survey(place, prepared, files)
        sys.stderr.write(f"the first push to {line(shown(prepared.remote.url))} from this clone\n")
        sys.stderr.write(_listing(found, prepared, files, remote))
        if not sys.stdin.isatty() or not sys.stderr.isatty():
            raise errors.UsageError(
                "nothing was pushed: the first push to a remote has to be agreed to",
                "git track push --yes; or --dry-run to look at it first",
            )
        if not typer.confirm("Push it?", err=True):
            raise errors.UsageError("nothing was pushed", "git track push --no-code leaves the code here")
    knowing.save(place.paths, notes._replace(agreed=True, code=notes.code or wish.code))


def _survey(place: Workplace, prepared: "Prepared", files: "Sequence[File]") -> "Survey":
    redactor = place.settings.redactor(place.git.environ)
    found: Survey = lazy("gittrack.share.survey").survey(place.repository, prepared, files, redactor)
    return found


def _bring_files(place: Workplace, files: "list[File]", remote: str) -> "dict[str, Report]":
    """Artifacts go first: nobody is to see a run whose files are nowhere. Raises StoreFailed."""
    if not files:
        return {}
    stores, embedded = lazy("gittrack.runs.stores"), lazy("gittrack.runs.embedded")
    repo, settings = place.repository, place.settings
    shared = embedded.is_shared(settings.store)
    done: dict[str, Report] = {}
    times = len(stores.urls(settings)) + shared
    with Progress("pushing files", times * sum(file.size for file in files)) as progress:
        if stores.urls(settings):
            done |= stores.upload(repo, settings, files, progress)
        if shared:
            limit = settings.embedded_limit
            done[remote] = embedded.upload(repo, settings.store, files, remote, progress, limit)
    return done


def _listing(found: "Survey", prepared: "Prepared", files: "Sequence[File]", remote: str) -> str:
    """What would go, for people."""
    name = line(shown(remote))
    if not prepared.plan.every:
        return f"{name} has all of it\n" + _left(prepared)
    what = f"{count(found.runs, 'run')}, {size(found.records)} of records"
    rows = [f"{what if found.runs else f'{size(found.records)} of annotations and archives'} that {name} lacks"]
    if found.commits or found.files:
        rows.append(f"{count(found.commits, 'commit')} and {count(found.files, 'file')} of code, {size(found.code)}")
    if files:
        rows.append(
            f"{count(len(files), 'large file')}, {size(sum(file.size for file in files))}, where not there already"
        )
    deletions = sum(change.new is None for change in prepared.plan.every)
    if deletions:
        rows.append(f"{count(deletions, 'ref')} of archived runs will be removed there")
    text = "".join(f"  {row}\n" for row in rows)
    for one in found.secrets[: 2 * LISTED]:
        text += f"  looks like a secret: {line(one.path)}: {line(one.rule)}\n"
    if len(found.secrets) > 2 * LISTED:
        text += f"  and {len(found.secrets) - 2 * LISTED:,} more like it\n"
    if found.unsearched:
        text += f"  not searched for secrets: {count(found.unsearched, 'large file')}\n"
    return text + _left(prepared)


def _left(prepared: "Prepared") -> str:
    by_why: dict[str, list[str]] = {}
    for one in prepared.plan.left:
        by_why.setdefault(one.why, []).append(one.what if one.what.startswith("refs/") else one.what[:SHORT])
    return "".join(
        f"not pushed, {WHY[why]}: {', '.join(names[:LISTED])}{' …' if len(names) > LISTED else ''}\n"
        for why, names in by_why.items()
    )


def _summary(result: "Result", prepared: "Prepared", remote: str, report: "dict[str, Report]") -> str:
    name = line(shown(remote))
    archived = sum(change.ref.endswith("/list") for change in result.moved)
    logs = any(change.ref.startswith("refs/track/log/") for change in result.moved)
    gone = sum(change.new is None for change in result.moved)
    code = sum(change.ref.startswith("refs/track/code/") and change.new is not None for change in result.moved)
    sent = sum(each.files - each.before for each in report.values())
    parts = [
        count(len(result.runs), "run") if result.runs else "",
        count(code, "snapshot") if code else "",
        count(sent, "large file") if sent else "",
        "the archive" if archived else "",
        "annotations" if logs else "",
    ]
    said = ", ".join(filter(None, parts))
    text = f"pushed {said} to {name}\n" if said else f"{name} has all of it\n"
    if gone:
        text += f"{count(gone, 'ref')} of archived runs removed there\n"
    if result.restored:
        text += f"{count(len(result.restored), 'ref')} had been deleted at {name} by somebody, and are there again\n"
    lost = _lost(report)
    if lost:
        text += f"{count(lost, 'large file')} could not be found here: `git track store status` says what is where\n"
    return text + _left(prepared)


def _lost(report: "dict[str, Report]") -> int:
    return max((len(each.missing) + len(each.damaged) for each in report.values()), default=0)


def _surveyed(found: "Survey", prepared: "Prepared") -> str:
    document = {
        **found._asdict(),
        "artifacts": [file._asdict() for file in found.artifacts],
        "secrets": [one._asdict() for one in found.secrets],
        "runs": [one.id for one in prepared.runs],
        "refs": [list(change) for change in prepared.plan.every],
        "left": [one._asdict() for one in prepared.plan.left],
    }
    return json_text(json.dumps(document, indent=2)) + "\n"


def _document(result: "Result", prepared: "Prepared", remote: str, report: "dict[str, Report]") -> str:
    document = {
        "remote": shown(remote),
        "runs": list(result.runs),
        "refs": [list(change) for change in result.moved],
        "failed": {ref: one.said for ref, one in result.failed.items()},
        "left": [one._asdict() for one in prepared.plan.left],
        "restored": list(result.restored),
        "missing_files": _lost(report),
        "operation": result.operation,
    }
    return json_text(json.dumps(document, indent=2)) + "\n"
