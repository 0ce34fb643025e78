"""All jobs of this project at a host, brought home: those of this clone, and those that a teammate has sent there.

What is at the host is looked at in two turns, however many jobs it keeps: which there are, and which of them this clone
has marked as fetched. Only the others are looked into.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import codec, events, layout
from gittrack.git.repository import Repository
from gittrack.launch import mirrored, shelling
from gittrack.launch.bringing import Show, nothing
from gittrack.launch.link import Link
from gittrack.launch.mirror import FETCHED, Mirror, ended, mark
from gittrack.runs import away, live, logs, writer

LARGEST_JOB = 16 << 20  # bytes of a job.json

# $1: folder of the jobs, $2: writer, $3: the folder of marks. A line for each job that this writer has all of.
MARKED = """
cd -- "$1" 2>/dev/null || exit 0
for f in */"$3"/"$2"
do  [ -e "$f" ] && printf '%s\\n' "${f%%/*}"
done
exit 0
"""

Close = Callable[[str], bool]  # makes the last cut of a run whose container is gone; whether it had to


class Fetched(NamedTuple):
    """What there was at a host."""

    home: list[str]  # runs that are here now, whole
    going: list[str]  # runs that go on there
    before: int  # jobs that were here already
    others: int  # jobs of other projects
    refused: dict[str, str]  # run or name -> why nothing of it was taken
    missing: dict[str, int]  # run -> how many of its files the host has not


class _Job(NamedTuple):
    start: Mapping[str, Any]
    project: str


def never(_run_id: str) -> bool:
    """A Close for where no engine can be asked."""
    return False


def fetch_host(link: Link, repo: Repository, project: str, close: Close = never, show: Show = nothing) -> Fetched:
    """Bring all that is there of this project. Raises LinkLost, HostFailed, CannotWrite, RefConflict, StoreFailed; what
    is wrong with one job is in `refused`, and stops no other."""
    found = Fetched([], [], 0, 0, {}, {})
    jobs = f"{link.folder()}/jobs"
    names = [entry.name for entry in link.list(jobs) or () if entry.kind == "folder" and layout.is_id(entry.name)]
    marked = _marked(link, jobs, writer.writer_id(repo.paths)) if names else set()
    purged = logs.tombstones(repo).runs
    others = 0
    for run_id in names:
        if run_id in marked or run_id in purged:
            continue
        try:
            others += not _fetch(link, repo, project, run_id, found, close, show)
        except errors.LinkLost:
            raise
        except errors.HostFailed as error:
            found.refused[run_id] = error.message
    return found._replace(before=len(marked.intersection(names)), others=others)


def _fetch(
    link: Link, repo: Repository, project: str, run_id: str, found: Fetched, close: Close, show: Show
) -> bool:  # fmt: skip
    """One job; False where it is of another project."""
    directory = live.folder(repo.paths, run_id)
    new = run_id not in live.ids(repo.paths)
    if new and ended(repo, run_id):  # killed before it could be marked, or it came from a git remote
        mark(link, repo.paths, run_id)
        return True
    if not new and not away.is_there(directory):
        return True  # a run of this machine, whatever that host calls so
    if new:
        job = _job(link, run_id)
        if job.project != project:
            return False
        now = time.time()
        away.create(directory, away.Away(link.name, away.QUEUED, None, now, now, project, job.start))
    mirror = Mirror(link, repo.paths, run_id, show)
    try:
        news = mirror.sync()
        if not news.is_final and not news.elsewhere and close(run_id):
            news = mirror.sync()
    except errors.HostFailed as error:
        if new and not isinstance(error, errors.LinkLost):  # what is refused at once was never a run here
            _forget(repo, run_id)
        raise
    finally:
        mirror.close()
    if news.is_final:
        found.home.append(run_id)
    elif new and not news.began:  # a teammate is still sending it
        _forget(repo, run_id)
    else:
        found.going.append(run_id)
        if news.began:
            away.update(directory, state=away.RUNNING)
    if news.missing:
        found.missing[run_id] = len(news.missing)
    return True


def _forget(repo: Repository, run_id: str) -> None:
    """Leave nothing of a run of which nothing was committed."""
    if not repo.refs(layout.run_ref(run_id)):
        live.remove(live.folder(repo.paths, run_id))


def _marked(link: Link, jobs: str, me: str) -> set[str]:
    text = link.run(shelling.script(MARKED, jobs, me, FETCHED)).out
    return set(filter(layout.is_id, text.decode("ascii", "replace").splitlines()))


def _job(link: Link, run_id: str) -> _Job:
    """What job.json says. Raises HostFailed."""
    path = f"{link.folder()}/jobs/{run_id}/job.json"
    document: Any = None
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        data = link.read(path, 0, LARGEST_JOB + 1)
        document = codec.loads(data) if len(data) <= LARGEST_JOB else None
    start = document.get("start") if isinstance(document, dict) else None
    if not isinstance(start, dict) or not events.is_sound({**start, "e": "start"}):
        raise mirrored.refused(link.name, run_id, "its job.json is none")
    if start["run"].get("id") != run_id or document.get("id") != run_id:
        raise mirrored.refused(link.name, run_id, "its job.json is of another run")
    known = {name: start[name] for name in ("run", "goals", "default", "store") if name in start}
    return _Job(known, str(document.get("project") or ""))
