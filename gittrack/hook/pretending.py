"""Whether the `git push` that called the hook is a dry run: git calls hooks then, too, and does not tell them.

Its own command line tells. Where that cannot be read, or an alias hides the option, it is taken for a real push.
"""

import os
import subprocess

_UP = 6  # processes between a hook and its git: the shells of hooks, the pre-commit framework
_LONG = "--dry-run"
_SHORTEST = len("--dr")  # git takes unambiguous beginnings of options


def is_dry_run() -> bool:
    pid = os.getppid()
    for _ in range(_UP):
        parent, words = _look(pid)
        if words and os.path.basename(words[0]) in ("git", "git-push"):
            return any(map(_says_so, words[1:]))
        if parent <= 1:
            break
        pid = parent
    return False


def _says_so(word: str) -> bool:
    if word.startswith("--"):
        return len(word) >= _SHORTEST and _LONG.startswith(word)
    return (
        word.startswith("-") and word[1:].isalnum() and "n" in word.partition("o")[0]
    )  # -o takes the rest for a value


def _look(pid: int) -> tuple[int, list[str]]:
    """The parent of a process, and its command line."""
    try:
        with (
            open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat,
            open(f"/proc/{pid}/cmdline") as file,
        ):
            return int(stat.read().rpartition(")")[2].split()[1]), file.read().rstrip("\0").split("\0")
    except (OSError, ValueError, IndexError):
        return _asked(pid)


def _asked(pid: int) -> tuple[int, list[str]]:
    """The same where there is no /proc."""
    try:
        said = subprocess.run(["ps", "-o", "ppid=,args=", "-p", str(pid)], capture_output=True, text=True, check=False)
        parent, _, words = said.stdout.strip().partition(" ")
        return int(parent), words.split()
    except (OSError, ValueError):
        return 0, []
