"""Who we are, to a host: keys of the agent, keys in files, and what only a person can say; in OpenSSH's order.

A key that needs a passphrase is tried last, so that nobody is asked for one where another key does.
"""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import paramiko
from paramiko.agent import AgentSSH

from gittrack.errors import HostFailed
from gittrack.launch.link.protocol import Ask
from gittrack.launch.link.words import shown
from gittrack.launch.ssh.config import Meaning
from gittrack.launch.ssh.keys import fingerprint

_TRIES = 3  # of a passphrase or password
_PERSON = ("keyboard-interactive", "password")


class _Key(NamedTuple):
    words: str
    key: Any  # paramiko.PKey


class _Locked(NamedTuple):
    path: str


class Credentials:
    """Those of one host. Remembers in memory what was asked for, so that a second connection asks nothing."""

    def __init__(self, name: str, meaning: Meaning, ask: Ask) -> None:
        self._name = name
        self._meaning = meaning
        self._ask = ask
        self._worked: _Key | None = None
        self._answers: dict[str, str] = {}
        self._guard = threading.Lock()  # one question at a time

    def authenticate(self, transport: Any) -> None:
        """What fabric and paramiko call when the host's key has been checked. Raises HostFailed."""
        with self._guard:
            tried: list[str] = []
            try:
                if not self._by_keys(transport, tried):
                    self._by_person(transport, tried)
            except (paramiko.SSHException, EOFError, OSError) as error:
                if _is_cut(transport, tried, str(error)):
                    message = f"{self._name}: the connection ended while we were being let in"
                    raise HostFailed(
                        message, "run it again; if it stays so, the host's log says why", "protocol"
                    ) from error
                raise self._failed(tried, str(error)) from error

    def _by_keys(self, transport: Any, tried: list[str]) -> bool:
        """Whether the host lets us in; False where it wants something else besides, or instead."""
        locked: list[str] = []
        for each in self._keys():
            if isinstance(each, _Locked):
                locked.append(each.path)
                continue
            tried.append(each.words)
            if (done := self._offer(transport, each)) is not None:
                return done
        for path in locked:
            key = self._unlocked(path)
            tried.append(f"{path} (needs its passphrase)" if key is None else path)
            if key is not None and (done := self._offer(transport, _Key(path, key))) is not None:
                return done
        return False

    def _offer(self, transport: Any, each: _Key) -> bool | None:
        """True: in. False: accepted, and something else is wanted. None: not accepted."""
        try:
            more = transport.auth_publickey(self._meaning.user, each.key)
        except paramiko.BadAuthenticationType as error:
            if "publickey" not in error.allowed_types:
                return False
            return None
        except paramiko.AuthenticationException:
            if not transport.is_active():
                raise
            return None
        self._worked = each
        return not more

    def _keys(self) -> Iterator[_Key | _Locked]:
        if self._worked:
            yield self._worked
        files = [each for each in map(_loaded, dict.fromkeys(self._meaning.identities)) if each]
        named = {_public(path) for path in self._meaning.identities}
        named |= {each.key.asbytes() for each in files if isinstance(each, _Key)}
        of_agent = [] if self._meaning.agent == "" else _agent_keys(self._meaning.agent)
        wanted = [key for key in of_agent if key.asbytes() in named]
        others = [] if self._meaning.identities_only else [key for key in of_agent if key.asbytes() not in named]
        for key in (*wanted, *others):
            comment = f" {key.comment}" if getattr(key, "comment", "") else ""
            yield _Key(f"agent: {key.get_name()} {fingerprint(key.asbytes())}{comment}", key)
        held = {key.asbytes() for key in of_agent}
        for each in files:
            if isinstance(each, _Locked) and _public(each.path) in held:
                continue
            if isinstance(each, _Locked) or each.key.asbytes() not in held:
                yield each

    def _unlocked(self, path: str) -> Any:
        """The key of an encrypted file, or None."""
        for _ in range(_TRIES):
            known = self._answers.get(path)
            words = known if known is not None else self._ask.secret(f"Passphrase of {path}")
            if not words:
                return None
            try:
                key = paramiko.PKey.from_path(path, words.encode())
            except Exception:  # noqa: BLE001  # cryptography has no one class for a wrong passphrase
                self._answers.pop(path, None)
                continue
            self._answers[path] = words
            return key
        return None

    def _by_person(self, transport: Any, tried: list[str]) -> None:
        """A password, or what else the host asks a person for. Also the way into hosts that want nothing at all."""
        user = self._meaning.user
        try:
            transport.auth_none(user)
            return
        except paramiko.BadAuthenticationType as error:
            allowed = error.allowed_types
        for method in _PERSON:
            for _ in range(_TRIES if method in allowed else 0):
                words = self._answers.get(method) or self._ask.secret(f"Password of {user} at {self._name}")
                if not words:
                    break
                tried.append(method)
                if self._said(transport, method, words):
                    self._answers[method] = words
                    return
                self._answers.pop(method, None)
        raise self._failed(tried, "")

    def _said(self, transport: Any, method: str, words: str) -> bool:
        try:
            if method == "password":
                return not transport.auth_password(self._meaning.user, words, fallback=False)
            left = [words]  # the first question has been asked already

            def answer(_title: str, _text: str, prompts: list[tuple[str, bool]]) -> list[str]:
                return [left.pop() if left else self._ask.secret(self._asked(text)) or "" for text, _ in prompts]

            return not transport.auth_interactive(self._meaning.user, answer)
        except paramiko.AuthenticationException:
            if not transport.is_active():
                raise
            return False

    def _asked(self, words: str) -> str:
        """What the host asks, and that it is the host who does: it may ask for what only this machine should know."""
        return f"{self._name} asks {self._meaning.user}: {shown(words.strip(' :'))}"

    def _failed(self, tried: list[str], reason: str) -> HostFailed:
        words = f"; tried: {', '.join(tried)}" if tried else "; there was no key to try"
        many = _are_too_many(tried, reason)
        hint = (
            "the host may count tries: name the right key in ~/.ssh/config (IdentityFile, IdentitiesOnly yes)"
            if many
            else f"does `{self._meaning.typed}` work? A key has to be in its ~/.ssh/authorized_keys"
        )
        return HostFailed(f"{self._name}: {self._meaning.user} is not let in{words}", hint, "auth")


