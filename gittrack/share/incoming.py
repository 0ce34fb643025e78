"""The judgement on each ref of a remote whose objects were brought: taken, kept aside, or refused.

Nothing here moves a ref. A remote can neither take away nor rewrite what this clone has: a run and a log only grow, and
what does not go on from what is known is kept under refs/track-remotes/ for somebody to look at.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gittrack.core import layout
from gittrack.core.annotations import Op, Tombstones
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import foreign, logs, parting
from gittrack.share import incoming_archives, validate


class Judged(NamedTuple):
    """What becomes of what came."""

    changes: list[RefChange]
    refused: dict[str, str]  # ref -> why
    aside: dict[str, str]  # the same, of what is kept to be looked at
    ops: list[Op]  # what the logs add
    lists: dict[str, incoming_archives.Verdict]  # on those that are taken, by ref
    own: dict[str, str]  # refs of archives that somebody else wrote under our id
    ours: str | None = None  # a log that somebody else wrote under it


def aside_ref(digest: str, ref: str) -> str:
    """Where something of the remote `digest` is kept that contradicts what is here."""
    return f"{layout.REMOTES}{digest}/conflict/{ref[len('refs/track/') :]}"


def settled(local: Mapping[str, str], there: Mapping[str, str], digest: str) -> list[RefChange]:
    """What is kept aside of a remote and is not said there any more goes."""
    root = aside_ref(digest, "refs/track/")
    kept = {ref: oid for ref, oid in local.items() if ref.startswith(root)}
    return [
        RefChange(ref, oid, None) for ref, oid in kept.items() if there.get(f"refs/track/{ref[len(root) :]}") != oid
    ]


def judge(
    repo: Repository, came: Mapping[str, str], local: Mapping[str, str], there: Mapping[str, str], digest: str
) -> Judged:
    """Look at all that came. `came`: ref -> oid there, of what is new; `there`: of all; `local`: the refs here."""
    refused = validate.commits(repo, came)
    rest = {ref: oid for ref, oid in came.items() if ref not in refused}
    found = Judged([], refused, {}, [], {}, {})
    ours = _logs(repo, _of(rest, validate.LOG), local, digest, found)
    grave = logs.tombstones(repo, _writers({**local, **{one.ref: str(one.new) for one in found.changes}}))
    rest = {ref: oid for ref, oid in rest.items() if not grave.forbid(ref, oid)}
    runs = _of(rest, validate.RUN)
    here = incoming_archives.known(repo, local) if runs or _of(rest, validate.LIST) else incoming_archives.Known({}, {})
    _archives(repo, rest, local, digest, here, grave, found)
    _runs(repo, runs, local, digest, here.listed, found)
    for ref, oid in _of(rest, validate.CODE).items():
        if ref != layout.code_ref(oid):
            refused[ref] = "it stands at another commit than its name says"
        else:
            found.changes.append(RefChange(ref, local.get(ref), oid))
    moved = {change.ref for change in found.changes}
    let_go = incoming_archives.let_go(repo, local, there, found.lists)
    found.changes.extend(change for change in let_go if change.ref not in moved)
    return found._replace(ours=ours)


def _archives(
    repo: Repository,
    came: Mapping[str, str],
    local: Mapping[str, str],
    digest: str,
    here: incoming_archives.Known,
    grave: Tombstones,
    found: Judged,
) -> None:
    for ref, oid in _of(came, validate.LIST).items():
        verdict = incoming_archives.judge_list(repo, local.get(ref), oid, here, grave)
        if verdict.contradicts and parting.has_archived(repo, ref):
            verdict = incoming_archives.judge_list(repo, None, oid, here, grave)
            if verdict.why is None:
                found.own[ref] = oid
                continue
        if verdict.contradicts:
            _keep_aside(ref, oid, str(verdict.why), local, digest, found)
        elif verdict.why is not None:
            found.refused[ref] = verdict.why
        else:
            here.listed.update(verdict.tips)
            found.lists[ref] = verdict
            found.changes.append(RefChange(ref, local.get(ref), oid))
    for kind, part in ((validate.RECORDS, "records"), (validate.ARCHIVED_CODE, "code")):
        for ref, oid in _of(came, kind).items():
            is_own = f"{ref.removesuffix(part)}list" in found.own
            why = incoming_archives.judge_part(repo, part, None if is_own else local.get(ref), oid, grave)
            if why is not None:
                found.refused[ref] = why
            elif is_own:
                found.own[ref] = oid
            else:
                found.changes.append(RefChange(ref, local.get(ref), oid))


def _of(refs: Mapping[str, str], kind: str) -> dict[str, str]:
    return {ref: oid for ref, oid in refs.items() if validate.kind(ref) == kind}


def _writers(refs: Mapping[str, str]) -> dict[str, str]:
    return {ref[len(layout.LOG) :]: oid for ref, oid in refs.items() if validate.kind(ref) == validate.LOG}


def _logs(
    repo: Repository, came: Mapping[str, str], local: Mapping[str, str], digest: str, found: Judged
) -> str | None:
    """Judge logs; our own, if somebody else wrote it."""
    ours = None
    mine = {ref for ref in came if parting.is_ours(repo, ref)}
    read = {
        ref: validate.log(repo, ref[len(layout.LOG) :], None if ref in mine else local.get(ref), oid)
        for ref, oid in came.items()
    }
    most = sum(len(ops) for _, ops in read.values()) + (validate.highest(repo, _writers(local)) if came else 0)
    for ref, (problem, ops) in read.items():
        oid, old, why = came[ref], local.get(ref), problem or validate.clocks(ops, most)
        if why is None and ref in mine:
            ours = oid
        elif why is None:
            found.ops.extend(ops)
            found.changes.append(RefChange(ref, old, oid))
        elif old is None:
            found.refused[ref] = why
        else:
            _keep_aside(ref, oid, why, local, digest, found)
    return ours


def _runs(
    repo: Repository,
    came: Mapping[str, str],
    local: Mapping[str, str],
    digest: str,
    listed: Mapping[str, str],
    found: Judged,
) -> None:
    wrong = foreign.wrong(repo, {ref.rpartition("/")[2]: oid for ref, oid in came.items()})
    for ref, oid in came.items():
        run_id, old = ref.rpartition("/")[2], local.get(ref)
        if run_id in wrong:
            found.refused[ref] = wrong[run_id]
        elif listed.get(run_id) == oid:  # archived by somebody meanwhile
            continue
        elif (run_id in listed and old is None) or not (old is None or validate.is_ancestor(repo, old, oid)):
            _keep_aside(ref, oid, "it says something else than the run of that id here", local, digest, found)
        else:
            found.changes.append(RefChange(ref, old, oid))


def _keep_aside(ref: str, oid: str, why: str, local: Mapping[str, str], digest: str, found: Judged) -> None:
    where = aside_ref(digest, ref)
    found.aside[ref] = why
    if local.get(where) != oid:
        found.changes.append(RefChange(where, local.get(where), oid))


def runs_of(changes: Iterable[RefChange]) -> tuple[list[str], list[str], list[str]]:
    """Ids of the runs that are new, of those that have gone on, and of those whose refs go."""
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    for one in changes:
        run_id = layout.id_of_ref(one.ref)
        if run_id:
            found[2 if one.new is None else 1 if one.old else 0].append(run_id)
    return found
