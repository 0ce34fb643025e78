"""Servers for the tests of stores, and addresses of empty buckets in them."""

import itertools
from collections.abc import Iterator

import pytest
import servers

from gittrack.store import open as opening

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3]:
    with servers.rclone(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: servers.S3) -> str:
    """A new bucket."""
    name = f"bucket-{next(_numbers)}"
    opening.create(s3.url(name), s3.environ)
    return name
