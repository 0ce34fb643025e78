"""A host that is there, and at which something hangs: short questions end with a reason, and nothing else does."""

import time
from collections.abc import Callable

import pytest
from rig_ssh import Site

from gittrack.errors import HostFailed
from gittrack.launch.engine.inquiry import Inquiry
from gittrack.launch.link import patience
from gittrack.launch.link.protocol import Link

NAMES = ("cat", "df", "find", "tail")


@pytest.fixture
def hangs(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has programs there do something else, before the link is made."""
    monkeypatch.setattr(patience, "ANSWER", 1.0)

    def put(text: str) -> None:
        folder = site.ann.home / "bin"
        folder.mkdir()
        for name in NAMES:
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        (site.ann.home / ".bashrc").write_text("PATH=$HOME/bin:$PATH\n")

    return put


def test_what_hangs_there_is_told_and_the_link_can_be_used(site: Site, ssh: Link, hangs: Callable[[str], None]) -> None:
    folder = ssh.folder()
    (site.ann.home / ".gittrack/file").write_text("text")
    hangs("exec sleep 1000")
    questions = (
        lambda: ssh.list(folder),
        lambda: ssh.read(f"{folder}/file"),
        lambda: ssh.write(f"{folder}/new", b"text"),
        lambda: ssh.run(["sleep", "1000"], seconds=1.0),
        lambda: Inquiry(ssh).look({}),
    )
    for ask in questions:
        began = time.monotonic()
        with pytest.raises(HostFailed, match=r"no answer to .* within 1 s") as caught:
            ask()
        assert caught.value.kind == "timeout" and time.monotonic() - began < 60
    assert not ssh.lost
    assert ssh.run(["echo", "there"]).out == b"there\n"
    assert ssh.run(["sh", "-c", "sleep 2; echo late"]).out == b"late\n"  # nobody has said that it is short


def test_what_comes_slowly_comes(
    site: Site, ssh: Link, hangs: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ANSWER", 4.0)
    folder = ssh.folder()
    (site.ann.home / ".gittrack/file").write_text("text")
    hangs('for i in 1 2 3 4 5 6; do echo "$i"; sleep 0.8; done')
    assert ssh.read(f"{folder}/file") == b"1\n2\n3\n4\n5\n6\n"
