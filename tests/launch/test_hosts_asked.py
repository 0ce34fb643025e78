"""What a person is asked at the terminal when a host is reached."""

import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from rig_ssh import Site

REACH = (
    "from gittrack.cli.host_talk import talk\n"
    "from gittrack.errors import GittrackError\n"
    "from gittrack.launch.link.hosts import Host\n"
    "from gittrack.launch.reached import open_link\n"
    "try:\n"
    "    print(open_link(Host('host', address='host'), talk().ask).run(['echo', 'let', 'in']).out.decode())\n"
    "except GittrackError as error:\n"
    "    print(f'error: {error.message}; {error.hint}')\n"
)


def terminal() -> "pexpect.spawn[str]":
    return pexpect.spawn(sys.executable, ["-c", REACH], encoding="utf-8", timeout=60)


@pytest.mark.parametrize(("answer", "outcome"), [("yes", "let in"), ("no", "not known"), ("", "not known")])
def test_the_key_of_an_unknown_host_is_asked_about(site: Site, sealed: Path, answer: str, outcome: str) -> None:
    site.configure(sealed, known=False)
    child = terminal()
    child.expect("SHA256:")
    child.expect("yes/no")
    child.sendline(answer)
    child.expect(outcome)
    child.expect(pexpect.EOF)
    assert (sealed / ".ssh" / "known_hosts").exists() == (answer == "yes")


def test_a_passphrase_is_asked_without_being_shown(site: Site, sealed: Path, tmp_path: Path) -> None:
    path = tmp_path / "locked"
    path.write_bytes(site.key.read_bytes())
    path.chmod(0o600)
    change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", path]
    subprocess.run(change, check=True, capture_output=True)
    config = sealed / ".ssh" / "config"
    config.write_text(config.read_text().replace(str(site.key), f"{path}\n  IdentityAgent none"))
    child = terminal()
    child.expect("Passphrase of .*locked: ")
    child.sendline("open sesame")
    child.expect("let in")
    assert "open sesame" not in child.before
    child.expect(pexpect.EOF)


def test_without_a_terminal_nobody_is_asked(site: Site, sealed: Path) -> None:
    site.configure(sealed, known=False)
    done = subprocess.run(
        [sys.executable, "-c", REACH], stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert "not known" in done.stdout and "--accept-new" in done.stdout
