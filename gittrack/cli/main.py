"""Where `git-track` starts. It answers without the command-line library what needs none, and hands on the rest.

typer costs 60 ms to import; `--version` and a refusal on a system that has no flock(2) need not pay for it.
"""

import gc
import sys

from gittrack import __version__
from gittrack.lazy import lazy

SYSTEMS = ("linux", "darwin")


def main() -> None:
    """The console script. Leaves by SystemExit."""
    gc.set_threshold(100_000)  # of 700: a call makes many objects and hardly any cycles; 5 to 10 ms of a listing
    sys.exit(start(sys.argv[1:], sys.platform))


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
    code: int = lazy("gittrack.cli.frame").call(argv)
    return code
