"""The code of a run, from this clone to a host: only what is missing there travels, in one process at the other end.

That process is `git receive-pack` in a repository of the project's at the host, and then, in the same connection, the
checkout of the snapshot into the job's work tree. A host without git borrows it from an image; where that has none
either, the files of the snapshot go as they are, each time all of them.
"""

import contextlib
import os
import tarfile
import tempfile
from collections.abc import Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.git import export, remote_errors, sendpack
from gittrack.git.command import Git
from gittrack.git.discover import Paths
from gittrack.git.network import Outcome, Progress
from gittrack.git.objects import is_oid
from gittrack.launch.link import shelling
from gittrack.launch.link.protocol import Channel, Link
from gittrack.launch.link.words import shown
from gittrack.launch.sending import code_scripts

HOST, IMAGE, FILES = "host", "image", "files"  # whose git took the code in; FILES: nobody's
_NOISE = 65536  # bytes that a shell's start-up files may say before our program does
_PIECE = 1 << 18
NEARLY_FULL = 1_000_000
_FOR_NOW = "for-now"  # in the file of the name: all that can be known yet


class Code(NamedTuple):
    """What is sent, and from where."""

    paths: Paths
    environ: Mapping[str, str]
    oid: str  # the snapshot
    project: str  # see `project`

    @property
    def git(self) -> Git:
        return Git(self.paths, self.environ)


class Helper(NamedTuple):
    """Where a host without git finds one: an image that is there."""

    docker: str = "docker"
    image: str = ""


class Sent(NamedTuple):
    """What became of it."""

    by: str  # HOST, IMAGE, FILES; empty: there was no git, and nobody to help
    size: int  # bytes of objects that were sent
    state: str  # of the work tree: "", "open" (files are to be put into it), "placed"
    free: int | None  # bytes of the host's disk that were free before


NO_HELP = Helper()


def project(git: Git) -> str:
    """What the repository is called at hosts: the oid of its first commit, which all its clones know.

    Kept in the clone: a history of 100,000 commits takes a second to walk. Before the first commit it is a name by
    chance, and in a shallow clone that of its oldest commit, until more is known.
    """
    path = os.path.join(git.paths.common_dir, "track", "project")
    known: list[str] = []
    with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding="ascii") as file:
        known = [word for word in file.read(100).split() if is_oid(word) or word == _FOR_NOW]
    if known and is_oid(known[0]) and (known[1:] != [_FOR_NOW] or _is_shallow(git)):
        return known[0]
    roots = git.call("rev-list", "--max-parents=0", "HEAD", "--").out.decode("ascii", "replace").split()
    if known and not roots:
        return known[0]
    length = 64 if git.call("rev-parse", "--show-object-format").out.strip() == b"sha256" else 40
    found = min(roots, default="") or os.urandom(32).hex()[:length]
    with contextlib.suppress(OSError):  # read-only: then it is looked up each time
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{os.getpid()}.tmp"
        with open(temporary, "w", encoding="ascii") as file:
            file.write(found + (f" {_FOR_NOW}" if not roots or _is_shallow(git) else "") + "\n")
        os.replace(temporary, path)
    return found


def _is_shallow(git: Git) -> bool:
    """Whether its oldest commit may not be the first one."""
    try:
        return os.path.getsize(os.path.join(git.paths.common_dir, "shallow")) > 0
    except OSError:
        return False


def send_code(
    link: Link, code: Code, run_id: str = "", whole: bool = True, helper: Helper = NO_HELP, show: Progress | None = None
) -> Sent:
    """Bring the snapshot to the host and, with `run_id`, into the work tree of that job, unless it is there.

    `whole`: no more files follow, so that the work tree gets its name. Raises HostFailed, LinkLost, and
    GitFailed for what is wrong with this clone.
    """
    problem: Outcome | None = None
    for attempt in range(10):
        forget = problem is not None and sendpack.lacks(problem)
        sent, outcome = _once(link, code, run_id, whole, helper, show, forget)
        if outcome.done:
            return sent
        if not sendpack.again(outcome, attempt) and (forget or not sendpack.lacks(outcome)):
            raise _refused(link, code, outcome, sent.free)
        problem = outcome
    raise _refused(link, code, problem or Outcome(remote_errors.OTHER, ""), None)


