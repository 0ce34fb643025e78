"""What git and git hosts say when a transfer fails, in one table: the kind of failure, and the way on."""

import re
from typing import NamedTuple

from gittrack import errors
from gittrack.git.lfs import shown

LIMITED, FULL, TOO_BIG, HIDDEN, NO_DELETION, NO_FORCE = (
    "limited",
    "full",
    "too big",
    "hidden",
    "no deletion",
    "no force",
)
HOOK, REFS_REFUSED, NOT_ATOMIC, STALE, TOGETHER = "hook", "refs refused", "not atomic", "stale", "together"
AUTH, ABSENT, UNREACHABLE, CUT, READ_ONLY, SHALLOW, DAMAGED = (
    "auth", "absent", "unreachable", "cut", "read only", "shallow", "damaged",
)  # fmt: skip
GONE, OTHER = "gone", "other"

_AGAIN = "run the command again: it goes on where it stopped"


class Sign(NamedTuple):
    """`pattern`, in any case, in what was said means `kind`."""

    kind: str
    pattern: str
    hint: str


# The first one that fits counts: what a server says of its own reasons comes before what git makes of it.
TABLE = (
    Sign(
        LIMITED,
        r"rate.?limit|too many (requests|pushes)|error: 429|\d+ (pushes |requests )?(per|/) ?(minute|"
        r"hour|second)|try again in|retry.after",
        "wait until it takes pushes again, then run the command again: it goes on where it stopped",
    ),
    Sign(
        FULL,
        r"no space left on device|disk quota exceeded|quota (has been )?exceeded|over (its |your )?quota|"
        r"storage limit|repository size limit",
        "make room there (or give the runs a repository of their own: git track remote URL), then run "
        "the command again",
    ),
    Sign(
        TOO_BIG,
        r"exceeds maximum allowed size|file size limit|larger than the maximum|GH001|error: 413|"
        r"request entity too large",
        "push fewer runs at a time (`git track push RUN...`); large files belong into a store (`store:` "
        "in gittrack.yaml)",
    ),
    Sign(
        HIDDEN,
        r"deny updating a hidden ref",
        "the server hides refs/track (transfer.hideRefs, receive.hideRefs): have it take that out, or "
        "keep the runs in another "
        "repository: git track remote URL",
    ),
    Sign(
        NO_DELETION,
        r"deletion prohibited|denying ref deletion|deletion of .* (is )?(denied|not allowed)",
        "the server takes no deletions (a hook or a rule of the host): archived runs keep their refs there, "
        "which costs speed only",
    ),
    Sign(
        NO_FORCE,
        r"non-fast-forward|denying non-fast|forced? (push|update)s? .*(denied|not allowed|prohibited)",
        "the server takes no forced updates (a hook or a rule of the host); only `git track purge` needs them",
    ),
    Sign(NOT_ATOMIC, r"does not support --?atomic", _AGAIN),
    Sign(
        STALE,
        r"stale info|fetch first|failed to (update|lock) ref|cannot lock ref|incorrect old value|"
        r"reference already exists|"
        r"unable to (update|create).*\.lock|failed to lock",
        "somebody else pushed at the same moment; run the command again",
    ),
    Sign(TOGETHER, r"atomic (push|transaction) fail", _AGAIN),
    Sign(
        SHALLOW,
        r"shallow update not allowed|shallow file has changed",
        "this clone is shallow and the remote lacks the commits that it does not have: git fetch --unshallow, or "
        "git track push --no-code",
    ),
    Sign(
        REFS_REFUSED,
        r"funny ref|invalid ref|not a valid ref|prohibited by gerrit|not permitted: (create|update)|"
        r"refs?/?\S* (is|are) not (allowed|permitted)|only .*refs/heads|cannot create ref|protected ref|custom refs?\b",
        "this server takes no refs besides branches and tags, or not from you: keep the runs in another repository "
        "(git track remote URL), or share them by file: git track export",
    ),
    Sign(
        HOOK,
        r"hook declined|hook failed|push declined|push rule|GH006|GH013|GL-HOOK-ERR",
        "a hook on the server refuses it: ask who runs it to let refs/track/* pass, or keep the runs in "
        "another repository: "
        "git track remote URL",
    ),
    Sign(
        AUTH,
        r"authentication failed|could not read (username|password)|terminal prompts disabled|permission denied \(|"
        r"host key verification failed|error: 40[13]|access denied|not authori[sz]ed|invalid (username|credentials)|"
        r"denied to \S+|you are not allowed",
        "check your access: git ls-remote {remote} must work without asking; for a push you need the right to write",
    ),
    Sign(
        GONE,
        r"couldn't find remote ref|not our ref|unadvertised object|did not send all necessary objects|"
        r"missing necessary objects",
        "what was asked for is not there any more, or not given away; run the command again",
    ),
    Sign(
        ABSENT,
        r"does not appear to be a git repository|repository .*not found|error: 404|no such remote|not a git repository|"
        r"does not exist|no such file or directory|no configured push destination",
        "`git track remote` shows which one holds the runs, `git track remote NAME|URL` sets it",
    ),
    Sign(
        UNREACHABLE,
        r"could not resolve|connection refused|timed out|network is unreachable|no route to host|failed to connect|"
        r"couldn't connect|operation timed out|unable to look up",
        "check the network, then run the command again",
    ),
    Sign(
        READ_ONLY,
        r"read-only file system|insufficient permission|permission denied|unable to create temporary|unable to write",
        "the remote is not writable for you",
    ),
    Sign(
        DAMAGED,
        r"fsck error|bad object|index-pack (died|failed|abnormal)|invalid index-pack|pack has bad|"
        r"badtree|zeropadded|unpack(er)? (error|failed)",
        "`git track doctor` checks this side, `git fsck` on the server the other",
    ),
    Sign(
        CUT,
        r"hung up|early eof|connection (reset|closed|was aborted)|broken pipe|rpc failed|unexpected disconnect|"
        r"could not read from remote|error: 5\d\d|unable to access|killed by signal|protocol error|expected flush|"
        r"bad line length|sideband",
        "the connection was cut; run the command again: what arrived is not sent twice",
    ),
)
_READY = [(sign, re.compile(sign.pattern, re.IGNORECASE)) for sign in TABLE]
_SERVERS = re.compile(r"(?:remote:|error: remote unpack failed:) ?(.*)")
_NOISE = re.compile(
    r"(remote: )?(Enumerating|Counting|Compressing|Writing|Resolving|Receiving|Total|Delta compression)\b"
)
_WAIT = re.compile(r"(?:after|in|wait|for)\D{0,24}?(\d+) ?(s|m|h)", re.IGNORECASE)
_HEADER = re.compile(r"retry.after:? *(\d+)", re.IGNORECASE)
_RATE = re.compile(r"(\d+) ?(?:\w+ )?(?:per|/) ?(second|minute|hour)", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LINES = 4


def kind_of(said: str) -> str:
    """The kind of failure that a text tells of."""
    return next((sign.kind for sign, pattern in _READY if pattern.search(said)), OTHER)


def kind_of_ref(reason: str, remarks: str) -> str:
    """The same of one ref: `reason` is git's word for it, `remarks` what the server said to all of them."""
    mine = kind_of(reason)
    if mine in (HOOK, OTHER, REFS_REFUSED, DAMAGED, READ_ONLY):  # why is in what it says beside that
        told = kind_of(remarks)
        return told if told in (LIMITED, FULL, TOO_BIG, AUTH) else mine
    return mine


def hint_of(kind: str, remote: str) -> str:
    """The way on."""
    return next((sign.hint for sign in TABLE if sign.kind == kind), _AGAIN).replace("{remote}", shown(remote))


def wait_of(said: str) -> float | None:
    """Seconds after which a server that limits pushes says that it takes one again; None where it does not say."""
    if match := _HEADER.search(said):
        return float(match[1])
    if match := _WAIT.search(said):
        return float(match[1]) * _SECONDS[match[2].lower()]
    if match := _RATE.search(said):
        return _SECONDS[match[2][0].lower()] / max(1, int(match[1]))
    return None


def remarks(err: str) -> str:
    """What the server itself said, in one line."""
    found = (_SERVERS.fullmatch(line.rstrip()) for line in err.splitlines() if not _NOISE.match(line))
    return "; ".join(match[1].strip() for match in found if match and match[1].strip())


def failure(remote: str, err: str, what: str = "") -> errors.RemoteFailed:
    """The error for a transfer of which git said `err`."""
    lines = [line.strip() for line in err.splitlines() if line.strip() and not _NOISE.match(line)]
    said = "; ".join(lines[-_LINES:]) or "git ended without a word"
    return of_kind(remote, kind_of(err), what or said, err)


def of_kind(remote: str, kind: str, said: str, err: str = "") -> errors.RemoteFailed:
    """The error of a kind that is known."""
    error = errors.RemoteFailed(shown(f"{remote}: {said}"), hint_of(kind, remote))
    error.kind = kind
    error.wait = wait_of(err or said) if kind == LIMITED else None
    return error
