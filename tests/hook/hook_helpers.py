"""What tests of hooks share."""

import sys
from pathlib import Path

from gittrack.git import hook_script

PROGRAM = str(Path(sys.executable).parent / "git-track-hook")
KEY = "AKIA" + "IOSFODNN7EXAMPLQ"


def put_hook(folder: Path, name: str, program: str = PROGRAM) -> Path:
    """The script of a hook, as installing writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(hook_script.script(name, program))
    path.chmod(0o755)
    return path
