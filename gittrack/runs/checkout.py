"""Files of a run, put back into a folder: those of its code, of a checkpoint, and those that were logged with it."""

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.git import export, objects
from gittrack.git.export import Listed
from gittrack.git.repository import Repository
from gittrack.runs import artifacts, checkout_plan, choosing, fetching, let_go, live, origins, placing
from gittrack.runs.artifacts import Artifact
from gittrack.runs.checkout_plan import (
    ARTIFACT,
    CODE,
    DIFFERS,
    FILE,
    IN_THE_WAY,
    LINK,
    LINK_MODE,
    NEW,
    REFUSED,
    Item,
    Plan,
    Seen,
)
from gittrack.runs.origins import Origin
from gittrack.store.content import Content

Progress = Callable[[int], None]  # bytes done since the last call

_PIECE = 1024 * 1024
_SHOWN = frozenset({"text", "image", "figure", "table", "histogram"})  # kinds that are made to be looked at
_SEARCHED = 2000  # paths among which one is looked for that is like a mistyped one


class Wish(NamedTuple):
    """What is to be restored. `point`: a step, `best` or `latest`; None: the latest files. See `choosing`."""

    point: int | str | None = None
    code: bool = True
    artifacts: bool = True
    directory: str | None = None  # None: the work tree
    paths: Sequence[str] = ()
    files: Sequence[Artifact] | None = None  # these, and not what `point` says
    contents: Sequence[Content] = ()  # stores to ask for what is not in this clone


class Checkout(NamedTuple):
    """What would be done in the folder `root`, and what there is to remark."""

    root: str
    plan: Plan
    code: Sequence[Listed]
    artifacts: Sequence[Artifact]
    notes: Sequence[str] = ()
    contents: Sequence[Content] = ()
    origin: Origin | None = None  # what a run has that is started from here now


def prepare(repo: Repository, record: Record, wish: Wish) -> Checkout:
    """Look at what is there; nothing is changed. Raises RunNotFound, GitFailed, UsageError, MissingContent."""
    root = _root(repo, wish)
    alone = wish.directory is not None and not wish.code
    prefix = "" if alone else _prefix(record)
    notes: list[str] = []
    found = _found(repo, record, wish, notes)
    code = _code(repo, record, notes, required=not wish.artifacts) if wish.code else []
    items = [*_artifact_items(found, prefix), *_code_items(code)]
    kept, missing = checkout_plan.chosen(items, prefix, wish.paths)
    if missing:
        where = record.id[: layout.SHORT] + (f"@{wish.point}" if wish.point is not None else "")
        raise choosing.nothing(where, missing[0], [item.path for item in items[:_SEARCHED]])
    taken = {item.path for item in kept if item.origin == ARTIFACT}
    kept = [item for item in kept if item.origin == ARTIFACT or item.path not in taken]
    kept = _with_targets(kept, artifacts.source(repo, record, wish.contents), found)
    safe = [code[item.number] for item in kept if item.origin == CODE and not checkout_plan.problem(item.path)]
    changed = export.differing(repo.git, safe, root, _rules(code))

    def see(item: Item) -> Seen:
        seen = placing.look(root, item.path)
        if seen.kind not in (FILE, LINK) or seen.blocker:
            return seen
        if item.origin == CODE:
            return seen._replace(same=item.path not in changed)
        return seen._replace(same=_is(os.path.join(root, item.path), seen.kind, item, found[item.number]))

    plan = checkout_plan.decide(kept, see, placing.folds_case(root), placing.room(root))
    return Checkout(root, plan, code, found, notes, wish.contents, _origin(record, wish))


def _origin(record: Record, wish: Wish) -> Origin | None:
    """Of single files, and of those beside the work tree, nobody knows what becomes of them."""
    if wish.directory is not None or wish.paths:
        return None
    step = wish.point if isinstance(wish.point, int) else None
    return Origin(record.id, step, origins.CHECKOUT if wish.code else origins.CHECKPOINT)


def _found(repo: Repository, record: Record, wish: Wish, notes: list[str]) -> Sequence[Artifact]:
    if wish.files is not None or not wish.artifacts:
        return wish.files or []
    found = _at_home(wanted(repo, record, wish.point), wish, notes)
    short = record.id[: layout.SHORT]
    if not found and not wish.code:
        hint = "a run keeps them with run.checkpoint(path=…) and run.log_artifact(…)"
        if live.parcels(live.folder(repo.paths, record.id)):
            hint = "files that the run has handed over are still being stored: run the command again in a moment"
        what = (
            f"run {short} has no files" if wish.point is None else f"the checkpoint {short}@{wish.point} has no files"
        )
        raise errors.RunNotFound(what, hint)
    if wish.point is not None and not found:
        notes.append(f"the checkpoint {wish.point} of run {short} has no files")
    return found


