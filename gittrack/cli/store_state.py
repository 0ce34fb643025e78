"""What `git track store status` and `verify` say: which files are at each place, and whether their bytes are right."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import errors
from gittrack.cli import context, render
from gittrack.cli.progress import Progress
from gittrack.compare.card import pretty
from gittrack.compare.text import cell, count, size
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.store.check import Checked
    from gittrack.store.content import Content
    from gittrack.store.transfer import File, Report

SHOWN = 10  # files that are named


class Call(NamedTuple):
    """What was asked for, and the files that it is about."""

    files: "list[File]"
    jobs: int
    dry_run: bool
    as_json: bool


def bar(call: Call, what: str, times: int = 1) -> Progress:
    """For all files, so many times."""
    return Progress(what, times * sum(file.size for file in call.files))


def each(found: "Sequence[Content]", look: "Callable[[Content], Any]") -> tuple[dict[str, Any], list[Exception]]:
    """What each store answers, by url, and why others do not: one that is gone keeps nobody from the rest."""
    said: dict[str, Any] = {}
    failures: list[Exception] = []
    for one in found:
        try:
            said[one.store.url] = look(one)
        except (errors.StoreFailed, errors.CannotWrite) as error:
            failures.append(error)
    return said, failures


def status(call: Call) -> int:
    """The table of places."""
    place, stores, transfer = context.here(), lazy("gittrack.runs.stores"), lazy("gittrack.store.transfer")
    here = stores.local(place.repository)
    answering, rows = [], []
    failures: list[errors.GittrackError] = []
    for one in stores.opened(place.repository, place.settings):
        try:
            stores.owner(one.store)  # to be told where there is no bucket at all
            rows.append(_row(one.store.url, transfer.lacking(here, one, call.files, call.jobs), call.files))
            answering.append(one)
        except errors.StoreFailed as error:
            failures.append(error)
    at_remote: list[File] = []
    remote = _git_remote()
    if remote:
        try:
            report, at_remote = _at_git_remote(call, remote, here)
            rows.append(_row(lazy("gittrack.runs.remote_files").name(remote), report, call.files))
        except (errors.StoreFailed, errors.Unsupported) as error:
            failures.append(error)
    from_stores = stores.together(answering) if answering else here
    report = _or_from(at_remote, transfer.lacking(from_stores, here, call.files, call.jobs))
    rows.insert(0, _row("this clone", report, call.files))
    if call.as_json:
        failed = [{"error": error.message, "hint": error.hint} for error in failures]
        render.write(pretty([*rows, *failed]))
        return failures[0].exit_code if failures else 0
    _table(rows)
    sys.stdout.write("".join(f"{line}\n" for line in _advice(rows, not failures)))
    if failures:
        raise failures[0]
    return 0


def _git_remote() -> str | None:
    """The git remote that files are shared through, if the settings say so and there is one."""
    place, embedded = context.here(), lazy("gittrack.runs.embedded")
    if not embedded.is_shared(place.settings.store):
        return None
    remote: str | None = embedded.default_remote(place.repository)
    return remote


def _at_git_remote(call: Call, remote: str, here: "Content") -> "tuple[Report, list[File]]":
    """What it has not, as a report of what a push would send; and which files it has."""
    place, transfer = context.here(), lazy("gittrack.store.transfer")
    checking = lazy("gittrack.runs.remote_files")
    absent = {*checking.lacking(place.repository, place.settings.store, call.files, remote)}
    there = [file for file in call.files if file not in absent]
    ours = [file for file in absent if here.has(*file)]
    missing = tuple(absent.difference(ours))
    sent, had = (sum(file.size for file in files) for files in (ours, there))
    report: Report = transfer.Report(0, 0, len(ours), sent, missing, (), len(there), had)
    return report, there


def _or_from(there: "Iterable[File]", report: "Report") -> "Report":
    """The report, where these files can be had as well."""
    found = {*there}.intersection((*report.missing, *report.damaged))
    return report._replace(
        sent=report.sent + sum(file.size for file in found),
        missing=tuple(file for file in report.missing if file not in found),
        damaged=tuple(file for file in report.damaged if file not in found),
    )


def _row(name: str, report: "Report", files: "Sequence[File]") -> dict[str, Any]:
    return {
        "store": name,
        "files": report.before,
        "size": report.size_before,
        "lacks": len(files) - report.before,
        "to_copy": report.sent,
        "nowhere": len(report.missing) + len(report.damaged),
    }


def _table(rows: list[dict[str, Any]]) -> None:
    columns = [
        render.Column("store", [row["store"] for row in rows], keep=9),
        render.Column("files", [f"{row['files']:,}" for row in rows], right=True),
        render.Column("size", [size(row["size"]) for row in rows], right=True),
        render.Column("lacks", [f"{row['lacks']:,}" for row in rows], right=True),
        render.Column("to copy", [size(row["to_copy"]) for row in rows], right=True),
    ]
    render.write(render.table(columns, render.terminal_width(), False)[0])


def _advice(rows: list[dict[str, Any]], all_answered: bool) -> list[str]:
    advice = []
    if any(row["to_copy"] for row in rows[1:]):
        advice.append("`git track store push` brings what is lacking there")
    if rows[0]["to_copy"]:
        advice.append("`git track store pull` brings what is not here; a checkout fetches what it needs by itself")
    lost = min(row["nowhere"] for row in rows)
    if lost and all_answered:
        where = "neither here nor there" if len(rows) > 1 else "not here, and there is no other place to look in"
        advice.append(f"{count(lost, 'file')} {'is' if lost == 1 else 'are'} {where}: {_PUSH}")
    return advice


_PUSH = "whoever recorded the runs has them; `git track store push` there brings them"


def verify(call: Call, repair: bool) -> int:
    """Read every byte at each place."""
    place, stores, check = context.here(), lazy("gittrack.runs.stores"), lazy("gittrack.store.check")
    found: list[Content] = stores.opened(place.repository, place.settings)
    remote = _git_remote()
    if not found and remote is None:
        raise errors.StoreFailed(
            "there is no place beyond this clone to look at: no store is set, and no git remote to share files through",
            "write `store: s3://bucket/prefix` in gittrack.yaml, or another address of docs/stores.md; "
            "or: git remote add origin URL",
        )
    with bar(call, "reading", len(found) + bool(remote)) as progress:
        results, failures = each(found, lambda one: _checked(call, one, progress))
        if remote:
            failures += _checked_remote(call, remote, results, progress)
    before = dict(results)

    def repaired(one: "Content") -> "Checked":
        stores.make_ready(place.repository, one.store, call.files)
        sources = [stores.local(place.repository), *(other for other in found if other is not one)]
        good: Checked = check.repair(one, results[one.store.url], sources, call.jobs)
        return good

    if repair and not call.dry_run:
        good, unrepaired = each([one for one in found if one.store.url in results], repaired)
        results, failures = results | good, [*failures, *unrepaired]
        if remote:
            failures += _repaired_remote(remote, results)
    _say_verdicts(call, before, results, repair)
    if failures:
        raise failures[0]
    return errors.CorruptContent.exit_code if any(_wrong(one) for one in results.values()) else 0


def _checked(call: Call, one: "Content", progress: Progress) -> "Checked":
    lazy("gittrack.runs.stores").owner(one.store)  # to be told where there is no bucket at all
    found: Checked = lazy("gittrack.store.check").check(one, call.files, call.jobs, progress)
    return found


def _checked_remote(call: Call, remote: str, results: "dict[str, Checked]", progress: Progress) -> list[Exception]:
    place, checking = context.here(), lazy("gittrack.runs.remote_files")
    try:
        said = (place.repository, place.settings.store, call.files, remote, progress)
        results[checking.name(remote)] = checking.check(*said)
    except (errors.StoreFailed, errors.Unsupported, errors.CannotWrite) as error:
        return [error]
    return []


def _repaired_remote(remote: str, results: "dict[str, Checked]") -> list[Exception]:
    """What is missing there and here is pushed; what a git remote has, nobody can replace."""
    place, stores, checking = context.here(), lazy("gittrack.runs.stores"), lazy("gittrack.runs.remote_files")
    name, here = checking.name(remote), stores.local(place.repository)
    found = results.get(name)
    todo = [file for file in found.missing if here.has(*file)] if found else []
    if not found or not todo:
        return []
    try:
        stores.through_git(place.repository, place.settings, todo, again=True)
    except (errors.StoreFailed, errors.Unsupported, errors.CannotWrite) as error:
        return [error]
    results[name] = found._replace(
        files=found.files + len(todo),
        size=found.size + sum(file.size for file in todo),
        missing=tuple(file for file in found.missing if file not in todo),
    )
    return []


def _wrong(found: Any) -> int:
    return len(found.missing) + len(found.damaged)


def _say_verdicts(call: Call, before: "dict[str, Checked]", after: "dict[str, Checked]", repair: bool) -> None:
    place = context.here()
    concerned = {file.sha256 for one in before.values() for file in (*one.missing, *one.damaged)}
    run_ids = lazy("gittrack.runs.stores").all_runs(place.repository) if concerned else []
    uses = lazy("gittrack.runs.wanted_by").uses(place.repository, run_ids, concerned)
    if call.as_json:
        return render.write(pretty({url: _document(before[url], one, uses) for url, one in after.items()}))
    for url, one in after.items():
        sys.stdout.write(f"{url}: {_verdict(one)}\n")
        left = {*one.missing, *one.damaged}
        mended = [file for file in (*before[url].missing, *before[url].damaged) if file not in left]
        for word, files in (("repaired", mended), ("damaged", one.damaged), ("missing", one.missing)):
            sys.stdout.write("".join(f"  {word}: {_named(file, uses)}\n" for file in files[:SHOWN]))
            if len(files) > SHOWN:
                sys.stdout.write(f"  {word}: {len(files) - SHOWN:,} more; --json names them all\n")
    if any(_wrong(one) for one in after.values()):
        told = "nobody here has good bytes of what is left" if repair else _REPAIR
        sys.stdout.write(f"{told}\n")
    return None


_REPAIR = "`git track store verify --repair` puts good bytes there, from this clone or another store"


def _named(file: "File", uses: dict[str, Any]) -> str:
    found = uses.get(file.sha256, [])
    said = ", ".join(f"{cell(one.path)} of run {one.run[:SHORT]}" for one in found[:3])
    return f"{said or file.sha256}{', …' if len(found) > 3 else ''} ({size(file.size)})"


def _document(before: Any, after: Any, uses: dict[str, Any]) -> dict[str, Any]:
    def listed(files: "Iterable[File]") -> list[dict[str, Any]]:
        return [one._asdict() | {"runs": [use._asdict() for use in uses.get(one.sha256, [])]} for one in files]

    left = {*after.missing, *after.damaged}
    mended = [file for file in (*before.missing, *before.damaged) if file not in left]
    lists = {"missing": listed(after.missing), "damaged": listed(after.damaged), "repaired": listed(mended)}
    return {**after._asdict(), **lists}


def _verdict(one: Any) -> str:
    said = [f"{count(one.files, 'file')} whole ({size(one.size)})"]
    said += [f"{len(one.damaged):,} damaged"] if one.damaged else []
    said += [f"{len(one.missing):,} missing"] if one.missing else []
    return ", ".join(said)
