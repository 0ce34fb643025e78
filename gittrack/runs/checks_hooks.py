"""Checks of git's hooks: whether those of gittrack are whole, and still find it."""

import shutil
from collections.abc import Iterator

from gittrack.git import hooks
from gittrack.runs.findings import INFO, OK, WARNING, Finding, Patient


def installed(patient: Patient) -> Iterator[Finding]:
    place = hooks.folder(patient.repo.git)
    found = hooks.look(place)
    ours = [hook for hook in found if hook.state in (hooks.OURS, hooks.EDITED, hooks.LEGACY)]
    path = patient.environ.get("PATH")
    for hook in found:
        lost = hook.program is not None and not any(
            shutil.which(name, path=path) for name in (hook.program, hooks.PROGRAM)
        )
        if lost:
            yield Finding(
                WARNING,
                f"the {hook.name} hook calls {hook.program}, which is not there any more, and does nothing",
                "git track hooks install",
            )
        if hook.state == hooks.EDITED:
            yield Finding(INFO, f"{hook.path} was edited since gittrack wrote it")
        if hook.kept and hook.state in (hooks.ABSENT, hooks.FOREIGN, hooks.FRAMEWORK):
            yield Finding(
                WARNING,
                f"{hook.kept} was a hook of yours; {hook.path}, which called it, has been replaced or removed",
                f"make it {hook.name} again, or remove it",
            )
    names = ", ".join(hook.name for hook in ours)
    yield Finding(OK, f"hooks in {place.path}: {names or 'none of gittrack'}")
