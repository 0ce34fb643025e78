"""All jobs of this project at a host, brought home: those of this clone, and those that a teammate has sent there.

What is at the host is looked at in two turns, however many jobs it keeps: which there are, and which of them this clone
has marked as fetched. Only the others are looked into.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import events, layout
from gittrack.git.repository import Repository
from gittrack.launch.home import claims, fetching_code, giving_up, placed
from gittrack.launch.home.kept_files import Show
from gittrack.launch.home.mirror import FETCHED, Mirror, mark, status_of
from gittrack.launch.link import shelling
from gittrack.launch.link.patience import ANSWER
from gittrack.launch.link.protocol import Link, silent
from gittrack.launch.sending.snapshots import Helper
from gittrack.record import beginning
from gittrack.runs import away, live, locking, logs, writer
from gittrack.runs.archiving import ENDED

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
    codeless: dict[str, str]  # run -> why its code is not here: the host has it no more, or what it gave was refused
    cut_short: list[str]  # runs that have logged more than is taken


class _Job(NamedTuple):
    start: Mapping[str, Any]
    project: str
    ticket: str = ""
    is_new: bool = True  # to this clone


def never(_run_id: str) -> bool:
    """A Close for where no engine can be asked."""
    return False


def fetch_host(
    link: Link, repo: Repository, project: str, close: Close = never, show: Show = silent, docker: str = "docker"
) -> Fetched:
    """Bring all that is there of this project. Raises LinkLost, HostFailed, CannotWrite, RefConflict, StoreFailed; what
    is wrong with one job is in `refused`, and stops no other."""
    found = Fetched([], [], 0, 0, {}, {}, {}, [])
    jobs = f"{link.folder()}/jobs"
    names = [entry.name for entry in link.list(jobs) or () if entry.kind == "folder" and layout.is_id(entry.name)]
    marked = _marked(link, jobs, writer.writer_id(repo.paths)) if names else set()
    purged = logs.tombstones(repo).runs
    looked = [run_id for run_id in names if run_id not in marked and run_id not in purged]
    jobs_of = _jobs(link, repo, project, looked, found)
    ours = {run_id: job for run_id, job in jobs_of.items() if job.project == project}
    codeless = _bring_code(link, repo, project, ours, docker)
    for run_id in ours:
        try:
            _fetch(link, repo, ours[run_id], run_id, found, close, show)
        except errors.LinkLost:
            raise
        except errors.HostFailed as error:
            found.refused[run_id] = error.message
    there = {*found.home, *found.going}
    return found._replace(
        before=len(marked.intersection(names)),
        others=len(jobs_of) - len(ours),
        codeless={run_id: why for run_id, why in codeless.items() if run_id in there},
    )


def _jobs(link: Link, repo: Repository, project: str, ids: Sequence[str], found: Fetched) -> dict[str, _Job]:
    """Those that are to be looked into. Which are here already is said to the host."""
    known = set(live.ids(repo.paths))
    jobs: dict[str, _Job] = {}
    for run_id in ids:
        directory = live.folder(repo.paths, run_id)
        try:
            status = {} if run_id in known else status_of(repo, run_id)
            if giving_up.is_given_up(status):
                found.refused[run_id] = (
                    "it was given up here: `git track undo` of that, then fetch again, brings all of it"
                )
            elif status.get("status") in ENDED:  # killed before it could be marked, or a remote had it
                mark(link, repo.paths, run_id)
            elif run_id not in known:
                if (job := _job(link, run_id)) is not None:
                    jobs[run_id] = job
            elif away_now := away.read(directory):  # else it is a run of this machine, whatever that host calls so
                jobs[run_id] = _Job(away_now.start, project, is_new=False)
        except errors.LinkLost:
            raise
        except errors.HostFailed as error:
            found.refused[run_id] = error.message
    return jobs


def _bring_code(link: Link, repo: Repository, project: str, jobs: Mapping[str, _Job], docker: str) -> dict[str, str]:
    """The code of teammates' jobs, before their runs: these keep it by a ref then. Gives the runs that go without, and
    why.

    Raises LinkLost."""
    wanted = {run_id: oid for run_id, job in jobs.items() if (oid := fetching_code.snapshot_of(job.start))}
    image = next(filter(None, (fetching_code.image_of(job.start) for job in jobs.values())), "")
    before = {oid for oid in wanted.values() if repo.exists(oid)}
    try:
        lacking = fetching_code.bring(link, repo, project, set(wanted.values()) - before, Helper(docker, image))
    except (errors.RemoteFailed, errors.HostFailed) as error:
        if isinstance(error, errors.LinkLost):
            raise
        lacking = dict.fromkeys(set(wanted.values()) - before, error.message)
    for run_id, oid in wanted.items():
        if not jobs[run_id].is_new and oid not in before and oid not in lacking:
            beginning.keep_code(repo, oid)
    return {run_id: lacking[oid] for run_id, oid in wanted.items() if oid in lacking}


def _fetch(link: Link, repo: Repository, job: _Job, run_id: str, found: Fetched, close: Close, show: Show) -> None:
    """One job."""
    directory = live.folder(repo.paths, run_id)
    if job.is_new:
        _expect(link, directory, job)
    mirror = Mirror(link, repo.paths, run_id, show)
    try:
        news = mirror.sync()
        if not news.is_final and not news.elsewhere and close(run_id):
            news = mirror.sync()
    except errors.HostFailed as error:
        if job.is_new and not isinstance(error, errors.LinkLost):  # what is refused at once was never a run here
            mirror.close()
            _forget(repo, run_id)
        raise
    finally:
        mirror.close()
    if news.is_final:
        found.home.append(run_id)
    elif job.is_new and not news.began and not news.elsewhere:  # a teammate is still sending it
        mirror.close()
        _forget(repo, run_id)
    else:
        found.going.append(run_id)
        if news.began:
            away.update(directory, state=away.RUNNING, ahead=_ahead(link))
    if news.cut_short:
        found.cut_short.append(run_id)
    if news.missing:
        found.missing[run_id] = len(news.missing)


def take_up(link: Link, repo: Repository, project: str, run_id: str) -> None:
    """Have one job brought home from now on, which nobody has sent from this clone.

    Raises RunNotFound for one that is not there or of another project, HostFailed, LinkLost."""
    if link.list(f"{link.folder()}/jobs/{run_id}") is None:
        raise errors.RunNotFound(
            f"there is no job of run {run_id[: layout.SHORT]} at {link.name}",
            f"`git track host ls {link.name}` lists those that are there",
        )
    job = _job(link, run_id)
    if job is None:
        raise errors.RunNotFound(f"run {run_id[: layout.SHORT]} is still being sent to {link.name}", "try again soon")
    if job.project != project:
        raise errors.RunNotFound(
            f"run {run_id[: layout.SHORT]} at {link.name} is of another project", "change to a clone of that one"
        )
    begun = events.STARTER in {entry.name for entry in link.list(f"{link.folder()}/jobs/{run_id}/run") or ()}
    directory = live.folder(repo.paths, run_id)
    _expect(link, directory, job, away.RUNNING if begun else away.QUEUED)
    away.update(directory, ahead=_ahead(link))


def _expect(link: Link, directory: str, job: _Job, state: str = away.QUEUED) -> None:
    now = time.time()
    more = {"ticket": job.ticket} if job.ticket else {}
    away.create(directory, away.Away(link.name, state, None, now, now, job.project, job.start, more))


def _ahead(link: Link) -> float | None:
    """Seconds by which the clock there is ahead of ours, by which times are told until the record is here.

    Raises HostFailed, LinkLost."""
    before = time.time()
    said = link.run(["date", "+%s"], check=False, seconds=ANSWER).out.strip()
    return int(said) + 0.5 - (before + time.time()) / 2 if said.isdigit() and len(said) < 13 else None


def _forget(repo: Repository, run_id: str) -> None:
    """Leave nothing of a run of which nothing was committed, unless somebody else brings it by now."""
    directory = live.folder(repo.paths, run_id)
    lock = None
    with contextlib.suppress(FileNotFoundError):
        lock = locking.take_run(directory)
    if lock is None:
        return
    try:
        if not repo.refs(layout.run_ref(run_id)):
            live.remove(directory)
    finally:
        os.close(lock)


def _marked(link: Link, jobs: str, me: str) -> set[str]:
    text = link.run(shelling.script(MARKED, jobs, me, FETCHED), seconds=ANSWER).out
    return set(filter(layout.is_id, text.decode("ascii", "replace").splitlines()))


def _job(link: Link, run_id: str) -> _Job | None:
    """What job.json says; None where there is none yet, since it is written last. Raises HostFailed."""
    document = placed.document(link, run_id)
    if document is None:
        return None
    start = document.get("start")
    if not isinstance(start, dict) or not events.is_sound({**start, "e": "start"}):
        raise claims.refused(link.name, run_id, "its job.json is none")
    if start["run"].get("id") != run_id or document.get("id") != run_id:
        raise claims.refused(link.name, run_id, "its job.json is of another run")
    known = {name: start[name] for name in ("run", "goals", "default", "store") if name in start}
    return _Job(known, str(document.get("project") or ""), placed.ticket_of(document))
