"""`git track pull` where nothing is new: answered without the command-line library and all that a pull needs.

One process of git, started without `subprocess`, whose import alone takes as long as git does.
"""

import os
import sys

from gittrack.errors import GittrackError
from gittrack.git.discover import discover
from gittrack.share import settled

PIECE = 1 << 16


def is_done(words: list[str]) -> bool:
    """Whether `git track pull WORDS` has nothing to do; then it is said. Whatever is unusual is not decided here."""
    if len(words) > 1 or (words and words[0].startswith("-")):
        return False
    try:
        paths = discover(os.getcwd(), os.environ)
    except (GittrackError, OSError):
        return False
    known = settled.load(paths, os.environ, words[0] if words else "")
    if known is None or _said(*settled.arguments(known[0])) != known[1]:
        return False
    sys.stdout.write("nothing new\n")
    return True


def _said(*args: str) -> bytes | None:
    """What git prints; None when it fails, or cannot be started. Its complaints are left to the usual way."""
    env = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    reading, writing = os.pipe()
    try:
        silence = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
        actions = [(os.POSIX_SPAWN_DUP2, writing, 1), silence]
        process = os.posix_spawnp("git", ["git", *args], env, file_actions=actions)
    except OSError:
        os.close(reading)
        return None
    finally:
        os.close(writing)
    pieces = []
    with open(reading, "rb", buffering=0) as stream:
        while data := stream.read(PIECE):
            pieces.append(data)
    return b"".join(pieces) if os.waitpid(process, 0)[1] == 0 else None
