"""The three things that are asked of another repository: which refs of gittrack it has, objects, and to move refs.

Nothing of the user's has a say in which refs these are, and none of his are touched: refspecs are whole oids and whole
names, no setting adds others, no hook of his runs, and a fetch writes objects alone. Who he is,
and how he reaches the remote, are his settings, as for every other git command.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import IO, NamedTuple

from gittrack.git import remote_errors
from gittrack.git.command import Git, version
from gittrack.git.objects import is_oid, whole
from gittrack.git.refnames import is_valid
from gittrack.git.repository import RefChange

PREFIX = "refs/track/"
Progress = Callable[[str, int, int], None]  # what git is at, how many of how many

_OPTIONS = ("--no-tags", "--no-auto-gc", "--no-recurse-submodules", "--no-prune", "--refmap=")
_STDIN = (2, 29)  # the first git with `fetch --stdin` and `--no-write-fetch-head`
_SETTINGS = (
    "fetch.fsckObjects=true",
    "fetch.writeCommitGraph=false",
    "fetch.pruneTags=false",
    "push.followTags=false",
    "push.useForceIfIncludes=false",
    "submodule.recurse=false",
)
_UNCHECKED = ("-c", "fetch.fsckObjects=false")
_MOVED = re.compile(r"([ +\-*!=])\t[^\t]*:(refs/[^\t]*)\t(.*)")
_SHALLOW = "shallow roots are not allowed to be updated"
_COMMAND = 900_000  # bytes of a command line; macOS takes 1 MiB, Linux 2
_REASON = re.compile(r"\((.*)\)\Z")
_PERCENT = re.compile(r"(?:remote: )?([A-Z][A-Za-z ]+): +\d+% \((\d+)/(\d+)\)")


class Outcome(NamedTuple):
    """What became of one ref. `kind`: of `remote_errors`, empty where it is as it was to be."""

    kind: str
    said: str

    @property
    def done(self) -> bool:
        return not self.kind


def ls_remote(git: Git, remote: str) -> dict[str, str]:
    """Name -> oid of the refs of gittrack on a remote (a name or URL): one connection. Raises RemoteFailed."""
    code, out, err = _run(git, remote, ("ls-remote", "--refs", "--", remote, f"{PREFIX}*"))
    if code != 0:
        raise remote_errors.failure(remote, err)
    found: dict[str, str] = {}
    for line in out.decode("utf-8", "surrogateescape").splitlines():
        oid, tab, ref = line.partition("\t")
        if tab and is_oid(oid) and ref.startswith(PREFIX) and is_valid(ref):
            found[ref] = oid
    return found


def fetch(git: Git, remote: str, wants: Iterable[str], progress: Progress | None = None, checked: bool = True) -> None:
    """Bring objects here, checked by git's fsck; no ref is written. `wants`: oids, or names of refs on the remote.
    Not `checked` only where nobody takes them for sound.

    Whole, never with `--filter`: git notes that in the user's settings, and his clone is a partial one from then on.
    Raises RemoteFailed: then what came is not relied on; a ref that is not there any more is one reason.
    """
    specs = [each if is_oid(each) else _ref(each) for each in wants]
    if not specs:
        return
    new = version(git) >= _STDIN
    options = [*_OPTIONS, *(("--no-write-fetch-head", "--stdin") if new else ())]
    options += ["--progress"] if progress else ["--quiet"]
    given = "".join(f"{each}\n" for each in specs).encode() if new else None
    args = ("fetch", *options, "--", remote, *(() if new else specs))
    code, _, err = _run(git, remote, (*(() if checked else _UNCHECKED), *args), given, progress)
    if code != 0:
        raise remote_errors.failure(remote, err)
    if _SHALLOW in err:  # git takes that for no failure: the objects are here, but for what lies behind them
        what = "the history of what it gives is not all there: it is a shallow clone"
        raise remote_errors.of_kind(remote, remote_errors.DAMAGED, what)


def push(
    git: Git,
    remote: str,
    changes: Sequence[RefChange],
    atomic: bool = False,
    progress: Progress | None = None,
) -> dict[str, Outcome]:
    """Move refs on a remote, each only from its `old`; by ref, how it went. A ref that is at its `new` already is done.

    `atomic`: all or none; raises RemoteFailed of kind NOT_ATOMIC where the server cannot do that. RemoteFailed for all
    that failed before the server said anything of a single ref: then some may have moved all the same.
    """
    if not changes:
        return {}
    if not fits(changes):
        if atomic:
            raise remote_errors.of_kind(remote, remote_errors.NOT_ATOMIC, f"{len(changes):,} refs are too many at once")
        half = len(changes) // 2
        return {
            **push(git, remote, changes[:half], False, progress),
            **push(git, remote, changes[half:], False, progress),
        }
    leases = [f"--force-with-lease={_ref(each.ref)}:{whole(each.old) if each.old else ''}" for each in changes]
    specs = [f"{whole(each.new) if each.new else ''}:{each.ref}" for each in changes]
    options = ["--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"]
    options += ["--atomic"] if atomic else []
    options += ["--progress"] if progress else []
    code, out, err = _run(git, remote, ("push", *options, *leases, "--", remote, *specs), None, progress)
    found = outcomes(out.decode("utf-8", "replace"), err)
    if code != 0 and all(each.done for each in found.values()):  # it broke off before or after
        raise remote_errors.failure(remote, err)
    if not found.keys() >= {each.ref for each in changes}:
        raise remote_errors.failure(remote, err)
    return found


def fits(changes: Sequence[RefChange]) -> bool:
    """Whether one command can name all of these: git has no other way to be told."""
    return sum(len(each.ref) * 2 + len(each.old or "") + len(each.new or "") + 40 for each in changes) < _COMMAND


def outcomes(said: str, err: str) -> dict[str, Outcome]:
    """What `git push --porcelain` says of each ref. `err`: what the server said beside that."""
    remarks = remote_errors.remarks(err)
    found: dict[str, Outcome] = {}
    for line in said.splitlines():
        match = _MOVED.fullmatch(line)
        if match is None:
            continue
        flag, ref, summary = match.groups()
        if flag == "!":
            reason = _REASON.search(summary)
            text = reason[1] if reason else summary
            found[ref] = Outcome(remote_errors.kind_of_ref(text, remarks), "; ".join(filter(None, (text, remarks))))
        else:
            found[ref] = Outcome("", summary)
    return found


def url(git: Git, remote: str, pushing: bool = False) -> str:
    """Where a remote is: of a name what the settings say, of a URL itself, rewritten by `url.<base>.insteadOf`."""
    answer = git.call("remote", "get-url", *(("--push",) if pushing else ()), "--", remote)
    if answer.code == 0:
        return answer.out.decode("utf-8", "surrogateescape").splitlines()[0]
    return remote


def _ref(name: str) -> str:
    """`name`, which must be the name of a ref below refs/track/: it becomes part of a refspec."""
    if not name.startswith(PREFIX) or not is_valid(name):
        raise ValueError(f"{name!r} is not the name of a ref of gittrack")
    return name


def _run(
    git: Git, remote: str, args: Sequence[str], given: bytes | None = None, progress: Progress | None = None
) -> tuple[int, bytes, str]:
    settings = [part for each in _SETTINGS for part in ("-c", each)]
    # Who sits at a terminal may be asked for a password, as by git itself.
    env = {"GIT_TERMINAL_PROMPT": "1"} if os.isatty(2) else {}
    mirror = f"remote.{remote}.mirror="
    if "=" in remote:  # -c would take the name to end there
        settings += ["--config-env", f"{mirror}GITTRACK_MIRROR"]
        env["GITTRACK_MIRROR"] = "false"
    else:
        settings += ["-c", f"{mirror}false"]
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout:  # no pipe that runs full meanwhile
        stdin.write(given or b"")
        stdin.seek(0)
        with git.popen(*settings, *args, stdin=stdin, stdout=stdout, env=env) as process:
            assert process.stderr is not None
            try:
                err = followed(process.stderr, progress)
                code = process.wait()
            except BaseException:  # an interrupt leaves no transfer behind
                process.kill()
                raise
        stdout.seek(0)
        return code, stdout.read(), err


def followed(stream: IO[bytes], progress: Progress | None) -> str:
    """All that git says, but for how far it is, which `progress` is told."""
    kept: list[str] = []
    rest = b""
    while block := os.read(stream.fileno(), 65536):
        *lines, rest = re.split(rb"[\r\n]", rest + block)
        for line in lines:
            text = line.decode("utf-8", "replace")
            match = _PERCENT.match(text)
            if match and progress:
                progress(match[1], int(match[2]), int(match[3]))
            elif text.strip() and not match:
                kept.append(text)
    return "\n".join([*kept, rest.decode("utf-8", "replace")])
