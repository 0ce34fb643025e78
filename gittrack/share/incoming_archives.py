"""Archives of others, judged: they only grow, and say of no run what contradicts what is known of it.

A list is one commit, so it is taken whole or not at all. One that contradicts is kept aside: whoever wrote it hides
nothing but his own runs by that.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import annotations, archive, layout
from gittrack.core.annotations import Tombstones
from gittrack.git import objects
from gittrack.git.objects import Object
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archive_purging, archive_trees, archives, live, logs, operations, segments
from gittrack.share import validate


class Verdict(NamedTuple):
    """`why` it is not taken; `contradicts`: it is kept aside, to be looked at. `tips`: the runs that it adds; `older`:
    those of them of which an earlier state has a ref here; `fresh`: how many were not known."""

    why: str | None = None
    contradicts: bool = False
    tips: Mapping[str, str] = {}
    older: frozenset[str] = frozenset()
    fresh: int = 0


class Known(NamedTuple):
    """The runs here: by ref, and by the lists of archives. Id -> tip."""

    loose: Mapping[str, str]
    listed: dict[str, str]


def known(repo: Repository, local: Mapping[str, str]) -> Known:
    """What is known here before anything is taken."""
    loose = {run_id: tip for ref, tip in local.items() if (run_id := layout.id_of_ref(ref))}
    return Known(loose, archives.archived(repo))


def judge_list(repo: Repository, old: str | None, new: str, here: Known, grave: Tombstones) -> Verdict:
    """Look at a list that stood at `old` as far as is known."""
    try:
        wrong = validate.series(repo, new, archives.INDEX, layout.ARCHIVE_FORMAT)
        if wrong:
            return Verdict(wrong)
        before, now = _changed(repo, old, new)
        lines = dict[str, str]()
        for data in repo.read_many(now):
            wrong = _collect(data or b"", lines)
            if wrong:
                return Verdict(wrong)
    except (errors.DamagedRecord, ValueError, KeyError) as error:
        return Verdict(getattr(error, "message", str(error)))
    lost = [run_id for run_id, tip in before.items() if lines.get(run_id) != tip and run_id not in grave.runs]
    if lost:
        return Verdict(f"it has lost, or changed, {_few(lost)}, which nobody purged", True)
    added = {run_id: tip for run_id, tip in lines.items() if run_id not in before}
    other = {run_id for run_id, tip in added.items() if here.listed.get(run_id, tip) != tip}
    differing = [run_id for run_id, tip in added.items() if here.loose.get(run_id, tip) != tip]
    older = frozenset(one for one in differing if _went_on(repo, here.loose[one], _line(repo, now, one)))
    other |= set(differing) - older
    if other:
        return Verdict(f"it says something else than is known of {_few(sorted(other))}", True)
    fresh = sum(run_id not in here.loose and run_id not in here.listed for run_id in added)
    return Verdict(None, False, added, older, fresh)


def judge_part(repo: Repository, part: str, old: str | None, new: str, grave: Tombstones) -> str | None:
    """Why `records` or `code` of an archive is not taken, or None."""
    try:
        archives.check(repo, new)
        if old is None:
            return None
        lost = _users(repo, old, new) - grave.oids if part == archives.CODE else ()
        if lost:
            return f"it has lost {_few(sorted(lost), 'commit')} of somebody's, which nobody purged"
        if archive_purging.is_shortened(repo, old, new, grave):  # who goes on may have less, too
            return None
        names = archive_trees.run_ids if part == archives.RECORDS else _snapshots
        gone = set(names(repo, old)) - set(names(repo, new))
    except (errors.DamagedRecord, errors.NewerFormat) as error:
        return error.message
    except (KeyError, ValueError) as error:
        return str(error)
    purged = grave.runs if part == archives.RECORDS else grave.oids
    left = sorted(gone - purged)
    return f"it has lost {_few(left)}, which nobody purged" if left else "it has changed what stood in it"


def _users(repo: Repository, old: str, new: str) -> set[str]:
    """The commits of users that `code` held and does not hold any more: only where it was written anew."""
    if validate.is_ancestor(repo, old, new):
        return set()
    before = archive_trees.held(repo, old) - archive_trees.held(repo, new)
    return {oid for oid in before if not validate.is_ancestor(repo, oid, new)}


def let_go(
    repo: Repository, local: Mapping[str, str], there: Mapping[str, str], taken: Mapping[str, Verdict]
) -> list[RefChange]:
    """Runs with refs here that stand in a list that was taken (by its ref), or in one that is here since a call that
    was killed: their refs go. Not those of which somebody has said that they are not to be archived.

    What no records here have of them is kept in layout.KEPT, written here; an earlier state than the list has is kept
    for an undo alone."""
    loose = {run_id: tip for ref, tip in local.items() if (run_id := layout.id_of_ref(ref))}
    if not loose:
        return []
    same: dict[str, str] = {}
    older: dict[str, str] = {}
    found = [(ref, *each) for ref, verdict in taken.items() for each in verdict.tips.items() if each[0] in loose]
    with contextlib.suppress(errors.DamagedRecord, errors.NewerFormat):  # of a list, which hides no others
        found += [(ref, line.id, line.tip) for ref, line in archives.listed(repo, loose) if line.tip == loose[line.id]]
    alone = annotations.kept_loose(logs.operations(repo)) if found else set()
    for ref, run_id, tip in found:
        if f"{ref.removesuffix('list')}records" not in there:  # the only copy may be here
            continue
        if run_id in alone or os.path.isdir(live.folder(repo.paths, run_id)):
            continue
        if tip == loose[run_id]:
            same[run_id] = tip
        elif run_id in taken[ref].older:
            older[run_id] = loose[run_id]
    held = archive_trees.standing(repo, list(same)) if same else {}
    lacking = {run_id: tip for run_id, tip in same.items() if tip not in held.get(run_id, ())}
    changes = _kept(repo, lacking, local.get(layout.KEPT)) if lacking else []
    kept = {operations.keep_ref(tip): tip for tip in older.values()}
    changes += [RefChange(ref, None, tip) for ref, tip in kept.items() if ref not in local]
    return [*changes, *(RefChange(layout.run_ref(run_id), tip, None) for run_id, tip in {**same, **older}.items())]


def _kept(repo: Repository, runs: Mapping[str, str], old: str | None) -> list[RefChange]:
    count = (archive_trees.count(repo, old) if old else 0) + len(runs)
    part = archive_trees.records(repo, old, {run_id: _history(repo, tip) for run_id, tip in runs.items()}, count)
    repo.write(part.made, durable=True)
    return [RefChange(layout.KEPT, old, part.tip)] if part.tip != old else []


def _history(repo: Repository, tip: str) -> list[Object]:
    found: list[Object] = []
    here: str | None = tip
    while here is not None:
        data = repo.read(here)[1]
        found.append(Object(here, "commit", data))
        parents = objects.parse_commit(data).parents
        here = parents[0] if parents else None
    return found[::-1]


def _changed(repo: Repository, old: str | None, new: str) -> tuple[dict[str, str], list[str]]:
    """The runs in those segments of `old` that `new` does not have as they are; the blobs of those that are new."""
    before = segments.oids(repo, old, archives.INDEX) if old else {}
    now = segments.oids(repo, new, archives.INDEX)
    gone = [oid for number, oid in before.items() if now.get(number) != oid]
    lost: dict[str, str] = {}
    for data in repo.read_many(gone):
        lost.update((run_id, tip) for run_id, tip, purged in archive.tips(data or b"") if not purged)
    return lost, [oid for number, oid in now.items() if before.get(number) != oid]


def _collect(data: bytes, lines: dict[str, str]) -> str | None:
    """Add the runs of a segment to `lines`; what is wrong with it."""
    for text in data.split(b"\n")[:-1]:
        for run_id, tip, purged in archive.tips(text + b"\n"):
            if lines.setdefault(run_id, tip) != tip:
                return f"it says two things of run {run_id}"
            if purged:
                del lines[run_id]
            elif text.count(b'"id":"%s"' % run_id.encode()) < 2:  # of the line, and of its run.json
                return f"what stands under run {run_id} is the record of another run"
    return None


def _snapshots(repo: Repository, tip: str) -> list[str]:
    """The snapshots in this commit of `code`."""
    said = repo.git.call("ls-tree", "-z", "-d", "-r", "--name-only", f"{tip}:snapshots", "--").out
    return [name for field in said.split(b"\0") if objects.is_oid(name := field.decode(errors="replace")[3:])]


def _line(repo: Repository, now: Sequence[str], run_id: str) -> archive.Line | None:
    found = (archive.line_of(data or b"", run_id) for data in repo.read_many(now))
    return next((line for line in found if line), None)


def _went_on(repo: Repository, tip: str, line: archive.Line | None) -> bool:
    """Whether the run here, which had not ended when it was taken, may be an earlier state of the one in the list."""
    if line is None or repo.read_path(tip, "run.json") != line.files[1]:
        return False
    said = repo.git.call("rev-list", "--count", tip).out.strip()
    return said.isdigit() and int(said) < line.cuts


def _few(ids: Sequence[str], what: str = "run") -> str:
    shown = ", ".join(one[: layout.SHORT] for one in ids[:3])
    return f"{what} {shown}" + (f" and {len(ids) - 3:,} more" if len(ids) > 3 else "")
