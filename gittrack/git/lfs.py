"""The git-lfs executable: objects to a remote and back.

git-lfs works on a storage folder and on settings, and writes to both: copies into `.git/lfs`, and notes about servers
and versions into `.git/config`. So it works at a desk (`desk.py`): the user's folder is neither filled nor cleaned, his
settings are not touched, and no filter or hook of his has a say.
"""

import contextlib
import os
import re
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence

from gittrack import errors
from gittrack.git import loose, objects
from gittrack.git.command import Git, config
from gittrack.git.desk import Desk
from gittrack.git.discover import repository_format

Progress = Callable[[int], None]  # bytes done since the last call
STDIN_SINCE = (3, 3, 0)  # `push --object-id --stdin`
_ARGUMENTS = 500  # object ids in one call of an older git-lfs: 32 kB of arguments
_LOOK = 0.2  # seconds between two looks at git-lfs's own account of its progress
_INSTALL = "install git-lfs (https://git-lfs.com), version 3.0 or later"

# git-lfs serves `file://` by a program of its own, which would take our desk for the remote as well, by GIT_DIR.
_AGENT, _OURS = "lfs.standalonetransferagent", "gittrack-file"
_FILE_AGENT = {
    "lfs.customtransfer.gittrack-file.path": "env",
    "lfs.customtransfer.gittrack-file.args": "-u GIT_DIR -u GIT_WORK_TREE git lfs standalone-file",
    _AGENT: _OURS,
}
_TRY = "git track store pull: it says what does not come"
_ADDRESS = "gittrack-address"  # what a remote that is given by its URL is called for a question

_QUESTION = "refs/heads/question"
_MISSING = re.compile(r"^\s*\(missing\) .* \(([0-9a-f]{64})\)\s*$", re.M)

_EXIT = re.compile(r"exit status (\d+)")
_NO_COMMAND = re.compile(r"(unknown|unrecognized|invalid|not allowed|no such) .*(command|git-lfs-authenticate)", re.I)
_NO_API = re.compile(
    r"(batch response|batch request).*(not found|404|405|501|not implemented|not allowed)", re.I | re.S
)
# What git-lfs says beside the reason.
_NOISE = ("fetch: ", "Fetching ", "Downloading LFS", "error: failed to ", "Errors logged to", "Use `git lfs logs")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


def path_of(at: Desk, oid: str) -> str:
    """The file of an object: to be put there before `push`, found there after `fetch`."""
    return os.path.join(at.folder, "lfs", "objects", oid[:2], oid[2:4], oid)


def version(git: Git) -> tuple[int, ...] | None:
    """For example (3, 3, 0); None where git-lfs is not installed."""
    said = git.call("lfs", "version")
    match = re.match(rb"git-lfs/(\d+)\.(\d+)\.(\d+)", said.out)
    return tuple(map(int, match.groups())) if said.code == 0 and match else None


def needed(git: Git) -> tuple[int, ...]:
    """The version. Raises Unsupported where git-lfs is not installed."""
    found = version(git)
    if found is None:
        raise errors.Unsupported("git-lfs is not installed", _INSTALL)
    return found


def endpoint(at: Desk, remote: str) -> str:
    """Where git-lfs finds the objects of a remote, as it says itself: lfs.url, remote.*.lfsurl, .lfsconfig and
    url.*.insteadOf all have a say."""
    name = _named(at, remote)
    lines = at.git.lines("lfs", "env")
    for mark in (f"Endpoint ({name})=", "Endpoint="):
        for line in lines:
            if line.startswith(mark):
                return line.removeprefix(mark).rpartition(" (auth=")[0]
    raise errors.StoreFailed(f"git-lfs knows no place for the objects of {shown(remote)}", "see `git lfs env`")


