"""Code and inputs over a real SSH connection, and over one that is cut in the middle."""

import os
import threading
import time
from pathlib import Path

import pytest
from rig_ssh import Proxy
from sending_rig import code_of, fsck, job, objects_of, send_all

from gittrack.errors import LinkLost
from gittrack.launch.link.hosts import Host
from gittrack.launch.reached import open_link
from gittrack.launch.sending import inputs, placing

RUN = "0123456789abcdef0123"


@pytest.fixture
def data(repo) -> Path:
    (repo / ".gitignore").write_text("data/\n")
    folder = repo / "data"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number} '$(x)'.bin").write_bytes(os.urandom(50_000))
    return folder


def test_code_and_inputs_arrive_as_files_of_the_hosts_user(repo, data, site, ssh):
    code = code_of(repo)
    found = inputs.find(code, ["data"], [])
    shown = []
    sent = placing.bring(ssh, code, RUN, found, show=lambda what, done, total: shown.append((what, done, total)))
    assert (sent.by, sent.state) == ("host", "placed")
    work = Path(job(ssh, RUN)) / "work"
    assert (work / "train.py").read_text() == (repo / "train.py").read_text()
    for path in data.iterdir():
        assert (work / "data" / path.name).read_bytes() == path.read_bytes()
    assert {path.stat().st_uid for path in work.rglob("*")} == {site.ann.ids[0]}
    assert ("Sending inputs", 2_000_000, 2_000_000) in shown
    again = placing.bring(ssh, code, "1" * 20, found)
    assert again.size == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_line_that_is_cut_while_files_are_sent_loses_nothing_that_arrived(
    repo, data, site, sealed, monkeypatch, share
):
    proxy = Proxy(site.sshd)
    site.configure(sealed, f"Host line\n  HostName 127.0.0.1\n  Port {proxy.port}\n  User {site.ann.name}\n"
                   f"  IdentityFile {site.key}\n  HostKeyAlias {site.sshd.name}\n")  # fmt: skip
    (repo / "large.bin").write_bytes(os.urandom(3_000_000))
    code = code_of(repo)
    found = inputs.find(code, ["data"], [])
    link = open_link(Host("line", address="line"))
    total = 5_000_000
    start = proxy.sent

    def cut() -> None:
        while proxy.sent - start < total * share:
            time.sleep(0.001)
        proxy.cut()

    cutting = threading.Thread(target=cut, daemon=True)
    cutting.start()
    with pytest.raises(LinkLost):
        placing.bring(link, code, RUN, found)
    cutting.join()
    link.close()
    proxy.close()
    link = open_link(Host("host", address="host"))
    try:
        assert not os.path.exists(f"{job(link, RUN)}/work")
        assert placing.bring(link, code, RUN, found).state == "placed"
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")  # the repository is another user's
        monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
        fsck(link, code.project)
        assert len(os.listdir(f"{job(link, RUN)}/work/data")) == 40
    finally:
        link.close()


def test_twenty_jobs_over_one_connection_at_once(repo, site, ssh):
    codes = []
    for number in range(20):
        (repo / "train.py").write_text(f"print({number})\n")
        codes.append(code_of(repo))
    send_all(ssh, codes)
    assert objects_of(ssh, codes[0].project) == []
