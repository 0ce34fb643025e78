"""What a push is decided from: the refs of the remote, what is said there of runs, and the runs of this clone.

One connection where nothing is new there. Logs and lists that are, are fetched before anything is decided: a run may
have been purged, or archived by somebody else. No ref is written for them; `git track pull` does that.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.core import annotations, layout
from gittrack.core import archive as lines
from gittrack.core.annotations import Tombstones
from gittrack.git import network, objects
from gittrack.git.repository import Repository
from gittrack.runs import archives, live, logs, remotes, writer
from gittrack.share import bringing, validate
from gittrack.share.plan import Archived, Run, There

_CODE = re.compile(rb'"snapshot":(?:null|"([0-9a-f]+)")')
_WRITER = re.compile(rb'"writer":"([0-9a-f]+)"')
_STATUS = re.compile(rb'"status":"([a-z]+)"')
_FACTS = ("run.json", "status.json", "summary.json")


class Remote(NamedTuple):
    """A remote as it is now. `lost`: refs that it had when it was seen last, and that nobody is known to have moved."""

    name: str
    url: str
    there: There
    graves: Tombstones
    lost: tuple[str, ...] = ()


class Known(NamedTuple):
    """A run that has a ref here, as far as a push must know it."""

    id: str
    tip: str
    snapshot: str | None
    writer: str
    finished: bool
    artifacts: bool


def remote(repo: Repository, name: str, progress: network.Progress | None = None) -> Remote:
    """Ask a remote (a name or URL). Raises RemoteFailed; DamagedRecord, NewerFormat of a log that is here."""
    refs = network.ls_remote(repo.git, name)
    url = network.url(repo.git, name)
    here = repo.refs(network.PREFIX)
    seen = remotes.load(repo.paths, url)
    said = {ref: oid for ref, oid in refs.items() if _writer_of(ref)}
    lists = _lists(refs, here) if _was_there(seen, refs, here) else {}
    wants = {**said, **lists}
    lacking = {ref: at for ref, at in wants.items() if not repo.exists(at)}
    absent = bringing.bring(repo.git, name, lacking, progress).absent
    sound = _readable(repo, {ref: at for ref, at in wants.items() if ref not in absent}, here)
    listed = archives.archived(repo, {ref: at for ref, at in lists.items() if ref in sound}) if lists else {}
    lost = remotes.lost(seen, refs, here)
    graves = _graves(repo, {ref: at for ref, at in said.items() if ref in sound})
    return Remote(name, url, There(refs, listed), graves, tuple(lost))


def _readable(repo: Repository, refs: Mapping[str, str], here: Mapping[str, str]) -> set[str]:
    """Of these logs and lists those that can be read. Everybody may write there: one that is damaged, or made to harm,
    keeps nobody from pushing; a pull says what is wrong with it."""
    new = {ref: oid for ref, oid in refs.items() if here.get(ref) != oid}
    wrong = validate.commits(repo, new)
    for ref, oid in new.items():
        form = (logs.ROOT, layout.LOG_FORMAT) if _writer_of(ref) else (archives.INDEX, layout.ARCHIVE_FORMAT)
        if ref not in wrong and (why := validate.series(repo, oid, *form)):
            wrong[ref] = why
    return {*refs} - {*wrong}


def _was_there(seen: remotes.Seen | None, refs: Mapping[str, str], here: Mapping[str, str]) -> bool:
    """Whether a run of this clone was there and has no ref there now: then somebody may have archived it. A run that
    was never there is in no list, and lists are large."""
    known = {**seen.refs, **seen.lost} if seen else {}
    return any(ref in known and ref not in refs for ref in here if ref.startswith(layout.RUNS))


def _lists(refs: Mapping[str, str], here: Mapping[str, str]) -> dict[str, str]:
    """The lists of archives that are other ones than here. What these have, has no ref here, or again on purpose."""
    parts = {ref: layout.archive_of_ref(ref) for ref in refs}
    wanted = [ref for ref, part in parts.items() if part and part[2] == archives.LIST and here.get(ref) != refs[ref]]
    return {ref: refs[ref] for ref in wanted}


def _writer_of(ref: str) -> str | None:
    name = ref.removeprefix(layout.LOG)
    return name if name != ref and logs.is_writer(name) else None


def _graves(repo: Repository, there: Mapping[str, str]) -> Tombstones:
    """What was purged, by the logs here and there."""
    ours = logs.tombstones(repo)
    theirs = logs.tombstones(repo, {ref.removeprefix(layout.LOG): oid for ref, oid in there.items()})
    return Tombstones(ours.runs | theirs.runs, ours.oids | theirs.oids)


def me(repo: Repository) -> frozenset[str]:
    """All ids under which this clone has written."""
    known = writer.known(repo.paths)
    return frozenset((*writer.left(repo.paths), *((known,) if known else ())))


def runs(repo: Repository, ids: Iterable[str] | None = None) -> list[Known]:
    """The runs that have refs here and are not live; of these ids, or all."""
    refs = repo.refs(layout.RUNS)
    going = set(live.ids(repo.paths))
    tips = {run_id: tip for ref, tip in refs.items() if (run_id := layout.id_of_ref(ref)) and run_id not in going}
    if ids is not None:
        tips = {run_id: tips[run_id] for run_id in dict.fromkeys(ids) if run_id in tips}
    read = repo.read_files([*tips.values()], _FACTS)
    return [_known(run_id, tip, files) for (run_id, tip), files in zip(tips.items(), read, strict=True)]


def _known(run_id: str, tip: str, files: Sequence[bytes | None]) -> Known:
    """Documents are canonical, so what is asked of thousands is looked for in their bytes. One that was written by hand
    is parsed."""
    facts, status, summary = (data or b"" for data in files)
    plain = _CODE.findall(facts), _WRITER.findall(facts), _STATUS.findall(status)
    if all(len(each) == 1 for each in plain):
        code, wrote, state = (each[0].decode("ascii") for each in plain)
    else:
        read = _document(facts)
        code, wrote, state = read.get("snapshot"), read.get("writer"), _document(status).get("status")
    return Known(
        run_id,
        tip,
        code if isinstance(code, str) and objects.is_oid(code) else None,
        str(wrote),
        state not in (None, "running"),
        b'"artifacts"' in summary and bool(_document(summary).get("artifacts")),
    )


def _document(data: bytes | None) -> Mapping[str, Any]:
    """A damaged record is pushed as it is: elsewhere somebody may be able to mend it."""
    try:
        found = json.loads(data or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def with_code(known: Iterable[Known], here: Mapping[str, str]) -> list[Run]:
    """As the plan wants them: code only where it is here."""
    return [
        Run(one.id, one.tip, one.snapshot if one.snapshot and layout.code_ref(one.snapshot) in here else None)
        for one in known
    ]


def forward(repo: Repository, here: Mapping[str, str], there: Mapping[str, str], refs: Iterable[str]) -> set[str]:
    """Those of `refs` whose commit there is an ancestor of the one here."""
    found = set()
    for ref in refs:
        old, new = there.get(ref), here.get(ref)
        known = old and new and old != new and repo.exists(old)
        if known and repo.git.call("merge-base", "--is-ancestor", str(old), str(new)).code == 0:
            found.add(ref)
    return found


def archived(
    repo: Repository, mine: Collection[str], here: Mapping[str, str], there: Mapping[str, str]
) -> list[Archived]:
    """Runs whose refs are still there, and that stand in our archives as they do there. Those that somebody unarchived
    keep them: whoever has a ref here would put it back with every push."""
    ids = [run_id for ref in there if ref not in here and (run_id := layout.id_of_ref(ref))]
    alone = annotations.kept_loose(logs.operations(repo)) if ids else set()
    ids = [run_id for run_id in ids if run_id not in alone]
    tips = {part: [tip for ref, tip in archives.tips(repo, part).items() if _owner(ref) in mine] for part in _PARTS}
    found: list[tuple[str, objects.Object]] = []
    for tip in tips[archives.RECORDS] if ids else ():
        specs = [f"{tip}:{layout.archived_run(run_id)}/{lines.COMMITS}" for run_id in ids]
        for run_id, data in zip(ids, repo.read_many(specs), strict=True):
            if data:
                last = objects.make("commit", lines.split(data)[-1], repo.algorithm)
                if last.oid == there[layout.run_ref(run_id)]:
                    found.append((run_id, last))
    trees = [objects.parse_commit(last.data).tree for _, last in found]
    snapshots = [_document(data).get("snapshot") for (data,) in repo.read_files(trees, ("run.json",))]
    held = _held(repo, tips[archives.CODE], [one for one in snapshots if isinstance(one, str) and objects.is_oid(one)])
    codes = [one if one in held else None for one in snapshots]
    return [Archived(run_id, last.oid, code) for (run_id, last), code in zip(found, codes, strict=True)]


def holding(repo: Repository, ids: Sequence[str], refs: Sequence[str], here: Mapping[str, str]) -> set[str]:
    """Of these refs of archives, the archives (what their refs begin with) that have one of the runs."""
    found = set()
    for ref in refs if ids else ():
        if ref.endswith(f"/{archives.RECORDS}"):
            specs = [f"{here[ref]}:{layout.archived_run(run_id)}/{lines.COMMITS}" for run_id in ids]
            if any(repo.read_many(specs)):
                found.add(ref.rpartition("/")[0])
    return found


_PARTS = (archives.RECORDS, archives.CODE)


def _owner(ref: str) -> str:
    parts = layout.archive_of_ref(ref)
    return parts[0] if parts else ""


def _held(repo: Repository, tips: Sequence[str], codes: Sequence[str]) -> set[str]:
    """Which snapshots the archives' code has, or reaches."""
    wanted = [*dict.fromkeys(codes)]
    found: set[str] = set()
    for tip in tips if wanted else ():
        made = repo.read_many([f"{tip}:{layout.archived_code(oid)}/commit" for oid in wanted])
        found.update(oid for oid, data in zip(wanted, made, strict=True) if data)
        users = [oid for oid in wanted if oid not in found and repo.exists(oid)]
        if users:
            given = "".join(f"{one}\n" for one in (*users, f"^{tip}")).encode()
            beyond = set(repo.git.lines("rev-list", "--stdin", input=given))
            found.update(oid for oid in users if oid not in beyond)
    return found
