"""A job, and the zip, which is the same for all tests."""

from pathlib import Path

import attendant_jobs
import pytest


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    return attendant_jobs.build(tmp_path_factory.mktemp("attendant"))


@pytest.fixture
def job(tmp_path: Path, archive: str) -> attendant_jobs.Job:
    return attendant_jobs.Job(tmp_path / "job", archive)
