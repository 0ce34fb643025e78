"""Files of more than 4 GB, and tens of thousands of files in one checkpoint."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from common import TRACK
from test_files_of_runs import read, refs

SIZE = (4 << 30) + (1 << 20)  # more than 32 bits can count
ROOM = 1 << 30  # of memory, for each process: a quarter of the file
PATTERN = bytes(range(256)) * 4096
HUGE = f"""
import gittrack, os
with open("huge.bin", "wb") as file:
    file.write(bytes(range(256)) * 4096)
    file.truncate({SIZE})
gittrack.init().checkpoint(path="huge.bin", step=1)
os.remove("huge.bin")
"""
MANY = """
import gittrack, os
for folder in range(20):
    os.makedirs(f"many/{folder}")
    for number in range(1000):
        with open(f"many/{folder}/{number}", "w") as file:
            file.write(f"{folder} {number}")
gittrack.init().checkpoint(path="many", step=1)
"""


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (ROOM, ROOM))


def test_a_file_of_more_than_4_gb_goes_there_and_back_in_little_memory(repo: Path, git: Callable[..., str]) -> None:
    (repo / "train.py").write_text(HUGE)
    subprocess.run([TRACK, "run", "-q", sys.executable, "train.py"], cwd=repo, check=True, preexec_fn=little_memory)
    assert read(git, "summary", refs(git)[0])["artifacts"] == {"count": 1, "size": SIZE}
    back = subprocess.Popen(
        [TRACK, "cat", "latest:huge.bin"], cwd=repo, stdout=subprocess.PIPE, preexec_fn=little_memory
    )
    assert back.stdout
    assert back.stdout.read(len(PATTERN)) == PATTERN
    zeros, came = bytes(1 << 20), len(PATTERN)
    while piece := back.stdout.read(len(zeros)):
        assert piece == zeros[: len(piece)]
        came += len(piece)
    assert (back.wait(), came) == (0, SIZE)


def test_twenty_thousand_small_files_go_there_and_back(repo: Path, git: Callable[..., str]) -> None:
    (repo / "train.py").write_text(MANY)
    (repo / ".gitignore").write_text("many\n")
    subprocess.run([TRACK, "run", "-q", sys.executable, "train.py"], cwd=repo, check=True)
    listed = subprocess.run([TRACK, "artifacts", "--json"], cwd=repo, capture_output=True, check=True).stdout
    assert len({file["path"] for file in json.loads(listed)}) == 20_000
    assert len(git("ls-tree", "-r", "--name-only", refs(git)[0]).splitlines()) < 1100  # the others are the store's
    subprocess.run([TRACK, "checkout", "latest", "--artifacts", "-o", "back"], cwd=repo, check=True)
    for folder in range(20):
        names = os.listdir(repo / "back" / "many" / str(folder))
        assert sorted(names) == sorted(map(str, range(1000)))
        assert all((repo / "back" / "many" / str(folder) / name).read_text() == f"{folder} {name}" for name in names)
