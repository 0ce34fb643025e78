"""An image of one run: the environment that it had, its code, and its command. Starting it executes the run again, with
nothing else installed. Inputs that were not in the snapshot, and secrets, are not in it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import errors
from gittrack.core import codec
from gittrack.git import export
from gittrack.launch.engine.containers import LABEL
from gittrack.launch.images import contexts, dockerfile, job_image, packages, recipes
from gittrack.launch.images.job_image import Source
from gittrack.launch.images.recipes import Wish
from gittrack.launch.link.protocol import silent
from gittrack.launch.reached import At, Talk
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.launch.engine.engine import Image

_REDACTED = "[redacted]"


class Past(NamedTuple):
    """A run, as its record has it."""

    id: str
    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, bytes]  # files of environment/


def build(
    at: At, source: Source, past: Past, wanted: Wish, name: str | None, talk: Talk, fresh: bool = False
) -> "Image":
    """Raises ImageFailed, UsageError, HostFailed, LinkLost."""
    if not past.argv or any(_REDACTED in word for word in past.argv):
        raise errors.ImageFailed(
            "the command of the run is not known as it was: secrets were taken out of it",
            "secrets belong into the environment; then the command can be executed by anybody who has them",
        )
    base = _environment(at, source, past, wanted, talk, fresh)
    text = dockerfile.standalone(base.names[0] if base.names else base.id, past.argv, past.cwd)
    files = export.listing(source.git, source.oid)
    name = name or f"{recipes.repository(source.project)}/run:{past.id}"
    labels = {f"{LABEL}.project": source.project, f"{LABEL}.of": past.id, f"{LABEL}.commit": source.oid}
    doors = lazy("gittrack.launch.engine.images")
    asked = doors.Building(name, contexts.DOCKERFILE, labels=labels, fresh=fresh)
    context = contexts.of_snapshot(source.git, files, "", text.encode(), "code/")
    with talk.transfer("building the image") as show:
        built: Image = doors.build(at.engine, context, asked, show or silent, job_image.unheard)
    return built


def _environment(at: At, source: Source, past: Past, wanted: Wish, talk: Talk, fresh: bool) -> "Image":
    """The image that the run had, if it had one and it is there; else one with the packages that the run had."""
    had = _document(past, "container.json").get("image")
    if isinstance(had, Mapping):
        for key in ("id", "name"):
            found = at.engine.image(str(had[key])) if had.get(key) else None
            if found is not None:
                return found
    listed = past.environment.get("requirements.txt")
    known = packages.frozen(listed.decode("utf-8", "replace")) if listed is not None else None
    python = _document(past, "python.json").get("version")
    recipe = job_image.recipe(at, source, wanted, known, str(python) if python else None)
    return job_image.made(at.engine, recipe, source, talk, fresh)


def _document(past: Past, name: str) -> Mapping[str, Any]:
    data = past.environment.get(name)
    found = codec.loads(data) if data is not None else {}
    return found if isinstance(found, Mapping) else {}