def send_files(link: Link, code: Code, run_id: str, whole: bool = True, show: Progress | None = None) -> Sent:
    """The snapshot without any git there: all its files. Raises as `send_code`."""
    listed = export.listing(code.git, code.oid)
    total = sum(one.size or 0 for one in listed)
    channel = link.open(shelling.script(code_scripts.TREE, link.folder(), run_id, "whole" if whole else "open"))
    with contextlib.closing(channel), tempfile.TemporaryDirectory(prefix="gittrack-") as work:
        tree = os.path.join(work, "tree")
        os.mkdir(tree)
        export.write(_without_settings(code, os.path.join(work, "git")), listed, tree)
        counted = Counted(channel, "Sending files", 0, total, show)
        with contextlib.suppress(BrokenPipeError):  # what it says explains more
            with tarfile.open(fileobj=counted, mode="w", format=tarfile.GNU_FORMAT) as tar:  # type: ignore[call-overload]
                tar.add(tree, "tree", filter=_nobodys)
                tar.addfile(tarfile.TarInfo("complete"))
            counted.flush()
            channel.end_input()
        state, free = _ended(link, code, channel, sendpack.Packets(channel.read), None)
    return Sent(FILES, counted.done, state, free)


def _without_settings(code: Code, folder: str) -> Git:
    """The same objects in a repository like that of a host: neither the user's filters nor his line ends have a say."""
    os.makedirs(os.path.join(folder, "objects", "info"))
    os.mkdir(os.path.join(folder, "refs"))
    for name, text in (
        ("config", code_scripts.config(code.oid)),
        ("HEAD", "ref: refs/heads/none\n"),
        ("objects/info/alternates", os.path.join(code.paths.common_dir, "objects") + "\n"),
    ):
        with open(os.path.join(folder, name), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    environ = {name: value for name, value in code.environ.items() if not name.startswith("GIT_")}
    nobodys = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1"}
    alone = {**environ, **nobodys, "XDG_CONFIG_HOME": os.devnull, "HOME": os.devnull, "GIT_DIR": folder}
    return Git(Paths(folder, folder, None), alone)


def _once(
    link: Link, code: Code, run_id: str, whole: bool, helper: Helper, show: Progress | None, forget: bool
) -> tuple[Sent, Outcome]:
    """`forget`: what the host says that it has is not relied on."""
    folder = link.folder()
    given = (folder, code.project, code_scripts.config(code.project), code.oid, run_id, "whole" if whole else "open")
    program = code_scripts.GIT.strip() + "\n"
    channel = link.open(shelling.script(code_scripts.WITH_GIT, program, helper.docker, helper.image, *given))
    with contextlib.closing(channel):
        packets = sendpack.Packets(channel.read)
        try:
            by, free, near = _greeting(link, channel, packets)
            if not by:
                return Sent("", 0, "", None), Outcome("", "")
            found = sendpack.advertised(packets)
            if forget:
                found = found._replace(refs={})
            ref = layout.code_ref(code.oid)
            outcome, size = sendpack.give(code.git, channel, packets, found, ref, code.oid, near, show)
        except errors.RemoteFailed as error:
            raise _broken(link, channel, error) from error
        if not outcome.done:
            return Sent(by, size, "", free), outcome
        state, _ = _ended(link, code, channel, packets, free) if run_id else ("", None)
    return Sent(by, size, state, free), outcome


def _greeting(link: Link, channel: Channel, packets: sendpack.Packets) -> tuple[str, int | None, list[str]]:
    """(whose git answers, bytes free, the newest snapshots there)."""
    by, free, passed = HOST, None, 0
    near: list[str] = []
    while (raw := packets.line(_NOISE)) is not None:
        words = raw.decode("utf-8", "replace").split()
        passed += len(raw)
        if words[:1] == ["gittrack"]:
            word = words[1] if len(words) > 1 else ""
            if word == "none":
                return "", None, []
            if word == "image":
                by = IMAGE
            elif word == "ready":
                free = kilobytes(words[2:])
            elif word == "go":
                return by, free, near
            else:
                break
        elif is_oid(name := raw.decode("ascii", "replace").rpartition("/")[2]):
            near.append(name)
        if passed > _NOISE:
            break
    if by == IMAGE:  # no such image, no shell in it, …: who needs the image will say so
        return "", None, []
    raise _failed(link, channel, "the code cannot be sent")


def _ended(
    link: Link, code: Code, channel: Channel, packets: sendpack.Packets, free: int | None
) -> tuple[str, int | None]:
    """How the work tree was left. Raises HostFailed where it was not made."""
    for line in packets.rest().decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[:2] in (["gittrack", "placed"], ["gittrack", "open"]):
            return words[1], free
        if words[:2] == ["gittrack", "failed"]:
            left = kilobytes(words[3:])
            exit_code, said = channel.wait(), shown(channel.said())
            # git does not say why it could not write.
            if "No space left" in said or "quota" in said or (left is not None and left < NEARLY_FULL):
                raise full(link, _tree_size(code), left if free is None else free)
            said = said or f"exit code {exit_code}"
            raise errors.HostFailed(f"{link.name}: the work tree cannot be made: {said}", "", "place")
    raise _failed(link, channel, "the work tree cannot be made")


def _refused(link: Link, code: Code, outcome: Outcome, free: int | None) -> errors.HostFailed:
    said = shown(outcome.said)
    if outcome.kind == remote_errors.FULL or "No space left" in said:
        return full(link, _tree_size(code), free)
    hint = f"if the repository there is damaged, it may go, and is made anew: git track host prune {link.name}"
    return errors.HostFailed(f"{link.name}: git there does not take the code: {said or outcome.kind}", hint, "code")


def full(link: Link, needed: int, free: int | None) -> errors.HostFailed:
    """The error for a disk that has no room for `needed` more bytes."""
    left = "" if free is None else f", and {_size(free)} are free"
    return errors.HostFailed(
        f"{link.name}: the disk there is too full: what is sent needs {_size(needed)}{left}",
        f"make room there (git track host prune {link.name}), then run the command again: nothing is half written",
        "full",
    )


def _failed(link: Link, channel: Channel, what: str) -> errors.HostFailed:
    code = channel.wait()
    return errors.HostFailed(f"{link.name}: {what}: {shown(channel.said()) or f'exit code {code}'}", "", "code")


def _broken(link: Link, channel: Channel, error: errors.RemoteFailed) -> errors.HostFailed:
    """git there stopped in the middle of a word."""
    said = shown(channel.said()) if error.kind == remote_errors.CUT and channel.wait() else ""
    return errors.HostFailed(f"{link.name}: {said or shown(error.message)}", "run the command again", "code")


def kilobytes(words: list[str]) -> int | None:
    """What df said, as far as it is a number."""
    text = words[0] if words else ""
    return int(text) * 1024 if text.isdigit() and len(text) < 16 else None


def _tree_size(code: Code) -> int:
    return sum(one.size or 0 for one in export.listing(code.git, code.oid))


def _size(count: int) -> str:
    for unit, power in (("GB", 10**9), ("MB", 10**6)):
        if count >= power:
            return f"{count / power:,.1f} {unit}"
    return f"{count / 1000:,.0f} kB"


class Counted:
    """A file for tarfile that writes into a channel, in large pieces."""

    def __init__(self, channel: Channel, what: str, before: int, total: int, show: Progress | None) -> None:
        self._channel, self._what, self._total, self._show = channel, what, total, show
        self._before = before
        self._waiting = bytearray()
        self.done = 0  # bytes that were taken, if not sent

    def write(self, data: bytes) -> int:
        self._waiting += data
        self.done += len(data)
        if len(self._waiting) >= _PIECE:
            self.flush()
        return len(data)

    def tell(self) -> int:
        return self.done

    def flush(self) -> None:
        """Send what waits."""
        self._channel.write(bytes(self._waiting))
        self._waiting.clear()
        if self._show:
            self._show(self._what, min(self._before + self.done, self._total), self._total)


def _nobodys(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
