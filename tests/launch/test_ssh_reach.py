"""Ways to a host, and what is said where there is none."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rig_ssh import Site, Sshd, free_port, line, sshd

from gittrack.errors import HostFailed, NewerFormat
from gittrack.launch.link.hosts import Host, find
from gittrack.launch.link.protocol import ACCEPT_NEW, NOBODY, Ask, Link
from gittrack.launch.reached import open_link
from gittrack.launch.ssh import connect

HOST = Host("host", address="host")


@contextlib.contextmanager
def reached(host: Host = HOST, ask: Ask = NOBODY) -> Iterator[Link]:
    link = open_link(host, ask)
    try:
        yield link
    finally:
        link.close()


def who(host: Host = HOST, ask: Ask = NOBODY) -> str:
    with reached(host, ask) as link:
        return link.run(["id", "-un"]).out.decode().strip()


@pytest.fixture(params=["openssh", "paramiko"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Who reads ~/.ssh/config: the OpenSSH client, or, where that is missing, paramiko."""
    with pytest.MonkeyPatch.context() as patch:  # of its own: what ends the servers needs the programs again
        if request.param == "paramiko":
            for program in ("sh", "python3"):
                (tmp_path / program).symlink_to(str(shutil.which(program)))
            patch.setenv("PATH", str(tmp_path))
        yield


def test_an_address_with_user_and_port_needs_no_configuration(site: Site, sealed: Path, reader: None) -> None:
    shutil.copy(site.key, sealed / ".ssh" / "id_ed25519")
    (sealed / ".ssh" / "config").unlink()
    host = Host("x", site.ann.name, site.sshd.address, site.sshd.port)
    assert who(host) == site.ann.name


def test_an_alias_of_the_configuration_is_a_host(site: Site, reader: None) -> None:
    assert who() == site.ann.name and who(Host("bobs", address="bobs")) == site.bob.name
    assert who(HOST._replace(user=site.bob.name)) == site.bob.name  # what is said wins over the configuration


def test_included_files_and_matches_count(site: Site, sealed: Path, reader: None) -> None:
    folder = sealed / ".ssh"
    (folder / "more").mkdir()
    (folder / "config").rename(folder / "more" / "one.conf")
    (folder / "config").write_text("Host unrelated\n  Port 1\nHost *\n  Compression no\n  Include more/*.conf\n")
    (folder / "more" / "two.conf").write_text(f"Match host host\n  User {site.bob.name}\n")
    assert who() == site.ann.name  # the first word counts
    (folder / "more" / "one.conf").write_text(
        f"Match originalhost host\n  User {site.bob.name}\n" + (folder / "more" / "one.conf").read_text()
    )
    assert who() == site.bob.name


def test_a_proxy_command_is_the_connection(site: Site, sealed: Path, reader: None) -> None:
    script = sealed / "a proxy"
    script.write_text(
        "#!/bin/sh\necho $0 $* >> ~/used\nexec python3 -c '"
        "import socket, sys, threading, os\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): s.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        'while data := s.recv(65536): os.write(1, data)\n\' "$@"\n'
    )
    script.chmod(0o755)
    site.configure(sealed, f"Host *\n  ProxyCommand '{script}' %h %p 2>/dev/null\n")
    assert who() == site.ann.name
    assert (sealed / "used").read_text().split()[-2:] == [site.sshd.address, str(site.sshd.port)]


def test_a_proxy_command_that_fails_is_named(site: Site, sealed: Path) -> None:
    site.configure(sealed, "Host *\n  ProxyCommand false\n")
    with pytest.raises(HostFailed, match="false ended the connection") as caught:
        who()
    assert caught.value.kind == "protocol"


@pytest.fixture
def inner(site: Site, sealed: Path) -> Iterator[Sshd]:
    """A server that only the jump host can reach: two network namespaces, one behind the other."""
    with line(1, "j") as (jump, _, jump_at), line(2, "i", jump) as (space, _, inner_at):
        folder = site.folder / f"jump{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        with (
            sshd(folder / "j", [site.bob], site.key, jump_at, jump) as first,
            sshd(folder / "i", [site.ann], site.key, inner_at, space) as second,
        ):
            site.configure(
                sealed,
                f"Host jump\n  HostName {jump_at}\n  User {site.bob.name}\n"
                f"Host inner twice\n  HostName {inner_at}\n  User {site.ann.name}\n"
                f"Host inner\n  ProxyJump jump\nHost twice\n  ProxyJump {site.bob.name}@host:{site.sshd.port},jump\n"
                f"Host *\n  IdentityFile {site.key}\n",
            )
            with (sealed / ".ssh" / "known_hosts").open("a") as file:
                file.write(f"{jump_at} {first.key()}\n{inner_at} {second.key()}\n")
            yield second


