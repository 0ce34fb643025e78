"""One SSH connection: by way of jump hosts or a proxy command, its key checked, its user let in; or an error that says
which of these failed, and what to do.
"""

import contextlib
import errno
import logging
import random
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

import fabric
import paramiko

from gittrack.errors import HostFailed, UsageError
from gittrack.launch.link import hosts
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.protocol import Ask
from gittrack.launch.ssh import config, order
from gittrack.launch.ssh.ahead import Ahead
from gittrack.launch.ssh.auth import Credentials
from gittrack.launch.ssh.config import Meaning
from gittrack.launch.ssh.keys import Checker, algorithms

TIMEOUT = 20  # seconds to connect, where the configuration names none
ANSWER, KEYS = 30, 15  # seconds for the first word of a server, and for the exchange of keys, likewise
_LET_IN = 120  # seconds to be let in: it may ask elsewhere
_JUMPS = 8
_OF_THE_WAY = ("refused", "timeout", "unreachable", "name", "auth", "protocol")  # a jump host's are the host's "jump"
_BUSY = (0.3, 0.8, 2.0)  # waits after a server has closed an unfinished connection: sshd's MaxStartups does that
_AT_ONCE = 5.0  # seconds; what takes longer has not been turned away
# AES-GCM first: twice as fast as the others in paramiko, since cipher and digest are one call.
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr", "aes192-ctr")
_LOG = "gittrack.ssh"  # paramiko's own would print its tracebacks where nobody has set logging up


class Reached:
    """An SSH connection, and those that lead to it."""

    def __init__(self, connection: Any, before: "Reached | None") -> None:
        self._connection = connection
        self._before = before
        self.transport = connection.transport

    def close(self) -> None:
        """May be called twice, and from any thread."""
        with contextlib.suppress(OSError, EOFError):
            self._connection.client.close()
        if self._before:
            self._before.close()


