"""Hosts that are really reached."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import rig_ssh
from host_journal import ID, Job, opened, send_off
from rig_docker import bare_image, dockerd, full_engine, old_image, own_engine, python_image, slim_image  # noqa: F401

from gittrack.launch.home.mirror import Mirror
from gittrack.launch.link.hosts import HERE, Host
from gittrack.launch.link.protocol import Link
from gittrack.launch.reached import open_link


@pytest.fixture
def here() -> Iterator[Link]:
    """The link to this machine; its home is the sealed one."""
    link = open_link(HERE)
    yield link
    link.close()


@pytest.fixture(scope="session")
def ssh_server() -> Iterator[rig_ssh.Site]:
    """One SSH server and two users, for all tests of this process."""
    with rig_ssh.site() as site:
        yield site


@pytest.fixture
def site(ssh_server: rig_ssh.Site, sealed: Path) -> Iterator[rig_ssh.Site]:
    """The server, its users with empty homes; `host` (and `bobs`, the same for the other user) of ~/.ssh/config lead
    there, and its key is known."""
    for user in (ssh_server.ann, ssh_server.bob):
        user.fresh_home()
    ssh_server.configure(sealed)
    yield ssh_server
    for user in (ssh_server.ann, ssh_server.bob):
        user.end_processes()


@pytest.fixture
def ssh(site: rig_ssh.Site) -> Iterator[Link]:
    """The link to the server, as `ann`."""
    link = open_link(Host("host", address="host"))
    yield link
    link.close()


@pytest.fixture
def job():
    return Job().start()


@pytest.fixture
def home(repo):
    """The clone that sent the run."""
    found = opened(repo)
    send_off(found.paths)
    yield found
    found.close()


@pytest.fixture
def mirror(home, here):
    made = Mirror(here, home.paths, ID)
    yield made
    made.close()
