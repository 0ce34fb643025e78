"""`git track fetch HOST`: the results of jobs at a host, here."""

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator

from gittrack import errors
from gittrack.cli import render
from gittrack.cli.at_remote import is_address
from gittrack.cli.context import Workplace
from gittrack.cli.host_talk import talk
from gittrack.cli.progress import Bytes
from gittrack.compare.text import count, json_text, line, size
from gittrack.core.layout import SHORT
from gittrack.launch.home import fetching_host
from gittrack.launch.home.claims import LARGEST_JOURNALS
from gittrack.launch.jobs import closing
from gittrack.launch.link import hosts
from gittrack.launch.link.hosts import HERE, Host
from gittrack.launch.reached import At, reach
from gittrack.launch.sending import snapshots
from gittrack.lazy import lazy

LISTED = 10
_ALIAS = re.compile(r"\s*host[\s=]+(.*)", re.IGNORECASE)


def meant(place: Workplace, word: str) -> Host | None:
    """The host that the word means; None where it is a git remote, or nothing that is known.

    A name under `hosts:` is a host. Then come git's remotes and addresses; and of what these leave over, `user@host`
    and names of ~/.ssh/config are hosts."""
    configured = word in place.settings.hosts
    if not configured and (is_address(word) or lazy("gittrack.runs.remotes").is_known(place.git, word)):
        return None
    if configured or word == HERE.name or "@" in word or word in _aliases():
        return hosts.find(place.settings, word)
    return None


def fetch(place: Workplace, host: Host, as_json: bool) -> int:
    """Bring what is there, and tell of it. The exit code."""
    asking = talk(quiet=as_json)
    repo = place.repository
    with _going_on(host), contextlib.closing(reach(host, os.environ, asking.ask)) as at, Bytes("fetching") as show:
        close = _Closer(at).close
        found = fetching_host.fetch_host(at.link, repo, snapshots.project(place.git), close, show, host.docker)
        for run_id in found.home:
            closing.try_to_leave_clean(at, run_id)
    if as_json:
        render.write(json_text(json.dumps({"host": host.name, **found._asdict()}, indent=2)) + "\n")
    else:
        _tell(host, found)
    if found.refused:
        return errors.HostFailed.exit_code
    return errors.MissingContent.exit_code if found.missing else 0


@contextlib.contextmanager
def _going_on(host: Host) -> Iterator[None]:
    try:
        yield
    except errors.LinkLost as error:
        error.hint = f"`git track fetch {line(host.name)}` goes on where it stopped"
        raise


class _Closer:
    """Makes last cuts of jobs whose containers are gone. Where the engine there does not answer, what is there comes
    all the same."""

    def __init__(self, at: At) -> None:
        self._at = at
        self._failed = False

    def close(self, run_id: str) -> bool:
        if self._failed:
            return False
        try:
            return closing.close_if_dead(self._at, run_id, self._at.engine.find(run_id))
        except errors.LinkLost:
            raise
        except (errors.HostFailed, errors.ImageFailed) as error:
            self._failed = True
            render.say(f"which jobs are over cannot be asked: {error.message}")
            return False


def _tell(host: Host, found: fetching_host.Fetched) -> None:
    name = line(host.name)
    for run_id, why in list(found.refused.items())[:LISTED]:
        render.say(f"{run_id[:SHORT]}: {line(why)}")
    for run_id, number in found.missing.items():
        render.say(f"{run_id[:SHORT]}: {count(number, 'file')} that {name} has not, or not as it was: left out")
    for run_id in found.cut_short[:LISTED]:
        render.say(f"{run_id[:SHORT]}: has logged more than {size(LARGEST_JOURNALS)}: the rest of that is left out")
    for why, number in list(Counter(found.codeless.values()).items())[:LISTED]:
        render.say(f"{name} gave no code of {count(number, 'run')}: {line(why)}; whoever sent it can push it")
    shown = ", ".join(run_id[:SHORT] for run_id in found.home[:LISTED])
    more = f" and {len(found.home) - LISTED:,} more" if len(found.home) > LISTED else ""
    going = len(found.going)
    parts = [
        f"{count(len(found.home), 'run')} came ({shown}{more})" if found.home else "",
        f"{count(going, 'run')} {'goes' if going == 1 else 'go'} on there" if going else "",
        f"{found.before:,} {'was' if found.before == 1 else 'were'} here already" if found.before else "",
    ]
    render.write(f"{name}: {'; '.join(filter(None, parts)) or 'no job of this project'}\n")


def _aliases() -> set[str]:
    """Names that ~/.ssh/config gives to hosts. What is elsewhere (Include, Match) is called by user@host here."""
    found: set[str] = set()
    with (
        contextlib.suppress(OSError),
        open(os.path.expanduser("~/.ssh/config"), encoding="utf-8", errors="replace") as file,
    ):
        for text in file:
            if match := _ALIAS.match(text):
                found.update(word.strip('"') for word in match[1].split() if not set(word) & set("*?!"))
    return found
