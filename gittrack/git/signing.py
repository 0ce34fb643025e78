"""Commits signed and checked by git itself: gpg or ssh, keys, agents and trust are as the user has set them up."""

from collections.abc import Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.git import objects
from gittrack.git.command import Git

KEY = "user.signingkey"  # as `git config --list` prints it
CLAIMED, GOOD, UNKNOWN, BAD, EXPIRED, REVOKED = "claimed", "good", "unknown key", "bad", "expired", "revoked key"
_STATES = {"G": GOOD, "U": UNKNOWN, "E": UNKNOWN, "B": BAD, "X": EXPIRED, "Y": EXPIRED, "R": REVOKED}
_FORMAT = "%x1e%H%x1f%G?%x1f%GS%x1f%GK%x1f%GF"


class Signature(NamedTuple):
    """What is known of the signature of a commit. `signer`: whose key it is, as git says it; empty where it cannot."""

    state: str = CLAIMED
    signer: str = ""
    key: str = ""


def commit(git: Git, tree: str, parents: Sequence[str], who: str, seconds: int, message: str) -> str:
    """The oid of a signed commit, written and flushed. What it names must have been written. Raises GitFailed."""
    name, _, email = objects.identity(who).removesuffix(">").rpartition(" <")
    date = f"@{max(0, seconds)} +0000"
    people = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", name), ("EMAIL", email), ("DATE", date))
    }
    args = [word for parent in parents for word in ("-p", parent)]
    settings = ("-c", "i18n.commitEncoding=UTF-8", "-c", "core.fsync=committed")
    result = git.call(*settings, "commit-tree", "-S", *args, "-F", "-", tree, input=message.encode(), env=people)
    if result.code != 0:
        said = result.err.decode("utf-8", "replace").strip() or f"exit code {result.code}"
        raise errors.GitFailed(
            f"git could not sign this, and nothing was changed: {said}",
            "see that `git commit -S` works (user.signingKey, gpg.format, an agent that runs), or go on unsigned with "
            "`git config track.sign false`",
        )
    return result.out.decode("ascii").strip()


def signatures(git: Git, oids: Sequence[str]) -> dict[str, Signature]:
    """What git says of the signatures of these commits. Costs a gpg or ssh-keygen for each that has one."""
    found = dict.fromkeys(oids, Signature())
    if not oids:
        return found
    asked = "".join(f"{objects.whole(oid)}\n" for oid in oids).encode()
    args = ("log", "--no-walk=unsorted", "--stdin", f"--format={_FORMAT}")
    said = git.run("-c", "log.showSignature=false", *args, input=asked).decode("utf-8", "replace")
    for entry in said.split("\x1e")[1:]:
        oid, letter, signer, key, print_ = entry.rstrip("\n").split("\x1f")
        state = _STATES.get(letter)
        if state is not None:
            found[oid] = Signature(state if signer or state != GOOD else UNKNOWN, signer, key or print_)
    return found


def is_signed(data: bytes) -> bool:
    """Whether a commit has a signature of any kind: git says "none" of one that it has no way to check."""
    head = data.partition(b"\n\n")[0]
    return b"\ngpgsig " in head or b"\ngpgsig-sha256 " in head
