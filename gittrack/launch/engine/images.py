"""Images of an engine: built, named, sent to a registry, listed, removed. The second door of the docker library.

The classic builder is used: every engine has it, and it takes its context over the API, wherever the engine is.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from docker import errors as faults
from docker.utils.build import PatternMatcher

from gittrack.compare.text import line
from gittrack.compare.text import lines as printable
from gittrack.errors import GittrackError, ImageFailed
from gittrack.launch.engine import problems
from gittrack.launch.engine.containers import LABEL
from gittrack.launch.engine.engine import Engine, Image, Progress

OURS = f"{LABEL}.image"
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # the builder's, around standard error
_NOISE = re.compile(r" ---> |Removing intermediate container ")
_MOST_LINES = 25
_LINE = 400
_TRIES = 3
# What it builds on is being removed, by a cleaning of the engine or by whoever makes the same image anew.
_VANISHED = re.compile(r"failed to get (?:digest|layer) sha256:|layer does not exist")
_KEPT = 65_536  # characters of what a step prints
_UNKNOWN = re.compile(
    r"requires BuildKit|the --mount option|dockerfile parse error.*unknown (?:flag|instruction)", re.I
)


class Building(NamedTuple):
    """What is asked of a build, besides its context."""

    name: str
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = {}
    target: str | None = None
    network: str | None = None
    labels: Mapping[str, str] = {}
    fresh: bool = False  # nothing of an earlier build is used


class Stored(NamedTuple):
    """An image of ours at an engine."""

    id: str
    names: tuple[str, ...]
    size: int
    created: float
    labels: Mapping[str, str]
    used: bool = False  # by a container, running or not


def build(
    engine: Engine,
    context: Callable[[], Iterable[bytes]],
    wish: Building,
    progress: Progress,
    tell: Callable[[str], None],
) -> Image:
    """Build an image from a context, a tar, which is asked for again where it has to be begun anew. `tell` gets what
    the steps print.

    Raises ImageFailed, with the end of what the step that failed has printed."""
    for left in reversed(range(_TRIES)):
        if _built(engine, context(), wish, progress, tell, is_last=not left):
            break
    found = engine.image(wish.name)
    if found is None:
        raise ImageFailed(f"{wish.name} was built, and is not there", "build it again")
    return found


def _built(
    engine: Engine,
    context: Iterable[bytes],
    wish: Building,
    progress: Progress,
    tell: Callable[[str], None],
    is_last: bool,
) -> bool:
    """False where another try may do, and this was not the last one."""
    step, printed = (0, 0, "the build"), ""
    with engine.asking(f"building {wish.name}", ImageFailed):
        events = engine.api.build(
            fileobj=_Readable(context), custom_context=True, tag=wish.name, dockerfile=wish.dockerfile, rm=True,
            forcerm=True, decode=True, buildargs=dict(wish.args), target=wish.target, network_mode=wish.network,
            labels={LABEL: "1", OURS: "1", **wish.labels}, nocache=wish.fresh, timeout=None, use_config_proxy=False,
        )  # fmt: skip
        for event in events:
            text = str(event.get("stream") or event.get("status") or "")
            if match := _STEP.match(text):
                step, printed = (int(match[1]), int(match[2]), match[3].strip()), ""
                progress(_short(step[2]), step[0], step[1])
            elif text.strip():
                printed = (printed if len(printed) < 2 * _KEPT else printed[-_KEPT:]) + text
                tell(text)
            if "error" in event:
                if not is_last and _VANISHED.search(str(event["error"])):
                    return False
                raise _failed(str(event["error"]), step, printed, engine.link.name)
    return True


def push(engine: Engine, name: str, target: str, progress: Progress) -> str:
    """Send an image to a registry under another name, with the credentials of `docker login` here. Its digest there."""
    repository, _, tag = target.rpartition(":")
    if not repository or "/" in tag:
        repository, tag = target, "latest"
    digest = ""
    with engine.asking(f"pushing {target}", ImageFailed):
        engine.api.tag(name, repository, tag)
        for event in engine.api.push(repository, tag, stream=True, decode=True):
            if "error" in event:
                raise problems.explain(str(event["error"]), f"pushing {target}", engine.link.name)
            detail, aux = event.get("progressDetail") or {}, event.get("aux") or {}
            digest = str(aux.get("Digest") or digest)
            if "total" in detail:
                progress("pushing", int(detail.get("current", 0)), int(detail["total"]))
    return digest


def stored(engine: Engine) -> list[Stored]:
    """The images of ours that are there, newest first."""
    with engine.asking("listing images"):
        found = engine.api.images(filters={"label": f"{OURS}=1"})
        used = {str(each.get("ImageID")) for each in engine.api.containers(all=True)}
        made = [_stored(each, used) for each in found]
    return sorted(made, key=lambda each: -each.created)


def _stored(found: Mapping[str, Any], used: Container[str]) -> Stored:
    identity = str(found["Id"])
    names = tuple(name for name in found.get("RepoTags") or () if name != "<none>:<none>")
    size, created = int(found.get("Size") or 0), float(found.get("Created") or 0)
    return Stored(identity, names, size, created, found.get("Labels") or {}, identity in used)


def remove(engine: Engine, image: Stored) -> bool:
    """Remove an image with its names. False when something still needs it."""
    with engine.asking("removing an image"):
        try:
            for name in image.names or (image.id,):
                engine.api.remove_image(name)
        except faults.ImageNotFound:
            return True
        except faults.APIError as error:
            if error.status_code != 409:
                raise
            return False
    return True


class _Readable:
    """A stream of bytes as a file, of which the library asks no more than to be read through."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = filter(None, parts)

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def read(self, _size: int = -1) -> bytes:
        return next(self._parts, b"")

    def close(self) -> None:
        pass


def _failed(said: str, step: tuple[int, int, str], printed: str, host: str) -> GittrackError:
    """In the words of the step: what it printed says more than its exit code."""
    if "returned a non-zero code" not in said:
        base = re.match(r"FROM (?:--\S+ )?(\S+)", step[2])
        known = problems.explain(said, f"building on {base[1]}" if base else "building the image", host)
        if _UNKNOWN.search(said):
            return ImageFailed(
                f"the Dockerfile needs BuildKit: {_short(said)}",
                "build it with docker buildx, and name it: --image NAME",
            )
        if not known.message.startswith("building "):
            return known
    told = printable(_COLOUR.sub("", printed)).splitlines()
    lines = [line[:_LINE] for line in told if line.strip() and not _NOISE.match(line)][-_MOST_LINES:]
    number, of, what = step
    output = "".join(f"\n  {line}" for line in lines or [_short(said)])
    return ImageFailed(
        f"building the image failed at step {number} of {of}: {_short(what)}{output}",
        "correct what the last lines name; packages that have to be compiled need: system_packages: [build-essential]",
    )


def _short(text: str) -> str:
    text = line(" ".join(text.split()))
    match = re.fullmatch(r'(RUN) \["/bin/sh", "-ec", "(.*)"\]', text)
    text = f"{match[1]} {match[2]}" if match else text
    return text if len(text) <= 200 else text[:199] + "…"


def ignored(patterns: str, paths: Iterable[str]) -> set[str]:
    """Which of the paths a .dockerignore leaves out of a context."""
    found = [line.strip() for line in patterns.splitlines() if line.strip() and not line.startswith("#")]
    matcher = PatternMatcher(found)
    return {path for path in paths if matcher.matches(path)}
