"""`git track pull` and `git track fetch`: the runs of others, here, and those of hosts."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render
from gittrack.cli.asking import find, find_all, fresh
from gittrack.cli.at_remote import is_address, keyed, meant, shown, whole
from gittrack.cli.context import here
from gittrack.cli.progress import Transfer
from gittrack.compare.text import count, json_text, line
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.share.pull import Plan, Result
    from gittrack.store.transfer import Report

LISTED = 10
JOBS = 12  # copies of files at a time
REMOTE = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[REMOTE] [RUN...]", help="A remote or URL, and runs whose code, records or files to bring."
    ),
]


def pull(
    what: REMOTE = None,
    code: Annotated[bool, typer.Option("--code", help="Also the code of the runs.")] = False,
    records: Annotated[bool, typer.Option("--records", help="Also the whole records of archived runs.")] = False,
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Also the files of the runs.")] = False,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also code, records and files.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Look again at what was refused before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would come, and take nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Take the runs of others from a git remote.

    Brings what tables need: runs, annotations, and the lists of archives. Code, whole records of archived runs, and
    files come when a command asks for them, or with --code, --records and --artifacts, for the RUNs that are named or
    for all. REMOTE is `git config track.remote`, or the remote that `git fetch` would use.

    Nothing here is taken away or rewritten by it: what a remote has lost stays, and what contradicts what is known is
    kept aside and named. What is damaged or forged is refused. `git track undo` takes a pull back.

    Examples:
      git track pull
      git track pull origin --code
      git track pull 7c21f --artifacts
      git track pull --dry-run
    """
    remote, runs = meant(here(), what or [])
    if dry_run:
        _tell_news(remote, as_json)
        return 0
    place, author = here(), here().author
    author = author._replace(command=shown(author.command))  # a URL may hold a password
    sharing: Any = lazy("gittrack.share.pull")
    code, artifacts = code or everything, artifacts or everything
    records = records or artifacts  # they say which files there are
    wish = sharing.Wish(code and not runs, records and not runs, again)
    with Transfer("pulling") as progress:
        result: Result = sharing.pull(place.repository, remote, wish, author, progress)
    lazy("gittrack.record.archiver").tidy(place.paths)
    for remark in _remarks(result):
        render.say(remark)
    if not as_json:
        render.write(_summary(result))
    store: Any = lazy("gittrack.cli.store")
    files: dict[str, Report] = {}
    try:
        for run in runs:
            _bring(run, code or not (records or artifacts))
        if artifacts:
            files = _files(runs, remote)
    finally:  # what came has come, whatever is the matter with runs and files
        if as_json:
            render.write(_document(result, store.plain(files) if artifacts else None))
    if not as_json:
        store.tell(files)
    return errors.MissingContent.exit_code if store.lacking(files) else 0


def _bring(selector: str, code: bool) -> None:
    """The record of one run, and its code."""
    target, repo = find(selector, deleted=True), here().repository
    record = lazy("gittrack.runs.reader").read(repo, target.id)
    snapshot = record.facts.get("snapshot")
    if code and snapshot:
        lazy("gittrack.runs.fetching").snapshot(repo, target.id, snapshot)


def _files(runs: Sequence[str], remote: str) -> "dict[str, Report]":
    """Bring the files of these runs, or of all; where they are at a git remote, from this one."""
    store: Any = lazy("gittrack.cli.store")
    ids = [target.id for target in find_all(runs)] if runs else None
    files = lazy("gittrack.runs.stores").needed(fresh().repository, ids)
    found: dict[str, Report] = store.pulled(store.Call(files, JOBS, False, False), remote)
    return found


