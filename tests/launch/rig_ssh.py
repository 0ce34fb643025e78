"""Real SSH servers with users of their own: on the loopback interface, behind a jump host, on a line that can be cut.

Needs root, which alone may make users and network namespaces; elsewhere the tests that use it are skipped. Everything
it makes has the number of its process in its name, so that several suites run beside each other.
"""

import contextlib
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ports import free_port

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if os.path.exists("/usr/sbin/sshd") else None)
_CONFIG = """
ListenAddress {address}
Port {port}
HostKey {folder}/host_ed25519
AuthorizedKeysFile {folder}/keys/%u
PidFile {folder}/pid
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel DEBUG1
PrintMotd no
X11Forwarding no
"""


class User(NamedTuple):
    """A user of the machine, without rights, whose only way in is a key."""

    name: str
    home: Path

    @property
    def ids(self) -> tuple[int, int]:
        entry = pwd.getpwnam(self.name)
        return entry.pw_uid, entry.pw_gid

    def fresh_home(self) -> None:
        """Empty it."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        self.home.chmod(0o755)
        os.chown(self.home, *self.ids)

    def shell(self, path: str) -> None:
        """Have another login shell."""
        subprocess.run(["usermod", "-s", path, self.name], check=True)

    def end_processes(self) -> None:
        """None of the processes of this user is left."""
        subprocess.run(["pkill", "-KILL", "-U", str(self.ids[0])], check=False)


class Sshd(NamedTuple):
    """A running server."""

    address: str
    port: int
    folder: Path

    @property
    def name(self) -> str:
        """As known_hosts has it."""
        return f"[{self.address}]:{self.port}"

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def key(self, kind: str = "ed25519") -> str:
        """`ssh-ed25519 AAAA…`"""
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def sessions(self) -> list[int]:
        """Processes that serve one connection each."""
        found = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False).stdout
        return [int(each) for each in found.split()]

    def cut(self) -> None:
        """Kill what serves connections, as a crash or a reboot does; the server itself goes on."""
        for parent in self.sessions():
            children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False).stdout
            for pid in (parent, *map(int, children.split())):
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it went with its parent
                    if "sshd" in Path(f"/proc/{pid}/comm").read_text():
                        os.kill(pid, signal.SIGKILL)


class Site(NamedTuple):
    """One server on the loopback interface, two users, a client key."""

    folder: Path
    sshd: Sshd
    ann: User
    bob: User
    key: Path  # of the client, private; both users let it in

    def configure(self, home: Path, text: str = "", known: bool = True) -> None:
        """Write ~/.ssh of the client: `host` is the server and `ann`; `known` puts its key into known_hosts."""
        folder = home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "config").write_text(
            f"Host host bobs\n  HostName {self.sshd.address}\n  Port {self.sshd.port}\n  IdentityFile {self.key}\n"
            f"Host host\n  User {self.ann.name}\nHost bobs\n  User {self.bob.name}\n{text}"
            "Host *\n  HashKnownHosts no\n"  # Debian's own configuration says yes
        )
        (folder / "known_hosts").unlink(missing_ok=True)
        if known:
            (folder / "known_hosts").write_text(f"{self.sshd.name} {self.sshd.key()}\n")


def skip_unless_possible() -> None:
    if SSHD is None:
        pytest.skip("sshd is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root can make the users of an SSH server")


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """For as long as the block runs."""
    skip_unless_possible()
    sweep()
    folder = Path(tempfile.mkdtemp(prefix="gittrack-ssh-"))
    folder.chmod(0o755)  # users of the server have their homes in it
    try:
        with users(folder, "ann", "bob") as (ann, bob):
            key = keypair(folder / "client")
            with sshd(folder / "sshd", [ann, bob], key) as server:
                yield Site(folder, server, ann, bob, key)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove what suites that were killed have left: their users and network namespaces."""
    for entry in pwd.getpwall():
        if _orphaned(entry.pw_name):
            User(entry.pw_name, Path(entry.pw_dir)).end_processes()
            subprocess.run(["userdel", "-f", entry.pw_name], capture_output=True, check=False)
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    for space in (each.split()[0] for each in spaces.splitlines()):
        if _orphaned(space):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def _orphaned(name: str) -> bool:
    match = re.fullmatch(r"gt(\d+)[a-z]+", name)
    return match is not None and not Path(f"/proc/{match[1]}").exists()


@contextlib.contextmanager
def users(folder: Path, *names: str) -> Iterator[list[User]]:
    """Users of this machine, gone afterwards."""
    made = []
    try:
        for name in names:
            user = User(f"gt{os.getpid()}{name}", folder / "home" / name)
            user.home.parent.mkdir(exist_ok=True)
            # `*` is a password that nobody has; `!`, which useradd writes, locks the user out of sshd without PAM.
            _patiently(["useradd", "-M", "-d", str(user.home), "-s", "/bin/bash", "-p", "*", user.name])
            user.fresh_home()
            made.append(user)
        yield made
    finally:
        for user in made:
            user.end_processes()
            _patiently(["userdel", "-f", user.name])


