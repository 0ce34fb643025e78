"""Which files this clone needs: what may not be taken from a store, whatever it costs.

Asked before anything is deleted, so whatever cannot be read is an error, never an answer of "nothing". The order of
looking is that in which a run moves: parcels on their way, journals, refs, archives. What leaves one place while it is
looked at is already in the next.
"""

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import annotations, codec, events, layout, parcels, twins
from gittrack.git.repository import Repository
from gittrack.runs import held, live, logs, operations, segments

REMOTES = "refs/track-remotes/"
_KEPT, _LOGGED = b'"kept"', b'"artifact"'  # anywhere in the line: another program may order the keys in its own way
_SLACK = 3600.0  # seconds by which a clock may have been set since a parcel got its name


class File(NamedTuple):
    """A file of a run that is not in git."""

    run: str
    parcel: str
    sha256: str
    size: int


class Needs(NamedTuple):
    """`files`: needed; `pruned`: not needed any more for the run that kept them; `since`: what a process is storing now
    was put or touched after that moment (None: none is at it)."""

    files: list[File]
    pruned: list[File]
    since: float | None
    doubles: Collection[tuple[str, str]] = ()  # runs and parcels of what torch.save wrote and checkpoints have as well

    @property
    def digests(self) -> set[str]:
        """sha256 of all that is needed. Sizes are claims: a record that says a wrong one must not make a file that
        another run has, too, look like one that is not here."""
        return {file.sha256 for file in self.files}


def of_clone(repo: Repository, going: Mapping[str, Collection[str]] = MappingProxyType({})) -> Needs:
    """All that a ref, an archive, a live run, an undo or a remote's refs here need. `going`: parcels of runs that shall
    be let go.

    Raises DamagedRecord, NewerFormat, Unsupported where that cannot be known.
    """
    if os.path.exists(os.path.join(repo.paths.common_dir, "shallow")):
        raise errors.Unsupported(
            "this is a shallow clone: it does not know what all runs need", "`git fetch --unshallow`, or use another"
        )
    since = _storing(repo)
    said = [*_of_journals(repo), *_of_refs(repo), *_of_archives(repo)]
    gone = annotations.pruned(logs.operations(repo))
    released = _released(said, {run: {*gone.get(run, ()), *going.get(run, ())} for run in (*gone, *going)})
    needed: list[File] = []
    pruned: list[File] = []
    for file in dict.fromkeys(one.file for one in said if one.file.sha256):
        (pruned if file.parcel in released.get(file.run, ()) else needed).append(file)
    return Needs(needed, pruned, since, _doubles(said))


def _doubles(said: Sequence["_Said"]) -> set[tuple[str, str]]:
    logged = {one.file[:2] for one in said if not one.file.sha256}
    checkpoints: dict[str, set[str]] = {}
    for one in said:
        if one.file[:2] not in logged:
            checkpoints.setdefault(one.file.run, set()).add(one.file.parcel)
    released = _released(said, checkpoints)
    return {(run, parcel) for run, names in released.items() for parcel in names - checkpoints[run]}


def _released(said: Iterable["_Said"], going: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """By run `going`, and the parcels that are let go of with these."""
    files: dict[str, list[twins.Kept]] = {}
    logged: dict[str, dict[str, str]] = {}
    for one in said:
        run, parcel, sha256, _ = one.file
        if run not in going:
            continue
        if sha256:
            files.setdefault(run, []).append(twins.Kept(parcel, twins.content(sha256, one.text)))
        else:
            logged.setdefault(run, {})[parcel] = one.text
    return {run: twins.released(files.get(run, []), logged.get(run, {}), names) for run, names in going.items()}


def _storing(repo: Repository) -> float | None:
    """When the oldest parcel that waits to be stored was made: its name begins with that.

    Parcels are folders; the files beside them are the storer's.
    """
    times = []
    for run_id in live.ids(repo.paths):
        home = live.parcel(live.folder(repo.paths, run_id), "")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(home) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    number = entry.name.partition("-")[0]
                    times.append(int(number) / 1000 if number.isdigit() and len(number) < 16 else 0.0)
    return min(times) - _SLACK if times else None


def _of_journals(repo: Repository) -> Iterator["_Said"]:
    for run_id in live.ids(repo.paths):
        directory = live.folder(repo.paths, run_id)
        for name in live.process_files(directory):
            try:
                with open(os.path.join(directory, name), "rb") as file:
                    yield from _kept(run_id, (line for line in file if line.endswith(b"\n")))
            except FileNotFoundError:  # folded meanwhile: its ref says it
                continue
            except OSError as error:
                raise errors.Unsupported(
                    f"what run {run_id[: layout.SHORT]} needs cannot be known: {error.strerror}",
                    f"who may read {directory} can clean up",
                ) from error


def _of_refs(repo: Repository) -> Iterator["_Said"]:
    refs = {ref: oid for root in (layout.RUNS, operations.KEEP, REMOTES) for ref, oid in repo.refs(root).items()}
    tips = list(dict.fromkeys(refs.values()))
    names = {oid: ref for ref, oid in refs.items()}
    for tip, files in zip(tips, repo.read_files(tips, ("format", "summary.json", "run.json")), strict=True):
        kind, summary, facts = files
        if kind is None and not names[tip].startswith(layout.RUNS):
            continue  # code
        layout.check_format(kind, names[tip])
        if facts is None and not names[tip].startswith(layout.RUNS):
            continue  # a log of annotations
        try:
            run_id, has = codec.loads(facts or b"")["id"], "artifacts" in codec.loads(summary or b"")
        except (ValueError, KeyError, TypeError) as error:
            raise errors.DamagedRecord(
                f"what {names[tip]} needs cannot be known: {error}", "`git track doctor` says what is wrong with it"
            ) from error
        if has:
            for block in segments.read(repo, tip, "artifacts"):
                yield from _kept(run_id, block.splitlines(keepends=True))


def _of_archives(repo: Repository) -> Iterator["_Said"]:
    for run in held.with_files(repo):
        for block in segments.read(repo, run.root, "artifacts"):
            yield from _kept(run.id, block.splitlines(keepends=True))


class _Said(NamedTuple):
    """A file in a store and its path; or, of a parcel that was logged, no digest and its kind."""

    file: File
    text: str


def _kept(run_id: str, lines: Iterable[bytes]) -> Iterator[_Said]:
    """What these journal lines say of files in a store."""
    for line in lines:
        event: Mapping[str, Any] | None = events.parse_line(line) if _KEPT in line or _LOGGED in line else None
        if not event or not events.is_sound(event):
            continue
        if event.get("e") == "kept" and event.get("in") == "store":
            file = File(run_id, str(event.get("parcel")), str(event.get("sha256")), int(event.get("size", 0)))
            yield _Said(file, parcels.path_of(event))
        elif event.get("e") == "artifact":
            yield _Said(File(run_id, str(event.get("parcel")), "", 0), str(event.get("kind")))