def _is_cut(transport: Any, tried: Sequence[str], reason: str) -> bool:
    """Whether the connection broke: a host that lets nobody in says so, and waits for the next try."""
    return not transport.is_active() and bool(tried) and not _are_too_many(tried, reason)


def _are_too_many(tried: Sequence[str], reason: str) -> bool:
    return "too many" in reason.lower() or len(tried) > 4


def _loaded(path: str) -> _Key | _Locked | None:
    if not os.path.isfile(path):
        return None
    try:
        return _Key(path, paramiko.PKey.from_path(path))
    except paramiko.PasswordRequiredException:
        return _Locked(path)
    except Exception as error:  # noqa: BLE001  # a file that is no key is passed over, as OpenSSH does
        return _Locked(path) if "password" in str(error).lower() or "passphrase" in str(error).lower() else None


def _public(path: str) -> bytes:
    """The public half beside a private key, which says what it is without its passphrase."""
    try:
        with open(f"{path}.pub", encoding="ascii", errors="replace") as file:
            blob: bytes = paramiko.pkey.PublicBlob.from_string(file.read()).key_blob
            return blob
    except (OSError, ValueError):
        return b""


def _agent_keys(path: str | None) -> list[Any]:
    """Keys of the agent; none where no agent answers."""
    try:
        return list((paramiko.Agent() if path is None else _AgentAt(path)).get_keys())
    except (paramiko.SSHException, OSError):
        return []


class _AgentAt(AgentSSH):  # type: ignore[misc]  # paramiko has no types
    """The agent whose socket `IdentityAgent` names."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        self._connect(connection)
