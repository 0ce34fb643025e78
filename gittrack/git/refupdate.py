"""Refs listed and moved by the git executable: for every kind of repository, and for many refs at once."""

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gittrack import errors
from gittrack.git import packedrefs, reffiles, reflock, refnames
from gittrack.git.command import Git, failure
from gittrack.git.discover import Format
from gittrack.git.repository import RefChange

PATIENCE = 1.0  # seconds to wait for another process's lock on a ref: what git itself waits for packed-refs
_MANY = 64  # deletions from which on packed-refs is rewritten for all of them
_OURS = "refs/track"
_LOCKED = re.compile(r"Unable to create '([^']*\.lock)': File exists")
_MOVED = re.compile(r"is at ([0-9a-f]+) but expected|reference already exists|unable to resolve reference")
T = TypeVar("T")
_IN_THE_WAY = re.compile(r"'[^']*' exists; cannot create|there is a non-empty directory|cannot process .* at the same")


def listed(git: Git, form: Format, prefix: str) -> dict[str, str]:
    """See Repository.refs."""
    if form.refs == "files" and prefix.startswith("refs/track"):
        return reffiles.read(git.paths, prefix)
    found: dict[str, str] = {}
    directory = prefix.rpartition("/")[0]
    for line in git.lines("for-each-ref", "--format=%(objectname) %(refname) %(symref)", directory):
        oid, name, symbolic = line.split(" ", 2)
        if name.startswith(prefix) and not symbolic:
            found[name] = oid
    return dict(sorted(found.items()))


def update(git: Git, changes: Sequence[RefChange], durable: bool, algorithm: str, form: Format) -> None:
    """See Repository.update_refs. `changes` have passed refnames.check."""
    ordered = refnames.in_order(changes)
    args = (*(("-c", "core.fsync=committed") if durable else ()), "update-ref", "-m", "gittrack")
    names = [change.ref for change in changes]
    with reflock.held(git.paths, [*names, packedrefs.NAME] if form.refs == "files" else names) as lock:

        def run(some: Sequence[RefChange]) -> None:
            retry(lambda: _run(git, (*args, "--no-deref", "--stdin", "-z"), _said(some, algorithm), some, lock))

        gone = _many_of_ours(git, ordered, form)
        if not gone:
            run(ordered)
            return
        with contextlib.closing(retry(lambda: _deletion(git, gone))) as deletion:  # what is in the way is seen first
            rest = [change for change in ordered if change.ref not in gone]
            if rest:
                run(rest)
            deletion.finish()


def _many_of_ours(git: Git, changes: Sequence[RefChange], form: Format) -> dict[str, str]:
    """The deletions that are done without git: many, some of packed refs, and all of ours, as git must not need the
    lock on packed-refs for others meanwhile."""
    gone = {each.ref: each.old for each in changes if each.new is None and each.old}
    if len(gone) < _MANY or form.refs != "files" or not all(ref.startswith(_OURS) for ref in gone):
        return {}
    return gone if packedrefs.packed_only(git.paths, gone) else {}


def _deletion(git: Git, gone: Mapping[str, str]) -> packedrefs.Deletion:
    try:
        return packedrefs.Deletion(git.paths, gone)
    except packedrefs.Locked as error:
        raise Busy(refnames.locked(str(error))) from None
    except packedrefs.Moved as error:
        ref = str(error)
        raise refnames.moved(RefChange(ref, gone[ref], None), reffiles.read(git.paths, ref).get(ref)) from None


def _said(changes: Sequence[RefChange], algorithm: str) -> bytes:
    """An explicit transaction: were we killed meanwhile, git would carry out an implicit one as far as it was read."""
    zero = "0" * (64 if algorithm == "sha256" else 40)
    lines = ["start", *(_line(change, zero) for change in changes), "commit"]
    return "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")


def retry(action: Callable[[], T]) -> T:
    """Do it again while another process is in the way, for a second; then Busy becomes the error that it carries."""
    until = time.monotonic() + PATIENCE
    pause = 0.001
    while True:
        try:
            return action()
        except Busy as busy:
            if time.monotonic() > until:
                raise busy.error from None
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


class Busy(Exception):
    """Another process is in the way: its lock file, or a directory that it just takes away. Never leaves this layer."""

    def __init__(self, error: errors.GittrackError) -> None:
        super().__init__(error)
        self.error = error


def _line(change: RefChange, zero: str) -> str:
    if change.new is None:
        return f"verify {change.ref}\0{zero}" if change.old is None else f"delete {change.ref}\0{change.old}"
    if change.new == change.old:
        return f"verify {change.ref}\0{change.old}"
    return f"update {change.ref}\0{change.new}\0{change.old or zero}"


def _run(git: Git, args: tuple[str, ...], said: bytes, changes: Sequence[RefChange], lock: int) -> None:
    code, err = _finished(git, args, said, lock)
    if code == 0:
        return
    text = os.fsdecode(err).strip()
    locked = _LOCKED.search(text)
    if locked:
        raise Busy(refnames.locked(locked[1]))
    if _IN_THE_WAY.search(text):
        raise refnames.in_the_way(text)
    match = _MOVED.search(text)
    if match:
        at = next((change for change in changes if f"'{change.ref}'" in text), changes[0])
        raise refnames.moved(at, match[1] or _state(text))
    raise failure(("update-ref",), code, err, git.paths)


def _finished(git: Git, args: tuple[str, ...], said: bytes, lock: int) -> tuple[int, bytes]:
    """Exit code and complaints. An interrupt waits for it: git, killed, would leave a lock file for each ref."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = git.popen(*args, stdin=subprocess.PIPE, stdout=out, stderr=err, own_session=True, keep=(lock,))
        assert process.stdin is not None
        try:
            try:
                process.stdin.write(said)
            finally:
                process.stdin.close()
        except BrokenPipeError:  # it says why
            pass
        finally:
            _wait(process)
        err.seek(0)
        return process.returncode, err.read()


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait()
    except BaseException:
        process.wait()
        raise


def _state(text: str) -> str | None:
    return "there already" if "already exists" in text else None
