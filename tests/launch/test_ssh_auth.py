"""Who lets us in: agents, keys in files, passphrases, passwords."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from rig_ssh import Site, keypair, sshd

from gittrack.errors import HostFailed
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.protocol import ACCEPT_NEW, NOBODY, Ask
from gittrack.launch.reached import open_link

HOST = Host("host", address="host")


class Person:
    """Answers questions, and remembers which."""

    def __init__(self, *answers: str) -> None:
        self.left = list(answers)
        self.asked: list[str] = []
        self.ask = Ask(lambda _: None, self._secret)

    def _secret(self, words: str) -> str | None:
        self.asked.append(words)
        return self.left.pop(0) if self.left else None


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of an agent without keys."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    yield path
    process.terminate()
    process.wait()


def reach(ask: Ask = NOBODY) -> None:
    link = open_link(HOST, ask)
    try:
        assert link.run(["echo", "in"]).out == b"in\n"
    finally:
        link.close()


def identity(site: Site, home: Path, *lines: str) -> None:
    """A configuration with other lines instead of the one that names the key."""
    site.configure(home)
    path = home / ".ssh" / "config"
    path.write_text(path.read_text().replace(f"IdentityFile {site.key}", "\n  ".join(lines)))


def add(agent: Path, key: Path) -> None:
    subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(agent)}, check=True)


def test_a_key_of_the_agent_lets_in(
    site: Site, sealed: Path, agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity(site, sealed)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(HostFailed, match="no key to try"):
        reach()
    add(agent, site.key)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    reach()
    identity(site, sealed, "IdentityAgent none")
    with pytest.raises(HostFailed, match="no key to try"):
        reach()


def test_the_agent_of_the_configuration_is_asked(
    site: Site, sealed: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    add(agent, site.key)
    identity(site, sealed, f"IdentityAgent {agent}")
    reach()


def test_only_the_named_keys_of_an_agent_are_tried_where_the_configuration_says_so(
    site: Site, sealed: Path, agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    for number in range(8):  # more than sshd lets anybody try
        add(agent, keypair(tmp_path / f"wrong{number}"))
    add(agent, site.key)
    identity(site, sealed)
    with pytest.raises(HostFailed, match="is not let in") as caught:
        reach()
    assert "IdentitiesOnly" in caught.value.hint and "wrong0" in caught.value.message
    (tmp_path / "named.pub").write_text(Path(f"{site.key}.pub").read_text())
    identity(site, sealed, "IdentitiesOnly yes", f"IdentityFile {tmp_path / 'named'}")
    reach()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_keys_of_every_kind_in_their_usual_places_let_in(site: Site, sealed: Path, kind: str) -> None:
    identity(site, sealed, "IdentityAgent none")
    path = keypair(sealed / ".ssh" / f"id_{kind}", kind)
    allowed = site.sshd.folder / "keys" / site.ann.name
    before = allowed.read_text()
    allowed.write_text(Path(f"{path}.pub").read_text())
    try:
        reach()
    finally:
        allowed.write_text(before)


def test_who_is_not_let_in_hears_which_keys_were_tried(site: Site, sealed: Path, tmp_path: Path) -> None:
    wrong = keypair(tmp_path / "wrong")
    identity(site, sealed, f"IdentityFile {wrong}", "IdentityAgent none")
    with pytest.raises(HostFailed, match="is not let in") as caught:
        reach()
    assert caught.value.kind == "auth" and str(wrong) in caught.value.message
    assert site.ann.name in caught.value.message and "authorized_keys" in caught.value.hint


def test_the_hint_is_a_command_that_ssh_understands(site: Site, sealed: Path) -> None:
    site.configure(sealed)
    identity(site, sealed, "IdentityAgent none", f"IdentityFile {sealed / 'none'}")
    with pytest.raises(HostFailed, match="is not let in") as caught:
        open_link(Host("gpu1", user=site.bob.name, address=site.sshd.address, port=site.sshd.port))
    assert f"`ssh -p {site.sshd.port} {site.bob.name}@{site.sshd.address}`" in caught.value.hint


@pytest.fixture
def locked(site: Site, sealed: Path, tmp_path: Path) -> Path:
    """The right key, behind the passphrase `open sesame`."""
    path = tmp_path / "locked"
    path.write_bytes(site.key.read_bytes())
    path.chmod(0o600)
    change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", path]
    subprocess.run(change, check=True, capture_output=True)
    identity(site, sealed, f"IdentityFile {path}", "IdentityAgent none")
    return path


def test_the_passphrase_of_a_key_is_asked_until_it_is_right(locked: Path) -> None:
    person = Person("wrong", "open sesame")
    reach(person.ask)
    assert person.asked == [f"Passphrase of {locked}"] * 2


def test_nobody_to_ask_for_a_passphrase_is_an_error_that_says_so(locked: Path) -> None:
    with pytest.raises(HostFailed, match="needs its passphrase"):
        reach()


def test_a_passphrase_is_asked_once_for_all_connections_to_a_host(locked: Path) -> None:
    person = Person("open sesame")
    link = open_link(HOST, person.ask)
    channels = [link.open(["cat"]) for _ in range(12)]  # two connections' worth
    assert len(person.asked) == 1
    for each in channels:
        each.close()
    link.close()


def test_no_passphrase_is_asked_where_another_key_lets_in(locked: Path, site: Site, sealed: Path) -> None:
    identity(site, sealed, f"IdentityFile {locked}", f"IdentityFile {site.key}", "IdentityAgent none")
    person = Person()
    reach(person.ask)
    assert person.asked == []


@pytest.mark.parametrize("method", ["PasswordAuthentication yes", "PasswordAuthentication yes\nMaxAuthTries 20"])
def test_a_password_lets_in_where_the_host_takes_one(
    site: Site, sealed: Path, tmp_path_factory: pytest.TempPathFactory, method: str
) -> None:
    hashed = subprocess.run(["openssl", "passwd", "-6", "pass word"], capture_output=True, text=True, check=True)
    folder = site.folder / f"password{len(method)}"
    with sshd(folder, [site.bob], site.key) as server:
        config = folder / "config"
        config.write_text(config.read_text().replace("PasswordAuthentication no", method))
        os.kill(server.pid, 1)  # SIGHUP: read it again
        subprocess.run(["usermod", "-p", hashed.stdout.strip(), site.ann.name], check=True)
        try:
            site._replace(sshd=server).configure(sealed)
            person = Person("wrong", "pass word")
            reach(person.ask)
        finally:
            subprocess.run(["usermod", "-p", "*", site.ann.name], check=True)
    assert person.asked == [f"Password of {site.ann.name} at host"] * 2


class Asking(paramiko.ServerInterface):  # type: ignore[misc]  # paramiko has no types
    """Lets in who has answered this question, and another one."""

    def __init__(self, question: str) -> None:
        self._question = question
        self.answers: list[list[str]] = []

    def get_allowed_auths(self, _user: str) -> str:
        return "keyboard-interactive"

    def check_auth_none(self, _user: str) -> int:
        return int(paramiko.AUTH_FAILED)

    def check_auth_interactive(self, _user: str, _methods: str) -> Any:
        return paramiko.InteractiveQuery("title", "text", ("Password: ", False), (self._question, False))

    def check_auth_interactive_response(self, answers: list[str]) -> int:
        self.answers.append(answers)
        return int(paramiko.AUTH_SUCCESSFUL)


@pytest.mark.parametrize(
    "question, shown",
    [
        ("Verification code: ", "Verification code"),
        ("Passphrase of /home/ann/.ssh/id_ed25519: ", "Passphrase of /home/ann/.ssh/id_ed25519"),
        ("\x1b]0;owned\x07\x1b[2J\n\rcode\u202e:", "\ufffd]0;owned\ufffd\ufffd[2J; code\ufffd"),
        ("x" * 100_000, "\N{HORIZONTAL ELLIPSIS}" + "x" * 599),
    ],
)
def test_what_a_host_asks_says_that_it_is_the_host_who_asks_and_drives_no_terminal(
    sealed: object, question: str, shown: str
) -> None:
    server, asked = Asking(question), []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            transport = paramiko.Transport(listener.accept()[0])
            transport.add_server_key(paramiko.ECDSAKey.generate())
            transport.start_server(server=server)

        threading.Thread(target=serve, daemon=True).start()
        address, port = listener.getsockname()
        ask = Ask(ACCEPT_NEW.accept, lambda words: asked.append(words) or f"answer {len(asked)}")
        open_link(Host("odd", "ann", address, port), ask).close()
    assert asked == ["Password of ann at odd", f"odd asks ann: {shown}"]
    assert server.answers == [["answer 1", "answer 2"]]
