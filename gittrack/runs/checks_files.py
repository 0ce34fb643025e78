"""Checks of the files that runs kept: the lines that name them, the small ones in git, the large ones in the store."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.config import settings
from gittrack.core import codec, events, layout, parcels
from gittrack.git import command
from gittrack.git.repository import Repository
from gittrack.runs import artifacts, held, let_go, reader, segments
from gittrack.runs.artifacts import Artifact
from gittrack.runs.findings import ERROR, INFO, OK, WARNING, Finding, Patient, number

SHOWN = 20
NAMED = 3  # files in one finding
PULL = "git track store pull"


class Kept(NamedTuple):
    """The files of one committed run."""

    run: str
    root: str
    files: Sequence[Artifact]


def files(patient: Patient) -> Iterator[Finding]:
    """Every file that a run kept is where its record says, with the bytes that it says."""
    repo = patient.repo
    bad: list[Finding] = []
    small, large = 0, 0
    said, removed = let_go.said(repo), 0
    elsewhere = _may_be_elsewhere(patient)
    for run_id, tip, root in _with_files(repo):
        try:
            record = reader.at(repo, run_id, tip, root)
            kept = Kept(run_id, root, artifacts.artifacts(repo, record))
            bad += _lines(repo, kept)
        except (errors.DamagedRecord, errors.NewerFormat):  # said by the check of the records
            continue
        released = artifacts.released(kept.files, said.now.get(run_id, ()))
        states = let_go.states(repo, said, run_id, kept.files)
        counted = {id(one) for one in artifacts.once(kept.files) if one.parcel not in released}
        removed += sum(state == let_go.GONE and id(one) in counted
                       for state, one in zip(states, kept.files, strict=True))  # fmt: skip
        needed = [one for state, one in zip(states, kept.files, strict=True) if state == let_go.KEPT]
        bad += _small(repo, kept._replace(files=[one for one in kept.files if one.where == parcels.GIT]))
        bad += _large(repo, kept._replace(files=[one for one in needed if one.where != parcels.GIT]), elsewhere)
        small += sum(one.where == parcels.GIT for one in kept.files)
        large += sum(one.where != parcels.GIT for one in kept.files)
    yield from bad[:SHOWN]
    if len(bad) > SHOWN:
        yield Finding(max(bad, key=lambda one: one.level == ERROR).level, f"… and {len(bad) - SHOWN} more")
    if removed:
        what = f"let go of and removed before that was undone: {removed:,} file{'s' * (removed != 1)}"
        what += "; `git track artifacts RUN` says which"
        yield Finding(INFO, what, PULL if elsewhere else "")
    if small or large:
        yield Finding(OK, f"looked at {number(small, 'file')} in git and at {large:,} in the store")


def _with_files(repo: Repository) -> Iterator[tuple[str, str, str]]:
    """The committed runs (id, tip, root) whose summary says that they kept something."""
    runs = {run_id: tip for ref, tip in repo.refs(layout.RUNS).items() if (run_id := layout.id_of_ref(ref))}
    for (run_id, tip), found in zip(runs.items(), repo.read_files([*runs.values()], ["summary.json"]), strict=True):
        if b'"artifacts":' in (found[0] or b""):
            yield run_id, tip, tip
    seen = set(runs)
    with contextlib.suppress(errors.DamagedRecord, errors.NewerFormat):  # said by the check of the archives
        for run in held.with_files(repo):
            if run.id not in seen and b'"artifacts":' in (repo.read_path(run.root, "summary.json") or b""):
                seen.add(run.id)
                yield run.id, run.tip, run.root


def _lines(repo: Repository, kept: Kept) -> Iterator[Finding]:
    """Every line about files is one."""
    wrong = 0
    for block in segments.read(repo, kept.root, "artifacts"):
        for line in block.splitlines():
            event = events.parse_line(line)
            wrong += event is None or not events.is_sound(event)
    if wrong:
        look = f"git ls-tree -r {kept.root} artifacts"
        yield Finding(ERROR, f"{wrong} lines about files of {_run(kept)} are damaged", look)
    said = codec.loads(repo.read_path(kept.root, "summary.json") or b"{}").get("artifacts", {}).get("count")
    committed = sum(one.number >= 0 for one in kept.files)
    if not wrong and committed != said:
        yield Finding(ERROR, f"{_run(kept)} has {committed} files, and its summary says {said}")


def _small(repo: Repository, kept: Kept) -> Iterator[Finding]:
    """What stands in the tree is what was kept."""
    tree = artifacts.tree_of(repo, kept.root)
    missing, damaged = [], []
    for one in kept.files:
        try:
            entry = tree.get(layout.file_path(one.number, one.path)) if one.number >= 0 else None
            data = repo.read(entry.oid)[1] if entry is not None else None
        except (KeyError, ValueError, errors.DamagedRecord):
            data = None
        if data is None:
            missing += [one] if one.number >= 0 else []
        elif len(data) != one.size or hashlib.sha256(data).hexdigest() != one.sha256:
            damaged.append(one)
    if missing:
        yield Finding(ERROR, f"{_names(missing)} of {_run(kept)}: not in the record, though it says so", "git fsck")
    if damaged:
        yield Finding(ERROR, f"{_names(damaged)} of {_run(kept)}: not the bytes that were kept", "git fsck")


def _large(repo: Repository, kept: Kept, elsewhere: bool) -> Iterator[Finding]:
    """The bytes are in this clone's store, or may be in another."""
    missing = [one for one in kept.files if not let_go.is_here(repo, one)]
    if missing:
        what = f"{_names(missing)} of {_run(kept)}: not in this clone"
        yield Finding(WARNING, what, PULL) if elsewhere else Finding(ERROR, f"{what}, and there is no other store")


def _may_be_elsewhere(patient: Patient) -> bool:
    """Whether there is a store or a remote from which the files may come. Nobody is asked: doctor needs no network."""
    git = patient.repo.git
    try:
        found = settings.load(patient.repo.paths, patient.environ, command.config(git))
    except errors.BadConfig:  # said by the check of the settings
        return True
    return any("://" in one for one in found.store) or bool(git.call("remote").out.strip())


def _run(kept: Kept) -> str:
    return f"run {kept.run[: layout.SHORT]}"


def _names(found: Sequence[Artifact]) -> str:
    """Each path once: checkpoints mostly have the same ones."""
    times = Counter(ascii(one.path)[1:-1] for one in found)
    shown = ", ".join(f"{path} ({count} times)" if count > 1 else path for path, count in [*times.items()][:NAMED])
    return f"{shown} and {len(times) - NAMED} more" if len(times) > NAMED else shown
