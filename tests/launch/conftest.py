"""Hosts that are really reached."""

from collections.abc import Iterator

import pytest
from rig_docker import bare_image, dockerd, old_image, own_engine, python_image, slim_image  # noqa: F401

from gittrack.launch.hosts import HERE
from gittrack.launch.link import Link, open_link


@pytest.fixture
def here() -> Iterator[Link]:
    """The link to this machine; its home is the sealed one."""
    link = open_link(HERE)
    yield link
    link.close()