def push(at: Desk, remote: str, oids: Sequence[str], progress: Progress | None = None) -> None:
    """Upload objects, whose files are at the desk; what is there already is not sent.

    Raises Unsupported when the remote has no git-lfs, StoreFailed when it cannot be reached or refuses.
    """
    if needed(at.git) >= STDIN_SINCE:
        calls: list[tuple[tuple[str, ...], bytes]] = [(("--stdin",), "".join(f"{oid}\n" for oid in oids).encode())]
    else:
        calls = [(tuple(oids[start : start + _ARGUMENTS]), b"") for start in range(0, len(oids), _ARGUMENTS)]
    for rest, given in calls:
        _transfer(at, remote, ("lfs", "push", "--object-id", _address(remote), *rest), given, progress)


def fetch(at: Desk, remote: str, pointers: Sequence[bytes], progress: Progress | None = None) -> None:
    """Download the objects of `pointers`: the files of those that come are at the desk.

    Raises Unsupported and StoreFailed; also when only some did not come.
    """
    needed(at.git)
    # The options beat lfs.fetchinclude and lfs.fetchexclude.
    args = ("lfs", "fetch", "--include=*", "--exclude=", _address(remote), _show(at, pointers))
    _transfer(at, remote, args, b"", progress)


def lacking(at: Desk, remote: str, pointers: Mapping[str, bytes]) -> set[str]:
    """Which of the objects, by their ids, the remote does not have, as its git-lfs says. Nothing is transferred.

    Raises Unsupported and StoreFailed as `push`; Unsupported also where a program of the user's transfers, and there is
    nobody to ask.
    """
    needed(at.git)
    where = endpoint(at, remote)
    if config(at.git).get(_AGENT, _OURS) != _OURS:
        raise errors.Unsupported(f"git-lfs brings files to {shown(remote)} by a program that cannot be asked", _TRY)
    if where.startswith("file://"):
        return {oid for oid in pointers if not _is_in_directory(where, oid)}
    # A push of files that are not here: git-lfs asks the server, and names those that it would have to send.
    at.git.run("update-ref", _QUESTION, _show(at, [*pointers.values()]))
    options = ("-c", "lfs.allowincompletepush=true", "-c", "lfs.locksverify=false")
    done = at.git.call(*options, "lfs", "push", _address(remote), _QUESTION, keep=(at.lock,))
    if done.code != 0:
        raise _failed(remote, (done.err + done.out).decode("utf-8", "replace"))
    said = (done.out + done.err).decode("utf-8", "replace")
    return {oid for oid in _MISSING.findall(said) if oid in pointers}


def _is_in_directory(url: str, oid: str) -> bool:
    top = urllib.parse.unquote(url.removeprefix("file://"))
    parts = ("lfs", "objects", oid[:2], oid[2:4], oid)
    return any(os.path.exists(os.path.join(top, *below, *parts)) for below in ((), (".git",)))


def shown(remote: str) -> str:
    """A remote as it may stand in a message: without the password that its URL may hold."""
    return _PASSWORD.sub("", remote)


def _address(remote: str) -> str:
    """The remote as git-lfs takes it on its command line: of paths it wants the URL."""
    return f"file://{remote}" if remote.startswith("/") else remote


def _named(at: Desk, remote: str) -> str:
    """A name for the remote: git-lfs says of names only where their objects are."""
    if f"remote.{remote}.url" in config(at.git):
        return remote
    at.git.run("config", "--local", f"remote.{_ADDRESS}.url", remote)
    return _ADDRESS


def _show(at: Desk, pointers: Sequence[bytes]) -> str:
    """A commit with files of this content: git-lfs fetches what a commit needs, and takes no ids."""
    algorithm = repository_format(at.git.paths).algorithm
    blobs = {f"{number:09}": objects.blob(data, algorithm) for number, data in enumerate(pointers)}
    tree = objects.tree({name: objects.Entry(objects.FILE, blob.oid) for name, blob in blobs.items()}, algorithm)
    commit = objects.commit(tree.oid, (), "gittrack <>", 0, "pointers", algorithm)
    folder = os.path.join(at.folder, "objects")
    loose.place([loose.stage(folder, each) for each in objects.unique([*blobs.values(), tree, commit])], False)
    return commit.oid


