"""Write given objects and refs with pygit2, everything flushed to disk: the least that recording runs in git can cost.

usage: write_objects.py FILE (in a repository). FILE: pickled list of (ref, tip, [(kind, data), ...]) for each run.
Prints {"seconds": ...}.
"""

import json
import pickle
import sys
import time

import pygit2

KINDS = {"blob": pygit2.GIT_OBJECT_BLOB, "tree": pygit2.GIT_OBJECT_TREE, "commit": pygit2.GIT_OBJECT_COMMIT}

with open(sys.argv[1], "rb") as file:
    runs = pickle.load(file)
pygit2.option(pygit2.enums.Option.ENABLE_FSYNC_GITDIR, True)
repo = pygit2.Repository(".")
begin = time.perf_counter()
for ref, tip, objects in runs:
    for kind, data in objects:
        repo.write(KINDS[kind], data)
    repo.references.create(ref, tip)
print(json.dumps({"seconds": time.perf_counter() - begin}))
