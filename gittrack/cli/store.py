"""`git track store`: the files of runs in stores beyond this clone: where they are, bringing them there and back."""

import enum
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import context, render
from gittrack.cli.asking import find_all, fresh
from gittrack.cli.store_state import Call, bar, each, status, verify
from gittrack.compare.card import pretty
from gittrack.compare.text import count, size
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.store.content import Content
    from gittrack.store.transfer import File, Report


class Action(str, enum.Enum):
    status = "status"
    push = "push"
    pull = "pull"
    migrate = "migrate"
    verify = "verify"


def store(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="status, push, pull, migrate or verify.")],
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Only files of these runs; else of all.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="URL", help="migrate: the store to copy to.")] = None,
    create: Annotated[bool, typer.Option("--create", help="push, migrate: make the bucket, if it is absent.")] = False,
    join: Annotated[
        bool, typer.Option("--join", help="push, migrate: use a store that belongs to another repository, too.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="verify: replace what is damaged, and add what is missing.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="push: also what this clone has pushed to the git remote before."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be copied, and copy nothing.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, max=64, help="Copies at a time.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Bring files of runs to a store and back.

    Large files of runs are first kept in this clone. Where `store` in gittrack.yaml names a store, such as
    s3://bucket/prefix, they are copied there as well; `git track run` does that by itself, and push does it for what
    was left over. Every action takes up where it was interrupted.

    Where no store is named, push and pull go through the git remote: by git-lfs where the remote has it, else as git
    objects under refs/track/data, up to `embedded_limit` (docs/lfs.md).

    status says which files are here, at each store, and on the git remote, which is asked but sends no files. push
    copies to every store what it lacks. pull copies to this clone what it lacks. migrate copies all files to another
    store, and says which line of the settings to change. verify reads every byte at the stores, or fetches it from the
    git remote, names what is damaged or missing, and exits with 81 when there is any.

    Examples:
      git track store status
      git track store push --create
      git track store pull best
      git track store verify --repair
      git track store migrate --to s3://other-bucket/project
    """
    place = fresh()
    stores = lazy("gittrack.runs.stores")
    ids = [target.id for target in find_all(runs)] if runs else None
    if (action is Action.migrate) != bool(to):
        raise errors.UsageError("migrate needs --to, and only migrate", "git track store migrate --to URL")
    call = Call(stores.needed(place.repository, ids), jobs, dry_run, as_json)
    if action is Action.push:
        return _push(call, ids, create, join, again)
    if action is Action.migrate:
        return _migrate(call, str(to), ids is None, create, join)
    if action is Action.verify:
        return verify(call, repair)
    return status(call) if action is Action.status else told(call, pulled(call))


def _push(call: Call, ids: list[str] | None, create: bool, join: bool, again: bool) -> int:
    place, stores = context.here(), lazy("gittrack.runs.stores")
    found = stores.opened(place.repository, place.settings)
    if call.dry_run:
        planned, failures = each(found, lambda one: _planned(call, one, join))
        planned |= stores.through_git(place.repository, place.settings, call.files, dry_run=True)
        return told(call, planned, failures)
    failures = _created(found) if create else []
    done: dict[str, Report] = {}
    with bar(call, "pushing", len(found) + len(place.settings.store) - len(stores.urls(place.settings))) as progress:
        try:
            stores.upload(place.repository, place.settings, call.files, progress, call.jobs, join, done)
        except (errors.StoreFailed, errors.CannotWrite) as error:
            failures.append(error)
        try:
            done |= stores.through_git(place.repository, place.settings, call.files, progress, again=again)
        except errors.GittrackError as error:  # its remote may have no git-lfs, which is no trouble of the stores'
            failures.append(error)
    if not failures:
        lazy("gittrack.record.uploads").forget(place.paths, ids)
    return told(call, done, failures)


def _created(found: "Sequence[Content]") -> list[Exception]:
    """Make what the stores of the settings need to be there; why some could not be made."""
    place, stores, opening = context.here(), lazy("gittrack.runs.stores"), lazy("gittrack.store.open")
    failures: list[Exception] = []
    for url, one in zip(stores.urls(place.settings), found, strict=True):
        stores.begin_anew(place.repository, one.store.url)
        try:
            opening.create(url, place.repository.git.environ)
        except errors.StoreFailed as error:
            failures.append(error)
    return failures


def _planned(call: Call, target: "Content", join: bool) -> "Report":
    place, stores = context.here(), lazy("gittrack.runs.stores")
    stores.owners_to_be(place.repository, target.store, join)
    return _plan(call, [stores.local(place.repository)], target)


def pulled(call: Call, remote: str | None = None) -> "dict[str, Report]":
    """Bring files to this clone, from every place that has them; `remote`: the git remote that was named."""
    place, stores = context.here(), lazy("gittrack.runs.stores")
    if not stores.urls(place.settings):
        with bar(call, "fetching") as progress:
            found: dict[str, Report] = stores.through_git(
                place.repository, place.settings, call.files, progress, True, call.dry_run, remote=remote
            )
            return found
    if call.dry_run:
        return {"this clone": _plan(call, place.contents, stores.local(place.repository))}
    with bar(call, "fetching") as progress:
        said = (place.repository, place.settings, call.files, progress, call.jobs, remote)
        return {"this clone": stores.download(*said)}


def _migrate(call: Call, url: str, everything: bool, create: bool, join: bool) -> int:
    place, stores, opening = context.here(), lazy("gittrack.runs.stores"), lazy("gittrack.store.open")
    environ = place.repository.git.environ
    if url in ("embedded", "lfs"):
        raise errors.UsageError(
            f"{url} is no address to copy to",
            f"git track store pull; then write `store: {url}` in gittrack.yaml, and: git track store push",
        )
    if create and not call.dry_run:
        opening.create(url, environ)
    target = lazy("gittrack.store.content").Content(opening.open_store(url, environ, place.settings.upload_rate))
    sources = [stores.local(place.repository), *place.contents]
    if call.dry_run:
        return told(call, {target.store.url: _plan(call, sources, target)})
    stores.make_ready(place.repository, target.store, call.files, join)
    with bar(call, "copying") as progress:
        report = stores.send(sources, target, call.files, call.jobs, progress)
    if everything:
        report = report.plus(lazy("gittrack.runs.lfs_files").copy(sources, target, call.jobs))
    code = told(call, {target.store.url: report})
    if code == 0 and not call.as_json:
        sys.stdout.write(f"all is there; now {_where_to_say(place.settings.origin('store'), url)}\n")
    return code


def _where_to_say(origin: str, url: str) -> str:
    """The line to change, by where the setting came from."""
    if origin.startswith("gittrack.yaml:"):
        return f"write `store: {url}` in line {origin.partition(':')[2]} of gittrack.yaml"
    if origin.startswith("git config"):
        return f"run: git config track.store '{url}'"
    if origin.startswith("GITTRACK_"):
        return f"set {origin}='{url}'"
    return f"add the line `store: {url}` to gittrack.yaml"


def _plan(call: Call, sources: "Sequence[Content]", target: "Content") -> "Report":
    transfer = lazy("gittrack.store.transfer")
    total: Report = transfer.Report()
    left: Sequence[File] = call.files
    for source in sources:
        report = transfer.lacking(source, target, left, call.jobs)
        left = [*report.missing, *report.damaged]
        total = total.plus(report)._replace(missing=report.missing, damaged=report.damaged)
    return total


def told(call: Call, reports: "dict[str, Report]", failures: Sequence[Exception] = ()) -> int:
    """Print what was done, or would be. The exit code. Raises the first failure."""
    if call.as_json:
        render.write(pretty(plain(reports)))
    else:
        tell(reports, call.dry_run)
    if failures:
        raise failures[0]
    return errors.MissingContent.exit_code if lacking(reports) else 0


def tell(reports: "dict[str, Report]", dry_run: bool = False) -> None:
    """Print what was done, or would be, for people."""
    would = "would copy" if dry_run else "copied"
    for url, report in reports.items():
        had = f", {report.before:,} were there" if report.before else ""
        new = report.files - report.before
        sys.stdout.write(f"{url}: {would} {count(new, 'file')}, {size(report.sent)}{had}\n")
    if lost := lacking(reports):
        sys.stdout.write(
            f"{count(lost, 'file')} could not be found, or not whole; `git track store status` says what is where, "
            "and another clone may have them\n"
        )


def lacking(reports: "dict[str, Report]") -> int:
    """How many files could not be brought."""
    return max((len(report.missing) + len(report.damaged) for report in reports.values()), default=0)


def plain(reports: "dict[str, Report]") -> dict[str, Any]:
    """Reports as JSON has them."""
    return {url: _plain(report) for url, report in reports.items()}


def _plain(value: Any) -> dict[str, Any]:
    files = ("missing", "damaged")
    return {name: [one._asdict() for one in part] if name in files else part for name, part in value._asdict().items()}
