"""Whether what was purged is really gone from this clone."""

from collections.abc import Iterator

from gittrack.core import layout
from gittrack.git import erasing
from gittrack.runs import burial, logs
from gittrack.runs.findings import OK, WARNING, Finding, Patient

_NAMED = 5


def purged(patient: Patient) -> Iterator[Finding]:
    """Runs that came back, by a plain `git fetch` say, and a purge that was killed. Raises DamagedRecord."""
    repo = patient.repo
    graves = logs.tombstones(repo)
    back = burial.here(repo, graves)
    if back:
        named = ", ".join(run_id[: layout.SHORT] for run_id in back[:_NAMED]) + ("…" if len(back) > _NAMED else "")
        yield Finding(WARNING, f"{named}: purged, and still or again in this clone", f"git track purge {back[0]}")
    elif erasing.is_unfinished(repo.paths.common_dir):
        yield Finding(WARNING, "a purge was interrupted: objects of it may be here", "git track purge RUN, once more")
    elif graves.runs:
        yield Finding(OK, f"runs that were purged: {len(graves.runs):,}, none of which is here")
