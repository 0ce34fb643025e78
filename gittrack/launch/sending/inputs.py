"""Which files a job needs besides its snapshot: what `inputs:` names, large files that the snapshot had to leave out,
and the files behind git-lfs's pointers.

All are known by their SHA-256, so that a host gets each once. Digests are remembered: a data set is hashed once.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import layout, pointer, secret_paths
from gittrack.core.redact import Redactor
from gittrack.git import catfile, export, untracked
from gittrack.git.digests import Digests
from gittrack.git.export import Listed
from gittrack.git.network import Progress
from gittrack.git.snapshot_values import LARGER, Plan
from gittrack.launch.sending.snapshots import Code
from gittrack.runs.own_store import own_store

FILE, EXECUTABLE, LINK, EMPTY, GONE = "file", "exec", "link", "empty", "gone"  # as the programs at the host call them
BY_THEMSELVES = 200_000_000  # bytes of large left-out files that go along without being named
_REMEMBERED = 1_000_000  # digests
_LINK_MODE = "120000"
LISTED = 10_000  # files that a record names; of more, it has the number and one digest of all
_OF_NOTHING = hashlib.sha256().hexdigest()
_NAMED = 5  # files that a remark names


class File(NamedTuple):
    """One file of the work tree that is to be."""

    path: str
    kind: str
    value: str  # SHA-256; of a link its target
    size: int
    source: str  # where it is now; nothing: in the clone's own store
    run: str = ""  # RUN or RUN@STEP, of which it is a file


class Inputs(NamedTuple):
    files: tuple[File, ...]
    remarks: tuple[str, ...]  # what does not go along though it might be missed

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def described(self, redactor: Redactor) -> dict[str, Any]:
        """`inputs.json` of the record. `count` is 0 where there are none."""
        found = sorted(file for file in self.files if file.kind != GONE)
        told = [_described(file) for file in found]
        text = "".join(f"{one['mode']} {one.get('sha256') or one['target']} {one['path']}\0" for one in told)
        shown = [{**one, "path": _text(redactor.text(one["path"]))} for one in told] if len(told) <= LISTED else None
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        return {"count": len(told), "size": self.size, "sha256": digest, "files": shown}


NONE = Inputs((), ())


def check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any], run_id: str) -> None:
    """Raises UsageError where inputs are not what they were when the run began."""
    if before == now:
        return
    then, those = ({one["path"]: one for one in each.get("files") or ()} for each in (before, now))
    changed = sorted(path for path in {*then, *those} if then.get(path) != those.get(path))
    short = run_id[: layout.SHORT]
    raise errors.UsageError(
        f"inputs have changed since run {short} began" + (f": {_names(changed)}" if changed else ""),
        f"put them back as they were, or give it up (git track stop {short}) and start it again",
    )


def _described(file: File) -> dict[str, Any]:
    if file.kind == LINK:
        return {"path": file.path, "mode": "120000", "target": _text(file.value)}
    mode = "100755" if file.kind == EXECUTABLE else "100644"
    said = {"path": file.path, "mode": mode, "size": file.size, "sha256": file.value or _OF_NOTHING}
    return {**said, "run": file.run} if file.run else said


def _text(name: str) -> str:
    """A name that is not UTF-8, as text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _Candidate(NamedTuple):
    path: str
    source: str
    named: bool  # by the user, in these words


def find(
    code: Code, patterns: Sequence[str], left_out: Sequence[Mapping[str, Any]], show: Progress | None = None
) -> Inputs:
    """`left_out`: as run.json has it. Raises UsageError for a pattern that fits nothing or leads out of it."""
    top = code.paths.worktree
    if top is None or not (patterns or left_out or _may_use_lfs(code)):
        return NONE
    tree = {one.path: one for one in export.listing(code.git, code.oid)}
    missed = [one for one in left_out if isinstance(one.get("path"), str) and _is_large(one)]
    chosen = _chosen(code, top, {path: one.mode for path, one in tree.items()}, patterns, missed)
    remarks = chosen.remarks
    hashed, unread = _hashed(code, chosen.candidates, show)
    files = [*(File(path, GONE, "", 0, "") for path in chosen.cut), *hashed]
    if unread:
        remarks.append(f"not sent, since they cannot be read: {_names(unread)}")
    pointers, absent = _of_lfs(code, tree, {file.path for file in files}) if _may_use_lfs(code) else ([], [])
    if absent:
        remarks.append(f"of git-lfs, the pointers alone are here and go to the host: {_names(absent)}")
    return Inputs((*files, *pointers), tuple(remarks))


