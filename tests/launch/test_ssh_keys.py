"""The key of a host is checked: known, unknown, changed, revoked."""

import subprocess
from pathlib import Path

import pytest
from rig_ssh import Site, keypair

from gittrack.errors import HostFailed
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.protocol import ACCEPT_NEW, NOBODY, Ask, UnknownKey
from gittrack.launch.reached import open_link
from gittrack.launch.ssh.keys import CHANGED, OK, REVOKED, UNKNOWN, Line, fingerprint, judge, lines_about

HOST = Host("host", address="host")


def known_hosts(home: Path) -> Path:
    return home / ".ssh" / "known_hosts"


def reach(ask: Ask = NOBODY) -> None:
    link = open_link(HOST, ask)
    try:
        assert link.run(["echo", "in"]).out == b"in\n"
    finally:
        link.close()


def printed(key: Path) -> str:
    """The fingerprint of a public key as OpenSSH says it."""
    return subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]


def test_an_unknown_key_is_shown_and_refused_when_nobody_can_be_asked(site: Site, sealed: Path) -> None:
    site.configure(sealed, known=False)
    with pytest.raises(HostFailed, match="not known") as caught:
        reach()
    assert printed(site.sshd.folder / "host_ed25519.pub") in caught.value.message
    assert caught.value.kind == "key-unknown" and "--accept-new" in caught.value.hint
    assert not known_hosts(sealed).exists()


def test_an_accepted_key_is_written_down_and_known_from_then_on(site: Site, sealed: Path) -> None:
    site.configure(sealed, known=False)
    asked: list[UnknownKey] = []
    reach(Ask(lambda key: asked.append(key) or True, lambda _: None))
    assert [(key.host, key.kind, key.fingerprint, key.file) for key in asked] == [
        (site.sshd.name, "ssh-ed25519", printed(site.sshd.folder / "host_ed25519.pub"), str(known_hosts(sealed)))
    ]
    assert known_hosts(sealed).read_text() == f"{site.sshd.name} {site.sshd.key()}\n"
    assert known_hosts(sealed).stat().st_mode & 0o777 == 0o600
    reach()


def test_a_declined_key_is_not_written(site: Site, sealed: Path) -> None:
    site.configure(sealed, known=False)
    with pytest.raises(HostFailed, match="not known"):
        reach(Ask(lambda _: False, lambda _: None))
    assert not known_hosts(sealed).exists()


def test_a_key_is_added_after_a_last_line_without_an_end(site: Site, sealed: Path) -> None:
    site.configure(sealed, known=False)
    known_hosts(sealed).write_text(f"other.example {site.sshd.key()}")
    reach(ACCEPT_NEW)
    assert known_hosts(sealed).read_text().splitlines() == [
        f"other.example {site.sshd.key()}", f"{site.sshd.name} {site.sshd.key()}",
    ]  # fmt: skip


def test_names_are_written_as_hashes_where_the_configuration_says_so(site: Site, sealed: Path) -> None:
    site.configure(sealed, "Host *\n  HashKnownHosts yes\n", known=False)
    reach(ACCEPT_NEW)
    assert known_hosts(sealed).read_text().startswith("|1|")
    found = subprocess.run(["ssh-keygen", "-F", site.sshd.name, "-f", known_hosts(sealed)], check=False)
    assert found.returncode == 0
    reach()


def test_a_changed_key_is_never_accepted_and_its_line_is_named(site: Site, sealed: Path, tmp_path: Path) -> None:
    other = Path(f"{keypair(tmp_path / 'other')}.pub").read_text()
    known_hosts(sealed).write_text(f"# a comment\nexample.org {other}{site.sshd.name} {other}")
    for ask in (NOBODY, ACCEPT_NEW):
        with pytest.raises(HostFailed, match="not the one in") as caught:
            reach(ask)
        assert caught.value.kind == "key-changed" and f"{known_hosts(sealed)}:3" in caught.value.message
        assert "ssh-keygen -R" in caught.value.hint
    assert len(known_hosts(sealed).read_text().splitlines()) == 3


def test_a_host_that_shows_a_key_of_another_kind_than_it_had_is_not_believed(
    site: Site, sealed: Path, tmp_path: Path
) -> None:
    other = Path(f"{keypair(tmp_path / 'other', 'ecdsa')}.pub").read_text()
    known_hosts(sealed).write_text(f"{site.sshd.name} {other}")
    with pytest.raises(HostFailed, match="not the one in"):
        reach(ACCEPT_NEW)


