"""Which job is meant, and where it is: what attach, wait, stop, exec and top have in common."""

from typing import Annotated, Any, NamedTuple

import typer

from gittrack import errors
from gittrack.cli.asking import find
from gittrack.cli.context import Workplace, here
from gittrack.core.layout import SHORT, is_id
from gittrack.launch.jobs import closing
from gittrack.launch.link import hosts
from gittrack.launch.link.hosts import HERE, Host
from gittrack.launch.reached import At
from gittrack.lazy import lazy
from gittrack.runs import away, live

ONE = Annotated[str, typer.Argument(metavar="RUN", help="The run.")]
MANY = Annotated[list[str], typer.Argument(metavar="RUN...", help="The runs.")]
AT = Annotated[
    str | None, typer.Option("--host", "-H", metavar="HOST", help="Where it is, if this clone does not know it.")
]


class Job(NamedTuple):
    """A run, and the host that it was sent to."""

    id: str
    host: Host
    is_away: bool  # whether this clone has not all of it yet

    @property
    def short(self) -> str:
        return self.id[:SHORT]


def job(text: str, host: str | None = None) -> Job:
    """Raises RunNotFound for a run that was at no host, and what a selector raises."""
    place = here()
    if host is not None and is_id(text):
        return Job(text, hosts.find(place.settings, host), away.is_there(live.folder(place.paths, text)))
    target = find(text)
    found = away.read(live.folder(place.paths, target.id))
    name = host or (found.host if found else _launched(place, target.id).get("host"))
    if not isinstance(name, str):
        raise errors.RunNotFound(
            f"run {target.id[:SHORT]} is at no host", "`git track ps` lists what is going on, and where"
        )
    return Job(target.id, hosts.find(place.settings, name) if name else HERE, found is not None)


def container(at: At, found: Job) -> Any:
    """Its container, which is running. Raises RunNotFound."""
    container = at.engine.find(found.id)
    if container is None:
        closing.check_known(at, found.id)
    if container is None or container.state != "running":
        raise errors.RunNotFound(*_not_running(found, container))
    return container


def _not_running(found: Job, container: Any) -> tuple[str, str]:
    """What is the case instead, and what to do."""
    short, name = found.short, found.host.name
    if container is not None and container.state == "created":
        return f"run {short} is not started yet at {name}", f"`git track attach {short}` goes on with it"
    if container is not None and container.is_running:
        return f"the container of run {short} is {container.state} at {name}", "see: docker ps, there"
    what = f"run {short} is not running any more at {name}"
    if found.is_away:
        return what, f"`git track attach {short}` brings what is not here yet, and says how it went"
    return what, f"`git track show {short}` says how it went"


def _launched(place: Workplace, run_id: str) -> dict[str, Any]:
    record = lazy("gittrack.runs.reader").read(place.repository, run_id)
    launched = record.facts.get("launched")
    return launched if isinstance(launched, dict) else {}
