"""Programs on a file system that is nearly full."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def on_small_disk(tmp_path: Path, size: str, filled: int, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` with a folder on a file system of `size`, of which `filled` bytes are taken by the file `filler`."""
    place = tmp_path / "small"
    place.mkdir()
    script = 'mount -t tmpfs -o size=$1 small "$2" && { head -c $3 /dev/zero > "$2/filler"; exec "$4" -c "$5" "$2"; }'
    unshare = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*unshare, "sh", "-c", script, "sh", size, str(place), str(filled), sys.executable, code],
        env={**os.environ, "GITTRACK_STRICT": "0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done
