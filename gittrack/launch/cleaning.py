"""What gittrack has left at a host, what of it nobody needs any more, and taking that away.

Only our folder is looked at, and containers and images with our labels. Jobs that are going on stay, and results that
no clone has fetched do, whatever their age, unless they are asked for. What is removed is renamed first, so that
nothing half removed is ever taken for a job or a repository.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gittrack import errors
from gittrack.core.layout import SHORT, is_id
from gittrack.git.objects import is_oid
from gittrack.launch.link import shelling
from gittrack.launch.link.protocol import Link
from gittrack.launch.link.words import shown
from gittrack.launch.sending.leftovers import SWEEPING

if TYPE_CHECKING:
    from gittrack.launch.engine.state import Container

DAY = 86400.0
JOB, WORK, CONTAINER, CODE, INPUTS, REST = "job", "work tree", "container", "code", "inputs", "leftovers"
SNAPSHOTS = "snapshots"
OTHERS = "clean"  # the kind of error where something belongs to another user
HELPER = "helper"
HELPS, WORKS = 3600.0, DAY  # seconds after which a helper that does not run, or that does, has been left behind
ON_ITS_WAY = 1.0  # days for which a job without a container may still be being sent, by a teammate maybe
NEWEST = 50  # snapshots of a project that stay: the next one is sent as what differs from them
_NUMBER = re.compile(r"[0-9]{1,15}")

# $1: our folder, $2: days, $3: which of a project's snapshots is the first that is too many, the newest being 1. One
# line for each thing; sizes in kB, times in seconds.
SURVEY = """
cd "$1" 2>/dev/null || exit 0
sum() { total=0; while read -r size _; do total=$((total + size)); done; echo "$total"; }
kb() { du -sk "$@" 2>/dev/null | sum; }
for j in jobs/*
do  [ -d "$j" ] || continue
    case $j in jobs/gone.*) continue ;; esac
    over=0 begun=0 home=0 work=0
    [ -e "$j/run/run.jsonl" ] && begun=1
    tail -n 1 "$j/run/cuts.jsonl" 2>/dev/null | grep -q '"reason":"final"' && over=1
    [ -n "$(ls -A "$j/fetched" 2>/dev/null)" ] && home=1
    [ -d "$j/work" ] && work=$(kb "$j/work")
    echo job "${j#jobs/}" "$(stat -c %Y "$j")" $begun $over $home "$work" "$(kb "$j")"
done
for r in repos/*.git
do  [ -d "$r" ] || continue
    at=$(stat -c %Y "$r/used" 2>/dev/null || stat -c %Y "$r")
    old=$(cd "$r" && ls -1t refs/track/code/*/* 2>/dev/null | tail -n "+$3" | wc -l)
    echo code "$(basename "$r" .git)" "$at" "$(($(kb "$r") - $(kb "$r"/objects/*incoming-*)))" "$((old))"
done
echo inputs all "$([ -d cache/files ] && kb cache/files || echo 0)"
echo inputs old "$([ -d cache/files ] && find cache/files -type f -mtime "+$2" -exec du -k {} + | sum || echo 0)"
echo rest "$(kb jobs/gone.* repos/gone.* repos/new.* repos/*.git/objects/*incoming-* cache/incoming.*)"
echo now "$(date +%s)"
df -Pk . | { read -r _; read -r _ size _ free _; echo disk "$size" "$free"; }
"""

# $1: our folder, $2: days, $3: as above. Input: what and which, one a line. What somebody sends just now may rely on
# objects of the last two days.
REMOVE = (
    SWEEPING
    + """
