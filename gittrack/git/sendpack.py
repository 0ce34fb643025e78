"""A commit into a repository that is reached through a pipe: git receive-pack at its other end, pack-objects at ours.

Not `git push`, which does the same with two processes more, and lets settings that are meant for the user's remotes
have a say: pushInsteadOf, signing, submodules, hooks (that of git-lfs among them). It also sends too much: what was
untracked in one snapshot is sent again with the next one of the same HEAD, because git looks for what the receiver has
in the parents of what is sent, not beside it. `--shallow` has pack-objects look at all that the receiver has.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple, Protocol

from gittrack import errors
from gittrack.git import remote_errors
from gittrack.git.command import Git, failure
from gittrack.git.network import Outcome, Progress, followed
from gittrack.git.objects import is_oid
from gittrack.git.refnames import is_valid

_PACK = ("pack-objects", "--revs", "--thin", "--shallow", "--delta-base-offset", "--stdout")
_WANTED = "report-status side-band-64k agent=gittrack"
_PIECE = 256 * 1024
_MOST_REFS = 64 * 1024 * 1024  # bytes of a list of refs; what is sent to us may be hostile
_MOST_SAID = 1024 * 1024
_MOST_HAVES = 5000  # commits that the receiver has and we know of; each costs reading its tree
_TRIES = 5  # somebody else who creates the same ref at the same moment holds its lock


class Pipe(Protocol):
    def read(self, size: int) -> bytes: ...
    def write(self, data: bytes) -> None: ...
    def end_input(self) -> None: ...


class Advertised(NamedTuple):
    """What a repository says of itself: its refs, and what it can do."""

    refs: dict[str, str]
    can: frozenset[str]


class Packets:
    """Lines of git's protocol out of a stream that may hold anything."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._rest = b""

    def line(self, limit: int = 4096) -> bytes | None:
        """Up to the next newline, without it; None at the end of the stream. Raises RemoteFailed for too long a one."""
        while b"\n" not in self._rest:
            if len(self._rest) > limit:
                raise _nonsense("a line that does not end")
            if not self._more():
                return None
        found, _, self._rest = self._rest.partition(b"\n")
        return found

    def packet(self) -> bytes | None:
        """The next packet; None for the empty one that ends a list. Raises RemoteFailed."""
        head = self._exactly(4)
        try:
            size = int(head, 16)
        except ValueError:
            raise _nonsense(repr(head)[:60]) from None
        if size == 0:
            return None
        if size < 4:
            raise _nonsense(f"a packet of {size} bytes")
        return self._exactly(size - 4)

    def until_empty(self, limit: int) -> Iterator[bytes]:
        """The packets of a list. Raises RemoteFailed."""
        while (packet := self.packet()) is not None:
            limit -= len(packet) + 4
            if limit < 0:
                raise _nonsense("a list without end")
            yield packet

    def rest(self, limit: int = 65536) -> bytes:
        """All until the stream ends, as far as `limit` goes."""
        while len(self._rest) < limit and self._more():
            pass
        return self._rest[:limit]

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            if not self._more():
                raise remote_errors.of_kind("the host", remote_errors.CUT, "git there ended without an answer")
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _more(self) -> bool:
        data = self._read(65536)
        self._rest += data
        return bool(data)


def packet(text: str | bytes) -> bytes:
    """As git wants to read it."""
    data = text.encode() if isinstance(text, str) else text
    return b"%04x" % (len(data) + 4) + data


def advertised(packets: Packets) -> Advertised:
    """What receive-pack says first. Raises RemoteFailed."""
    refs: dict[str, str] = {}
    can: frozenset[str] = frozenset()
    for raw in packets.until_empty(_MOST_REFS):
        line, _, abilities = raw.rstrip(b"\n").partition(b"\0")
        if abilities:
            can = frozenset(abilities.decode("ascii", "replace").split())
        oid, _, ref = line.decode("utf-8", "surrogateescape").partition(" ")
        if oid == "ERR":
            raise remote_errors.failure("the host", ref)
        if is_oid(oid) and is_valid(ref):
            refs[ref] = oid
    return Advertised(refs, can)


def give(
    git: Git, pipe: Pipe, packets: Packets, found: Advertised, ref: str, oid: str,
    near: Sequence[str] = (), progress: Progress | None = None,
) -> tuple[Outcome, int]:  # fmt: skip
    """Have the receiver, which has just `advertised`, create `ref` for the commit `oid`: how it went, and bytes sent.

    `near`: commits there that resemble it most, the best first. Raises GitFailed for what fails here, RemoteFailed for
    an answer that is none, and what the pipe raises.
    """
    if found.refs.get(ref) == oid:
        pipe.write(b"0000")
        pipe.end_input()
        return Outcome("", "up to date"), 0
    old = found.refs.get(ref) or "0" * len(oid)
    lines = [packet(f"shallow {each}") for each in _shallow(git)]
    kind = " object-format=sha256" if len(oid) == 64 else ""
    lines.append(packet(f"{old} {oid} {ref}\0 {_WANTED}{kind}"))
    head = b"".join(lines) + b"0000"
    haves = _known(git, found, near)
    sent = len(head) + _pack(git, pipe, head, oid, haves, progress)
    return _answer(packets, ref), sent


