"""The connection breaks in the middle: it is noticed, said, and what runs at the host goes on."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_ssh import Proxy, Site, cut_line, keypair, line, sshd

from gittrack.errors import HostFailed, LinkLost
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.protocol import Link
from gittrack.launch.reached import open_link
from gittrack.launch.ssh import link as ssh_link

HOST = Host("host", address="host")
BUSY = ["sh", "-c", "while :; do echo x; sleep 0.02; done"]


@pytest.fixture
def proxied(site: Site, sealed: Path) -> Iterator[tuple[Link, Proxy]]:
    """A link by way of a line that can be cut."""
    proxy = Proxy(site.sshd)
    site.configure(sealed, f"Host line\n  HostName 127.0.0.1\n  Port {proxy.port}\n  User {site.ann.name}\n"
                   f"  IdentityFile {site.key}\n  HostKeyAlias {site.sshd.name}\n")  # fmt: skip
    link = open_link(Host("line", address="line"))
    yield link, proxy
    link.close()
    proxy.close()


def test_a_killed_server_process_is_a_lost_link(site: Site, ssh: Link) -> None:
    channel = ssh.open(BUSY)
    assert channel.read(100)
    assert not ssh.lost
    site.sshd.cut()
    with pytest.raises(LinkLost, match="connection is lost"):
        while channel.read(1000):
            pass
    assert ssh.lost
    for attempt in (lambda: ssh.run(["true"]), lambda: ssh.read("x"), lambda: ssh.write("x", b""), channel.wait):
        with pytest.raises(LinkLost):
            attempt()
    with pytest.raises(LinkLost):
        channel.write(b"x")
    channel.close()


def test_waiting_and_writing_notice_it_too(proxied: tuple[Link, Proxy]) -> None:
    link, proxy = proxied
    waiting, writing, ended = link.open(["sleep", "1000"]), link.open(["cat"]), []

    def attempt(what: object) -> None:
        try:
            what()  # type: ignore[operator]
        except LinkLost:
            ended.append(what)

    def write() -> None:
        while True:  # nobody reads what cat gives back, so that it waits in the end
            writing.write(b"x" * 65536)

    threads = [threading.Thread(target=attempt, args=(each,)) for each in (waiting.wait, write)]
    for each in threads:
        each.start()
    time.sleep(0.3)  # both wait by then; if not, they fail in another place
    proxy.cut()
    for each in threads:
        each.join(timeout=60)
    assert len(ended) == 2


def test_what_came_of_a_file_before_a_cut_is_right(site: Site, proxied: tuple[Link, Proxy]) -> None:
    link, proxy = proxied
    data = os.urandom(30_000_000)
    (site.ann.home / "large").write_bytes(data)
    came = b""
    with pytest.raises(LinkLost), link.reading("large") as read:
        while found := read(1 << 20):
            came += found
            if len(came) > 5_000_000:
                proxy.cut()
    assert 5_000_000 < len(came) < len(data) and data.startswith(came)
    again = open_link(HOST)
    with again.reading("large", len(came)) as read:
        assert came + b"".join(iter(lambda: read(1 << 20), b"")) == data
    again.close()


def test_a_file_that_was_cut_on_its_way_never_appears(site: Site, proxied: tuple[Link, Proxy], tmp_path: Path) -> None:
    link, proxy = proxied
    folder = link.folder()
    link.write(f"{folder}/file", b"the former")
    (tmp_path / "large").write_bytes(os.urandom(30_000_000))
    sent: list[int] = []

    def progress(moved: int) -> None:
        sent.append(moved)
        if sum(sent) > 5_000_000:
            proxy.cut()

    with pytest.raises(LinkLost):
        link.send(str(tmp_path / "large"), f"{folder}/file", progress)
    again = open_link(HOST)
    until = time.monotonic() + 60
    while len(names := [each.name for each in again.list(folder) or []]) > 2 and time.monotonic() < until:
        time.sleep(0.05)  # sshd notices, cat ends, the script removes what it wrote
    assert names == ["file", "version"] and again.read(f"{folder}/file") == b"the former"
    again.close()


def test_what_runs_at_the_host_and_listens_to_nobody_goes_on(site: Site, proxied: tuple[Link, Proxy]) -> None:
    link, proxy = proxied
    link.run(["sh", "-c", "(while :; do date +%N > alive; sleep 0.02; done) > /dev/null 2>&1 < /dev/null &"])
    proxy.cut()
    with pytest.raises(LinkLost):
        link.run(["true"])
    again = open_link(HOST)
    first = again.read("alive")
    again.run(["sh", "-c", "for i in $(seq 999); do [ \"$(cat alive)\" != \"$1\" ] && exit 0; sleep 0.02; done; exit 1",
               "sh", first.decode().strip()])  # fmt: skip
    again.close()


def test_connections_of_its_socket_end(proxied: tuple[Link, Proxy]) -> None:
    link, proxy = proxied
    with link.socket(["cat"]) as path, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(path)
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        proxy.cut()
        assert client.recv(1) == b""
    assert link.lost


@pytest.mark.parametrize("doing", ["reading", "nothing", "writing"])
def test_a_network_that_drops_everything_is_noticed(
    site: Site, sealed: Path, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    """In a network namespace, whose line goes dead without a word."""
    assert ssh_link.ASK_EVERY + ssh_link.ANSWER_WITHIN <= 30
    monkeypatch.setattr(ssh_link, "ASK_EVERY", 0.3)
    monkeypatch.setattr(ssh_link, "ANSWER_WITHIN", 4.0)
    with line(4, "d") as (space, _, far):
        folder = site.folder / f"dropped-{doing}"
        with sshd(folder, [site.ann], site.key, far, space) as server:
            site._replace(sshd=server).configure(sealed)
            known = sealed / ".ssh" / "known_hosts"
            known.write_text(f"{far} {server.key()}\n")
            link = open_link(HOST)
            channel = link.open(BUSY if doing == "reading" else ["cat"])
            if doing == "reading":
                assert channel.read(10)
            time.sleep(1.5)  # it has been asked several times, and answered
            assert not link.lost
            cut_line(space, "d")
            started = time.monotonic()
            with pytest.raises(LinkLost):
                while doing == "reading":
                    channel.read(1000)
                while doing == "writing":
                    channel.write(b"x" * 100_000)
                channel.read(10)
            assert time.monotonic() - started < 60
            link.close()


def test_ssh_config_says_how_long_a_silent_host_is_waited_for(proxied: tuple[Link, Proxy], sealed: Path) -> None:
    config = sealed / ".ssh" / "config"
    config.write_text("Host line\n  ServerAliveInterval 2\n  ServerAliveCountMax 3\n" + config.read_text())
    link, proxy = open_link(Host("line", address="line")), proxied[1]
    channel = link.open(["cat"])
    proxy.hold()
    with pytest.raises(LinkLost, match="has not answered for 6 s"):
        channel.read(1)
    link.close()


def test_a_host_that_has_much_to_say_is_there_even_if_it_hears_nothing(
    proxied: tuple[Link, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow line what is asked waits behind what is sent."""
    monkeypatch.setattr(ssh_link, "ASK_EVERY", 0.2)
    monkeypatch.setattr(ssh_link, "ANSWER_WITHIN", 3.0)
    link, proxy = open_link(Host("line", address="line")), proxied[1]
    channel = link.open(BUSY)
    proxy.hold("sent")
    until = time.monotonic() + 6
    while time.monotonic() < until:
        assert channel.read(100)
    assert not link.lost
    proxy.hold("received")
    with pytest.raises(LinkLost):
        while channel.read(100):
            pass
    link.close()


def test_a_line_that_only_pauses_is_not_lost(proxied: tuple[Link, Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    link, proxy = proxied
    channel = link.open(["cat"])
    proxy.hold()
    channel.write(b"late")
    threading.Timer(1.0, proxy.go_on).start()
    assert channel.read(10) == b"late" and not link.lost
    channel.close()


def test_a_line_that_breaks_while_keys_are_tried_is_not_taken_for_a_refusal(
    site: Site, sealed: Path, tmp_path: Path
) -> None:
    slow = "AuthorizedKeysCommand /bin/sleep 30\nAuthorizedKeysCommandUser root\n"  # thinks about keys that it has not
    stranger = keypair(tmp_path / "stranger")
    with sshd(site.folder / "slow", [site.ann], site.key, options=slow) as server:
        site._replace(sshd=server, key=stranger).configure(sealed)

        def cut_when_asked() -> None:
            until = time.monotonic() + 60
            while "method publickey" not in server.log() and time.monotonic() < until:
                time.sleep(0.01)
            server.cut()

        cutter = threading.Thread(target=cut_when_asked)
        cutter.start()
        with pytest.raises(HostFailed, match="ended while we were being let in"):
            open_link(HOST)
        cutter.join()
