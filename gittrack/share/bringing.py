"""Objects brought from a remote of which some are bad: the others come, whatever somebody has put there.

One bad object fails a whole transfer, so that bad refs are found by halving. That may take many transfers: they are
made out of a copy, which was brought unlooked-at into a folder of its own, and end after a minute. What was not told
apart by then is left for the next time, which goes on from there: bad refs are remembered.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.git import desk, network, remote_errors
from gittrack.git.command import Git

PATIENCE = 60.0  # seconds for telling good refs from bad ones

_BAD = (remote_errors.DAMAGED, remote_errors.GONE)


class Brought(NamedTuple):
    """`refused`: refs that git's fsck refuses, with why; `gone`: those that are not there any more; `left`: those that
    were not looked at, since too many are bad. The others are here."""

    refused: dict[str, str]
    gone: set[str]
    left: set[str]

    @property
    def absent(self) -> set[str]:
        return {*self.refused, *self.gone, *self.left}


def bring(git: Git, remote: str, wants: Mapping[str, str], progress: network.Progress | None = None) -> Brought:
    """Fetch what these refs stand at; objects alone. Raises RemoteFailed when it is not single refs that are bad."""
    if not wants:
        return Brought({}, set(), set())
    try:
        network.fetch(git, remote, wants.values(), progress)
        return Brought({}, set(), set())
    except errors.RemoteFailed as error:
        if error.kind not in _BAD:
            raise
        is_damaged = error.kind == remote_errors.DAMAGED
    if is_damaged and len(wants) > 1:
        with contextlib.suppress(errors.RemoteFailed, errors.CannotWrite), _copied(git, remote, wants, progress) as at:
            return _sifted(git, at, wants, progress)
    return _sifted(git, remote, wants, progress)


@contextlib.contextmanager
def _copied(git: Git, remote: str, wants: Mapping[str, str], progress: network.Progress | None) -> Iterator[str]:
    """A repository that has it all, as it came."""
    with desk.desk(git) as at:
        desk.borrow(at)
        network.fetch(at.git, remote, wants.values(), progress, checked=False)
        yield at.folder


def _sifted(git: Git, place: str, wants: Mapping[str, str], progress: network.Progress | None) -> Brought:
    found = Brought({}, set(), set())
    waiting = [dict(wants)]
    came, until = 0, time.monotonic() + PATIENCE
    while waiting:
        some = waiting.pop()
        try:
            network.fetch(git, place, some.values(), progress)
            came += len(some)
        except errors.RemoteFailed as error:
            if error.kind not in _BAD:
                raise
            items = list(some.items())
            if len(items) == 1 and error.kind == remote_errors.GONE:
                found.gone.update(some)
            elif len(items) == 1:
                found.refused[items[0][0]] = f"git refuses its objects: {error.message}"
            elif time.monotonic() < until:
                waiting += [dict(items[: len(items) // 2]), dict(items[len(items) // 2 :])]
            elif came or found.refused:
                found.left.update(some)
            else:
                raise
    return found
