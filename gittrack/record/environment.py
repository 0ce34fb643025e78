"""The surroundings of a run as far as they change results: machine, GPUs, git's settings, a few variables.

The interpreter and its packages are recorded by the training's own process, which alone knows them; what only needs the
standard library is in `machine`, which is also used where nothing is installed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gittrack.git import command
from gittrack.git.command import Git
from gittrack.lazy import lazy
from gittrack.record.machine import has_nvidia, system, variables

__all__ = ["describe", "git_settings", "has_nvidia", "of_git", "system", "variables"]

# Settings of git that change which bytes a checkout of the same commit has.
_CHECKOUT = (
    "core.autocrlf", "core.eol", "core.filemode", "core.ignorecase", "core.precomposeunicode", "core.safecrlf",
    "core.sparsecheckout", "core.sparsecheckoutcone", "core.symlinks", "extensions.partialclone",
)  # fmt: skip


def describe(
    git: Git, settings: Mapping[str, str], variables: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of each file of `environment/` that the starter writes."""
    yield "system.json", system(variables, lazy("gittrack.record.nvidia").describe() if has_nvidia() else [])
    yield "git.json", of_git(git, settings)


def of_git(git: Git, settings: Mapping[str, str]) -> dict[str, Any]:
    """git's version, and its settings as far as they matter."""
    return {"version": ".".join(map(str, command.version(git))), **git_settings(settings)}


def git_settings(settings: Mapping[str, str]) -> dict[str, Any]:
    """What of git's configuration matters to who wants the same files again; URLs without their credentials."""
    return {
        "remotes": {
            key[7:-4]: _without_login(url)
            for key, url in settings.items()
            if key.startswith("remote.") and key.endswith(".url")
        },
        "settings": {key: value for key, value in settings.items() if key in _CHECKOUT or key.startswith("filter.")},
        "submodules": sorted(key[10:-4] for key in settings if key.startswith("submodule.") and key.endswith(".url")),
    }


def _without_login(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    place, slash, path = rest.partition("/")
    return scheme + separator + place.rpartition("@")[2] + slash + path
