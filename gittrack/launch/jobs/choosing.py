"""`-H any` and `-H a,b` (`any` may be one of them): the first free one of several hosts, by GPUs and load.

All are asked at once. One that cannot be reached is said and passed over, and so is one that does not answer while
others have; what is free is decided in a pure function.
"""

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gittrack import errors
from gittrack.launch.engine.host_facts import Gpu, free_gpus
from gittrack.launch.later import OFTEN, Later
from gittrack.launch.link.hosts import HERE, Host, find
from gittrack.launch.link.protocol import Ask
from gittrack.launch.reached import At, Clone, Talk, reach

if TYPE_CHECKING:
    from gittrack.launch.engine.host_facts import Look

T = TypeVar("T")
ANY = "any"
LATE = 5.0  # seconds that other hosts have once one is free


class Candidate(NamedTuple):
    """What a host has to give. `load`: of its processors, 1.0 is all of them."""

    name: str
    wanted: str | None  # GPUs, as the options say
    gpus: tuple[Gpu, ...]
    load: float


def names(text: str, known: Mapping[str, object]) -> list[str]:
    """The hosts that `-H` names. Raises UsageError."""
    words = [name.strip() for name in text.split(",") if name.strip()]
    if not words:
        raise errors.UsageError(f"-H {text} names no host", "for example: -H gpu1,gpu2")
    if ANY in words and not known:
        raise errors.UsageError("no host is known", "name some under `hosts:` in gittrack.yaml, or give one: -H HOST")
    return list(dict.fromkeys(name for word in words for name in (known if word == ANY else [word])))


def hosts_of(clone: Clone, text: str) -> list[Host]:
    """Those that `-H` means, this machine where nothing is said. Raises UsageError, BadConfig."""
    known = clone.settings.hosts
    return [find(clone.settings, name) for name in names(text or HERE.name, known)]


def gpus(clone: Clone, asked: str | None, host: Host) -> str | None:
    """Those that a job gets at this host, as they are called in options."""
    found = asked or host.options.get("gpus") or clone.settings.gpus
    return str(found) if found is not None else None


def begin(clone: Clone, text: str, asked: str | None, talk: Talk) -> Later[At]:
    """Reach the host that `-H` means, or the first free one. Raises UsageError, BadConfig."""
    hosts = hosts_of(clone, text)
    return Later(lambda: reach_first(hosts, lambda host: gpus(clone, asked, host), clone.environ, talk))


def is_free(one: Candidate) -> bool:
    """Whether a job can begin there now: the GPUs that it wants are idle. Processors can be shared, and of a part of a
    GPU nobody says whether it is idle."""
    if one.wanted in (None, "", "none"):
        return True
    free = free_gpus(one.gpus)
    if one.wanted == "all":
        return bool(one.gpus) and len(free) == len(one.gpus)
    wanted = [word.strip() for word in str(one.wanted).split(",")]
    return all(word.startswith("MIG-") or any(gpu.is_called(word) for gpu in free) for word in wanted)


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The first free one; of several the one with the least load, in the order given where that is alike."""
    return min(filter(is_free, candidates), key=lambda one: round(one.load, 1), default=None)


def reach_first(
    hosts: Sequence[Host], wanted: Callable[[Host], str | None], environ: Mapping[str, str], talk: Talk
) -> At:
    """The first of these hosts that is free. Raises HostFailed where none is."""
    if len(hosts) == 1:
        return reach(hosts[0], environ, talk.ask)
    reached = _answered(hosts, wanted, environ, talk)
    chosen = best([candidate for _, candidate in reached.values()])
    for name, (at, _) in reached.items():
        if chosen is None or name != chosen.name:
            at.close()
    if chosen is None:
        raise errors.HostFailed(
            f"none of these hosts can take the job now: {', '.join(host.name for host in hosts)}",
            "`git track top HOST` shows what runs there; name one alone to use it all the same",
            "busy",
        )
    return reached[chosen.name][0]


def _answered(
    hosts: Sequence[Host], wanted: Callable[[Host], str | None], environ: Mapping[str, str], talk: Talk
) -> dict[str, tuple[At, Candidate]]:
    """What they say, in the order in which they were named. Of the others, why they are passed over is said."""
    person = _Person(talk.ask)
    over: SimpleQueue[str] = SimpleQueue()

    def ask(host: Host) -> tuple[At, Candidate]:
        try:
            at, load = _reach(host, environ, talk._replace(ask=person.ask))
            return at, Candidate(host.name, wanted(host), at.look.gpus, load)
        finally:
            over.put(host.name)

    asked = {host.name: Later(functools.partial(ask, host)) for host in hosts}
    found: dict[str, tuple[At, Candidate]] = {}
    free_since = None
    while asked:
        left = OFTEN if free_since is None else max(free_since, person.busy_until()) + LATE - time.monotonic()
        if left <= 0:
            break
        try:
            name = over.get(timeout=left)
        except Empty:
            continue
        try:
            found[name] = asked.pop(name).result()
        except errors.GittrackError as error:
            talk.say(f"{name} is passed over: {error.message}")
        if free_since is None and best([candidate for _, candidate in found.values()]):
            free_since = time.monotonic()
    for name, late in asked.items():
        talk.say(f"{name} is passed over: another host is free, and it has not answered for {LATE:g} seconds more")
        late.abandon(lambda answer: answer[0].close())
    return {host.name: found[host.name] for host in hosts if host.name in found}


class _Person:
    """Who is asked about host keys and passphrases: one question at a time, and no host is late meanwhile."""

    def __init__(self, ask: Ask) -> None:
        self.ask = Ask(
            lambda key: self._put(lambda: ask.accept(key)), lambda words: self._put(lambda: ask.secret(words))
        )
        self._waiting: list[object] = []
        self._answered = 0.0
        self._guard = threading.Lock()

    def busy_until(self) -> float:
        """When the last question was answered; now, while one is open."""
        return time.monotonic() if self._waiting else self._answered

    def _put(self, question: Callable[[], T]) -> T:
        self._waiting.append(question)
        try:
            with self._guard:
                return question()
        finally:
            self._answered = time.monotonic()
            self._waiting.remove(question)


def _reach(host: Host, environ: Mapping[str, str], talk: Talk) -> tuple[At, float]:
    at = reach(host, environ, talk.ask)
    try:
        said = at.link.run(["cat", "/proc/loadavg"], check=False).out
        return at, load_of(said, at.look)
    except BaseException:
        at.close()
        raise


def load_of(said: bytes, look: "Look") -> float:
    """From /proc/loadavg: the last minute, by processors. A host that does not say is taken to be idle."""
    first = said.decode("ascii", "replace").split()[:1]
    try:
        return float(first[0]) / max(look.cpus, 1)
    except (IndexError, ValueError):
        return 0.0
