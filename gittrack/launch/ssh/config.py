"""What ~/.ssh/config says of a host. `ssh -G` of the OpenSSH client knows exactly; without it, paramiko's reader.

The home is $HOME, as it is for git. OpenSSH asks the password database instead; where the two differ it is given a
configuration that includes the one of $HOME.
"""

import getpass
import glob
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

import paramiko

from gittrack.errors import HostFailed
from gittrack.launch.link.hosts import Host

_SYSTEM = "/etc/ssh/ssh_config"
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_INCLUDES = 16  # as deep as OpenSSH goes
_ALIVE_COUNT = 3  # OpenSSH's
_MANY = ("identityfile", "certificatefile")  # may be said more than once
_BAD_CONFIG = "look at ~/.ssh/config; `ssh -G HOST` shows how OpenSSH reads it"


class Meaning(NamedTuple):
    """How a host is reached."""

    address: str
    port: int
    user: str
    identities: tuple[str, ...]  # files of private keys
    identities_only: bool  # no other keys of the agent
    agent: str | None  # socket of one of its own; "" for none at all
    known_hosts: tuple[str, ...]  # files; the first is written to
    system_known_hosts: tuple[str, ...]
    revoked_keys: str | None
    key_name: str  # under which known_hosts has it
    plain_name: str | None  # the same without its port, which older files have
    strict: str  # StrictHostKeyChecking: ask, yes, accept-new, no
    hashed: bool  # names are written to known_hosts as hashes
    timeout: int | None
    alive_every: int | None  # seconds between questions whether the host is there; None: as we think right
    alive_count: int  # of these without an answer, and it is lost
    jumps: tuple[str, ...]  # [user@]host[:port], nearest first
    command: str | None  # whose input and output are the connection, instead of TCP
    typed: str  # what a person would try: ssh knows neither [user@]host:port nor the names of gittrack.yaml

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.address} port {self.port}"


def read(host: Host, home: str) -> Meaning:
    """Raises HostFailed where the configuration cannot be read."""
    said = _by_openssh(host, home) if shutil.which("ssh") else _by_paramiko(host, home)
    return _meaning(host, said, home)


