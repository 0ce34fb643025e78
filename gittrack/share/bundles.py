"""Runs in one file: a git bundle, which any git reads, with records, code, annotations and artifacts.

It is made on a desk that borrows the objects of the repository: what only an archive has is written there as the
commits that it was, under the refs that it had, so that nobody who gets the file has to know of archives. The user's
repository is not changed.
"""

import os
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.git import datarefs, desk, objects
from gittrack.git.command import failure
from gittrack.git.desk import Desk
from gittrack.git.network import Progress, followed
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.runs import archives, live, logs, reader, stores
from gittrack.share import look
from gittrack.store.content import Content
from gittrack.store.transfer import File


class Wish(NamedTuple):
    """`since`: commits (revisions) that whoever gets the file has already, with all that they are made of."""

    ids: Sequence[str]
    code: bool = True
    artifacts: bool = True
    since: Sequence[str] = ()


class Plan(NamedTuple):
    """What goes into the file. `runs` and `code`: id and oid, by ref the tip; `missing`: files not in this clone."""

    runs: Mapping[str, str]
    archived: frozenset[str]  # of them, those whose commits are to be written back
    code: Mapping[str, str]
    logs: Mapping[str, str]
    files: tuple[File, ...]
    missing: tuple[File, ...]
    live: tuple[str, ...]  # left out: they go on
    since: tuple[str, ...]
    no_code: tuple[str, ...] = ()  # runs whose code is not in this clone

    @property
    def size(self) -> int:
        """Bytes of artifacts."""
        return sum(file.size for file in self.files)


def prepare(repo: Repository, wish: Wish) -> Plan:
    """Decide. Raises RunNotFound, MissingContent where a record is not in this clone, UsageError."""
    going = set(live.ids(repo.paths))
    ids = [run_id for run_id in dict.fromkeys(wish.ids) if run_id not in going]
    purged = logs.tombstones(repo)
    runs: dict[str, str] = {}
    code: dict[str, str] = {}
    archived: set[str] = set()
    no_code: list[str] = []
    known = {one.id: one for one in look.runs(repo, ids)}
    with_files = [one.id for one in known.values() if one.artifacts]
    for run_id in ids:
        ref = layout.run_ref(run_id)
        if run_id in known:
            tip, snapshot = known[run_id].tip, known[run_id].snapshot
        else:
            tip, snapshot = _archived(repo, run_id)
            archived.add(run_id)
            with_files.append(run_id)
        if purged.forbid(ref, tip):
            continue
        runs[ref] = tip
        if wish.code and snapshot:
            if repo.exists(snapshot) or archives.code_of(repo, snapshot):
                code[layout.code_ref(snapshot)] = snapshot
            else:
                no_code.append(run_id)
    if code and stores.is_shallow(repo):
        raise errors.GitFailed(
            "this is a shallow clone: the history of the code is not all here",
            "`git fetch --unshallow` brings it; --no-code leaves the code out",
        )
    files = stores.needed(repo, with_files) if wish.artifacts else []
    own = stores.local(repo)
    here = [file for file in files if own.has(*file)]
    return Plan(
        runs,
        frozenset(archived),
        code,
        _logs(repo, set(ids)),
        tuple(here),
        tuple(file for file in files if file not in set(here)),
        tuple(run_id for run_id in wish.ids if run_id in going),
        tuple(_commit(repo, rev) for rev in wish.since),
        tuple(no_code),
    )


def _archived(repo: Repository, run_id: str) -> tuple[str, str | None]:
    """Tip and snapshot of a run that has no ref."""
    commits = archives.commits(repo, run_id)
    if not commits:
        raise errors.MissingContent(
            f"the record of run {run_id[: layout.SHORT]} is not in this clone", "git track pull --records"
        )
    snapshot = reader.read(repo, run_id).facts.get("snapshot")
    return commits[-1].oid, snapshot


