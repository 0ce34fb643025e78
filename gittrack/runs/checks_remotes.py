"""Checks of what remotes have: what contradicts this clone, what was refused, and what they have lost."""

from collections.abc import Iterator

from gittrack.core import layout
from gittrack.runs import remotes
from gittrack.runs.findings import OK, WARNING, Finding, Patient

_SHOWN = 10


def aside(patient: Patient) -> Iterator[Finding]:
    """What a pull has kept aside: the remote says something else than this clone, and one of them is wrong."""
    urls = {digest: seen.url for digest, seen in remotes.every(patient.repo.paths).items()}
    found = patient.repo.refs(layout.REMOTES)
    for where, oid in found.items():
        digest, _, name = where[len(layout.REMOTES) :].partition("/conflict/")
        ref, url = f"refs/track/{name}", urls.get(digest, "a remote")
        run_id = layout.id_of_ref(ref)
        if run_id:
            text = f"{url} says something else of run {run_id[: layout.SHORT]} than this clone, which keeps its own"
        elif ref.startswith(layout.LOG):
            text = (
                f"the annotations {ref} at {url} do not go on from those known here: somebody rewrote them, or wrote "
                "under another's name; those known here count"
            )
        else:
            text = f"{ref} at {url} has lost or changed runs that are known here; what is known here counts"
        yield Finding(WARNING, text, f"git diff {ref} {where}; to forget it: git update-ref -d {where} {oid}")
    if not found:
        yield Finding(OK, "no remote contradicts what is known here")


def refused(patient: Patient) -> Iterator[Finding]:
    """What a pull did not take, since it was damaged or forged."""
    for seen in remotes.every(patient.repo.paths).values():
        some = [*seen.refused][:_SHOWN]
        more = f" and {len(seen.refused) - _SHOWN:,} more" if len(seen.refused) > _SHOWN else ""
        if some:
            yield Finding(
                WARNING,
                f"refused when they were pulled from {seen.url}: {', '.join(some)}{more}",
                "git track pull --again   (says why; whoever pushed them can mend or delete them there)",
            )


def lost(patient: Patient) -> Iterator[Finding]:
    """What a remote had once and has no more, and this clone still has."""
    here = patient.repo.refs("refs/track/")
    for seen in remotes.every(patient.repo.paths).values():
        gone = [ref for ref in seen.lost if ref in here]
        if gone:
            runs = sum(ref.startswith(layout.RUNS) for ref in gone)
            what = f"{runs:,} runs" if runs else f"{len(gone):,} refs"
            yield Finding(
                WARNING,
                f"{what} that {seen.url} once had are gone there: deleted, pruned, or overwritten by a mirror; here "
                "they are whole",
                "git track push",
            )
