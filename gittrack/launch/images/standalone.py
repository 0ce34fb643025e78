"""An image of one run: the environment that it had, its code, and its command. Starting it executes the run again, with
nothing else installed. Inputs that were not in the snapshot, and secrets, are not in it.

The attendant is in it, too, so that a script which says `import gittrack` finds it, and each start is recorded as a run
of its own, in a folder that `git track import` takes. What the attendant is to do is said as for a job.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import __version__, errors
from gittrack.attendant import entry, zipped
from gittrack.attendant.job import FILE, FORMAT
from gittrack.config.settings import Settings
from gittrack.core import codec
from gittrack.core.model import Record
from gittrack.git import export
from gittrack.launch.engine.containers import LABEL
from gittrack.launch.images import contexts, dockerfile, job_image, packages, recipes
from gittrack.launch.images.job_image import Source
from gittrack.launch.images.recipes import Wish
from gittrack.launch.link.protocol import silent
from gittrack.launch.reached import At, Talk
from gittrack.lazy import lazy
from gittrack.record.facts import stored
from gittrack.record.surroundings import artifacts
from gittrack.runs import origins

if TYPE_CHECKING:
    from gittrack.launch.engine.engine import Image

_REDACTED = "[redacted]"


_SAME = ("cwd", "user", "base", "snapshot", "state", "branch", "experiment", "tags", "left_out")  # of run.json
_NONE = ("name", "note", "parent", "continues", "notebook", "writer")


class Past(NamedTuple):
    """A run, as its record has it."""

    record: Record
    environment: Mapping[str, bytes]  # files of environment/

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def argv(self) -> list[str]:
        return [str(word) for word in self.record.facts.get("argv") or ()]

    @property
    def cwd(self) -> str:
        return str(self.record.facts.get("cwd") or ".")


def build(
    at: At, source: Source, past: Past, settings: Settings, name: str | None, talk: Talk, fresh: bool = False
) -> "Image":
    """Raises ImageFailed, UsageError, HostFailed, LinkLost."""
    if not past.argv or any(_REDACTED in word for word in past.argv):
        raise errors.ImageFailed(
            "the command of the run is not known as it was: secrets were taken out of it",
            "secrets belong into the environment; then the command can be executed by anybody who has them",
        )
    base = _environment(at, source, past, job_image.wish(settings), talk, fresh)
    text = dockerfile.standalone(base.names[0] if base.names else base.id, past.argv, past.cwd)
    files = export.listing(source.git, source.oid)
    name = name or f"{recipes.repository(source.project)}/run:{past.id}"
    labels = {f"{LABEL}.project": source.project, f"{LABEL}.of": past.id, f"{LABEL}.commit": source.oid}
    doors = lazy("gittrack.launch.engine.images")
    asked = doors.Building(name, contexts.DOCKERFILE, labels=labels, fresh=fresh)
    if past.record.facts.get("continues"):
        talk.say("the run has continued another one: the checkpoint that it began with is not in the image")
    tree, work = dockerfile.TREE, dockerfile.TREE + entry.WORK
    given = {
        f"{tree}{entry.ZIP}": _attendant(),
        f"{tree}{os.path.dirname(entry.ZIP)}/{FILE}": codec.dumps(_task(past, settings, base)),
    }
    folders = [tree + entry.RUNS, os.path.normpath(f"{work}/{past.cwd}")]

    def context() -> Iterable[bytes]:
        return contexts.of_run(source.git, files, work, folders, given, text)

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


def _task(past: Past, settings: Settings, base: "Image") -> dict[str, Any]:
    """job.json, but for what each start has of its own. No secret is in it: anybody may get an image."""
    facts = past.record.facts
    run = {**dict.fromkeys(_NONE), **{name: facts.get(name) for name in _SAME}, "gittrack": __version__}
    run["origin"] = {"run": past.id, "step": None, "how": origins.SAID}
    had = {"name": base.names[0] if base.names else None, "id": base.id, "digest": base.digest or None}
    given = {name: param["value"] for name, param in past.record.params.items() if param["source"] == "command"}
    return {
        "format": FORMAT,
        "cwd": past.cwd,
        "start": {"run": run, "goals": dict(settings.goals), "default": [], **stored(settings.store)},
        "params": given,
        "redactor": settings.redactor({}).to_json(),
        "secrets": list(settings.secrets),
        "autolog": settings.autolog,
        "artifacts": artifacts(settings, settings.autolog),
        "system_metrics": settings.system_metrics and settings.autolog,
        "params_files": list(settings.params),
        "metric_files": list(settings.metrics),
        "large": settings.large,
        "stored": list(settings.stored),
        "variables": settings.env_names,
        "environment": {"container.json": {"image": had}, "git.json": _document(past, "git.json")},
    }


def _attendant() -> bytes:
    with tempfile.TemporaryDirectory() as folder, open(zipped.build(f"{folder}/attendant.zip"), "rb") as file:
        return file.read()


def _document(past: Past, name: str) -> Mapping[str, Any]:
    data = past.environment.get(name)
    found = codec.loads(data) if data is not None else {}
    return found if isinstance(found, Mapping) else {}
