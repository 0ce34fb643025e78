"""Fold one long journal as a run's own process does: it grows, a cut falls due, it is committed; at the end, the rest.

usage: fold_run.py JOURNAL CUTS (in a repository)
Prints {"memory": the largest resident set in bytes, "took": the seconds of each cut}.
"""

import json
import os
import resource
import sys
import time

from gittrack.git import maintenance
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import live
from gittrack.runs.folding import TIDY_EVERY, Folder

START = 1_760_000_000.0
APART = 100_000.0  # seconds between the cuts by the clock that the fold is given: always long enough


def most_memory() -> int:
    """The largest resident set so far, in bytes."""
    try:
        with open("/proc/self/status") as file:  # getrusage counts what the process that started this one had as well
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except FileNotFoundError:  # macOS, which counts bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


source, cuts = sys.argv[1], int(sys.argv[2])
paths = discover(os.getcwd(), os.environ)
run_id, directory = live.create(paths)
repo = open_repository(paths, os.environ)
folder = Folder.open(repo, directory)
assert folder is not None
with open(source, "rb") as given, open(os.path.join(directory, "run.jsonl"), "ab", buffering=0) as journal:
    journal.write(b"".join(given.readline().replace(b"0" * 20, run_id.encode()) for _ in range(6)))
    left = os.path.getsize(source) - given.tell()
    took = []
    for cut in range(cuts):
        begin = time.perf_counter()
        piece = given.read(left // cuts) + given.readline()
        journal.write(piece)
        del piece
        folder.advance(START + cut * APART)
        if cut % TIDY_EVERY == 0:
            maintenance.tidy(repo.git)
        took.append(time.perf_counter() - begin)
    journal.write(given.read())
assert folder.finish(START + cuts * APART, "completed")
folder.close()
maintenance.tidy(repo.git)
repo.close()
print(json.dumps({"memory": most_memory(), "took": took}))
