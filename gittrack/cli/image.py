"""`git track image`: the container images in which jobs run, and images of single runs."""

import enum
import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render
from gittrack.cli.asking import find, fresh
from gittrack.cli.context import here, output_colour
from gittrack.cli.host_talk import talk
from gittrack.cli.render import say
from gittrack.compare.card import pretty
from gittrack.compare.text import cell, count, size
from gittrack.core.layout import SHORT
from gittrack.launch.images import job_image, standalone
from gittrack.launch.link import hosts
from gittrack.launch.reached import At, Talk, reach
from gittrack.launch.sending import snapshots
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.launch.engine.engine import Image
    from gittrack.launch.engine.images import Stored

_DAY = 86_400.0
_DAYS = 30


class Action(str, enum.Enum):
    build = "build"
    push = "push"
    ls = "ls"
    prune = "prune"


def image(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="build, push, ls or prune.")],
    what: Annotated[
        str | None, typer.Argument(metavar="[RUN|NAME]", help="build: a run. push: the name at a registry.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="push: the image of this run.")] = None,
    host: Annotated[str | None, typer.Option("--host", "-H", metavar="HOST", help="Where; else here.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="NAME", help="build RUN: what to call it.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="build: use nothing of an earlier build.")] = False,
    days: Annotated[int, typer.Option("--days", min=0, metavar="N", help="prune: what is older.")] = _DAYS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="prune: say what would go, and remove nothing.")
    ] = False,
    accept_new: Annotated[bool, typer.Option("--accept-new", help="Believe a host key that is not known yet.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build, share and remove the container images of jobs.

    build makes the image in which `git track run -H` would execute a command now, so that the first job need not wait
    for it; one whose inputs have not changed is there already. With RUN, it makes a standalone image: the environment,
    code and command of that run, which executes it again wherever there is Docker, with nothing else installed, and
    records that in /gittrack/runs of the container, for `git track import`.

    push sends the image, or that of --run, to a registry, with the credentials of `docker login` here. ls lists the
    images that gittrack has made for this repository. prune removes those that no container has, older than --days;
    they are built again when they are needed.

    Examples:
      git track image build -H gpu1
      git track image build best --tag iris:best
      git track image push registry.example.org/team/iris:1
      git track image prune --days 0
    """
    _check(action, what, run, tag)
    if dry_run and action is not Action.prune:
        raise errors.UsageError("--dry-run is for prune", f"leave it out: git track image {action.value}")
    if no_cache and action in (Action.ls, Action.prune):
        raise errors.UsageError("--no-cache is for build", "git track image build --no-cache")
    place, said = here(), talk(accept_new, as_json)
    at = reach(hosts.find(place.settings, host) if host else hosts.HERE, os.environ, said.ask)
    try:
        if action is Action.ls:
            return _list(_ours(at), as_json)
        if action is Action.prune:
            return _prune(at, days, dry_run, as_json)
        chosen = what if action is Action.build else run
        made = _of_run(at, chosen, tag, said, no_cache) if chosen else _of_project(at, said, no_cache)
        target, digest = (what or "", "") if action is Action.push else ("", "")
        if target:
            with said.transfer(f"pushing {target}") as show:
                images_of = lazy("gittrack.launch.engine.images")
                digest = images_of.push(at.engine, made.names[0], target, show or (lambda *_: None))
        return _tell(made, target, digest, as_json)
    finally:
        at.close()


def _check(action: Action, what: str | None, run: str | None, tag: str | None) -> None:
    if action is Action.push and not what:
        raise errors.UsageError("no name is given", "git track image push REGISTRY/NAME:TAG")
    if run and action is not Action.push:
        raise errors.UsageError("--run is for push", f"git track image build {run}")
    if what and action in (Action.ls, Action.prune):
        raise errors.UsageError(f"{action.value} takes no name", f"git track image {action.value}")
    if tag and not (action is Action.build and what):
        raise errors.UsageError("--tag names the image of a run", "git track image build RUN --tag NAME")


def _of_project(at: At, said: Talk, no_cache: bool) -> "Image":
    """The image of the work tree as it stands."""
    place = here()
    around = lazy("gittrack.record.surroundings").look(place.paths, os.environ)
    snapshot = lazy("gittrack.git.snapshot").take(around.git, around.plan([]))
    if snapshot.oid is None:
        raise errors.ImageFailed("there is nothing in this repository yet", "commit something first")
    source = job_image.Source(place.git, snapshot.oid, snapshots.project(place.git), os.environ)
    return job_image.find(at, source, place.settings, place.settings.image, said, no_cache)


def _of_run(at: At, text: str, tag: str | None, said: Talk, no_cache: bool) -> "Image":
    fresh()
    place, reader = here(), lazy("gittrack.runs.reader")
    record = reader.read(place.repository, find(text).id)
    code = lazy("gittrack.runs.code").of(place.repository, record)
    past = standalone.Past(record, reader.environment(place.repository, record))
    source = job_image.Source(place.git, code.snapshot, snapshots.project(place.git), os.environ)
    return standalone.build(at, source, past, place.settings, tag, said, no_cache)


def _ours(at: At) -> "list[Stored]":
    project = snapshots.project(here().git)
    found = lazy("gittrack.launch.engine.images").stored(at.engine)
    return [one for one in found if one.labels.get("gittrack.project") == project]


def _list(found: "list[Stored]", as_json: bool) -> None:
    if as_json:
        return render.write(pretty([_plain(one) for one in found]))
    if not found:
        return say("no image was made for this repository; `git track image build` makes one")
    now = time.time()
    columns = [
        render.Column("image", [cell(one.names[0]) if one.names else one.id[7:19] for one in found]),
        render.Column("from", [_origin(one) for one in found]),
        render.Column("size", [size(one.size) for one in found], True),
        render.Column("days", [f"{(now - one.created) / _DAY:.0f}" for one in found], True),
        render.Column("in use", ["yes" if one.used else "no" for one in found]),
    ]
    return render.write(render.table(columns, render.terminal_width(), output_colour())[0])


def _origin(one: "Stored") -> str:
    """The run that an image is of, or the files that it was made from."""
    run = one.labels.get("gittrack.of", "")
    return f"run {cell(run[:SHORT])}" if run else cell(job_image.made_from(one.labels) or "the project")


def _prune(at: At, days: int, dry_run: bool, as_json: bool) -> None:
    door, before = lazy("gittrack.launch.engine.images"), time.time() - days * _DAY
    going = [one for one in _ours(at) if not one.used and one.created <= before]
    gone = going if dry_run else [one for one in going if door.remove(at.engine, one)]
    if as_json:
        return render.write(pretty({"dry_run": dry_run, "removed": [_plain(one) for one in gone]}))
    verb = "would remove" if dry_run else "removed"
    lines = "".join(f"{verb} {cell(one.names[0]) if one.names else one.id[7:19]}\n" for one in gone)
    return render.write(lines or f"no image is older than {count(days, 'day')} and unused\n")


def _tell(made: "Image", target: str, digest: str, as_json: bool) -> None:
    name = target or (made.names[0] if made.names else made.id)
    if as_json:
        document: dict[str, Any] = {"name": name, "id": made.id, "size": made.size, "digest": digest or made.digest}
        return render.write(pretty(document))
    sys.stdout.write(f"{cell(name)}{'@' + cell(digest) if digest else ''}\n")
    return None


def _plain(one: "Stored") -> dict[str, Any]:
    return {**one._asdict(), "names": list(one.names), "labels": dict(one.labels)}
