"""Records that were made elsewhere, judged before a ref names them: those of a remote, of a bundle, of a host.

Sizes are asked before anything is read, since a few kilobytes of a pack can hold gigabytes.
"""

from collections.abc import Mapping

from gittrack import errors
from gittrack.git import catfile
from gittrack.git.repository import Repository
from gittrack.runs import bombs, documents

DOCUMENT_LIMIT = 32 << 20  # of a document that is read whole


def wrong(repo: Repository, tips: Mapping[str, str]) -> dict[str, str]:
    """Run id -> what is wrong with its record. One of a newer format is none of ours to judge: it is shown as newer."""
    found = _too_large(repo, tips)
    large = bombs.suspects(repo.git, tips.values())
    for run_id, tip in tips.items() if large else ():
        if run_id not in found and (why := bombs.in_record(repo.git, tip, large)):
            found[run_id] = why
    rest = {run_id: tip for run_id, tip in tips.items() if run_id not in found}
    for (run_id, tip), files in zip(rest.items(), repo.read_files(list(rest.values()), documents.FILES), strict=True):
        try:
            documents.row(documents.decode(run_id, tip, files))
        except errors.NewerFormat:
            continue
        except errors.DamagedRecord as error:
            found[run_id] = error.message
    return found


def _too_large(repo: Repository, tips: Mapping[str, str]) -> dict[str, str]:
    specs = [f"{tip}:{name}" for tip in tips.values() for name in documents.FILES]
    found = catfile.measured(repo.git, specs)
    wrong: dict[str, str] = {}
    for at, run_id in enumerate(tips):
        for name, one in zip(documents.FILES, found[at * len(documents.FILES) :], strict=False):
            if one and one[1] > DOCUMENT_LIMIT:
                wrong.setdefault(run_id, f"its {name} has {one[1]:,} bytes")
    return wrong