def fetch(
    what: Annotated[
        str | None, typer.Argument(metavar="[REMOTE | HOST]", help="A git remote or URL; or a host of jobs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Bring the results of jobs from a host; or see what runs a git remote has.

    Of a HOST, to which `git track run -H` sends jobs, it brings all that jobs of this project left there: those that a
    teammate has sent, too. Runs that go on there are listed from then on as they were at that moment. A job whose
    container is gone without a word is closed. The host is a name under `hosts:` in gittrack.yaml, one of
    ~/.ssh/config, or user@host.

    Of a git REMOTE it says what `git track pull` would bring, and takes nothing. Only the note of what was seen at the
    remote changes. A name under `hosts:` is a host, also where a remote has it.

    Examples:
      git track fetch gpu1
      git track fetch
      git track fetch origin --json
    """
    if what and (found := lazy("gittrack.cli.fetch_host").meant(here(), what)):
        code: int = lazy("gittrack.cli.fetch_host").fetch(here(), found, as_json)
        return code
    remote: str = lazy("gittrack.runs.remotes").choose(here().git, whole(what) if what else None)
    try:
        _tell_news(remote, as_json)
    except errors.RemoteFailed as error:
        if what and not (is_address(what) or lazy("gittrack.runs.remotes").is_known(here().git, what)):
            error.hint = (
                "git knows no remote of that name; a host of jobs is a name under `hosts:` in gittrack.yaml, an alias "
                "of ~/.ssh/config, user@host, or here"
            )
        raise
    return 0


def _tell_news(remote: str, as_json: bool) -> None:
    found: Plan = lazy("gittrack.share.pull").news(here().repository, remote)
    kinds = lazy("gittrack.share.pull").counted(found)
    if as_json:
        document = {"remote": shown(remote), "wants": found.wants, "refused": found.odd, **keyed(kinds)}
        return render.write(json_text(json.dumps(document, indent=2)) + "\n")
    parts = [count(number, word) for word, number in kinds.items() if number]
    what = ", ".join(parts) if parts else "nothing new"
    it = "it" if sum(kinds.values()) == 1 else "them"
    render.write(f"{line(shown(remote))}: {what}" + (f"; `git track pull` takes {it}\n" if parts else "\n"))
    return None


def _summary(result: "Result") -> str:
    parts = [
        f"{count(len(result.new), 'new run')}" if result.new else "",
        f"{count(len(result.more), 'run')} that went on" if result.more else "",
        f"{count(result.annotations, 'annotation')}" if result.annotations else "",
        f"{count(result.archived, 'archived run')}" if result.archived else "",
        f"{count(result.code, 'snapshot')}" if result.code else "",
    ]
    said = ", ".join(filter(None, parts))
    return f"pulled {said} from {line(shown(result.remote))}\n" if said else "nothing new\n"


def _remarks(result: "Result") -> list[str]:
    found = []
    for what, group in (("refused", result.refused), ("kept aside", result.aside)):
        found += [f"{what}: {ref}: {why}" for ref, why in list(group.items())[:LISTED]]
        found += [f"{what}: {len(group) - LISTED:,} more"] if len(group) > LISTED else []
    if found:
        found.append("`git track doctor` says what can be done about it; it is not said again")
    if result.later:
        found.append(
            f"not looked at yet, since so much is damaged at {line(shown(result.remote))}: "
            f"{count(result.later, 'ref')}; `git track pull` goes on with them"
        )
    if result.lost:
        refs = count(len(result.lost), "ref")
        found.append(
            f"somebody removed {refs} of gittrack from {line(shown(result.remote))} (as `git push --mirror` does); "
            "all of it is here: `git track push --all` puts it back"
        )
    if result.purged:
        found.append(f"{count(result.purged, 'run')} that somebody has purged: removed from this clone for good")
    if result.removed:
        where = line(shown(result.remote))
        found.append(f"{count(result.removed, 'ref')} of purged runs had come back to {where}: removed there")
    if result.parted:
        found.append(
            "somebody else annotates or archives under the id of this clone (a copy of it?); from now on it writes as "
            f"{result.parted}, and nothing that was said or archived is lost"
        )
    return found


def _document(result: "Result", files: dict[str, Any] | None) -> str:
    """`files`: what was done about the files of runs, where they were asked for."""
    more = {} if files is None else {"files": files}
    return json_text(json.dumps({**result._asdict(), "remote": shown(result.remote), **more}, indent=2)) + "\n"
