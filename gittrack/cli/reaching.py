"""The first thing of `git track run -H`: reach the host, before anything else is even loaded.

Most of the time until a script's first line is spent waiting for the host; what has to be loaded here for all the rest
takes as long as the connection does.
"""

import os
from typing import NamedTuple

from gittrack import errors
from gittrack.cli.context import Workplace
from gittrack.cli.host_talk import talk
from gittrack.launch.jobs import choosing
from gittrack.launch.later import Later
from gittrack.launch.reached import At, Clone, Talk
from gittrack.record.surroundings import Surroundings, look


class Reaching(NamedTuple):
    """What is known, and the host that is being reached."""

    clone: Clone
    around: Surroundings
    talk: Talk
    at: Later[At]


def begin(
    place: Workplace, host: str | None, container: bool, gpus: str | None, reconnect: int | None, told: Talk
) -> Reaching:
    """Raises UsageError, BadConfig, GitFailed."""
    if host and container:
        raise errors.UsageError("-H and --container say two things", "--container is for this machine alone")
    around = look(place.paths, os.environ)
    clone = Clone(place.paths, os.environ, around.settings.override(reconnect=reconnect))
    return Reaching(clone, around, told, choosing.begin(clone, host or "", gpus, told))


def told(accept_new: bool, silent: bool) -> Talk:
    """Who hears of it."""
    return talk(accept_new, silent)
