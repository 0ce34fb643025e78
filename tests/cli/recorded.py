"""Reading back, with git alone, what `git track run` recorded."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gittrack.core import codec

Git = Callable[..., str]
Track = Callable[..., "subprocess.CompletedProcess[str]"]


def refs(repo: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)", "refs/track/runs"], cwd=repo, capture_output=True, text=True
    )
    return listed.stdout.split()


def show(repo: Path, path: str, ref: str = "") -> bytes:
    """A file of the record of the only run (or of `ref`)."""
    if not ref:
        [ref] = refs(repo)
    return subprocess.run(["git", "show", f"{ref}:{path}"], cwd=repo, capture_output=True, check=True).stdout


def record(repo: Path, name: str, ref: str = "") -> Any:
    return codec.loads(show(repo, f"{name}.json", ref))


def console(repo: Path, ref: str = "") -> bytes:
    return show(repo, "console/000/00.log", ref)


def nothing_is_live(repo: Path) -> bool:
    live = repo / ".git" / "track" / "live"
    return not live.exists() or not list(live.iterdir())
