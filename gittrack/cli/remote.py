"""`git track remote` and `git track status`: where runs are shared, and how far this clone is from it."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import asking, render
from gittrack.cli.at_remote import is_address, keyed, shown, whole
from gittrack.cli.context import Workplace, here
from gittrack.compare.text import count, json_text, line, size
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.share.state import State

LISTED = 5
SETTING = "track.remote"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def remote(
    which: Annotated[
        str | None, typer.Argument(metavar="[REMOTE]", help="A git remote, or the URL of any repository.")
    ] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Back to the remote that git itself would use.")] = False,
    as_json: Json = False,
) -> None:
    """Show or set which remote holds the runs.

    Without a setting it is the remote that `git fetch` would use. A repository of its own, which may be empty, keeps
    the refs of runs out of the project's: give its URL. The setting is `git config track.remote` of this clone; each
    clone has its own.

    Examples:
      git track remote
      git track remote git@example.org:team/project-runs.git
      git track remote --unset
    """
    place = here()
    remotes: Any = lazy("gittrack.runs.remotes")
    if unset and which:
        raise errors.UsageError("give a remote, or --unset", "git track help remote")
    if which:
        if not remotes.is_known(place.git, which) and not is_address(which):
            raise errors.UsageError(
                f"git knows no remote {which}, and it is no URL",
                "git remote -v lists remotes; a path begins with / or ./",
            )
        place.git.run("config", "--local", SETTING, whole(which))
    if unset:
        place.git.call("config", "--local", "--unset-all", SETTING)
    chosen: str = remotes.choose(place.git)
    said = place.git.call("config", "--get", SETTING).code == 0
    url: str = lazy("gittrack.git.network").url(place.git, chosen)
    notes = lazy("gittrack.share.manners").load(place.paths, url)
    if as_json:
        document = {"remote": shown(chosen), "url": shown(url), "set": said, "agreed": notes.agreed}
        return render.write(json_text(json.dumps(document)) + "\n")
    where = "" if chosen == url else f"  {line(shown(url))}"
    why = "git config track.remote" if said else "as for git fetch"
    render.write(f"{line(shown(chosen))}{where}  ({why})\n")
    if not notes.agreed:
        render.say("nothing was pushed there yet from this clone")
    if not notes.deletes:
        render.say("it takes no deletions: archived runs keep their refs there")
    return None


def status(
    which: Annotated[
        str | None, typer.Argument(metavar="[REMOTE]", help="A remote or URL; else that which holds the runs.")
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", "-f", help="Ask the remote how it is now.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is not pushed, not pulled, or not here.

    Goes by what was seen at the remote last, and asks it only with --fetch. Says as well which files of runs have no
    bytes in this clone, and how the last automatic push (`push: auto`) ended.

    Examples:
      git track status
      git track status --fetch
    """
    place = asking.fresh()
    name: str = lazy("gittrack.runs.remotes").choose(place.git, whole(which) if which else None)
    if fetch:
        lazy("gittrack.share.pull").news(place.repository, name)
    hidden = frozenset(run_id for run_id, _, _, deleted in place.index.brief() if deleted)
    wish = lazy("gittrack.share.push").Wish(hidden=hidden)
    found: State = lazy("gittrack.share.state").state(place.repository, name, wish)
    render.write(_document(found) if as_json else "".join(f"{row}\n" for row in _rows(place, found)))


def _rows(place: Workplace, found: "State") -> list[str]:
    name = line(found.remote)
    age = lazy("gittrack.runs.selectors").age
    rows = [f"{name}: never asked; `git track status --fetch` asks it"]
    if found.asked is not None:
        rows = [f"{name}, as it was {age(found.asked, time.time())}"]
    push = [
        count(len(found.runs), "run") if found.runs else "",
        "the archive" if found.archives else "",
        "annotations" if found.annotations else "",
    ]
    said = ", ".join(filter(None, push))
    rows.append(f"  to push: {said} (git track push)" if said else "  nothing to push")
    going = [one.what[:SHORT] for one in found.left if one.why == "live"]
    if going:
        rows.append(f"  still going: {', '.join(going[:LISTED])}{' …' if len(going) > LISTED else ''}")
    odd = [one.what for one in found.left if one.why in ("other", "diverged")]
    rows += [f"  {line(what)}: {name} has something else under this name" for what in odd[:LISTED]]
    pulls = ", ".join(count(number, word) for word, number in found.pulls.items() if number)
    if found.asked is not None:
        rows.append(f"  to pull: {pulls} (git track pull)" if pulls else "  nothing to pull")
    if found.lost:
        rows.append(f"  {count(len(found.lost), 'ref')} that it had, somebody deleted there; a push puts back your own")
    if found.missing:
        total = size(sum(file.size for file in found.missing))
        rows.append(f"{count(len(found.missing), 'file')} of runs not in this clone, {total} (git track store pull)")
    if found.more_archived:
        rows.append("not all archived runs were asked for missing files: git track store status does")
    return rows + _automatic(place, found)


def _automatic(place: Workplace, found: "State") -> list[str]:
    if found.automatic is None or found.automatic.code == 0:
        return []
    when = lazy("gittrack.runs.selectors").age(found.automatic.when, time.time())
    if found.automatic.code is None:
        return [f"an automatic push began {when} and has not ended"]
    errors_ = [text for text in found.automatic.said.splitlines() if text.startswith(("error:", "hint:"))]
    path = lazy("gittrack.share.automatic").path(place.paths, "push.log")
    return [f"the last automatic push failed {when} ({path})", *(f"  {line(text)}" for text in errors_)]


def _document(found: "State") -> str:
    document = {
        **found._asdict(),
        "pulls": keyed(found.pulls),
        "left": [one._asdict() for one in found.left],
        "missing": [file._asdict() for file in found.missing],
        "automatic": found.automatic._asdict() if found.automatic else None,
    }
    return json_text(json.dumps(document, indent=2)) + "\n"