def preview(code: Code, plan: Plan, patterns: Sequence[str]) -> Inputs:
    """What `find` would find for a snapshot that is not taken, without a look into the files: of `File`, path and size
    are told. Files of git-lfs are not among them. Raises UsageError."""
    top = code.paths.worktree
    if top is None:
        return NONE
    modes = {one.path: one.mode for one in export.listing(code.git, plan.base)} if plan.base else {}
    modes.update((one.path, "") for one in plan.entries)
    missed = [{"path": one.path, "size": one.size} for one in plan.left_out if one.path in plan.digests]
    chosen = _chosen(code, top, modes, patterns, missed)
    sizes = [(one.path, os.path.realpath(one.source) if one.named else one.source) for one in chosen.candidates]
    files = [
        File(path, FILE, "", os.lstat(source).st_size, source) for path, source in sizes if os.path.lexists(source)
    ]
    return Inputs(tuple(sorted(files)), tuple(chosen.remarks))


class _Chosen(NamedTuple):
    candidates: list[_Candidate]
    cut: list[str]  # links of the snapshot in whose places their targets go
    remarks: list[str]


def _chosen(
    code: Code, top: str, modes: Mapping[str, str], patterns: Sequence[str], missed: Sequence[Mapping[str, Any]]
) -> _Chosen:
    """What goes along. `modes`: of the files in the snapshot."""
    beside = {str(one["path"]) for one in missed}
    found: dict[str, _Candidate] = {}
    cut: list[str] = []
    for pattern in patterns:
        some = _meant(code, top, pattern, beside)
        if not some:
            raise errors.UsageError(f"inputs: nothing fits {pattern!r}", "correct `inputs:` in gittrack.yaml")
        found.update((one.path, one) for one in some if one.path not in modes or one.path in beside)
        if os.path.islink(os.path.join(top, pattern.rstrip("/"))) and pattern.rstrip("/") in modes:
            cut.append(pattern.rstrip("/"))
    remarks = _secret(found)
    remarks += _go_along(top, missed, found)
    remarks += _behind_links(modes, found, cut)
    return _Chosen([*found.values()], cut, remarks)


def _is_large(one: Mapping[str, Any]) -> bool:
    """Whether the snapshot left it out for nothing but its size. One without digest could not be read, or there was too
    much to be hashed."""
    return bool(one.get("sha256")) or str(one.get("reason")).startswith(LARGER)


def _meant(code: Code, top: str, pattern: str, beside: set[str]) -> list[_Candidate]:
    """The files that a pattern means."""
    plain = os.path.normpath(pattern.rstrip("/") or ".")
    if os.path.isabs(pattern) or plain.split("/")[0] == "..":
        hint = f"a folder that is at the host already can be mounted: -m {pattern}:{pattern}:ro"
        raise errors.UsageError(f"inputs: {pattern!r} is not in the work tree", hint)
    place = os.path.join(top, plain)
    if os.path.isdir(place):
        return [
            _Candidate(os.path.normpath(f"{plain}/{below}"), os.path.join(place, below), False)
            for below in _below(place, plain == ".")
        ]
    if os.path.lexists(place):
        return [_Candidate(plain, place, True)]
    listed = code.git.fields("ls-files", "-o", "-z", "--", f":(top){plain}")
    names = {*listed, *(path for path in beside if untracked.matches(plain, path))}
    return [_Candidate(path, os.path.join(top, path), False) for path in sorted(names) if not path.endswith("/")]


def _below(place: str, is_top: bool) -> Iterator[str]:
    for folder, folders, files in os.walk(place):
        inside = os.path.relpath(folder, place)
        if is_top and inside == ".":
            folders[:] = [name for name in folders if name != ".git"]
            files = [name for name in files if name != ".git"]
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = sorted(set(folders) - set(links))
        for name in sorted([*files, *links]):
            yield os.path.normpath(os.path.join(inside, name))


def _secret(found: dict[str, _Candidate]) -> list[str]:
    """Take out what looks like a secret by its name and was not named itself."""
    names = [one.path for one in found.values() if not one.named and secret_paths.reason(one.path)]
    for path in names:
        del found[path]
    return [f"not sent, since their names are those of secrets: {_names(names)}"] if names else []


def _go_along(top: str, missed: Sequence[Mapping[str, Any]], found: dict[str, _Candidate]) -> list[str]:
    """Add large left-out files, the smallest first, as far as they go along by themselves."""
    budget, heavy = BY_THEMSELVES, []
    for one in sorted(missed, key=lambda one: int(one.get("size") or 0)):
        path, size = str(one["path"]), int(one.get("size") or 0)
        if path in found:
            continue
        budget -= size
        if budget < 0:
            heavy.append(path)
        else:
            found[path] = _Candidate(path, os.path.join(top, path), False)
    if not heavy:
        return []
    return [f"too large to be sent unless named under `inputs:` in gittrack.yaml: {_names(heavy)}"]