cd "$1" || exit 61
rm -rf jobs/gone.* repos/gone.*
while read -r what name
do  case $what in
    job) mv "jobs/$name" "jobs/gone.$name" ;;
    work) mv "jobs/$name/work" "jobs/gone.work.$name"; rm -rf "jobs/$name/work.new" "jobs/$name/env"
          rm -rf "jobs/$name/checkpoint" "jobs/$name/checkpoint.new" ;;
    code) mv "repos/$name.git" "repos/gone.$name" ;;
    snapshots)
        export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
        (cd "repos/$name.git" && ls -1t refs/track/code/*/* | tail -n "+$3" | sed 's/^/delete /' \
            | git update-ref --stdin && git -c gc.packRefs=false gc --quiet --prune=2.days.ago) ;;
    inputs) if [ "$name" = all ]
            then rm -rf cache/files
            else find cache/files -type f -mtime "+$2" -exec rm -f {} +
            fi ;;
    esac
done
sweep "$1"
rm -rf jobs/gone.* repos/gone.*
"""
)

# $1: our folder, $2: the run whose results came home, $3: days or nothing. The same, for what needs no questions.
TIDY = """
cd "$1/jobs" || exit 0
rm -rf "$2/env" "$2/checkpoint" "$2/checkpoint.new"
[ -d "$2/work" ] && mv "$2/work" "gone.work.$2"
[ -z "$3" ] || find . -maxdepth 1 -type d -mtime "+$3" | while read -r j
do  [ "$j" != . ] && [ -n "$(ls -A "$j/fetched" 2>/dev/null)" ] || continue
    tail -n 1 "$j/run/cuts.jsonl" 2>/dev/null | grep -q '"reason":"final"' && mv "$j" "gone.${j#./}"
done
[ -z "$3" ] || ! [ -d ../cache/files ] || find ../cache/files -type f -mtime "+$3" -exec rm -f {} +
rm -rf gone.*
if [ -e "gone.work.$2" ] || [ -e "$2/work" ]; then echo left; fi
"""

# $1: folder of the jobs, $2: a run or nothing. As root, in a container: what containers have made as another user.
REMOVE_AS_ROOT = """
cd "$1" && rm -rf -- gone.*
[ -z "$2" ] || rm -rf -- "$2/work"
"""


class Job(NamedTuple):
    """A job's folder at the host."""

    id: str
    age: float  # days since anything was made or removed in it
    begun: bool
    over: bool  # it has its final cut
    home: bool  # a clone has all of it
    work: int  # bytes
    size: int  # bytes, `work` included


class Code(NamedTuple):
    """A project's repository there."""

    project: str
    age: float  # days since something was sent to it
    size: int
    old: int = 0  # snapshots beyond the newest ones


class Survey(NamedTuple):
    jobs: tuple[Job, ...]
    code: tuple[Code, ...]
    inputs: int  # bytes of the cache of inputs
    old_inputs: int  # of those that no job has used for so many days
    rest: int
    disk: int
    free: int
    now: float = 0.0  # by the clock there

    @property
    def size(self) -> int:
        return sum(job.size for job in self.jobs) + sum(one.size for one in self.code) + self.inputs + self.rest


class Removal(NamedTuple):
    """One thing that is to go."""

    kind: str
    name: str
    size: int
    why: str


class Wish(NamedTuple):
    """What may go. `days`: None for never."""

    days: int | None = 7
    everything: bool = False  # whatever its age
    unfetched: bool = False  # also results that no clone has


def survey(link: Link, days: int | None) -> Survey:
    """Raises HostFailed, LinkLost."""
    done = link.run(shelling.script(SURVEY, link.folder(), str(days or 0), str(NEWEST + 1)))
    return read(done.out)


def read(said: bytes) -> Survey:
    """What a host says of itself, as far as it makes sense."""
    lines = [line.split(" ") for line in said.decode("utf-8", "replace").splitlines()]
    rows = [line for line in lines if len(line) > 1 and all(_NUMBER.fullmatch(each) for each in line[2:])]
    now = next((int(line[1]) for line in rows if line[0] == "now" and _NUMBER.fullmatch(line[1])), 0)

    def age(text: str) -> float:
        return max(0.0, (now - int(text)) / DAY)

    jobs = [
        Job(row[1], age(row[2]), row[3] == "1", row[4] == "1", row[5] == "1", int(row[6]) * 1024, int(row[7]) * 1024)
        for row in rows
        if row[0] == "job" and len(row) == 8 and is_id(row[1])
    ]
    code = [
        Code(row[1], age(row[2]), int(row[3]) * 1024, int(row[4]))
        for row in rows
        if row[0] == "code" and len(row) == 5 and is_oid(row[1])
    ]
    inputs = {row[1]: int(row[2]) * 1024 for row in rows if row[0] == "inputs" and len(row) == 3}
    rest = next((int(row[1]) * 1024 for row in rows if row[0] == "rest" and _NUMBER.fullmatch(row[1])), 0)
    disk = next(
        (row for row in rows if row[0] == "disk" and len(row) == 3 and _NUMBER.fullmatch(row[1])), ["", "0", "0"]
    )
    sizes = int(disk[1]) * 1024, int(disk[2]) * 1024
    return Survey(tuple(jobs), tuple(code), inputs.get("all", 0), inputs.get("old", 0), rest, *sizes, float(now))


def plan(
    found: Survey, containers: "Sequence[Container]", wish: Wish, helpers: "Sequence[Container]" = ()
) -> list[Removal]:
    """What is to go. Pure."""
    there = {one.run: one for one in containers}
    removals: list[Removal] = []
    for job in found.jobs:
        removals += _of_job(job, there.get(job.id), wish)
    going = {each.name for each in removals if each.kind == JOB}
    needed = any(not job.home for job in found.jobs if job.id not in going)  # its snapshot may be in no clone either
    for one in found.code:
        if not needed and _is_old(one.age, wish):
            removals.append(Removal(CODE, one.project, one.size, f"nothing was sent for {one.age:.0f} days"))
        elif not needed and one.old:
            removals.append(Removal(SNAPSHOTS, one.project, 0, f"{one.old:,} snapshots besides the newest {NEWEST}"))
    if wish.everything and found.inputs:
        removals.append(Removal(INPUTS, "all", found.inputs, "they can be sent again"))
    elif found.old_inputs and wish.days is not None:
        removals.append(Removal(INPUTS, "old", found.old_inputs, f"no job has used them for {wish.days} days"))
    if found.rest:
        removals.append(Removal(REST, "rest", found.rest, "of removals and transfers that were cut off"))
    why = "it helped a command that was killed"
    return removals + [Removal(HELPER, one.id, 0, why) for one in helpers if _is_left_behind(one, found.now)]


def _is_left_behind(helper: "Container", now: float) -> bool:
    """Who made a helper removes it when it has ended; what it does may be sending much."""
    return helper.created is not None and now - helper.created > (WORKS if helper.is_running else HELPS)


def _of_job(job: Job, container: "Container | None", wish: Wish) -> list[Removal]:
    short = job.id[:SHORT]
    if container is not None and not container.ended and container.state != "created":
        return []
    old = _is_old(job.age, wish)
    if not job.begun and not job.over:
        if container is not None or not old or job.age < ON_ITS_WAY:
            return []
        return [Removal(JOB, job.id, job.size, f"{short} was never started")]
    if not job.over or not (job.home or wish.unfetched):
        return []
    why = "its results are in a clone" if job.home else "asked for, though no clone has its results"
    gone = [Removal(CONTAINER, container.id, 0, f"{short} is over, {why}")] if container is not None else []
    if old:
        return [*gone, Removal(JOB, job.id, job.size, f"{short} is over, {why}")]
    return [*gone, Removal(WORK, job.id, job.work, f"{short} is over, {why}")] if job.work else gone


def _is_old(age: float, wish: Wish) -> bool:
    return wish.everything or (wish.days is not None and age > wish.days)


def act(link: Link, removals: Sequence[Removal], days: int | None) -> None:
    """Remove all but containers and images. Raises HostFailed for what could not be removed, LinkLost."""
    words: Mapping[str, str] = {
        JOB: "job",
        WORK: "work",
        CODE: "code",
        INPUTS: "inputs",
        REST: "rest",
        SNAPSHOTS: "snapshots",
    }
    lines = "".join(f"{words[each.kind]} {each.name}\n" for each in removals if each.kind in words)
    if not lines:
        return
    done = link.run(
        shelling.script(REMOVE, link.folder(), str(days or 0), str(NEWEST + 1)), lines.encode(), check=False
    )
    if done.code or b"cannot remove" in done.err:
        raise errors.HostFailed(
            f"{link.name}: not all could be removed: {shown(done.err)}",
            f"a container made them as another user: as root there, remove {shlex.quote(link.folder())}/jobs/gone.*",
            OTHERS,
        )


def tidy(link: Link, run_id: str, days: int | None) -> bool:
    """The results of a job came home: its work tree and secrets go at once, what is older than `days` as well. False
    where its work tree cannot be removed by this user. Raises LinkLost."""
    done = link.run(shelling.script(TIDY, link.folder(), run_id, "" if days is None else str(days)), check=False)
    return b"left" not in done.out.splitlines()
