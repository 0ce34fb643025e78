"""The image in which a job runs: named, from the project's Dockerfile, or from its packages. Built where it is used.

What goes into it is taken from the run's snapshot, so the image of a run is that of its code. Unchanged inputs have the
name of an image that is there, and nothing is sent or built.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gittrack import errors
from gittrack.config.settings import Settings
from gittrack.git import catfile, export
from gittrack.git.command import Git
from gittrack.launch.engine.containers import LABEL
from gittrack.launch.images import contexts, packages, recipes
from gittrack.launch.images.packages import Packages
from gittrack.launch.images.recipes import Recipe, Wish
from gittrack.launch.link.protocol import silent
from gittrack.launch.reached import At, Talk
from gittrack.lazy import lazy
from gittrack.recorder.packages import requirements

if TYPE_CHECKING:
    from gittrack.launch.engine.engine import Engine, Image

MADE_FROM = f"{LABEL}.from"
_MOST = 500  # characters of it
_PROBED = 20.0  # seconds that an interpreter has to say what it is


class Source(NamedTuple):
    """The code for which an image is wanted."""

    git: Git
    oid: str  # the snapshot
    project: str
    environ: Mapping[str, str]


def wish(settings: Settings) -> Wish:
    return Wish(
        settings.build, settings.python, settings.system_packages, settings.install, settings.base_image,
        settings.registry_mirror,
    )  # fmt: skip


def find(at: At, source: Source, settings: Settings, named: str | None, talk: Talk, fresh: bool = False) -> "Image":
    """The image for a job, at the host when this returns. Raises ImageFailed, UsageError, HostFailed, LinkLost."""
    if named:
        found = present(at.engine, named, settings.registry_mirror, talk)
    else:
        found = made(at.engine, recipe(at, source, wish(settings)), source, talk, fresh)
    return fitting(found, at, named or "the image")


def present(engine: "Engine", name: str, mirror: str | None, talk: Talk) -> "Image":
    """An image that has a name, pulled if it is not there. Raises ImageFailed."""
    found = engine.image(name)
    if found is not None:
        return found
    name = recipes.mirrored(name, mirror)
    with talk.transfer(f"pulling {name}") as show:
        return engine.image(name) or engine.pull(name, show or silent)


def fitting(image: "Image", at: At, name: str) -> "Image":
    """Raises ImageFailed when its programs are for other processors."""
    if image.architecture and at.look.architecture and image.architecture != at.look.architecture:
        raise errors.ImageFailed(
            f"{name} is made for {image.architecture}, and {at.host.name} is {at.look.architecture}",
            f"name one for {at.look.architecture}, or let it be built there: build: Dockerfile",
        )
    return image


def recipe(
    at: At, source: Source, wanted: Wish, installed: Packages | None = None, python: str | None = None
) -> Recipe:
    """How the image of a project is made. `installed` and `python`: of a run, in place of what is installed here."""
    files = {one.path: one for one in export.listing(source.git, source.oid)}
    args = recipes.arguments(wanted.build, source.environ)
    if wanted.build.get("dockerfile"):
        return _of_dockerfile(at, source, wanted, files, args)

    def read(path: str) -> bytes | None:
        return _content(source.git, files[path]) if path in files else None

    known = packages.of_snapshot(read)
    python = wanted.python or packages.python_of(read) or python
    unread = packages.unread(read) if known is None else ""
    if known is None or python is None:
        path, version = ([], "") if installed is not None and python else probe(source.environ)
        python = python or version
        known = known or installed or packages.frozen(requirements(path))
    driver = at.look.driver if at.look.gpus else ""
    authority = _authority(wanted)
    made = recipes.generated(wanted, source.project, at.look.architecture, known, python, driver, args, authority)
    return made._replace(warnings=(unread, *made.warnings)) if unread else made


def made(engine: "Engine", recipe: Recipe, source: Source, talk: Talk, fresh: bool = False) -> "Image":
    """The image of a recipe, built if it is not there. Raises ImageFailed, HostFailed, LinkLost."""
    found = None if fresh else engine.image(recipe.name)
    if found is not None:
        return found
    for line in (*recipe.said, *recipe.warnings):
        talk.say(line)
    if recipe.base:
        present(engine, recipe.base, None, talk)
    doors = lazy("gittrack.launch.engine.images")
    labels = {f"{LABEL}.project": source.project, f"{LABEL}.commit": source.oid, MADE_FROM: recipe.made_from}
    asked = doors.Building(recipe.name, contexts.DOCKERFILE, recipe.args, recipe.target, recipe.network, labels, fresh)
    with talk.transfer("building the image") as show:
        built: Image = doors.build(engine, lambda: _context(recipe, source), asked, show or silent, unheard)
    return built


def probe(environ: Mapping[str, str]) -> tuple[list[str], str]:
    """Where the Python that is called here finds packages, and its version."""
    path = environ.get("PATH")
    program = shutil.which("python", path=path) or shutil.which("python3", path=path)
    if program is None:
        return [], ""
    try:
        done = subprocess.run(
            [program, "-c", packages.PROBE], env=dict(environ), capture_output=True, timeout=_PROBED, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return [], ""
    return packages.probed(done.stdout)


def _of_dockerfile(
    at: At, source: Source, wanted: Wish, files: Mapping[str, export.Listed], args: Mapping[str, str]
) -> Recipe:
    path = os.path.normpath(str(wanted.build["dockerfile"]))
    if path not in files:
        raise errors.ImageFailed(f"there is no {path} in the snapshot", "write it, or correct build: in gittrack.yaml")
    chosen = _chosen(source, files, _folder(wanted))
    rows = "".join(f"{one.mode} {one.oid} {one.path}\n" for one in chosen)
    tree = recipes.digest(rows.encode("utf-8", "surrogateescape"))
    content = _content(source.git, files[path])
    return recipes.of_project(wanted, source.project, at.look.architecture, tree, path, content, args)._replace(
        files={contexts.DOCKERFILE: content}, tree=_folder(wanted)
    )


def _folder(wanted: Wish) -> str:
    """The context: a folder of the repository, with a slash at the end; empty for all of it."""
    found = os.path.normpath(str(wanted.build.get("context") or "."))
    if found.startswith(("/", "..")):
        raise errors.UsageError(f"build: context: {found} is outside of the repository", "name a folder of it")
    return "" if found == "." else found + "/"


def _chosen(source: Source, files: Mapping[str, export.Listed], folder: str) -> Sequence[export.Listed]:
    """The files of a context, without what its .dockerignore names."""
    inside = [one for path, one in sorted(files.items()) if path.startswith(folder)]
    rules = files.get(folder + ".dockerignore")
    if rules is None:
        return inside
    text = _content(source.git, rules).decode("utf-8", "replace")
    out = lazy("gittrack.launch.engine.images").ignored(text, [one.path[len(folder) :] for one in inside])
    return [one for one in inside if one.path[len(folder) :] not in out]


def _context(recipe: Recipe, source: Source) -> object:
    if contexts.DOCKERFILE not in recipe.files:
        return contexts.of_files(recipe.dockerfile, recipe.files)
    files = {one.path: one for one in export.listing(source.git, source.oid)}
    chosen = _chosen(source, files, recipe.tree)
    return contexts.of_snapshot(source.git, chosen, recipe.tree, recipe.files[contexts.DOCKERFILE])


def _content(git: Git, file: export.Listed) -> bytes:
    found = next(catfile.many(git, [file.oid]))
    if found is None:
        raise errors.DamagedRecord(f"{file.path} of the snapshot is not in the repository", "git fsck says more")
    return found.data


def _authority(wanted: Wish) -> bytes | None:
    path = wanted.build.get("ca")
    if not path:
        return None
    try:
        with open(os.path.expanduser(str(path)), "rb") as file:
            return file.read()
    except OSError as error:
        raise errors.UsageError(f"build: ca: {path}: {error.strerror}", "name a file with certificates") from error


def made_from(labels: Mapping[str, str]) -> str:
    """From which files an image was made, if gittrack made it; its labels are what an engine says."""
    return str(labels.get(MADE_FROM) or "")[:_MOST]


def unheard(_text: str) -> None:
    """What a build prints, where nobody reads it."""