def _by_openssh(host: Host, home: str) -> dict[str, list[str]]:
    login, port = (["-l", host.user] if host.user else []), (["-p", str(host.port)] if host.port else [])
    own, text = pwd.getpwuid(os.getuid()).pw_dir, ""
    source = []
    if os.path.realpath(own) != os.path.realpath(home):
        source = ["-F", "/dev/stdin"]
        text = "".join(f'Include "{path}"\n' for path in (f"{home}/.ssh/config", _SYSTEM) if os.path.isfile(path))
    argv = ["ssh", "-G", *source, *login, *port, "--", host.address]
    done = subprocess.run(argv, input=text or None, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        raise HostFailed(f"{host.name}: {done.stderr.strip() or 'ssh -G failed'}", _BAD_CONFIG, "config")
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        said.setdefault(name, []).append(_moved(value, own, home) if source else value)
    return said


def _moved(value: str, own: str, home: str) -> str:
    """`~` that OpenSSH has already made another home of."""
    return re.sub(rf"(?<!\S){re.escape(own)}/", home.replace("\\", r"\\") + "/", value)


def _by_paramiko(host: Host, home: str) -> dict[str, list[str]]:
    text = _included(f"{home}/.ssh/config", f"{home}/.ssh") + _included(_SYSTEM, "/etc/ssh")
    try:
        found = paramiko.SSHConfig.from_text(text).lookup(host.address)
    except (paramiko.SSHException, OSError, ImportError) as error:
        raise HostFailed(f"{host.name}: {error}", _BAD_CONFIG, "config") from error
    return {name: list(value) if isinstance(value, list) else [str(value)] for name, value in found.items()}


def _included(path: str, folder: str, depth: int = 0) -> str:
    """A configuration with what it includes, which paramiko does not know of."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    block = "" if depth else "Host *\n"
    text = block
    for line in lines:
        if re.match(r"\s*(host|match)[\s=]", line, re.IGNORECASE):
            block = line + "\n"
        match = re.fullmatch(r"\s*include[\s=]+(.+?)\s*", line, re.IGNORECASE)
        if match is None or depth == _INCLUDES:
            text += line + "\n"
            continue
        for pattern in match[1].replace('"', "").split():
            for each in sorted(glob.glob(os.path.join(folder, os.path.expanduser(pattern)))):
                text += _included(each, folder, depth + 1) + block
    return text


def _meaning(host: Host, said: Mapping[str, list[str]], home: str) -> Meaning:
    def one(name: str, default: str = "") -> str:
        value = said.get(name, [default])[0]
        return default if value.lower() == "none" else value

    user = host.user or one("user") or getpass.getuser()
    port = host.port or _number(one("port")) or 22
    address = one("hostname", host.address)
    tokens = {
        "%": "%", "h": address, "n": host.address, "p": str(port), "r": user, "u": getpass.getuser(), "d": home,
        "l": os.uname().nodename, "L": os.uname().nodename.partition(".")[0], "k": one("hostkeyalias", host.address),
        "i": str(os.getuid()),
    }  # fmt: skip

    def path(text: str) -> str:
        full = re.sub(r"^~(?=/|$)", lambda _: home, text.strip('"'))
        return re.sub(r"%(.)", lambda match: tokens.get(match[1], match[0]), full)

    def paths(name: str, *default: str) -> tuple[str, ...]:
        texts = [part for value in said.get(name, []) for part in value.split()] or default
        return tuple(path(each) for each in texts if each.lower() != "none")

    identities = tuple(path(each) for each in said.get("identityfile", ()) if each.lower() != "none")
    agent = one("identityagent") if "identityagent" in said else "SSH_AUTH_SOCK"
    alias = one("hostkeyalias").lower()
    plain = address.lower()
    command = one("proxycommand") or None
    if one("proxyusefdpass") == "yes" and command:
        raise HostFailed(f"{host.name}: ProxyUseFdpass is not supported", "reach the host in another way", "config")
    return Meaning(
        address=address,
        port=port,
        user=user,
        identities=identities or tuple(f"{home}/.ssh/{name}" for name in _DEFAULT_KEYS),
        identities_only=one("identitiesonly") == "yes",
        agent=None if agent in ("SSH_AUTH_SOCK", "$SSH_AUTH_SOCK") else agent and path(agent),
        known_hosts=paths("userknownhostsfile", "~/.ssh/known_hosts", "~/.ssh/known_hosts2"),
        system_known_hosts=paths("globalknownhostsfile", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"),
        revoked_keys=path(one("revokedhostkeys")) or None,
        key_name=alias or (plain if port == 22 else f"[{plain}]:{port}"),
        plain_name=None if alias or port == 22 else plain,
        strict={"true": "yes", "false": "no", "off": "no"}.get(strict := one("stricthostkeychecking", "ask"), strict),
        hashed=one("hashknownhosts") == "yes",
        timeout=_number(one("connecttimeout")),
        alive_every=_number(one("serveraliveinterval")) or None,
        alive_count=_number(one("serveralivecountmax")) or _ALIVE_COUNT,
        jumps=tuple(each.strip() for each in one("proxyjump").split(",") if each.strip()),
        command=command and _proxy(command, tokens),
        typed=f"ssh {f'-p {host.port} ' if host.port else ''}{f'{host.user}@' if host.user else ''}{host.address}",
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _proxy(command: str, tokens: Mapping[str, str]) -> str:
    """A shell command by the user's own word; what is put into it is of a closed alphabet."""
    for each in (tokens["h"], tokens["n"], tokens["r"]):
        if not re.fullmatch(r"[\w.:%@+-]+", each) or each.startswith("-"):
            raise HostFailed(f"{each!r} cannot be put into a ProxyCommand", _BAD_CONFIG, "config")
    return re.sub(r"%(.)", lambda match: tokens.get(match[1], match[0]), command)
