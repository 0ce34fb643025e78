"""Jobs whose container is gone without having said how it ended: out of memory, killed, the host was switched off.

Only the attendant makes cuts. So it is called once more, in a short container of the same image, with the reason that
only the engine knows. It refuses while the job is alive, and doing it again changes nothing. Any Python can do that, so
where the image is gone, that of the host does, or that of another image.
"""

import contextlib
import json
import os
import re
import time
from typing import TYPE_CHECKING

from gittrack import errors
from gittrack.attendant import entry
from gittrack.core import events
from gittrack.core.layout import SHORT
from gittrack.git.discover import Paths
from gittrack.launch import cleaning
from gittrack.launch.engine import containers
from gittrack.launch.link import shelling
from gittrack.launch.link.protocol import Done
from gittrack.launch.link.words import shown
from gittrack.launch.reached import At
from gittrack.runs import live

if TYPE_CHECKING:
    from gittrack.launch.engine.state import Container

VANISHED = "vanished"  # the kind of an error: what was recorded is not at the host any more
OUT_OF_MEMORY, GONE = "out of memory", "its container is gone"
_JOB_LIMIT = 1 << 24
_CUTS_TAIL = 4096
_NO_PYTHON = (126, entry.NO_PYTHON)
_PATIENCE, _SOON = 60.0, 0.5  # seconds, while another clone closes the same job
_TRIED = 5  # other images

_IMAGE = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
_PROGRAM = re.compile(r"attendant-[0-9a-f]{16}\.zip")


# $1: our folder, $2: run. Renamed first: who may still be writing there does not make it anew.
CLEAR = """
cd "$1/jobs" 2>/dev/null || exit 0
if [ -d "$2" ]; then mv -- "$2" "gone.$2.$$" && rm -rf "gone.$2.$$"; fi
"""


class NeverBegan(errors.ImageFailed):
    """The job is over, and nothing of it was recorded: there is nothing that could be lost."""


def check_begun(at: At, paths: Paths, run_id: str, container: "Container | None") -> None:
    """Raises NeverBegan, or HostFailed, when the job is over and the attendant has not even begun to record it. Of one
    that never began nothing is left, here and there."""
    if container is not None and not container.ended:
        return
    names = {entry.name for entry in at.link.list(f"{at.job(run_id)}/run") or ()}
    if events.STARTER in names:
        return
    if container is not None and os.path.exists(os.path.join(live.folder(paths, run_id), events.STARTER)):
        raise errors.HostFailed(
            f"{at.host.name}: the record of run {run_id[:SHORT]} is not there any more",
            f"its command has removed it; `git track stop --give-up {run_id[:SHORT]}` ends it here with what has come",
            VANISHED,
        )
    if container is None:
        raise gone(at, run_id)
    forget(at, paths, run_id)
    if container.code in _NO_PYTHON:
        hint = "choose an image that has Python 3.9 or newer"
        raise NeverBegan("nothing could be recorded: the image has no Python that can be used", hint)
    raise NeverBegan(
        f"nothing is recorded: the container ended with exit code {container.code} before the command was started, or "
        "that has removed its record",
        "see above what it said",
    )


def gone(at: At, run_id: str) -> errors.HostFailed:
    """Nothing of the job is at the host, and nobody has brought its end here."""
    short = run_id[:SHORT]
    return errors.HostFailed(
        f"{at.host.name}: there is no job of run {short} any more",
        f"another clone may have fetched it before it was removed there; `git track stop --give-up {short}` ends it "
        "here with what has come of it",
        "gone",
    )


def check_known(at: At, run_id: str) -> None:
    """Raises RunNotFound where the host has nothing of the job. Raises HostFailed, LinkLost."""
    if at.link.list(at.job(run_id)) is None:
        name = at.host.name
        raise errors.RunNotFound(
            f"{name} has no job of run {run_id[:SHORT]}", f"`git track host ls {name}` lists its jobs"
        )


def forget(at: At, paths: Paths, run_id: str) -> None:
    """Leave nothing of a job that never ran."""
    try:  # the host may be what failed, or its engine; `git track host prune` is for what stays
        with contextlib.suppress(errors.GittrackError):
            clear(at, run_id)
    finally:
        live.remove(live.folder(paths, run_id))


def clear(at: At, run_id: str) -> None:
    """Remove at the host what there is of a job that never ran. Raises HostFailed, LinkLost."""
    try:
        _remove_container(at, run_id)
    finally:
        _remove_folder(at, run_id)


def _remove_container(at: At, run_id: str) -> None:
    found = at.engine.find(run_id)
    if found is not None:
        at.engine.remove(found.id)


def _remove_folder(at: At, run_id: str) -> None:
    at.link.run(shelling.script(CLEAR, at.link.folder(), run_id))


