"""`git track lfs-agent`: what git-lfs starts where it is told to (docs/lfs.md). Nobody types it: no help lists it."""

import json
import sys

from gittrack import errors
from gittrack.cli import context
from gittrack.runs import lfs_agent


def serve() -> int:
    """Talk to the git-lfs that started this until it ends."""
    try:
        place = context.here()
        lfs_agent.serve(place.repository, place.settings, sys.stdin.buffer, sys.stdout.buffer)
    except errors.GittrackError as error:
        # git-lfs waits for an answer to its `init`, and shows what it says.
        print(json.dumps({"error": {"code": error.exit_code, "message": error.message}}), flush=True)
        return error.exit_code
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    finally:
        context.close()
    return 0
