"""What this clone knows of and does not have, fetched when somebody wants to read it: records of archived runs, code.

A pull brings what tables need. The rest is asked for object by object: git's protocol 2 gives any object that is
reachable there. Of a server that gives only what stands under a ref, the whole ref of the archive is fetched. No ref is
written for it: what came is a cache, which a gc may take away weeks later.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import archive, codec, layout
from gittrack.git import network, objects, remote_errors
from gittrack.git.lfs import shown
from gittrack.git.repository import Repository
from gittrack.runs import archives, bombs, documents, remotes
from gittrack.runs.telling import telling


class Source(NamedTuple):
    """A remote that may have it. `refs`: what was seen there, None where nothing was."""

    remote: str
    refs: frozenset[str] | None

    def may_have(self, ref: str) -> bool:
        return self.refs is None or ref in self.refs


def record(repo: Repository, run_id: str, root: str) -> None:
    """Make the tree `root` of an archived run readable. Raises MissingContent, RemoteFailed, DamagedRecord."""
    listed = dict(archives.listed(repo, [run_id]))
    refs = [f"{ref.removesuffix('list')}records" for ref in listed]
    what = f"the record of run {run_id[: layout.SHORT]}"
    _fetch(repo, what, root, refs, "git track pull --records")
    large = bombs.suspects(repo.git, [root])
    if large and (why := bombs.in_record(repo.git, root, large)):
        raise errors.DamagedRecord(
            f"the record of run {run_id[: layout.SHORT]} is not what a run leaves: {why}", "ask whoever pushed it"
        )
    line = next(iter(listed.values()), None)
    if line is not None:
        _compare(repo, root, line)


def records(repo: Repository, ids: Collection[str]) -> None:
    """The records of these archived runs in one transfer, for who is going to read them one by one. What does not come
    by this is fetched, or said to be missing, when it is read."""
    trees: dict[str, str] = {}
    for ref, line in archives.listed(repo, ids):
        if not repo.exists(line.tree):
            trees[line.tree] = ref
    if len(trees) > 1:
        refs = [f"{ref.removesuffix('list')}records" for ref in set(trees.values())]
        for source in sources_of(repo, refs):
            with contextlib.suppress(errors.RemoteFailed):
                with telling(f"the records of {len(trees):,} runs from {shown(source.remote)}") as progress:
                    network.fetch(repo.git, source.remote, trees, progress)
                return


def snapshot(repo: Repository, run_id: str, oid: str) -> None:
    """Make the code of a run readable. Raises MissingContent, RemoteFailed."""
    if repo.exists(oid) or archives.restore_code(repo, oid):
        return
    refs = [f"{ref.removesuffix('list')}code" for ref in archives.lists_with_code(repo, oid)]
    what = f"the code of run {run_id[: layout.SHORT]} ({oid[:12]})"
    _fetch(repo, what, oid, [layout.code_ref(oid), *refs], "git track pull --code")


def _fetch(repo: Repository, what: str, oid: str, refs: Sequence[str], command: str) -> None:
    """Have `oid`, by itself or within one of `refs`."""
    failed: list[errors.RemoteFailed] = []
    sources = sources_of(repo, refs)
    for source in sources:
        try:
            with telling(f"{what} from {shown(source.remote)}") as progress:
                if _from(repo, source, oid, refs, progress):
                    return
        except errors.RemoteFailed as error:
            failed.append(error)
    if failed:
        first = failed[0]
        raised = errors.RemoteFailed(f"{what} is not in this clone, and cannot be fetched: {first.message}", first.hint)
        raised.kind = first.kind
        raise raised
    asked = ", ".join(shown(source.remote) for source in sources)
    where = f"nor at {asked}" if asked else "and no remote is known that may have it"
    raise errors.MissingContent(
        f"{what} is not in this clone, {where}",
        f"{command} (name the remote that has it), or ask whoever recorded the run to push it",
    )


def sources_of(repo: Repository, refs: Sequence[str]) -> list[Source]:
    """Remotes to ask: those that had such a ref, or, where none did, all."""
    every = []
    for remote in remotes.named(repo.git):
        seen = remotes.load(repo.paths, network.url(repo.git, remote))
        every.append(Source(remote, frozenset(seen.refs) if seen else None))
    likely = [one for one in every if one.refs is not None and any(ref in one.refs for ref in refs)]
    return likely or every


def _from(repo: Repository, source: Source, oid: str, refs: Sequence[str], progress: network.Progress | None) -> bool:
    for want in _wants(source, oid, refs):
        try:
            network.fetch(repo.git, source.remote, [want], progress)
        except errors.RemoteFailed as error:
            if error.kind != remote_errors.GONE:
                raise
            continue
        if repo.exists(oid) or _restored(repo, source, oid, want):
            return True
    return False


def _wants(source: Source, oid: str, refs: Sequence[str]) -> Iterator[str]:
    """What to ask for, the least first. Code that gittrack made is in an archive as data: no object of its own."""
    if not any(ref.endswith("/code") and source.refs is not None and ref in source.refs for ref in refs):
        yield oid
    for ref in refs:
        if source.may_have(ref):
            yield ref
    yield oid


def _restored(repo: Repository, source: Source, oid: str, ref: str) -> bool:
    """Write the snapshot `oid` back out of the archive that was fetched by the name `ref`."""
    if not ref.endswith("/code"):
        return False
    tip = network.ls_remote(repo.git, source.remote).get(ref)
    data = repo.read_path(tip, f"{layout.archived_code(oid)}/commit") if tip and repo.exists(tip) else None
    commit = objects.make("commit", data, repo.algorithm) if data else None
    if commit is None or commit.oid != oid:
        return False
    repo.write([commit], durable=True)
    return True


def _compare(repo: Repository, root: str, line: archive.Line) -> None:
    """What a list says of a run, tables show: it must be what its record says. Raises DamagedRecord."""
    files = next(iter(repo.read_files([root], documents.FILES)))
    for name, said, found in zip(documents.FILES, line.files, files, strict=True):
        if found != said and _canonical(found) != _canonical(said):
            raise errors.DamagedRecord(
                f"the archive that lists run {line.id} says another {name} than the record",
                "`git track doctor` names the archive; ask whoever writes it",
            )


def _canonical(data: bytes | None) -> bytes | None:
    try:
        return codec.dumps(codec.loads(data)) if data else data
    except (ValueError, KeyError, TypeError):
        return data
