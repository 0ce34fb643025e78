"""The stores of a repository beyond this clone: which there are, which files they are to have, and bringing them there.

A store belongs to one repository, said by the oid of its first commit in `gittrack.json`: what cleans up a store must
know every run that needs its bytes. Whoever has that commit is a clone of it. A shallow clone cannot tell; it may add.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import errors
from gittrack.core import annotations, layout
from gittrack.git.repository import Repository
from gittrack.runs import announcing, artifacts, embedded, held, known, live, logs, reader
from gittrack.runs.own_store import own_store
from gittrack.store import transfer
from gittrack.store.base import Store
from gittrack.store.content import Content, Progress
from gittrack.store.mirror import MirrorStore
from gittrack.store.open import open_store
from gittrack.store.retry import Patience
from gittrack.store.transfer import File, Report

if TYPE_CHECKING:
    from gittrack.config.settings import Settings

OWNER = "gittrack.json"
FORMAT = 1
_AHEAD = 8  # chunks of a file that are fetched at once
_MARK = "0" * 64  # in the notes on a directory: it has been there
_ANOTHER = Patience(2)  # with a store from which another one has the same


class Owner(NamedTuple):
    """The repositories that a store belongs to: the oids of their first commits."""

    repositories: tuple[str, ...]


def urls(settings: "Settings") -> list[str]:
    """The addresses among the settings: embedded and lfs are none."""
    return [each for each in settings.store if "://" in each]


def local(repo: Repository) -> Content:
    """The content store of this clone."""
    return own_store(repo.paths)


def opened(repo: Repository, settings: "Settings", patience: Patience | None = None) -> list[Content]:
    """Each store by itself. Nothing is asked of them yet. Raises StoreFailed for an address that is none."""
    said = (repo.git.environ, settings.upload_rate, patience)
    addresses = urls(settings)
    found = [open_store(url, *said) for url in addresses]
    shown = [store.url for store in found]
    for url, store in zip(addresses, found, strict=True):
        if shown.count(store.url) > 1:  # the same name on two servers
            store.url = url
    return [Content(store, workers=_AHEAD) for store in found]


def contents(repo: Repository, settings: "Settings") -> list[Content]:
    """Where files that are not in this clone may be read from: several stores heal each other on the way."""
    found = _to_read(repo, settings)
    remote = embedded.default_remote(repo) if embedded.is_shared(settings.store) else None
    through_git = [embedded.Shared(repo, remote, settings.store)] if remote else []
    return [*([together(found)] if found else []), *through_git]


def _to_read(repo: Repository, settings: "Settings") -> list[Content]:
    return opened(repo, settings, _ANOTHER if len(urls(settings)) > 1 else None)


def together(found: Sequence[Content]) -> Content:
    return found[0] if len(found) == 1 else Content(MirrorStore([content.store for content in found]), workers=_AHEAD)


def needed(repo: Repository, run_ids: Iterable[str] | None = None) -> list[File]:
    """The files in stores that runs have and need, each once: of these runs, or of all, live ones included."""
    found: dict[File, None] = {}
    gone = annotations.pruned(logs.operations(repo))
    for run_id in all_runs(repo) if run_ids is None else run_ids:
        every = artifacts.artifacts(repo, reader.read(repo, run_id))
        released = artifacts.released(every, gone.get(run_id, {}))
        for artifact in every:
            if artifact.where == "store" and artifact.parcel not in released:
                found[File(artifact.sha256, artifact.size)] = None
    return [*found]


def all_runs(repo: Repository) -> list[str]:
    """The ids of all runs, deleted ones included: they can be restored. Of archived runs those that kept files."""
    committed = (ref.rpartition("/")[2] for ref in repo.refs(layout.RUNS))
    archived = (run.id for run in held.with_files(repo))
    return [*dict.fromkeys((*committed, *live.ids(repo.paths), *archived))]


def upload(
    repo: Repository,
    settings: "Settings",
    files: Collection[tuple[str, int]],
    progress: Progress | None = None,
    workers: int = transfer.WORKERS,
    join: bool = False,
    done: dict[str, Report] | None = None,
) -> dict[str, Report]:
    """Bring files to every store of the settings; by url, what was done. All stores are tried, then the first failure
    is raised, and `done` says what was done all the same. Raises StoreFailed."""
    found = opened(repo, settings)
    done = {} if done is None else done
    failures: list[errors.GittrackError] = []
    for content in found:
        try:
            make_ready(repo, content.store, files, join)
            others = [each for each in found if each is not content]
            done[content.store.url] = send([local(repo), *others], content, files, workers, progress)
        except (errors.StoreFailed, errors.CannotWrite) as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return done


def download(
    repo: Repository,
    settings: "Settings",
    files: Collection[tuple[str, int]],
    progress: Progress | None = None,
    workers: int = transfer.WORKERS,
    remote: str | None = None,
) -> Report:
    """Bring files into this clone; `remote`: the git remote that is meant, where git remotes have files. Raises
    StoreFailed."""
    found = _to_read(repo, settings)
    report = send([together(found)] if found else [], local(repo), files, workers, progress)
    left = [*report.missing, *report.damaged]
    if not left or not embedded.is_shared(settings.store):
        return report
    try:
        (more,) = through_git(repo, settings, left, fetching=True, remote=remote).values()
    except errors.MissingContent:  # what has come all the same is here
        came = [file for file in left if local(repo).has(*file)]
        more = Report(len(came), sum(file.size for file in came), len(came), sum(file.size for file in came))
        return report.plus(more)._replace(missing=tuple(file for file in left if file not in came), damaged=())
    return report.plus(more)._replace(missing=(), damaged=())


def through_git(
    repo: Repository,
    settings: "Settings",
    files: Collection[tuple[str, int]],
    progress: Progress | None = None,
    fetching: bool = False,
    dry_run: bool = False,
    again: bool = False,
    remote: str | None = None,
) -> dict[str, Report]:
    """For `store: embedded` and `lfs`: bring files to the git remote, or from there; by place, what was done.
    `again`: do not believe what this clone has noted of the remote; `remote`: None for the one that holds the runs.

    Raises StoreFailed, MissingContent.
    """
    if not embedded.is_shared(settings.store):
        return {}
    remote = remote or embedded.default_remote(repo)
    if remote is None:
        raise errors.StoreFailed(
            "no store is set, and there is no git remote to share files through, or no telling which",
            "git remote add origin URL; or write `store: s3://bucket/prefix` in gittrack.yaml",
        )
    target = "this clone" if fetching else remote
    if dry_run:
        return {target: embedded.plan(repo, settings.store, files, remote, fetching)}
    if fetching:
        return {target: embedded.download(repo, settings.store, files, remote, progress)}
    return {target: embedded.upload(repo, settings.store, files, remote, progress, settings.embedded_limit, again)}


def send(
    sources: Sequence[Content],
    target: Content,
    files: Collection[tuple[str, int]],
    workers: int = transfer.WORKERS,
    progress: Progress | None = None,
) -> Report:
    """Copy from the first source; what it has not got from the next ones."""
    total = Report()
    left: Collection[tuple[str, int]] = files
    for number, source in enumerate(sources):
        if left or not number:
            source.bring(left if number else ())
            report = transfer.copy(source, target, left, workers, None if number else progress)
            total = total.plus(report)._replace(missing=report.missing, damaged=report.damaged)
            left = [*report.missing, *report.damaged]
    return total


def make_ready(repo: Repository, store: Store, files: Iterable[tuple[str, int]], join: bool = False) -> None:
    """Before anything is brought there: the store is this repository's, and knows that this clone needs `files`.

    Raises StoreFailed.
    """
    claim(repo, store, join)
    announcing.announce(repo, store, dict(files))


def owner(store: Store) -> Owner | None:
    """Whose the store is; None when nobody has put anything there. Raises StoreFailed, NewerFormat."""
    try:
        data = store.get(OWNER)
    except errors.MissingContent:
        return None
    try:
        said = json.loads(data)
        if said["format"] > FORMAT:
            raise errors.NewerFormat(f"{store.url} is of format {said['format']}", "upgrade gittrack")
        names = [said["repository"], *said.get("also", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        names = []
    if not names or not all(isinstance(name, str) for name in names):
        raise errors.StoreFailed(
            f"{store.url} holds a {OWNER} that gittrack did not write", "give the store a prefix of its own"
        )
    return Owner(tuple(names))


def claim(repo: Repository, store: Store, join: bool = False) -> None:
    """See to it that the store is this repository's, before anything is put there. Raises StoreFailed."""
    owners = owners_to_be(repo, store, join)
    if owners:
        _write(store, owners)
    place = _place(store.url)
    if store.url.startswith("file://") and _MARK not in known.load(repo.paths, place) and not is_shallow(repo):
        known.add(repo.paths, place, (_MARK,))


