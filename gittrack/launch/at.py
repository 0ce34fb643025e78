"""A host that was reached: the connection, its engine, and what the machine is like."""

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

from gittrack.git.network import Progress
from gittrack.launch.hosts import Host
from gittrack.launch.link import NOBODY, Ask, Link, open_link
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.launch.engine import Engine
    from gittrack.launch.look import Look


class Talk(NamedTuple):
    """Who hears what happens, and answers what only a person can."""

    say: Callable[[str], None] = lambda _text: None
    ask: Ask = NOBODY
    transfer: Callable[[str], AbstractContextManager[Progress | None]] = lambda _what: contextlib.nullcontext()


class At(NamedTuple):
    """Opened by `reach`; `close` leaves the host, and what runs there goes on."""

    host: Host
    link: Link
    engine: "Engine"
    look: "Look"

    def job(self, run_id: str) -> str:
        """The folder of a job there."""
        return f"{self.link.folder()}/jobs/{run_id}"

    def close(self) -> None:
        self.engine.close()
        self.link.close()


def reach(host: Host, environ: Mapping[str, str], ask: Ask = NOBODY) -> At:
    """Raises HostFailed, LinkLost."""
    link = open_link(host, ask)
    try:
        engine: Engine = lazy("gittrack.launch.engine").Engine.open(link, host.docker, environ)
        try:
            return At(host, link, engine, engine.look())
        except BaseException:
            engine.close()
            raise
    except BaseException:
        link.close()
        raise
