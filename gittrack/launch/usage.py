"""What jobs use of their hosts. All hosts are asked at once, and one that does not answer hides no other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gittrack import errors
from gittrack.core.layout import is_id
from gittrack.launch.later import Later
from gittrack.launch.link.hosts import Host
from gittrack.launch.reached import At, Talk, reach

if TYPE_CHECKING:
    from gittrack.launch.engine.host_facts import Gpu
    from gittrack.launch.engine.state import Container, Usage

MOST = 64  # jobs of a host that are asked for what they use: each answer takes a second


class Use(NamedTuple):
    """One job that is running. `gpus`: those that it was given; others may use them, too."""

    run: str
    host: str
    user: str
    cpu: float  # percent of one processor
    memory: int
    limit: int
    processes: int
    gpus: "tuple[Gpu, ...]"


def look(hosts: Sequence[Host], environ: Mapping[str, str], talk: Talk) -> tuple[list[Use], dict[str, str]]:
    """What runs at these hosts, and why some could not be asked."""
    asked = {host.name: Later(lambda host=host: _at(host, environ, talk)) for host in hosts}  # type: ignore[misc]
    found: list[Use] = []
    failed: dict[str, str] = {}
    for name, answer in asked.items():
        try:
            found += answer.result()
        except errors.GittrackError as error:
            failed[name] = error.message
    return found, failed


def _at(host: Host, environ: Mapping[str, str], talk: Talk) -> list[Use]:
    at = reach(host, environ, talk.ask)
    try:
        running = [each for each in at.engine.jobs() if each.state == "running" and is_id(each.run)][:MOST]
        asked = [(each, Later(lambda each=each: at.engine.stats(each.id))) for each in running]  # type: ignore[misc]
        return [_use(at, each, usage) for each, answer in asked if (usage := answer.result()) is not None]
    finally:
        at.close()


def _use(at: At, container: "Container", usage: "Usage") -> Use:
    user = container.labels.get("gittrack.user", "")
    whole = at.engine.inspect(container.id)
    gpus = given(whole.gpus if whole else (), at.look.gpus)
    return Use(container.run, at.host.name, user, usage.cpu, usage.memory, usage.limit, usage.processes, gpus)


def given(names: Sequence[str], gpus: "Sequence[Gpu]") -> "tuple[Gpu, ...]":
    """The GPUs of a host that a container was given by these names."""
    return tuple(gpu for gpu in gpus if "all" in names or any(gpu.is_called(name) for name in names))
