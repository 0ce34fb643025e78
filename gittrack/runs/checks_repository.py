"""Checks of what gittrack stands on: git, the kind of repository, settings, remotes, the file system."""

import fcntl
import os
import tempfile
from collections.abc import Iterator

from gittrack.config import settings
from gittrack.git import command, configfile, maintenance, reffiles
from gittrack.git.discover import repository_format
from gittrack.git.open import suits_libgit2
from gittrack.runs import writer
from gittrack.runs.findings import ERROR, INFO, OK, WARNING, Finding, Patient, number

OLDEST_GIT = (2, 27)  # update-ref --stdin knows `start`
HIDES_REFS = (2, 41)  # fetch.hideRefs
LOOSE_OBJECTS, LOOSE_REFS = 6700, 2000  # from where on the user's own git commands are slowed down


def git_version(patient: Patient) -> Iterator[Finding]:
    found = command.version(patient.repo.git)
    text = "git " + ".".join(map(str, found))
    if found < OLDEST_GIT:
        yield Finding(ERROR, f"{text} is too old", "upgrade git to 2.27 or later")
    elif found < HIDES_REFS:
        yield Finding(INFO, f"{text}: from 2.41 on, fetches stay fast with tens of thousands of runs", "upgrade git")
    else:
        yield Finding(OK, text)


def repository_kind(patient: Patient) -> Iterator[Finding]:
    paths = patient.repo.paths
    form = repository_format(paths)
    yield Finding(OK, f"repository {paths.common_dir}: {form.algorithm}, refs as {form.refs}")
    if not suits_libgit2(form):
        yield Finding(INFO, "libgit2 cannot open this kind of repository: git itself is used, which is slower")
    if os.path.exists(os.path.join(paths.common_dir, "shallow")):
        yield Finding(
            WARNING, "this clone is shallow: the commits that runs are based on may be missing", "git fetch --unshallow"
        )
    if form.partial:
        yield Finding(INFO, "this clone is partial: reading old code may need the remote")
    if paths.worktree is None:
        yield Finding(INFO, "there is no work tree: runs can be read and annotated here, not made")


def configuration(patient: Patient) -> Iterator[Finding]:
    """Raises BadConfig, which says it all."""
    paths = patient.repo.paths
    found = settings.load(paths, patient.environ, command.config(patient.repo.git))
    there = paths.worktree and os.path.exists(os.path.join(paths.worktree, settings.FILE))
    sources = sorted({origin for origin in found.origins.values() if origin != settings.DEFAULT})
    yield Finding(OK, "settings: " + (", ".join(sources) or f"all defaults{'' if there else ', no ' + settings.FILE}"))


def remotes(patient: Patient) -> Iterator[Finding]:
    """Remotes that would carry off or delete hidden refs: both were seen to happen, silently."""
    values = _remote_settings(patient)
    everywhere = configfile.is_true(_last(values, "fetch.prune"))
    for name in sorted({key.split(".", 1)[1].rpartition(".")[0] for key, _ in values if key.startswith("remote.")}):
        prefix = f"remote.{name}."
        prune = _last(values, prefix + "prune")
        if configfile.is_true(_last(values, prefix + "mirror")):
            yield Finding(
                ERROR,
                f"remote {name} is a mirror: `git push {name}` deletes the runs there that this clone does not have",
                f"git config --unset {prefix}mirror",
            )
        for spec in [value for key, value in values if key == prefix + "fetch" and _covers_runs(value)]:
            pruned = configfile.is_true(prune) if prune is not None else everywhere
            what = "deletes runs that are only here" if pruned else "overwrites runs, and with --prune deletes them"
            yield Finding(
                ERROR if pruned else WARNING,
                f"`git fetch {name}` {what}: its refspec {spec} covers refs/track",
                f"git config --replace-all {prefix}fetch '+refs/heads/*:refs/remotes/{name}/*' '{_as_pattern(spec)}'",
            )


def _remote_settings(patient: Patient) -> list[tuple[str, str]]:
    pattern = r"^(remote\..*\.(fetch|mirror|prune)|fetch\.prune)$"
    result = patient.repo.git.call("config", "-z", "--get-regexp", pattern)
    pairs = [field.partition("\n") for field in os.fsdecode(result.out).split("\0") if field]
    return [(key, value if newline else "true") for key, newline, value in pairs]


def _last(values: list[tuple[str, str]], key: str) -> str | None:
    return next((value for found, value in reversed(values) if found == key), None)


def _covers_runs(refspec: str) -> bool:
    """Whether fetching by it writes below refs/track."""
    target = refspec.lstrip("+").partition(":")[2]
    return target.endswith("*") and (target[:-1].startswith("refs/track/") or "refs/track/".startswith(target[:-1]))


def _as_pattern(refspec: str) -> str:
    """A regular expression for git config that matches this value alone."""
    return "^" + "".join("\\" + char if char in "+*.^$()[]{}|?\\" else char for char in refspec) + "$"


def file_system(patient: Patient) -> Iterator[Finding]:
    common = patient.repo.paths.common_dir
    track = os.path.join(common, "track")
    place = track if os.path.isdir(track) else common
    if not os.access(place, os.W_OK):
        yield Finding(
            WARNING, f"{place} cannot be written: runs can be read here, not made", f"chmod -R u+w '{common}'"
        )
        return
    with tempfile.TemporaryFile(dir=place) as first:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Finding(OK, f"{place} is writable, and files can be locked")
        except OSError as error:
            yield Finding(
                WARNING,
                f"files in {place} cannot be locked ({error.strerror}): whether a run died is not noticed by itself",
                "git track recover --force, when you know that a run is dead",
            )


def load(patient: Patient) -> Iterator[Finding]:
    """Loose objects and refs: beyond some thousands the user's own git becomes slow."""
    paths = patient.repo.paths
    total, _ = maintenance.estimate(paths.common_dir)
    if total > LOOSE_OBJECTS:
        yield Finding(WARNING, f"about {total:,} loose objects: git commands become slow", "git gc")
    loose = reffiles.count_loose(paths, "refs/track")
    if loose > LOOSE_REFS:
        yield Finding(WARNING, f"{loose:,} loose refs: git fetch and git push become slow", "git pack-refs --all")
    if total <= LOOSE_OBJECTS and loose <= LOOSE_REFS:
        yield Finding(OK, f"about {number(total, 'loose object')} and {number(loose, 'loose ref')}")


def writer_binding(patient: Patient) -> Iterator[Finding]:
    paths = patient.repo.paths
    known = writer.known(paths)
    if known is not None:
        yield Finding(OK, f"annotations of this clone are written as {known}")
        for former in writer.left(paths):
            yield Finding(
                INFO,
                f"another clone writes annotations as {former}, as this one did: this one took the id {known} and went "
                "on. A disk that was copied, or a backup that came back, does that; nothing was lost",
            )
    elif os.path.exists(writer.path(paths)):
        yield Finding(
            INFO, "this clone is a copy of another one, or was moved: it will annotate under an id of its own"
        )
    else:
        yield Finding(OK, "nothing has been annotated in this clone yet")
