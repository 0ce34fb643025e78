"""What the attendant records comes home: while the training goes on, after it was killed, to several clones."""

import hashlib
from pathlib import Path

import attendant_jobs
import psutil
import pytest
from common import wait_until
from host_journal import ID, cloned, opened, send_off, tip

from gittrack.core import codec, layout
from gittrack.launch.home.mirror import Mirror
from gittrack.runs import live
from gittrack.runs.own_store import own_store

TRAINING = """
import time
from pathlib import Path
import gittrack
run = gittrack.init()
for step in range(6):
    run.log({"loss": 1 / (step + 1)}, step=step)
    print("step", step, flush=True)
    if step % 2 == 0:
        Path("model.bin").write_bytes(bytes([step]) * 300_000)
        Path("config.json").write_text(str(step))
        run.checkpoint(step=step, metrics={"loss": 1 / (step + 1)}, path=["model.bin", "config.json"])
    for _ in range(6000):
        if step != 3 or Path("go").exists():
            break
        time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return attendant_jobs.build(tmp_path_factory.mktemp("attendant"))


@pytest.fixture
def job(archive):
    """A job that waits at its fourth step until it is told to go on."""
    folder = Path.home() / ".gittrack" / "jobs" / ID
    folder.mkdir(parents=True)
    (Path.home() / ".gittrack" / "version").write_text("1\n")
    return attendant_jobs.Job(folder, archive).script(TRAINING)


@pytest.fixture
def home(repo):
    found = opened(repo)
    send_off(found.paths)
    yield found
    found.close()


def has(home, step):
    """Whether the commit of this checkpoint is here."""
    found = tip(home)
    summary = codec.loads(home.read_path(found, "summary.json")) if found else {}
    return (summary.get("checkpoints") or {}).get("count", 0) > step // 2


def test_a_training_comes_home_while_it_goes_on_and_is_the_same_everywhere(job, home, here, repo, git, tmp_path):
    process = job.start()
    mirror = Mirror(here, home.paths, ID)
    wait_until(lambda: mirror.sync() and has(home, 2))
    model = b"\x02" * 300_000
    assert own_store(home.paths).chunks(hashlib.sha256(model).hexdigest(), len(model))
    (job.work / "go").touch()
    assert process.wait(60) == 0, process.stderr.read()
    news = wait_until(lambda: (found := mirror.sync()).is_final and found)
    assert not news.missing
    other = opened(cloned(repo, tmp_path / "other"))
    send_off(other.paths)
    assert Mirror(here, other.paths, ID).sync().is_final
    assert tip(home) == tip(other)
    ref = layout.run_ref(ID)
    assert "step 5" in git("show", f"{ref}:console/000/00.log")
    assert codec.loads(git("show", f"{ref}:status.json"))["status"] == "completed"
    assert git("show", f"{ref}:files/000/00/02/config.json") == "4"
    assert git("fsck", "--strict") == ""
    other.close()


def test_one_that_was_killed_there_comes_when_it_has_been_closed(job, home, here, git):
    process = job.start()
    mirror = Mirror(here, home.paths, ID)
    wait_until(lambda: mirror.sync() and has(home, 2))
    for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        one.kill()  # all of the container
    process.wait()
    wait_until(lambda: not live.held(str(job.run_dir), live.process_files(str(job.run_dir))))
    assert not mirror.sync().is_final
    job.close("--status", "crashed", "--reason", "out of memory")
    assert mirror.sync().is_final
    status = codec.loads(git("show", f"{layout.run_ref(ID)}:status.json"))
    assert (status["status"], status["reason"]) == ("crashed", "out of memory")
