"""Very many journals, a full disk here, a power cut there, and in which order a mirror tells of its end."""

import os
import resource
import shutil
import subprocess
import sys

import keeping
import pytest
from host_journal import ID, cloned, tip

from gittrack import errors
from gittrack.core import events, layout
from gittrack.launch.home.mirror import Mirror, mark
from gittrack.runs import live, writer


def test_the_journals_of_thousands_of_processes_come_home(job, home, mirror):
    for number in range(1500):
        job.write(keeping.header(), file=f"17000000{number:05}-{number + 10}-abcd.jsonl")
    job.end()
    assert mirror.sync().is_final
    assert tip(home)


def test_a_disk_that_takes_a_part_of_a_journal_makes_no_record_without_the_rest(job, home, mirror, repo, tmp_path):
    """The kernel writes what fits, and says so: that is no error of its own."""
    for number in range(1000):
        job.write(keeping.point(number))
    job.end()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, old[1]))
    try:
        with pytest.raises(errors.CannotWrite, match="too large"):
            mirror.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert tip(home) is None
    assert mirror.sync().is_final
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))


@pytest.mark.parametrize("left", [b"", b'{"m":{"loss', b"\0" * 200, b"\0" * 20])
def test_what_a_power_cut_at_the_host_took_of_what_no_cut_covers_costs_only_that(
    job, home, here, mirror, repo, tmp_path, left
):
    """It was here already: the host had said it, and not flushed it."""
    job.write(keeping.point(1), keeping.checkpoint(1))
    job.say(b"one\n")
    job.cut()
    kept = {name: (job.run / name).read_bytes() for name in (events.STARTER, events.CONSOLE)}
    mirror.sync()
    job.write(keeping.point(2), keeping.point(3))
    job.keep(2, {"f": b"x"})
    job.say(b"two\n")
    mirror.sync()
    for name, before in kept.items():
        (job.run / name).write_bytes(before + left)
    mirror.sync()
    job.write({}, keeping.point(4))
    job.end("crashed")
    assert mirror.sync().is_final
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))


def test_a_folder_here_that_cannot_be_used_is_said_and_is_free_for_the_next_try(job, home, here, mirror):
    job.end()
    cuts = os.path.join(live.folder(home.paths, ID), events.CUTS)
    os.mkdir(cuts)
    with pytest.raises(errors.CannotWrite, match=r"cuts\.jsonl"):
        mirror.sync()
    os.rmdir(cuts)
    assert Mirror(here, home.paths, ID).sync().is_final


def test_nothing_is_written_where_links_lead_that_the_container_has_made(job, home, here, tmp_path):
    """Of the file's own name while it is written, too, which is the number of a process."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "keys").write_text("mine")
    (job.path / "fetched").symlink_to(folder)
    with pytest.raises(errors.HostFailed, match="is a link"):
        mark(here, home.paths, ID)
    (job.path / "fetched").unlink()
    (job.path / "fetched").mkdir()
    number = int(here.run(["sh", "-c", "echo $$"]).out)
    for each in range(number, number + 2000):
        (job.path / "fetched" / f".{each}.new").symlink_to(folder / "keys")
    mark(here, home.paths, ID)
    assert (folder / "keys").read_text() == "mine"
    assert os.listdir(folder) == ["keys"]
    assert not (job.path / "fetched" / writer.writer_id(home.paths)).is_symlink()


BRING = """
import os, sys
from gittrack.git.discover import discover
from gittrack.launch.link.hosts import HERE
from gittrack.launch.reached import open_link
from gittrack.launch.home.mirror import Mirror
assert Mirror(open_link(HERE), discover(".", os.environ), sys.argv[1]).sync().is_final
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_ref_is_on_the_disk_before_the_host_is_told_that_all_is_here(job, home, tmp_path):
    job.end()
    log = tmp_path / "calls"
    traced = ["strace", "-f", "-y", "-e", "trace=fsync,execve", "-s", "300", "-o", str(log)]
    subprocess.run([*traced, sys.executable, "-c", BRING, ID], cwd=home.paths.worktree, check=True)
    calls = log.read_text().splitlines()
    synced = [at for at, line in enumerate(calls) if "fsync(" in line and layout.run_ref(ID) in line]
    told = [at for at, line in enumerate(calls) if "/fetched/" in line]
    assert synced and told and synced[-1] < told[0]
