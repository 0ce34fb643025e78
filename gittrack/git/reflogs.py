"""Reflogs of gittrack's own refs, which git keeps where core.logAllRefUpdates is `always`, taken away.

Who purges a run needs that: what a reflog names, git holds on to, and a ref that is deleted may leave its reflog.
"""

import contextlib
import os

from gittrack.git.repository import Repository


def forget(repo: Repository, prefix: str) -> None:
    """Take away what reflogs say of the refs below `prefix/` and `prefix-…/`, whether these are there or not."""
    ours = (f"{prefix}/", f"{prefix}-")
    logs = os.path.join(repo.paths.common_dir, "logs")
    for folder, _, names in os.walk(os.path.join(logs, os.path.dirname(prefix))):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.relpath(path, logs).replace(os.sep, "/").startswith(ours):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
    if os.path.isdir(os.path.join(repo.paths.common_dir, "reftable")):
        for ref in repo.refs(prefix):
            if ref.startswith(ours):
                repo.git.call("reflog", "expire", "--expire=all", ref)  # one that has none is no matter