def close_if_dead(at: At, run_id: str, container: "Container | None", attendant: str = "") -> bool:
    """Make the last cut where nobody else will. True when it had to be made. Raises HostFailed, LinkLost.

    `container` as `Engine.find` gave it; `attendant`: its path there, found where it is not given."""
    folder = at.job(run_id)
    if not _is_dead(at, folder, container):
        return False
    image = container.image_id if container is not None else _image_of(at, folder)
    program = attendant or _newest(at)
    if not program:
        return False
    words = ["close", "--status", "crashed", "--reason", reason(container), *_end(container)]
    until = time.monotonic() + _PATIENCE
    while (done := _called(at, run_id, program, image, words)).code == entry.BUSY and time.monotonic() < until:
        time.sleep(_SOON)
        if not _is_dead(at, folder, None):
            return True  # by somebody else
    if done.code:
        raise _not_closed(at, run_id, shown(done.err) or f"exit code {done.code}")
    return True


def _called(at: At, run_id: str, program: str, image: str, words: list[str]) -> Done:
    """The attendant, in whatever Python there is."""
    folder = at.job(run_id)
    binds = [containers.Mount(folder, containers.JOB), containers.Mount(program, containers.ATTENDANT, read_only=True)]
    why = "its image is not known"

    def called(image: str) -> Done | None:
        nonlocal why
        try:
            done = at.engine.run(image, containers.attendant(*words), binds, user=at.look.user)
        except errors.ImageFailed as error:  # nothing is wrong with the job: its results wait
            why = error.message
            return None
        return None if done.code in _NO_PYTHON else done

    if image and (done := called(image)):
        return done
    there = at.link.run([*entry.ENTRYPOINT[:-1], program, *words, folder], check=False)
    if there.code not in _NO_PYTHON:
        return there
    problem = why
    for other in at.engine.images()[:_TRIED]:
        if done := called(other):
            return done
    raise _not_closed(at, run_id, f"{problem}; there is no Python 3.9 or later at the host, nor in another image")


def _not_closed(at: At, run_id: str, why: str) -> errors.HostFailed:
    return errors.HostFailed(
        f"{at.host.name}: run {run_id[:SHORT]} has no end, and it could not be given one: {why}",
        f"its results are in {at.job(run_id)}; with its image there again, or any `python:3` one, the same command "
        "brings them",
        "close",
    )


def leave_clean(at: At, run_id: str, container: "Container | None") -> None:
    """All of a job that is over came home: its container goes, its work tree, and the secrets that it needed; so do
    jobs that came home long ago. Raises HostFailed."""
    if container is not None:
        at.engine.remove(container.id)
    if not cleaning.tidy(at.link, run_id, at.host.keep):
        remove_as_root(at, container.image_id if container is not None else "", run_id)


def remove_as_root(at: At, image: str = "", run_id: str = "") -> bool:
    """Remove what containers have made as another user than that of the host, in the work tree of this run as well:
    a container may, where the user may not. False where no image there can. Raises HostFailed, LinkLost."""
    binds = [containers.Mount(f"{at.link.folder()}/jobs", "/jobs")]
    argv = ["/bin/sh", "-c", cleaning.REMOVE_AS_ROOT, "sh", "/jobs", run_id]
    for each in (image, *at.engine.images()[:_TRIED]):
        with contextlib.suppress(errors.ImageFailed):
            if each and at.engine.run(each, argv, binds, user="0:0").code == 0:
                return True
    return False


def try_to_leave_clean(at: At, run_id: str) -> None:
    """The same where results have come home by the way. What cannot be removed waits for `git track host prune`."""
    with contextlib.suppress(errors.GittrackError):
        leave_clean(at, run_id, at.engine.find(run_id))


def reason(container: "Container | None") -> str:
    """Why the attendant could not say the end itself."""
    if container is None:
        return GONE
    if container.oom:
        return OUT_OF_MEMORY
    return f"its container ended with exit code {container.code}"


def _end(container: "Container | None") -> list[str]:
    """When it ended, as far as the engine knows. Its exit code is not the command's, which the attendant would have
    written down: it stands in the reason alone."""
    if container is None or container.finished is None:
        return []
    return ["--at", f"{container.finished:.6f}"]


def _is_dead(at: At, folder: str, container: "Container | None") -> bool:
    if container is not None and not container.ended:
        return False
    names = {entry.name: entry for entry in at.link.list(f"{folder}/run") or ()}
    if events.STARTER not in names:
        return False
    cuts = names.get(events.CUTS)
    if cuts is None:
        return True
    text = at.link.read(f"{folder}/run/{events.CUTS}", max(0, cuts.size - _CUTS_TAIL), _CUTS_TAIL)
    last = events.parse_line(text[text.rstrip(b"\n").rfind(b"\n") + 1 :])
    return last is None or last.get("reason") != "final"


def _image_of(at: At, folder: str) -> str:
    """The image that the job was started with, as job.json says it."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        run = json.loads(at.link.read(f"{folder}/job.json", 0, _JOB_LIMIT))["start"]["run"]
        found = run["launched"]["digest"]
        return found if isinstance(found, str) and _IMAGE.fullmatch(found) else ""
    return ""


def _newest(at: At) -> str:
    """An attendant there: any can close what another began."""
    cache = f"{at.link.folder()}/cache"
    names = [entry.name for entry in at.link.list(cache) or () if _PROGRAM.fullmatch(entry.name)]
    return f"{cache}/{names[-1]}" if names else ""
