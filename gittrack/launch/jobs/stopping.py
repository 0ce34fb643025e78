"""Ending a job from anywhere: first asked, so that it can keep a last checkpoint, then killed."""

from gittrack import errors
from gittrack.launch.jobs.closing import check_known, close_if_dead
from gittrack.launch.reached import At

GRACE = 30  # seconds
STOP = "stop"


def stop(at: At, run_id: str, grace: int = GRACE) -> bool:
    """End the job; False when it was over. Its run is `killed`, whoever sees it first. Raises RunNotFound
    where the host knows no such job, HostFailed, LinkLost."""
    found = at.engine.find(run_id)
    if found is None:
        check_known(at, run_id)
        close_if_dead(at, run_id, found)
        return False
    if found.ended:
        return False
    at.link.write(f"{at.job(run_id)}/run/{STOP}", b"")
    at.engine.stop(found.id, grace)
    found = at.engine.find(run_id)
    if found is not None and not found.ended:
        raise errors.HostFailed(f"{at.host.name}: the container of run {run_id} does not end", "see: docker ps, there")
    close_if_dead(at, run_id, found)
    return True
