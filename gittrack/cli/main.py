"""Where `git-track` starts. It answers without the command-line library what needs none, and hands on the rest.

typer costs 60 ms to import; `--version` and a refusal on a system that has no flock(2) need not pay for it.
"""

import atexit
import gc
import os
import sys

from gittrack import __version__
from gittrack.lazy import lazy

SYSTEMS = ("linux", "darwin")


def main() -> None:
    """The console script. Does not return."""
    gc.set_threshold(100_000)  # of 700: a call makes many objects and hardly any cycles; 5 to 10 ms of a listing
    code = start(sys.argv[1:], sys.platform)
    _leave(code)
    sys.exit(code)


def start(argv: list[str], platform: str) -> int:
    """Run one call of `git track` on a system called `platform`, and return its exit code."""
    if argv in (["--version"], ["-V"]):
        sys.stdout.write(f"gittrack {__version__}\n")
        return 0
    if not platform.startswith(SYSTEMS):
        sys.stderr.write(
            f"error: gittrack does not run on {platform}: it needs Linux or macOS\n"
            "hint: on Windows, use it inside WSL 2, where it is Linux\n"
        )
        return 77
    if argv[:1] == ["__complete"]:
        found: int = lazy("gittrack.cli.completion").complete(argv[1:])
        return found
    if argv == ["lfs-agent"]:  # git-lfs talks to it, nobody else
        served: int = lazy("gittrack.cli.lfs_agent").serve()
        return served
    if argv[:1] == ["pull"] and lazy("gittrack.cli.quick_pull").is_done(argv[1:]):
        return 0
    code: int = lazy("gittrack.cli.frame").call(argv)
    return code


def _leave(code: int) -> None:
    """End here and now: to take the interpreter apart in good order costs 9 ms, and nobody sees it. Returns where
    something is left to wait for or to say."""
    threading = sys.modules.get("threading")
    if threading is not None and any(not thread.daemon for thread in threading.enumerate()[1:]):
        return
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)