def begin_anew(repo: Repository, url: str) -> None:
    """A directory that this clone has brought files to may be empty now."""
    known.forget(repo.paths, _place(url))


def owners_to_be(repo: Repository, store: Store, join: bool = False) -> tuple[str, ...]:
    """What `claim` has to write down there: nothing, if it is ours already. Raises StoreFailed where it is not."""
    found = owner(store)
    if found is None and _MARK in known.load(repo.paths, _place(store.url)):
        raise errors.StoreFailed(
            f"{store.url} is empty, and this clone has brought files there: its disk is not mounted, perhaps",
            "mount it, and run the command again; if it is to begin anew: git track store push --create",
        )
    if is_shallow(repo) or (found and any(_has(repo, name) for name in found.repositories)):
        return ()
    first = first_commit(repo)
    if found is None:
        return (first,)
    if join:
        return (*found.repositories, first)
    raise errors.StoreFailed(
        f"{store.url} belongs to another repository, whose first commit is {found.repositories[0][:12]}",
        "give this one an address of its own (s3://bucket/NAME), or share it: git track store push --join",
    )


def _place(url: str) -> str:
    """What the note goes by that a directory was in use."""
    return f"store {url}"


def may_collect(repo: Repository, store: Store) -> None:
    """Raises StoreFailed where this clone cannot know all that the store's bytes are needed for."""
    found = owner(store)
    if found is None:
        return
    if is_shallow(repo):
        raise errors.StoreFailed(
            f"this clone is shallow and cannot tell whether {store.url} is its own", "run: git fetch --unshallow"
        )
    strangers = [name for name in found.repositories if not _has(repo, name)]
    if strangers:
        raise errors.StoreFailed(
            f"{store.url} is also used by a repository whose runs are not here (first commit {strangers[0][:12]})",
            "nothing there is removed; give each repository a store of its own to be able to",
        )


def first_commit(repo: Repository) -> str:
    """The root that HEAD goes back to by first parents."""
    done = repo.git.call("rev-list", "--first-parent", "--max-parents=0", "HEAD", "--")
    roots = done.out.decode().split()
    if done.code != 0 or not roots:
        raise errors.StoreFailed(
            "this repository has no commit yet, and a store knows a repository by its first commit",
            "commit something (an empty commit will do), then run the command again",
        )
    return roots[-1]


def is_shallow(repo: Repository) -> bool:
    return repo.git.run("rev-parse", "--is-shallow-repository").strip() == b"true"


def _has(repo: Repository, oid: str) -> bool:
    try:
        return repo.exists(oid)
    except ValueError:  # an oid of the other algorithm
        return False


def _write(store: Store, repositories: tuple[str, ...]) -> None:
    said: Mapping[str, Any] = {"format": FORMAT, "repository": repositories[0]}
    also = {"also": [*repositories[1:]]} if len(repositories) > 1 else {}
    store.put(OWNER, (json.dumps({**said, **also}, indent=2) + "\n").encode())
    store.flush()
