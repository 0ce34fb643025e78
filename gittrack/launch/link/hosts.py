"""Which machine is meant: `[user@]host[:port]`, an alias of ~/.ssh/config, or a name under `hosts:` in gittrack.yaml.

A host's name reaches ssh programs and shells of proxy commands, so what may stand in it is a closed set.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from gittrack import errors
from gittrack.launch.link.protocol import FOLDER

_USER = r"[^\s\x00-\x20'\"`$\\;&<>|(){}:/-][^\s\x00-\x20'\"`$\\;&<>|(){}:/]*"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_IPV6 = r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?"
_WHOLE = re.compile(rf"(?:(?P<user>{_USER})@)?(?:\[(?P<six>{_IPV6})\]|(?P<name>{_NAME}))(?::(?P<port>[0-9]+))?")
_BARE_SIX = re.compile(rf"(?:(?P<user>{_USER})@)?(?P<six>{_IPV6})")
_HINT = "write [user@]host[:port], an alias of ~/.ssh/config, or a name under `hosts:` in gittrack.yaml"


class Host(NamedTuple):
    """A machine as the user names it. What ~/.ssh/config adds is asked when it is reached."""

    name: str
    user: str | None = None
    address: str = ""  # a name, an alias or an IP address; nothing for this machine
    port: int | None = None
    folder: str = FOLDER  # of ours; absolute, or from the home of the user there
    docker: str = "docker"  # the command
    options: Mapping[str, Any] = {}  # what else is said of it under `hosts:`: image, gpus, …
    keep: int | None = 7  # days for which what has come home stays there; None: for ever

    @property
    def is_here(self) -> bool:
        return not self.address


class HasHosts(Protocol):
    """What is needed of `config.settings.Settings`."""

    @property
    def hosts(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def host_keep(self) -> int | None: ...


HERE = Host("here")


def find(settings: HasHosts, text: str) -> Host:
    """The host that a text means. Raises UsageError (nothing that could be one), BadConfig (of gittrack.yaml)."""
    given = settings.hosts.get(text)
    if given is None:
        host = HERE if text == HERE.name else parsed(text, text, errors.UsageError)
        return host._replace(keep=settings.host_keep)
    meant = str(given.get("host") or text)
    found = HERE if meant == HERE.name else parsed(text, meant, errors.BadConfig)
    rest = {name: value for name, value in given.items() if name not in ("host", "folder", "docker")}
    folder, docker = str(given.get("folder") or FOLDER), str(given.get("docker") or "docker")
    if not _is_folder(folder):
        raise errors.BadConfig(
            f"hosts: {text}: {folder!r} cannot be the folder of gittrack at a host",
            f"name a folder of its own, absolute or from the home there, such as {FOLDER}",
        )
    return found._replace(name=text, folder=folder, docker=docker, keep=settings.host_keep, options=rest)


def _is_folder(path: str) -> bool:
    """Never the home itself, nor anything that climbs out of it, nor the root: the folder is emptied and removed."""
    parts = path.split("/")
    return "\0" not in path and ".." not in parts and any(part not in ("", ".", "~") for part in parts)


def parsed(name: str, text: str, error: type[errors.GittrackError]) -> Host:
    """The host that `[user@]host[:port]` is, to be called `name`. Raises `error`."""
    bare = text.removeprefix("ssh://").removesuffix("/") if text.startswith("ssh://") else text
    match = _WHOLE.fullmatch(bare) or _BARE_SIX.fullmatch(bare)
    if match is None:
        raise error(f"{text!r} is no host", _HINT)
    parts = match.groupdict()
    port = int(parts["port"]) if parts.get("port") else None
    if port is not None and not 0 < port < 65536:
        raise error(f"{text!r} is no host: there is no port {port}", _HINT)
    return Host(name, parts["user"], parts["six"] or parts["name"], port)
