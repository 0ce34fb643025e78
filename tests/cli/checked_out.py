"""What a checkout has written, for the tests to look at."""

import os
from pathlib import Path


def tree(folder: Path) -> dict[str, object]:
    """Content of files, target of links; executables are marked."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith(".git/") or name == ".git":
            continue
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name + "*" * os.access(path, os.X_OK)] = path.read_bytes()
    return found