class Way:
    """How one host is reached, worked out once; `connect` may be called again and asks nothing twice."""

    def __init__(self, host: Host, home: str, ask: Ask, depth: int = 0, alone: bool = True) -> None:
        self.host = host
        self.meaning = config.read(host, home)
        self.checker = Checker(host.name, self.meaning, ask)
        self._credentials = Credentials(host.name, self.meaning, ask)
        self._before = _before(self.meaning, host, home, ask, depth) if alone else []

    def connect(self, through: Reached | None = None) -> Reached:
        """A connection of its own. Raises HostFailed."""
        try:
            for way in self._before:
                through = self._jumped(way, through)
            return Reached(self._patiently(through), through)
        except BaseException:
            if through:
                through.close()
            raise

    def _jumped(self, way: "Way", through: Reached | None) -> Reached:
        try:
            return way.connect(through)
        except HostFailed as error:
            message = f"{self.host.name}: its jump host {way.host.name} was not reached: {error.message}"
            raise HostFailed(message, error.hint, "jump" if error.kind in _OF_THE_WAY else error.kind) from error

    def _patiently(self, through: Reached | None) -> Any:
        for wait in (*_BUSY, None):
            started = time.monotonic()
            try:
                return self._connected(through)
            except (paramiko.SSHException, EOFError, OSError) as error:
                took = time.monotonic() - started
                if wait is None or self._is_silent(took) or not _turned_away(error):
                    raise self._failed(error, took) from error
                time.sleep(wait * random.uniform(0.5, 1.5))
        raise AssertionError

    def _connected(self, through: Reached | None) -> Any:
        meaning = self.meaning
        sock = self._socket(through)
        connection = fabric.Connection(
            host=meaning.address,
            user=meaning.user,
            port=meaning.port,
            config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()),
            gateway=False,
            forward_agent=False,
            connect_kwargs={
                "sock": sock,
                "auth_strategy": self._credentials,
                "transport_factory": self._transport,
                # Of both, without which a host that falls silent while keys are exchanged is waited for for ever.
                "timeout": (meaning.timeout or ANSWER) + (meaning.timeout or KEYS),
                "banner_timeout": meaning.timeout or ANSWER,
                "auth_timeout": _LET_IN,
            },
        )
        connection.client.set_missing_host_key_policy(_Policy(self.checker.check))
        try:
            connection.open()
        except BaseException:
            with contextlib.suppress(OSError, EOFError):
                connection.client.close()
            sock.close()
            raise
        return connection

    def _transport(self, sock: Any, **options: Any) -> Any:
        transport = order.Transport(Ahead(sock), **options)
        logger = logging.getLogger(_LOG)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
        transport.set_log_channel(_LOG)
        security = transport.get_security_options()
        security.ciphers = [each for each in _CIPHERS if each in security.ciphers]
        security.key_types = algorithms(self.checker.lines, security.key_types)
        return transport

    def _socket(self, through: Reached | None) -> Any:
        meaning = self.meaning
        if through is not None:
            return self._tunnel(through)
        if meaning.command:
            return _piped(meaning.command)
        try:
            sock = socket.create_connection((meaning.address, meaning.port), meaning.timeout or TIMEOUT)
        except OSError as error:
            raise self._unreached(error) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _tunnel(self, through: Reached) -> Any:
        meaning = self.meaning
        try:
            return through.transport.open_channel(
                "direct-tcpip", (meaning.address, meaning.port), ("127.0.0.1", 0), timeout=meaning.timeout or TIMEOUT
            )
        except paramiko.ChannelException as error:
            raise HostFailed(
                f"{self.host.name}: the jump host cannot reach {meaning.where}: {error.text}",
                "is the address right as the jump host sees it, and does its sshd have AllowTcpForwarding?",
                "jump",
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise HostFailed(
                f"{self.host.name}: the jump host did not reach {meaning.where} in time", "is the host up?", "timeout"
            ) from error

    def _unreached(self, error: OSError) -> HostFailed:
        name, where = self.host.name, self.meaning.where
        if isinstance(error, socket.gaierror):
            message = f"{name}: no machine is known as {self.meaning.address}"
            hint = "is it spelled right? Short names go into ~/.ssh/config, or under `hosts:` in gittrack.yaml"
            return HostFailed(message, hint, "name")
        if isinstance(error, ConnectionRefusedError):
            hint = "is sshd running there, and is that its port?"
            return HostFailed(f"{name}: {where} refuses connections", hint, "refused")
        hint = "is the host up, and is there a way to it (network, VPN, firewall)?"
        if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
            return HostFailed(f"{name}: {where} does not answer", hint, "timeout")
        return HostFailed(f"{name}: {where} cannot be reached: {error.strerror or error}", hint, "unreachable")

    def _is_silent(self, took: float) -> bool:
        """Whether what failed after so many seconds was waiting."""
        return took > min(_AT_ONCE, 0.9 * (self.meaning.timeout or ANSWER))

    def _failed(self, error: Exception, took: float) -> HostFailed:
        where = self.meaning.command or self.meaning.where
        if self._is_silent(took):
            hint = "is it an SSH server? If so, the host may be overloaded, or its disk stuck"
            return HostFailed(f"{self.host.name}: {where} takes the connection and says nothing", hint, "timeout")
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            hint = "its sshd may be too old; does `ssh -v` reach it?"
            return HostFailed(f"{self.host.name}: no common way to encrypt: {error}", hint, "protocol")
        return HostFailed(
            f"{self.host.name}: {where} ended the connection before it was set up: {error or 'no reason given'}",
            "is it an SSH server? It may have too many connections, or not want yours: its log says why",
            "protocol",
        )


class _Policy(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko has no types
    """paramiko is given no known keys, so that it asks about every one."""

    def __init__(self, check: Callable[[str, bytes], None]) -> None:
        self._check = check

    def missing_host_key(self, _client: Any, _hostname: str, key: Any) -> None:
        self._check(key.get_name(), key.asbytes())


def _before(meaning: Meaning, host: Host, home: str, ask: Ask, depth: int) -> "list[Way]":
    """The ways to the jump hosts, nearest first. Only the first is reached by a way of its own."""
    if depth > _JUMPS:
        raise HostFailed(f"{host.name}: its jump hosts lead in a circle", "look at ProxyJump in ~/.ssh/config", "jump")
    ways: list[Way] = []
    for text in meaning.jumps:
        try:
            jump = hosts.parsed(text, text, UsageError)
        except UsageError as error:
            raise HostFailed(f"{host.name}: ProxyJump: {error.message}", error.hint, "config") from error
        if (jump.address, jump.port) != (host.address, host.port):
            ways.append(Way(jump, home, ask, depth + 1, alone=not ways))
    return ways


def _piped(command: str) -> socket.socket:
    """A connection that is the input and output of a command, which is a shell's, by the user's own word."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            f"exec {command}", shell=True, stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
        )
    return ours


def _turned_away(error: Exception) -> bool:
    """Whether a server that listens has ended the connection before a word was said."""
    return isinstance(error, (EOFError, ConnectionError)) or "banner" in str(error).lower()
