"""Send the snapshot of the work tree to a host, as a job does, and print how many bytes of objects that were.

usage: send_code.py HOST
"""

import contextlib
import os
import sys

from gittrack.git import snapshot
from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.launch.link.hosts import Host
from gittrack.launch.reached import open_link
from gittrack.launch.sending import snapshots

paths, environ = discover(os.getcwd(), os.environ), dict(os.environ)
git = Git(paths, environ)
taken = snapshot.take(git, snapshot.plan(git, snapshot.Policy(max_file=50_000_000)))
git.run("update-ref", f"refs/track/code/{taken.oid[-2:]}/{taken.oid}", taken.oid)
with contextlib.closing(open_link(Host(sys.argv[1], address=sys.argv[1]))) as link:
    sent = snapshots.send_code(link, snapshots.Code(paths, environ, taken.oid, snapshots.project(git)))
print(sent.size, taken.oid)