def _behind_links(modes: Mapping[str, str], found: dict[str, _Candidate], cut: Sequence[str]) -> list[str]:
    """Take out what would have to be written through a link of the snapshot."""
    links = {path for path, mode in modes.items() if mode == _LINK_MODE and path not in cut}
    behind = [path for path in found if any(above in links for above in _above(path))] if links else []
    for path in behind:
        del found[path]
    return [f"not sent, since a link of the snapshot is in the way: {_names(behind)}"] if behind else []


def behind_links(code: Code, files: Sequence[File], paths: Iterable[str]) -> list[str]:
    """Which of the paths would be written through a link of the snapshot, or through one of the files."""
    tree = {one.path for one in export.listing(code.git, code.oid) if one.mode == _LINK_MODE}
    ours = {file.path for file in files if file.kind == LINK}
    return _through(tree - {file.path for file in files if file.kind == GONE} | ours, paths)


def _through(links: Collection[str], paths: Iterable[str]) -> list[str]:
    return [path for path in paths if any(above in links for above in _above(path))] if links else []


def _above(path: str) -> Iterator[str]:
    while path := os.path.dirname(path):
        yield path


def _hashed(code: Code, candidates: Sequence[_Candidate], show: Progress | None) -> tuple[list[File], list[str]]:
    """The files, and the paths of those that cannot be read: as for a run of this machine, these are no reason to stop
    unless they were named themselves. Raises UsageError for such a one, and for one that changes just now."""
    digests = _digests(code)
    total = sum(digests.cost(one.source) for one in candidates)
    done = 0
    files, unread = [], []
    for one in candidates:
        done += digests.cost(one.source)
        try:
            if file := _file(one, digests):
                files.append(file)
        except errors.UsageError:
            if one.named or _is_readable(one.source):
                raise
            unread.append(one.path)
        if show and total:
            show("Hashing inputs", min(done, total), total)
    digests.save()
    return files, unread


def _is_readable(path: str) -> bool:
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False


def _digests(code: Code) -> Digests:
    return Digests(os.path.join(code.paths.common_dir, "track", "cache", "inputs.json"), _REMEMBERED)


def _file(one: _Candidate, digests: Digests) -> File | None:
    """None for what is no file: a socket, a pipe. A link is followed only where it was named itself."""
    source = os.path.realpath(one.source) if one.named else one.source
    if os.path.islink(source):
        return File(one.path, LINK, os.readlink(source), 0, "")
    if not os.path.isfile(source):
        return None
    size = os.path.getsize(source)
    if size == 0:
        return File(one.path, EMPTY, "", 0, "")
    sha256 = digests.get(source)
    if sha256 is None:
        raise errors.UsageError(f"inputs: {one.path} cannot be read, or changes just now", "try again, or leave it out")
    return File(one.path, EXECUTABLE if os.access(source, os.X_OK) else FILE, sha256, size, source)


def _may_use_lfs(code: Code) -> bool:
    """A guess that costs two looks."""
    top = code.paths.worktree or ""
    if os.path.isdir(os.path.join(code.paths.common_dir, "lfs")):
        return True
    try:
        with open(os.path.join(top, ".gitattributes"), "rb") as file:
            return b"filter=lfs" in file.read()
    except OSError:
        return False


def _of_lfs(code: Code, tree: Mapping[str, Listed], known: set[str]) -> tuple[list[File], list[str]]:
    """The files behind the pointers of the snapshot, and the pointers behind which there is nothing here."""
    small = [
        one
        for one in tree.values()
        if one.size and 100 < one.size < pointer.LONGEST and one.mode != _LINK_MODE and one.path not in known
    ]
    files, absent = [], []
    digests, store = _digests(code), own_store(code.paths)
    for one, blob in zip(small, catfile.many(code.git, [one.oid for one in small]), strict=True):
        found = pointer.decode(blob.data) if blob else None
        if found is None:
            continue
        kind = EXECUTABLE if one.mode == "100755" else FILE
        for source in _places_of_lfs(code, one.path, found.sha256):
            if _is(source, found, digests):
                files.append(File(one.path, kind, found.sha256, found.size, source))
                break
        else:
            if store.has(*found):
                files.append(File(one.path, kind, found.sha256, found.size, ""))
            else:
                absent.append(one.path)
    digests.save()
    return files, absent


def _places_of_lfs(code: Code, path: str, sha256: str) -> tuple[str, str]:
    objects = os.path.join(code.paths.common_dir, "lfs", "objects", sha256[:2], sha256[2:4], sha256)
    return objects, os.path.join(code.paths.worktree or "", path)


def _is(source: str, wanted: pointer.Pointer, digests: Digests) -> bool:
    try:
        right = os.path.getsize(source) == wanted.size and not os.path.islink(source)
    except OSError:
        return False
    return right and digests.get(source) == wanted.sha256


def _names(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(map(ascii, paths[:_NAMED])) + more
