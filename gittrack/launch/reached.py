"""A host that was reached: the connection, its engine, and what the machine is like."""

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

from gittrack import errors
from gittrack.config.settings import Settings
from gittrack.git.discover import Paths
from gittrack.git.network import Progress
from gittrack.launch.engine.inquiry import Inquiry
from gittrack.launch.later import Later
from gittrack.launch.link.here import Here
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.patience import ANSWER
from gittrack.launch.link.protocol import NOBODY, Ask, Link
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.launch.engine.engine import Engine
    from gittrack.launch.engine.host_facts import Look


_HAS_GIT = ("sh", "-c", "command -v git >/dev/null")


class Talk(NamedTuple):
    """Who hears what happens, and answers what only a person can."""

    say: Callable[[str], None] = lambda _text: None
    ask: Ask = NOBODY
    transfer: Callable[[str], AbstractContextManager[Progress | None]] = lambda _what: contextlib.nullcontext()


class Clone(NamedTuple):
    """The clone that a run is launched from."""

    paths: Paths
    environ: Mapping[str, str]
    settings: Settings


class At:
    """Opened by `reach`; `close` leaves the host, and what runs there goes on.

    The engine is asked for at once and waited for where it is needed: the code can be sent meanwhile.
    """

    def __init__(self, host: Host, link: Link, environ: Mapping[str, str]) -> None:
        self.host = host
        self.link = link
        self._environ = environ
        self._folder = Later(link.folder)
        self._git = Later(lambda: link.run(_HAS_GIT, check=False, seconds=ANSWER).code == 0)
        self._engine = Later(self._open)
        self._asked = Later(lambda: Inquiry(link))
        self._look = Later(lambda: self.engine.look(self._asked.result()))

    @property
    def engine(self) -> "Engine":
        """Raises HostFailed, LinkLost."""
        return self._engine.result()

    @property
    def look(self) -> "Look":
        """Raises HostFailed, LinkLost."""
        return self._look.result()

    @property
    def has_git(self) -> bool:
        """Known before the engine has answered. Raises LinkLost."""
        return self._git.result()

    def job(self, run_id: str) -> str:
        """The folder of a job there."""
        return f"{self._folder.result()}/jobs/{run_id}"

    def close(self) -> None:
        with contextlib.suppress(errors.GittrackError):  # there may be none
            if self._engine.is_over:
                self.engine.close()
        self.link.close()

    def _open(self) -> "Engine":
        found: Engine = lazy("gittrack.launch.engine.engine").Engine.open(self.link, self.host.docker, self._environ)
        return found


def open_link(host: Host, ask: Ask = NOBODY) -> Link:
    """Reach a host. Raises HostFailed; its `kind` is one of those in docs/hosts.md."""
    if host.is_here:
        return Here(host)
    link: Link = lazy("gittrack.launch.ssh.link").Ssh(host, ask)
    return link


def reach(host: Host, environ: Mapping[str, str], ask: Ask = NOBODY) -> At:
    """Raises HostFailed, LinkLost; what is wrong with its engine is said when that is asked for."""
    if not host.is_here:
        lazy("gittrack.launch.ssh.link")
    Later(lambda: lazy("gittrack.launch.engine.engine"))  # loaded while the host answers, and not before that is asked
    return At(host, open_link(host, ask), environ)