def test_a_revoked_key_is_refused_though_another_line_knows_it(site: Site, sealed: Path) -> None:
    with known_hosts(sealed).open("a") as file:
        file.write(f"@revoked * {site.sshd.key()}\n")
    with pytest.raises(HostFailed, match="revoked") as caught:
        reach(ACCEPT_NEW)
    assert f"{known_hosts(sealed)}:2" in caught.value.message


def test_keys_of_a_list_of_revoked_ones_are_refused(site: Site, sealed: Path, tmp_path: Path) -> None:
    (tmp_path / "revoked").write_text(site.sshd.key() + "\n")
    site.configure(sealed, f"Host *\n  RevokedHostKeys {tmp_path / 'revoked'}\n")
    with pytest.raises(HostFailed, match="revoked"):
        reach()


def test_an_authority_is_said_to_be_unsupported(site: Site, sealed: Path) -> None:
    known_hosts(sealed).write_text(f"@cert-authority * {site.sshd.key()}\n")
    with pytest.raises(HostFailed, match="@cert-authority") as caught:
        reach(ACCEPT_NEW)
    assert "ssh-keyscan" in caught.value.hint


def test_a_strict_configuration_is_stricter_than_accept_new(site: Site, sealed: Path) -> None:
    site.configure(sealed, "Host *\n  StrictHostKeyChecking yes\n", known=False)
    with pytest.raises(HostFailed, match="refuses such hosts"):
        reach(ACCEPT_NEW)


def test_a_key_is_known_by_its_alias_and_by_its_name_without_port(site: Site, sealed: Path) -> None:
    known_hosts(sealed).write_text(f"{site.sshd.address} {site.sshd.key()}\n")
    reach()
    site.configure(sealed, "Host *\n  HostKeyAlias gpus\n")
    with pytest.raises(HostFailed, match="not known"):
        reach()
    known_hosts(sealed).write_text(f"gpus {site.sshd.key()}\n")
    reach()


def test_known_hosts_are_read_as_openssh_reads_them(tmp_path: Path) -> None:
    key = " ".join(Path(f"{keypair(tmp_path / 'key')}.pub").read_text().split()[:2])
    file = tmp_path / "known"
    file.write_text(
        f"\n# a comment\nplain {key}\n*.example.org,!bad.example.org {key} with a comment\n[h]:22?? {key}\nbroken\n"
        f"plain2 ssh-rsa not-base64!\n@revoked one,two {key}\n"
    )
    for name in ("plain", "a.example.org", "bad.example.org", "[h]:2222", "[h]:22", "h", "two", "plain2", "other"):
        theirs = subprocess.run(["ssh-keygen", "-F", name, "-f", file], capture_output=True, check=False)
        assert bool(lines_about([str(file)], name)) == (theirs.returncode == 0 and name != "plain2"), name
    assert [line.number for line in lines_about([str(file), str(tmp_path / "none")], "plain")] == [3]
    assert lines_about([str(file)], "one")[0].marker == "@revoked"
    file.write_text(f"first,[second]:22 {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], capture_output=True, check=True)
    assert [bool(lines_about([str(file)], name)) for name in ("first", "[second]:22", "second")] == [True, True, False]


def test_the_verdict_on_a_key() -> None:
    def line(marker: str, kind: str, blob: bytes, number: int = 1) -> Line:
        return Line("f", number, marker, kind, blob)

    assert judge([], "k", b"x").word == UNKNOWN
    assert judge([line("", "k", b"y"), line("", "k", b"x")], "k", b"x").word == OK
    assert judge([line("", "k", b"x"), line("@revoked", "k", b"x")], "k", b"x").word == REVOKED
    assert judge([line("@revoked", "k", b"y")], "k", b"x").word == UNKNOWN
    changed = judge([line("", "j", b"y", 7), line("", "k", b"z", 8)], "k", b"x")
    assert (changed.word, changed.line and changed.line.number) == (CHANGED, 8)
    assert judge([line("@cert-authority", "k", b"x")], "k", b"x").word == "authority"


def test_fingerprints_are_those_of_openssh(site: Site) -> None:
    line = lines_about([str(known_hosts(Path.home()))], site.sshd.name)[0]
    assert fingerprint(line.blob) == printed(site.sshd.folder / "host_ed25519.pub")
