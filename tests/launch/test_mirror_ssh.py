"""A run comes home over a line that breaks."""

import os
import subprocess

import keeping
import pytest
from common import noise
from host_journal import ID, Job, cloned, opened, send_off, tip

from gittrack import errors
from gittrack.launch.home import mirror
from gittrack.launch.home.mirror import Mirror
from gittrack.launch.link.hosts import Host
from gittrack.launch.reached import open_link
from gittrack.runs import away
from gittrack.runs.own_store import own_store

DATA = noise(3, 40_000_000)


def test_what_had_come_when_the_line_broke_does_not_come_again(site, repo, tmp_path, monkeypatch):
    with monkeypatch.context() as there:
        there.setenv("HOME", str(site.ann.home))
        job = Job().start()
    job.write(keeping.point(1), keeping.checkpoint(1, 1))
    job.keep(1, {"model.pt": DATA}, "store")
    job.end()
    subprocess.run(["chown", "-R", site.ann.name, str(site.ann.home)], check=True)
    home = opened(repo)
    directory = send_off(home.paths)
    away.update(directory, host="host")

    def cut(done, _total):
        if done > 10_000_000:
            site.sshd.cut()

    monkeypatch.setattr(mirror, "GLANCE", 0.0)  # the host is asked for the console after each piece
    first = open_link(Host("host", address="host"))
    with pytest.raises(errors.LinkLost):
        Mirror(first, home.paths, ID, cut).sync()
    first.close()
    (part,) = os.listdir(f"{directory}/files")
    with open(os.path.join(directory, "files", part)) as file:
        had = sum(int(line.split()[1]) for line in file)
    assert had > 10_000_000
    assert tip(home) is None, "its checkpoint is not all here"

    came = []
    second = open_link(Host("host", address="host"))
    reading = second.reading
    second.reading = lambda path, offset: came.append(offset) or reading(path, offset)
    assert Mirror(second, home.paths, ID).sync().is_final
    second.close()
    assert came == [had]
    digest = keeping.kept(1, "model.pt", DATA)["sha256"]
    assert own_store(home.paths).read(digest, len(DATA)) == DATA
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))
    home.close()