def _at_home(found: list[Artifact], wish: Wish, notes: list[str]) -> list[Artifact]:
    """Without those that never had a place in the work tree, where all of a run is put back there."""
    if wish.directory is not None or wish.paths or wish.point is not None or not wish.code:
        return found
    kept = [one for one in found if one.kind not in _SHOWN]
    if len(kept) < len(found):
        what = (
            "1 logged image, table or text stays"
            if len(found) - len(kept) == 1
            else (f"{len(found) - len(kept):,} logged images, tables and texts stay")
        )
        notes.append(f"{what} out of the work tree: -o DIR, --artifacts or --path restore them")
    return kept


def wanted(repo: Repository, record: Record, point: int | str | None) -> list[Artifact]:
    """The files that RUN@`point`, or RUN alone, means. Raises RunNotFound."""
    if point is None:
        return choosing.latest(repo, record)
    return [*{one.path: one for one in choosing.of_step(repo, record, point)}.values()]


def restore(
    repo: Repository, record: Record, found: Checkout, command: str, who: str, force: bool, progress: Progress
) -> list[str]:
    """Do what is planned. Returns remarks.

    Raises WouldOverwrite when files would be replaced and `force` is not given, or cannot be because a folder stands in
    their place; then nothing was changed. What is refused is left out: the caller says so.
    """
    refuse(found, force)
    todo = found.plan.of(NEW, DIFFERS)
    if not todo:
        _note(repo, found, None)
        return []
    notes = []
    with placing.replacing(repo.paths, found.root, command, who) as target:
        code = [one.item for one in todo if one.item.origin == CODE]
        if code:
            folder = os.path.join(target.staging, "code")
            os.mkdir(folder)
            listed = [found.code[item.number] for item in code]
            rules = _rules(found.code)
            _verify(repo, [*rules, *listed])
            remark = export.write(repo.git, listed, folder, rules)
            notes += [remark] if remark else []
        _bring(repo, found, [found.artifacts[one.item.number] for one in todo if one.item.origin == ARTIFACT])
        source = artifacts.source(repo, record, found.contents)
        for verdict in todo:
            item = verdict.item
            if item.origin == CODE:
                made = os.path.join(target.staging, "code", item.path)
            else:
                made = os.path.join(target.staging, "artifact")
                _make(source, found.artifacts[item.number], item, made, progress)
            target.put(made, item.path, replace=force)
            progress((item.size or 0) if item.origin == CODE else 0)
    _note(repo, found, target.operation)
    return notes


def _note(repo: Repository, found: Checkout, operation: str | None) -> None:
    if found.origin is not None:
        origins.note(repo.git, found.origin, operation)