def test_a_host_behind_a_jump_host_is_reached(site: Site, inner: Sshd, reader: None) -> None:
    with reached(Host("inner", address="inner")) as link:
        assert link.run(["id", "-un"]).out.decode().strip() == site.ann.name
        data = os.urandom(3_000_000)
        assert link.run(["cat"], data).out == data
    block, _, last = inner.address.rpartition(".")
    assert f"Connection from {block}.{int(last) - 1} " in inner.log()  # the jump host's end of the line


def test_a_chain_of_jump_hosts_is_gone_along(site: Site, inner: Sshd) -> None:
    assert who(Host("twice", address="twice")) == site.ann.name


def test_the_keys_of_jump_hosts_are_checked_too(site: Site, sealed: Path, inner: Sshd) -> None:
    known = sealed / ".ssh" / "known_hosts"
    lines = known.read_text().splitlines(keepends=True)
    for missing in (1, 2):
        known.write_text("".join(lines[:missing] + lines[missing + 1 :]))
        with pytest.raises(HostFailed, match="key is not known"):
            who(Host("inner", address="inner"))
    assert who(Host("inner", address="inner"), ACCEPT_NEW) == site.ann.name


def test_a_jump_host_that_fails_is_named(site: Site, sealed: Path, inner: Sshd) -> None:
    config = sealed / ".ssh" / "config"
    text = config.read_text()
    config.write_text(text.replace("Host jump\n", f"Host jump\n  Port {free_port()}\n"))
    with pytest.raises(HostFailed, match=r"jump host jump was not reached.*refuses") as caught:
        who(Host("inner", address="inner"))
    assert caught.value.kind == "jump"
    config.write_text(text.replace("Host inner twice\n", f"Host inner twice\n  Port {free_port()}\n"))
    with pytest.raises(HostFailed, match="the jump host cannot reach") as caught:
        who(Host("inner", address="inner"))
    assert caught.value.kind == "jump"


