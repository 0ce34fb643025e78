"""From what is known of a project and a host to one image: its name, and how it is built if it is not there. Pure.

The name says all that goes into the image by a hash, so that an image of that name needs no building. It does not say
what stands behind the name of a base: who wants a newer one builds again, with --no-cache.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.compare.text import count
from gittrack.errors import UsageError
from gittrack.launch.images import dockerfile, drivers
from gittrack.launch.images.drivers import Choice
from gittrack.launch.images.packages import FROZEN, Packages

PYTHON = "3.11"
_TAG = 16
_SHOWN = 5  # files
_REFERENCE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,300}")


class Wish(NamedTuple):
    """What settings and options say of images."""

    build: Mapping[str, Any] = {}  # dockerfile, context, args, target, network, ca
    python: str | None = None
    system_packages: Sequence[str] = ()
    install: Sequence[str] = ()
    base_image: str | None = None
    registry_mirror: str | None = None

    @property
    def network(self) -> str | None:
        found = self.build.get("network")
        return str(found) if found else None


class Recipe(NamedTuple):
    name: str  # with its tag
    base: str  # to be had first; empty: the Dockerfile knows
    dockerfile: str  # its text, or its path in the context where `tree` is the context
    files: Mapping[str, bytes]  # the context, unless it is a tree
    tree: str = ""  # a tree of git, which is the context
    args: Mapping[str, str] = {}
    target: str | None = None
    network: str | None = None
    made_from: str = ""  # which files and base
    said: tuple[str, ...] = ()  # what is worth telling
    warnings: tuple[str, ...] = ()


def generated(
    wish: Wish, project: str, architecture: str, packages: Packages | None, python: str | None, driver: str,
    args: Mapping[str, str], authority: bytes | None,
) -> Recipe:  # fmt: skip
    """For a project without a Dockerfile. `driver`: of the host's GPUs; empty where it has none. Raises UsageError."""
    python = _python(wish.python or python or PYTHON)
    choice = drivers.choose(driver, packages.names, packages.is_locked) if packages else Choice()
    base = wish.base_image or choice.base or f"python:{python}-slim"
    if not _REFERENCE.fullmatch(base):
        raise UsageError(f"base_image: {base!r} is no name of an image", "for example: base_image: python:3.12")
    needs = dockerfile.Needs(
        base, packages, python if choice.base and not wish.base_image else "", wish.system_packages, wish.install,
        choice.wheels, args, bool(authority),
    )  # fmt: skip
    text = dockerfile.write(needs)
    files = dockerfile.files(packages, authority)
    name = named(
        project, [architecture, text, args, wish.network, {path: digest(data) for path, data in files.items()}]
    )
    actual = mirrored(base, wish.registry_mirror)
    warnings = tuple(filter(None, (choice.warning, _left_out(packages))))
    return Recipe(
        name, actual, text.replace(f"FROM {base}\n", f"FROM {actual}\n", 1), files, args=args, network=wish.network,
        made_from=_made_from(base, packages), said=(_said(base, packages, choice),), warnings=warnings,
    )  # fmt: skip


def of_project(
    wish: Wish, project: str, architecture: str, tree: str, path: str, content: bytes, args: Mapping[str, str]
) -> Recipe:
    """For a project with a Dockerfile; `tree` says all of its context, `content` what the Dockerfile and .dockerignore
    say."""
    target = wish.build.get("target")
    name = named(project, [architecture, tree, path, digest(content), args, target, wish.network])
    made_from = path + (f", up to {target}" if target else "")
    return Recipe(
        name, "", path, {}, tree, args, str(target) if target else None, wish.network, made_from,
        (f"image from {made_from}",),
    )  # fmt: skip


def named(project: str, inputs: Sequence[Any]) -> str:
    """The name of an image that is made from `inputs`."""
    text = json.dumps(inputs, sort_keys=True, default=dict)
    return f"{repository(project)}:{digest(text.encode())[:_TAG]}"


def repository(project: str) -> str:
    """Where images of a project stand: `gittrack/` and the beginning of its id."""
    return f"gittrack/{project[:12]}"


def mirrored(name: str, mirror: str | None) -> str:
    """The name of a public image at a mirror; what names a registry of its own is left as it is."""
    first, slash, _ = name.partition("/")
    if not mirror or (slash and ("." in first or ":" in first or first == "localhost")) or first == "local":
        return name
    return f"{mirror.rstrip('/')}/{name if slash else f'library/{name}'}"


def arguments(build: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """`args` of a build; one without a value has that of the environment."""
    given = build.get("args") or {}
    if not isinstance(given, Mapping):
        given = {
            name: value if equals else None for name, equals, value in (str(each).partition("=") for each in given)
        }
    found = {str(name): environ.get(str(name)) if value is None else str(value) for name, value in given.items()}
    return {name: value for name, value in found.items() if value is not None}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _python(text: str) -> str:
    match = re.fullmatch(r"(3\.\d{1,2})(\.\d{1,2})?", text.strip())
    if not match:
        raise UsageError(f"python: {text!r} is no version", "for example: python: 3.12")
    return match[0]


def _said(base: str, packages: Packages | None, choice: Choice) -> str:
    what = packages.kind if packages and packages.kind != FROZEN else _listed(packages)
    return f"image from {base} with {what}" + (f"; {choice.why}" if choice.why else "")


def _made_from(base: str, packages: Packages | None) -> str:
    """`pyproject.toml, uv.lock on python:3.12-slim`."""
    return f"{_listed(packages)} on {base}"


def _listed(packages: Packages | None) -> str:
    if packages is None:
        return "no packages"
    if packages.kind == FROZEN:
        return f"{count(len(packages.names), 'package')} as installed here"
    files = sorted(packages.files)
    return ", ".join(files[:_SHOWN]) + (f", {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else "")


def _left_out(packages: Packages | None) -> str:
    if not packages or not packages.left_out:
        return ""
    shown = ", ".join(packages.left_out[:3]) + (", …" if len(packages.left_out) > 3 else "")
    return f"not in the image, since a host cannot get it: {shown}"