def write(repo: Repository, plan: Plan, target: str, progress: Progress | None = None) -> int:
    """Write the file, whole or not at all; its size. Raises CannotWrite, GitFailed."""
    with desk.desk(repo.git) as at:
        refs = {**plan.code, **plan.runs, **plan.logs}
        desk.borrow(at)
        _restore(repo, at, plan)
        refs |= _artifacts(repo, at, plan.files)
        desk.name(at, refs)
        return _bundle(at, plan.since, target, progress)


def _bundle(at: Desk, since: Sequence[str], target: str, progress: Progress | None) -> int:
    made = os.path.join(at.folder, "made.bundle")
    # Objects that other clones lack are not lacking here: the desk borrows them
    words = ("bundle", "create", "--progress" if progress else "--quiet", made, "--all", *(f"^{oid}" for oid in since))
    with at.git.popen(*words, stdout=subprocess.DEVNULL, keep=(at.lock,)) as process:
        assert process.stderr is not None
        said = followed(process.stderr, progress)
        code = process.wait()
    if code != 0:
        raise _failure(said, at, words, code)
    size = os.stat(made).st_size
    place(made, target)
    return size


def place(made: str, target: str) -> None:
    """Move a finished file to where it is wanted, on another file system if need be. Raises CannotWrite."""
    aside = f"{target}.{os.getpid()}.tmp"
    try:
        _copy(made, aside)
        os.replace(aside, target)
    except OSError as error:
        raise errors.CannotWrite(f"cannot write {target}: {error.strerror}", "choose another -o FILE") from error
    finally:
        if os.path.lexists(aside):
            os.unlink(aside)


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as data, open(target, "xb") as out:
        while piece := data.read(4 * 1024 * 1024):
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())


def _failure(said: str, at: Desk, words: tuple[str, ...], code: int) -> errors.GittrackError:
    if any(sign in said for sign in ("missing", "bad object", "unable to read", "promisor")):
        lines = said.strip().splitlines()[-3:]
        hint = "`git fetch` brings what a partial clone lacks; --no-code leaves the code out"
        return errors.GitFailed(f"not all of it is in this clone: {'; '.join(lines)}", hint)
    return failure(words, code, said.encode(), at.users.paths)


def _restore(repo: Repository, at: Desk, plan: Plan) -> None:
    """The commits that only archives have, on the desk."""
    made: list[objects.Object] = []
    for commits in archives.all_commits(repo, sorted(plan.archived)).values():
        made += commits
    for oid in plan.code.values():
        if not repo.exists(oid) and (commit := archives.code_of(repo, oid)) is not None:
            made.append(commit)
    if made:
        there = open_repository(at.git.paths, at.git.environ, "cli")
        try:
            there.write(objects.unique(made))
        finally:
            there.close()


def _artifacts(repo: Repository, at: Desk, files: Sequence[File]) -> dict[str, str]:
    content = stores.local(repo)
    keys = {key: size for file in files for key, size in _keys(content, file)}
    return datarefs.write(at, keys, content.store.get) if keys else {}


def _keys(content: Content, file: File) -> Iterable[tuple[str, int]]:
    for key in content.objects(*file):
        yield key, content.store.size(key) or 0


def _logs(repo: Repository, ids: Collection[str]) -> dict[str, str]:
    """The logs that say something of these runs. A log is one history: what it says of others goes along."""
    writers = {op.writer for op in logs.operations(repo) if op.run in ids}
    return {ref: tip for ref, tip in repo.refs(layout.LOG).items() if ref[len(layout.LOG) :] in writers}


def _commit(repo: Repository, rev: str) -> str:
    done = repo.git.call("rev-parse", "--verify", "-q", "--end-of-options", f"{rev}^{{commit}}")
    if done.code != 0:
        raise errors.UsageError(f"--since {rev}: there is no such commit", "name one that is here, such as origin/main")
    return done.out.decode().strip()