def test_jump_hosts_that_lead_in_a_circle_are_an_error(site: Site, sealed: Path) -> None:
    site.configure(sealed, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    with pytest.raises(HostFailed, match="circle"):
        who(Host("a", address="a"))


def failing(address: str, port: int) -> HostFailed:
    with pytest.raises(HostFailed) as caught:
        who(Host("gpu1", "ann", address, port), ACCEPT_NEW)
    assert caught.value.message.startswith("gpu1: ") and caught.value.hint
    return caught.value


def test_nobody_listening_is_a_refused_connection(sealed: Path) -> None:
    error = failing("127.0.0.1", free_port())
    assert error.kind == "refused" and "sshd" in error.hint


def test_a_name_that_nobody_has_is_unknown(sealed: Path) -> None:
    error = failing("no-such-host.invalid", 22)
    assert error.kind == "name" and "no-such-host.invalid" in error.message


def test_a_host_that_does_not_answer_is_not_waited_for_for_ever(sealed: Path) -> None:
    with line(3, "t") as (space, _, far):
        subprocess.run(["ip", "-n", space, "link", "set", f"g{os.getpid()}tb", "down"], check=True)
        (sealed / ".ssh").mkdir()
        (sealed / ".ssh" / "config").write_text("Host *\n  ConnectTimeout 1\n")
        error = failing(far, 22)
        assert error.kind in ("timeout", "unreachable")


def test_a_server_of_something_else_is_no_ssh_server(sealed: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    client.close()

        threading.Thread(target=serve, daemon=True).start()
        error = failing("127.0.0.1", server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    assert error.kind == "protocol" and "SSH server" in error.hint


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect.ANSWER <= 30
    monkeypatch.setattr(connect, "ANSWER", 6)
    with socket.create_server(("127.0.0.1", 0)) as server:
        error = failing("127.0.0.1", server.getsockname()[1])
    assert error.kind == "timeout" and "says nothing" in error.message


def test_an_address_of_ipv6_is_reached(site: Site, sealed: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with sshd(site.folder / "six", [site.ann], site.key, address="::1") as server:
        shutil.copy(site.key, sealed / ".ssh" / "id_ed25519")
        text = f"{site.ann.name}@[::1]:{server.port}"
        asked: list[str] = []
        host = find(SimpleNamespace(hosts={}, host_keep=None), text)
        assert who(host, Ask(lambda key: asked.append(key.host) or True, lambda _: None)) == site.ann.name
        assert asked == [f"[::1]:{server.port}"] and who(host) == site.ann.name
    shutil.rmtree(site.folder / "six")


def test_a_server_that_is_busy_is_asked_again(site: Site, sealed: Path) -> None:
    """sshd ends connections unheard while too many are being set up: MaxStartups."""
    with sshd(site.folder / "busy", [site.ann], site.key, options="MaxStartups 2:100:2\n") as server:
        site._replace(sshd=server).configure(sealed)
        waiting = [socket.create_connection((server.address, server.port)) for _ in range(2)]
        threading.Timer(0.5, lambda: [each.close() for each in waiting]).start()
        assert who() == site.ann.name
    shutil.rmtree(site.folder / "busy")


def test_twenty_links_at_once_are_all_let_in(site: Site) -> None:
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(who())) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert answers == [site.ann.name] * 20


def test_a_host_with_few_sessions_is_given_more_connections(site: Site, sealed: Path) -> None:
    with sshd(site.folder / "few", [site.ann], site.key, options="MaxSessions 2\n") as server:
        site._replace(sshd=server).configure(sealed)
        with reached() as link:
            channels = [link.open(["cat"]) for _ in range(7)]
            for number, each in enumerate(channels):
                each.write(b"%d" % number)
                assert each.read(10) == b"%d" % number
                each.close()
    shutil.rmtree(site.folder / "few")


def test_a_host_without_sessions_says_so(site: Site, sealed: Path) -> None:
    with sshd(site.folder / "none", [site.ann], site.key, options="MaxSessions 0\n") as server:
        site._replace(sshd=server).configure(sealed)
        with pytest.raises(HostFailed, match="gives no session"):
            who()
    shutil.rmtree(site.folder / "none")


AWKWARD = [
    "it's",
    'a "b"',
    "two\nlines\n",
    "$(id)",
    "`id`",
    "!x !! !$",
    "\\n \\' \\\\",
    "* ~ {a,b} [x]",
    "-n",
    "ü 🚀",
    "",
]


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "csh", "tcsh"])
def test_arguments_pass_through_every_login_shell(site: Site, shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    site.ann.shell(path)
    try:
        with reached() as link:
            assert link.run(["printf", "%s\\0", *AWKWARD]).out.decode().split("\0")[:-1] == AWKWARD
            for each in AWKWARD:
                assert link.run(["printf", "%s.", each]).out.decode() == each + "."
            link.write(link.folder() + "/it's $HOME", b"content")
            assert [each.name for each in link.list(link.folder()) or []] == ["it's $HOME", "version"]
    finally:
        site.ann.shell("/bin/bash")


def test_a_shell_that_talks_is_told_from_the_answer(site: Site) -> None:
    (site.ann.home / ".bashrc").write_text("echo Welcome to the machine\n")
    with reached() as link, pytest.raises(HostFailed, match="Welcome to the machine") as caught:
        link.folder()
    assert caught.value.kind == "chatty" and ".bashrc" in caught.value.hint


def test_a_home_that_cannot_be_written_is_said(site: Site) -> None:
    os.chown(site.ann.home, 0, 0)
    with reached() as link, pytest.raises(HostFailed, match="cannot be made there") as caught:
        link.folder()
    assert caught.value.kind == "home"


def test_another_folder_may_be_named_but_none_that_holds_other_things(site: Site) -> None:
    data = site.ann.home / "data"
    data.mkdir()
    os.chown(data, *site.ann.ids)
    with reached(HOST._replace(folder=f"{data}/mine")) as link:
        assert link.folder() == f"{data}/mine"
    with reached(HOST._replace(folder="data")) as link, pytest.raises(HostFailed, match="other things"):
        link.folder()
    assert data.stat().st_mode & 0o777 == 0o755


def test_a_folder_of_a_newer_version_is_left_alone(site: Site) -> None:
    with reached() as link:
        link.write(link.folder() + "/version", b"2\n")
    with reached() as link, pytest.raises(NewerFormat):
        link.folder()


def test_many_first_uses_at_once_agree_on_the_folder(site: Site) -> None:
    found = []

    def use() -> None:
        with reached() as link:
            found.append(link.folder())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [f"{site.ann.home}/.gittrack"] * 8


def test_reaching_a_host_and_one_command_is_quick_to_ask(site: Site) -> None:
    """The folder is asked for once, by one command: no more processes at the host than that."""
    with reached() as link:
        before = site.sshd.log().count("Starting session: command")
        link.folder()
        link.folder()
        assert site.sshd.log().count("Starting session: command") == before + 1