def _files(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"


def refuse(found: Checkout, force: bool) -> None:
    """Raise WouldOverwrite for what stands in the way."""
    blocked = found.plan.of(IN_THE_WAY)
    if blocked:
        lines = checkout_plan.few([f"{one.item.path}: {one.reason}" for one in blocked])
        raise errors.WouldOverwrite(
            f"nothing was restored, since this is in the way in {found.root}:\n{lines}",
            "move it away, choose files with --path, or restore into another folder with -o DIR",
        )
    differing = found.plan.of(DIFFERS)
    if differing and not force:
        lines = checkout_plan.few([one.item.path for one in differing])
        raise errors.WouldOverwrite(
            f"{_files(len(differing))} in {found.root} would be overwritten, so nothing was restored:\n{lines}",
            "--force (in Python, force=True) overwrites, and `git track undo` brings back what was there; "
            "or choose another folder",
        )


def refused(found: Checkout) -> errors.Refused | None:
    """The error that says what was left out, for after the rest is done."""
    left = found.plan.of(REFUSED)
    if not left:
        return None
    lines = checkout_plan.few([f"{one.item.path}: {one.reason}" for one in left])
    return errors.Refused(
        f"{_files(len(left))} of the record could not be restored:\n{lines}",
        "`git track cat RUN:PATH > FILE` writes the content of one to a file that you name",
    )


def _root(repo: Repository, wish: Wish) -> str:
    if wish.directory is None:
        if repo.paths.worktree is None:
            raise errors.UsageError("this repository has no work tree", "say where the files go: -o DIR")
        return repo.paths.worktree
    root = os.path.abspath(wish.directory)
    if os.path.lexists(root) and not os.path.isdir(root):
        raise errors.WouldOverwrite(f"{wish.directory} is there and is no folder", "choose another one with -o DIR")
    inside = os.path.realpath(root)
    for git_dir in (repo.paths.git_dir, repo.paths.common_dir):
        if os.path.commonpath([inside, git_dir]) == git_dir:
            raise errors.UsageError(f"{wish.directory} is inside of git's own folder", "choose another one with -o DIR")
    return root


def _prefix(record: Record) -> str:
    """Where the run worked, below the top of the work tree: what it saved was relative to that."""
    cwd = record.facts.get("cwd")
    return cwd if isinstance(cwd, str) and cwd != "." and not checkout_plan.problem(cwd) else ""


def _artifact_items(found: Sequence[Artifact], prefix: str) -> list[Item]:
    items = []
    for number, one in enumerate(found):
        # The record's own path is judged, not what it becomes below the prefix
        path = f"{prefix}/{one.path}" if prefix and not checkout_plan.problem(one.path) else one.path
        items.append(Item(path, one.mode, ARTIFACT, one.size, None, number))
    return items


def _with_targets(items: Sequence[Item], source: artifacts.Source, found: Sequence[Artifact]) -> list[Item]:
    """Links among the artifacts get to know where they lead. Of those alone that are wanted: one may be missing."""
    return [
        item._replace(link=os.fsdecode(source.read(found[item.number])))
        if item.origin == ARTIFACT and item.mode == LINK_MODE and (item.size or 0) <= checkout_plan.LONGEST_LINK
        else item
        for item in items
    ]


def _code(repo: Repository, record: Record, notes: list[str], required: bool) -> list[Listed]:
    snapshot = record.facts.get("snapshot")
    short = record.id[: layout.SHORT]
    if not snapshot:
        if required:
            raise errors.RunNotFound(
                f"no snapshot was kept of run {short}", "its record: `git track show " + short + "`"
            )
        notes.append(f"no snapshot was kept of run {short}: there is no code to restore")
        return []
    fetching.snapshot(repo, record.id, snapshot)
    listed = export.listing(repo.git, snapshot)
    modules = [one.path for one in listed if one.mode == export.SUBMODULE]
    if modules:
        notes.append(f"submodules are left as they are: {', '.join(modules[: checkout_plan.LISTED])}")
    return [one for one in listed if one.mode != export.SUBMODULE]


def _rules(code: Sequence[Listed]) -> list[Listed]:
    """What says how the files are converted; all of it, whichever files are wanted."""
    return [one for one in export.rules(code) if not checkout_plan.problem(one.path)]


def _code_items(code: Sequence[Listed]) -> list[Item]:
    return [Item(one.path, one.mode, CODE, one.size, None, number) for number, one in enumerate(code)]


def _is(path: str, kind: str, item: Item, artifact: Artifact) -> bool:
    """Whether the file at `path` is the artifact: content, and whether it can be executed."""
    if kind == LINK or item.mode == LINK_MODE:
        return kind == LINK and item.mode == LINK_MODE and os.readlink(path) == item.link
    found = os.lstat(path)
    executable = bool(found.st_mode & 0o100)
    if found.st_size != artifact.size or executable != (item.mode == checkout_plan.EXECUTABLE_MODE):
        return False
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while data := file.read(_PIECE):
                digest.update(data)
    except PermissionError:  # what cannot be read is not known to be the same
        return False
    return digest.hexdigest() == artifact.sha256


def _bring(repo: Repository, found: Checkout, files: Sequence[Artifact]) -> None:
    """Let the only place beyond this machine fetch all at once what is not here. Of several the first may do alone."""
    if len(found.contents) == 1:
        found.contents[0].bring([(one.sha256, one.size) for one in files if not let_go.is_here(repo, one)])


def _make(source: artifacts.Source, artifact: Artifact, item: Item, path: str, progress: Progress) -> None:
    """The artifact as a finished file at `path`."""
    if item.link is not None:
        os.symlink(item.link, path)
    else:
        source.copy_to(artifact, path, progress)


def _verify(repo: Repository, files: Sequence[Listed]) -> None:
    """git checks out what a damaged pack gives it; here an object must be the one that its id names."""
    for one in files:
        kind, data = repo.read(one.oid)
        if objects.make(kind, data, repo.algorithm).oid != one.oid:
            raise errors.CorruptContent(f"{one.path} is damaged: object {one.oid} has other bytes", "run `git fsck`")