def _transfer(at: Desk, remote: str, args: tuple[str, ...], given: bytes, progress: Progress | None) -> None:
    account = os.path.join(at.folder, "progress")
    watch = _Watch(account, progress)
    env = {"GIT_LFS_PROGRESS": account}
    with _quiet_agent(at, remote), at.git.popen(*args, stdin=subprocess.PIPE, env=env, keep=(at.lock,)) as process:
        try:
            out, err = _wait(process, given, watch)
        except BaseException:  # an interrupt leaves no transfer behind that nobody waits for
            process.terminate()
            raise
    if process.returncode != 0:
        raise _failed(remote, (err + out).decode("utf-8", "replace"))


@contextlib.contextmanager
def _quiet_agent(at: Desk, remote: str) -> Iterator[None]:
    """Where the remote is a directory, and nobody has set a program of his own for it."""
    if not endpoint(at, remote).startswith("file://") or _AGENT in config(at.git):
        yield
        return
    for name, value in _FILE_AGENT.items():
        at.git.run("config", "--local", name, value)
    folder = os.path.join(at.users.paths.common_dir, "lfs")
    was_there = os.path.isdir(folder)
    yield
    if not was_there:  # that program makes folders in the user's repository, and leaves them empty
        for path in (os.path.join(folder, "tmp"), folder):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def _wait(process: "subprocess.Popen[bytes]", given: bytes, watch: "_Watch") -> tuple[bytes, bytes]:
    rest: bytes | None = given
    while True:
        try:
            found = process.communicate(rest, timeout=_LOOK)
        except subprocess.TimeoutExpired:
            rest = None  # communicate has it already
            watch.look()
        else:
            watch.look()
            return found


class _Watch:
    """Reads what git-lfs writes down of its progress: `upload 1/2 32768/50000000 NAME`."""

    def __init__(self, path: str, progress: Progress | None) -> None:
        self._path = path
        self._progress = progress
        self._at = 0
        self._done: dict[bytes, int] = {}

    def look(self) -> None:
        if self._progress is None:
            return
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            file.seek(self._at)
            whole, newline, _ = file.read().rpartition(b"\n")
            self._at += len(whole) + len(newline)
            for line in whole.splitlines():
                words = line.split(b" ", 3)
                done = words[2].partition(b"/")[0] if len(words) == 4 else b""
                if done.isdigit() and int(done) > self._done.get(words[3], 0):
                    self._progress(int(done) - self._done.get(words[3], 0))
                    self._done[words[3]] = int(done)


def _failed(remote: str, text: str) -> errors.GittrackError:
    """The error that fits what git-lfs said. That a server is silent must not be taken for its having no git-lfs."""
    lines = [line for line in _PASSWORD.sub("", text).strip().splitlines() if not line.startswith("Uploading LFS")]
    reasons = [line for line in dict.fromkeys(lines) if not line.startswith(_NOISE)] or lines
    said = "; ".join(reasons[-2:])
    if _has_none("; ".join(lines[-4:])):
        hint = "use another store (`store:` in gittrack.yaml), or a remote that has git-lfs"
        return errors.Unsupported(f"{shown(remote)} has no git-lfs: {said}", hint)
    hint = "check the remote and your access to it, then run the command again: what arrived is not sent twice"
    return errors.StoreFailed(f"git-lfs and {shown(remote)}: {said}", hint)


def _has_none(said: str) -> bool:
    """Whether a server was reached and knows no git-lfs. 126, 127: its shell found no such command."""
    if "git-lfs-authenticate" in said:
        return _NO_COMMAND.search(said) is not None or _EXIT.findall(said)[-1:] in (["126"], ["127"])
    return _NO_API.search(said) is not None