def again(outcome: Outcome, attempt: int) -> bool:
    """Whether another try may go better: somebody else creates the same ref, or the receiver lacks what it must have
    had once (then the caller gives it all)."""
    return attempt < _TRIES and outcome.kind in (remote_errors.STALE, remote_errors.TOGETHER)


def lacks(outcome: Outcome) -> bool:
    """Whether the receiver does not have what its refs promise (a shallow clone has sent to it, or it is damaged)."""
    return "missing necessary objects" in outcome.said or "unresolved delta" in outcome.said


def _known(git: Git, found: Advertised, near: Sequence[str]) -> list[str]:
    """Commits that the receiver and we have, the nearest first: of these git makes deltas."""
    there = dict.fromkeys(found.refs.values())
    wanted = [*dict.fromkeys(oid for oid in near if oid in there), *(oid for oid in there if oid not in near)]
    if not wanted:
        return []
    asked = "".join(f"{oid}\n" for oid in wanted[:_MOST_HAVES]).encode()
    said = git.run("cat-file", "--batch-check", "--buffer", input=asked, env={"GIT_NO_LAZY_FETCH": "1"})
    return [line.split()[0].decode() for line in said.splitlines() if line.split()[1:2] == [b"commit"]]


def _shallow(git: Git) -> list[str]:
    """Commits whose parents are not here."""
    try:
        with open(os.path.join(git.paths.common_dir, "shallow"), encoding="ascii") as file:
            return [line.strip() for line in file if is_oid(line.strip())]
    except (FileNotFoundError, UnicodeDecodeError):
        return []


def _pack(git: Git, pipe: Pipe, head: bytes, oid: str, haves: Sequence[str], progress: Progress | None) -> int:
    """Send `head` and all that `oid` needs besides `haves`; how many bytes the latter were."""
    options = ("--progress",) if progress else ("-q",)
    with tempfile.TemporaryFile() as wants:
        wants.write("".join(f"{line}\n" for line in (oid, *(f"^{have}" for have in haves))).encode())
        wants.seek(0)
        # Nobody there has an earlier version of a large file, and to look for one among the others takes minutes.
        settings = () if haves else ("-c", "core.bigFileThreshold=1m")
        with git.popen(*settings, *_PACK, *options, stdin=wants) as process:
            assert process.stdout and process.stderr
            said: list[str] = []
            hearing = threading.Thread(target=_hear, args=(process.stderr, progress, said), daemon=True)
            hearing.start()
            sent = stopped = 0
            try:
                pipe.write(head)
                sent = _pumped(process.stdout, pipe)
                pipe.end_input()
            except BrokenPipeError:  # the receiver has stopped, and says why
                stopped = True
                process.kill()
            except BaseException:
                process.kill()
                raise
            code = process.wait()
            hearing.join()
    if code != 0 and not stopped:
        raise failure(("pack-objects",), code, "\n".join(said).encode(), git.paths)
    return sent


def _hear(stream: IO[bytes], progress: Progress | None, said: list[str]) -> None:
    said.append(followed(stream, progress))


def _pumped(source: IO[bytes], pipe: Pipe) -> int:
    sent = 0
    while data := os.read(source.fileno(), _PIECE):
        pipe.write(data)
        sent += len(data)
    return sent


def _answer(packets: Packets, ref: str) -> Outcome:
    """What became of the ref, out of the report, and of what was said beside it. Raises RemoteFailed."""
    report = remarks = b""
    for each in packets.until_empty(_MOST_SAID):
        if each[:1] == b"\1":
            report += each[1:]
        elif each[:1] in (b"\2", b"\3"):
            remarks += each[1:]
    said = remarks.decode("utf-8", "replace")
    inner = Packets(_once(report))
    for raw in inner.until_empty(_MOST_SAID):
        line = raw.decode("utf-8", "replace").rstrip("\n")
        if line.startswith("unpack ") and line != "unpack ok":
            reason = "; ".join(filter(None, (said.strip().replace("\n", "; "), line)))
            return Outcome(remote_errors.kind_of(f"{reason}\n"), reason)
        if line == f"ok {ref}":
            return Outcome("", "")
        if line.startswith(f"ng {ref} "):
            reason = line.removeprefix(f"ng {ref} ")
            return Outcome(remote_errors.kind_of_ref(reason, said), "; ".join(filter(None, (reason, said.strip()))))
    raise _nonsense("no word about what was sent")


def _once(data: bytes) -> Callable[[int], bytes]:
    left = [data]
    return lambda _size: left.pop() if left else b""


def _nonsense(what: str) -> errors.RemoteFailed:
    return remote_errors.of_kind("the host", remote_errors.OTHER, f"what answers there is no git: {what}")
