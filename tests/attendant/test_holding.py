"""Large files of a job, where a file cannot have a second name and the disk is full."""

import errno
import os
import resource
from pathlib import Path

import pytest

from gittrack.attendant import holding


def test_a_file_that_could_not_be_copied_whole_is_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_paths: str, **_options: bool) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    source = tmp_path / "model.pt"
    source.write_bytes(bytes(200_000))
    files = holding.Files(str(tmp_path))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            files.put_file(str(source), lambda _bytes: None, False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert str(caught.value.filename).endswith(".new")  # or the file would be left out as one that cannot be read
    held = files.put_file(str(source), lambda _bytes: None, True)
    assert (tmp_path / holding.FOLDER / held.sha256).read_bytes() == source.read_bytes()