def _patiently(argv: list[str]) -> None:
    """Others may have /etc/passwd locked."""
    for attempt in range(50):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0 or attempt == 49:
            break
        time.sleep(0.2)
    assert done.returncode == 0, (argv, done.stderr)


def keypair(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key; its public half has `.pub`."""
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run(argv, check=True)
    return path


@contextlib.contextmanager
def sshd(
    folder: Path, let_in: list[User], key: Path, address: str = "127.0.0.1", inside: str = "", options: str = ""
) -> Iterator[Sshd]:
    """A server with a host key of its own; `inside` is the network namespace it lives in. It has no SFTP."""
    skip_unless_possible()
    (folder / "keys").mkdir(parents=True)
    keypair(folder / "host_ed25519")
    for user in let_in:
        shutil.copy(f"{key}.pub", folder / "keys" / user.name)
    os.makedirs("/run/sshd", exist_ok=True)  # where Debian's sshd locks its unprivileged half in
    server = Sshd(address, 22 if inside else free_port(), folder)
    (folder / "config").write_text(_CONFIG.format(address=address, port=server.port, folder=folder) + options)
    with running(server, inside):
        yield server


@contextlib.contextmanager
def running(server: Sshd, inside: str = "") -> Iterator[None]:
    """Its process, from when it listens."""
    prefix = ["ip", "netns", "exec", inside] if inside else []
    argv = [*prefix, str(SSHD), "-f", str(server.folder / "config"), "-D", "-e"]
    with open(server.folder / "log", "ab") as log:
        start = log.tell()
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 30
        while "Server listening" not in (server.folder / "log").read_text(errors="replace")[start:]:
            assert process.poll() is None and time.monotonic() < until, server.log()
            time.sleep(0.01)
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            server.cut()
        process.terminate()
        process.wait()


@contextlib.contextmanager
def line(number: int, name: str, other: str = "") -> Iterator[tuple[str, str, str]]:
    """A network namespace and a line to it, from here or from namespace `other`. Gives its name and the addresses of
    the near and the far end. Cut with `cut_line`."""
    space = f"gt{os.getpid()}{name}"
    this, that = f"g{os.getpid()}{name}a", f"g{os.getpid()}{name}b"
    block = f"10.{200 + number}.{random.randrange(256)}"  # several suites may be at it at once
    fourth = random.randrange(64) * 4
    near, far = f"{block}.{fourth + 1}", f"{block}.{fourth + 2}"
    done = subprocess.run(["ip", "netns", "add", space], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespace can be made: {done.stderr.strip()}")
    try:
        _ip(space, "link", "set", "lo", "up")
        _ip(other, "link", "add", this, "type", "veth", "peer", "name", that, "netns", space)
        _ip(other, "addr", "add", f"{near}/30", "dev", this)
        _ip(other, "link", "set", this, "up")
        _ip(space, "addr", "add", f"{far}/30", "dev", that)
        _ip(space, "link", "set", that, "up")
        yield space, near, far
    finally:
        # The other end goes with it; the namespace alone would take it along some time later.
        subprocess.run(["ip", *(["-n", other] if other else []), "link", "del", this], check=False)
        subprocess.run(["ip", "netns", "del", space], check=False)


def cut_line(space: str, name: str) -> None:
    """What is sent from now on is lost, and nobody is told."""
    _ip(space, "link", "set", f"g{os.getpid()}{name}b", "down")


def mend_line(space: str, name: str) -> None:
    _ip(space, "link", "set", f"g{os.getpid()}{name}b", "up")


def _ip(inside: str, *args: str) -> None:
    subprocess.run(["ip", *(["-n", inside] if inside else []), *args], check=True)


class Proxy:
    """A line of TCP to a server, which can be stopped, cut, and whose bytes are counted."""

    def __init__(self, server: Sshd) -> None:
        self._target = (server.address, server.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent = self.received = 0
        self._sockets: list[socket.socket] = []
        self.is_down = False  # who connects is hung up on
        self._open = {"sent": threading.Event(), "received": threading.Event()}
        self.go_on()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections at once."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def hold(self, *ways: str) -> None:
        """Nothing that is `sent` or `received`, or neither, passes any more, and nobody is told."""
        for way in ways or self._open:
            self._open[way].clear()

    def go_on(self) -> None:
        for way in self._open.values():
            way.set()

    def close(self) -> None:
        self.go_on()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_down:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                threading.Thread(target=self._carry, args=(client, server, "sent"), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, "received"), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, counter: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._open[counter].wait()
                setattr(self, counter, getattr(self, counter) + len(data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
