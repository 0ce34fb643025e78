"""What a push will let out of this machine: counted, measured, and searched for secrets, before anybody agrees."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gittrack.core import layout, wide_text
from gittrack.core.redact import Redactor
from gittrack.git.command import config
from gittrack.git.repository import Repository
from gittrack.runs import archives, remotes, stores
from gittrack.share.look import Known
from gittrack.share.push import Prepared
from gittrack.store.transfer import File

_LARGE = 1_000_000  # bytes of a file that is not searched for secrets
_ALL = 200_000_000  # of all that are searched
_AT_ONCE = 200
_PROBE = 8000  # bytes in which a text of UTF-16 has a NUL


class Finding(NamedTuple):
    """What looks like a secret, and in which file."""

    path: str
    rule: str


class Survey(NamedTuple):
    """`code`, `records`: what the remote lacks; sizes are those on disk, which a transfer takes, too."""

    runs: int
    commits: int
    files: int
    code: int
    records: int
    artifacts: Sequence[File]
    secrets: Sequence[Finding]
    unsearched: int  # files


class _Object(NamedTuple):
    oid: str
    path: str
    kind: str
    size: int
    packed: int


def survey(repo: Repository, prepared: Prepared, files: Sequence[File], redactor: Redactor | None) -> Survey:
    """Without a redactor nothing is searched. Raises GitFailed."""
    every = [change for change in prepared.plan.every if change.new is not None]
    is_code = {change.ref: _is_code(change.ref) for change in every}
    there = [*prepared.remote.there.refs.values(), *_branches(repo, prepared.remote.name)]
    known = [oid for oid in dict.fromkeys(there) if repo.exists(oid)]
    code = [*_objects(repo, [str(each.new) for each in every if is_code[each.ref]], known)]
    records = [*_objects(repo, [str(each.new) for each in every if not is_code[each.ref]], known)]
    kept = [each for each in records if "/files/" in f"/{each.path}"]  # small files that runs kept
    found, passed = _secrets(repo, [*code, *kept], redactor) if redactor else ([], 0)
    return Survey(
        len(prepared.runs),
        sum(each.kind == "commit" for each in code),
        sum(each.kind == "blob" for each in code),
        sum(each.packed for each in code),
        sum(each.packed for each in records),
        files,
        found,
        passed,
    )


def needed(repo: Repository, runs: Iterable[Known]) -> list[File]:
    """The files in stores that these runs need, each once."""
    with_files = [one.id for one in runs if one.artifacts]
    return stores.needed(repo, with_files) if with_files else []


def _is_code(ref: str) -> bool:
    parts = layout.archive_of_ref(ref)
    return ref.startswith(layout.CODE) or (parts is not None and parts[2] == archives.CODE)


def _branches(repo: Repository, remote: str) -> list[str]:
    """What the remote has of the user's, as git saw it last."""
    if not remotes.is_known(repo.git, remote):
        return []
    return [*repo.refs(f"refs/remotes/{remote}/").values()]


def _objects(repo: Repository, tips: Sequence[str], known: Sequence[str]) -> Iterator[_Object]:
    """All that the tips reach and the remote is not known to have."""
    if not tips:
        return
    given = "".join(f"{one}\n" for one in (*tips, *(f"^{one}" for one in known))).encode()
    partial = ("--exclude-promisor-objects",) if "extensions.partialclone" in config(repo.git) else ()
    listed = repo.git.lines("rev-list", "--objects", *partial, "--stdin", input=given)
    form = "--batch-check=%(objecttype) %(objectsize) %(objectsize:disk)"
    asked = "".join(f"{line.partition(' ')[0]}\n" for line in listed).encode()
    for line, answer in zip(listed, repo.git.lines("cat-file", form, input=asked), strict=True):
        oid, _, path = line.partition(" ")
        words = answer.split(" ")
        if len(words) == 3 and words[1].isdigit():
            yield _Object(oid, path, words[0], int(words[1]), int(words[2]))


def _secrets(repo: Repository, code: Sequence[_Object], redactor: Redactor) -> tuple[list[Finding], int]:
    """What is found in the files, and how many of them were passed over."""
    found: dict[Finding, None] = {}
    wanted, total = [], 0
    files = [each for each in code if each.kind == "blob"]
    for each in files:
        if each.size <= _LARGE and total + each.size <= _ALL:
            total += each.size
            wanted.append(each)
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        for each, data in zip(some, repo.read_many([one.oid for one in some]), strict=True):
            found |= dict.fromkeys(Finding(each.path, rule) for rule, _ in redactor.find(_text(data or b"")))
    return [*found], len(files) - len(wanted)


def _text(data: bytes) -> bytes:
    return (wide_text.utf8(data) or data) if b"\0" in data[:_PROBE] else data
