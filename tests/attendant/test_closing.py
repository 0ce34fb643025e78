"""What is left of a job whose container is gone is closed: once, whole, and never while somebody is there."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attendant_jobs import ID, Job, until

from gittrack.core import layout
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import folding, live

BUSY, AGAIN = 75, 76

LONG = """
import gittrack, os, time
run = gittrack.init({"lr": 0.1})
print("ready", flush=True)
step = 0
while True:
    step += 1
    run.log({"loss": 1 / step}, step)
    print("step", step, flush=True)
    if step % 5 == 0:
        open("model.bin", "wb").write(b"%d" % step * 2000); open("s.txt", "w").write(str(step))
        run.checkpoint(step, {"loss": 1 / step}, path="model.bin")
        run.log_artifact("s.txt")
    time.sleep(0.005)
"""


def kill_all(process: "subprocess.Popen[bytes]", job: Job) -> None:
    """What becomes of all processes of a container that is killed: they are gone, at once."""
    process.kill()
    process.communicate()

    def gone() -> bool:
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                about = Path(f"/proc/{name}/environ").read_bytes() + Path(f"/proc/{name}/cmdline").read_bytes()
                if str(job.folder).encode() in about:
                    os.kill(int(name), signal.SIGKILL)
        return not any(live.held(str(job.run_dir), [one]) for one in live.process_files(str(job.run_dir)))

    until(gone)  # looked for again: one that is just being started is not known yet


def fold(job: Job, clone: Path, now: float) -> str:
    """The oid of the run's ref when the folder is copied into a clone and folded there."""
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    paths = discover(str(clone), os.environ)
    target = Path(live.folder(paths, ID))
    shutil.copytree(job.run_dir, target)
    repo = open_repository(paths, os.environ)
    assert folding.fold_dead(repo, now).folded == [ID] and not target.exists()
    subprocess.run(["git", "-C", str(clone), "fsck", "--strict"], check=True, capture_output=True)
    return repo.refs(layout.run_ref(ID))[layout.run_ref(ID)]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_sound(job: Job) -> None:
    """Whatever happened: one end, one final cut, and every file that is said to be kept is there."""
    assert len(job.events("end")) == 1 and job.reasons().count("final") == 1 and job.reasons()[-1] == "final"
    for kept in job.events("kept"):
        folder = "blobs" if kept["in"] == "git" else "files"
        assert (job.run_dir / folder / kept["sha256"]).stat().st_size == kept["size"]
    whole = {event["parcel"] for event in job.events("parcel")}
    named = [event["parcel"] for event in (*job.events("checkpoint"), *job.events("artifact")) if event.get("parcel")]
    assert set(named) <= whole and not live.parcels(str(job.run_dir))


def test_a_killed_container_is_closed_with_all_that_was_handed_over(job: Job, tmp_path: Path) -> None:
    process = job.script(LONG).start()
    until(lambda: len(job.events("checkpoint")) > 3 if b"ready" in job.console() else None)
    kill_all(process, job)
    assert job.close("--status", "crashed", "--reason", "out of memory", "--code", "137").code == 0
    is_sound(job)
    end = job.end()
    assert (end["status"], end["reason"], end["code"]) == ("crashed", "out of memory", 137)
    last = max(event["w"] for event in job.events() if event.get("e") not in ("end", "kept", "parcel", "process"))
    assert end["w"] == pytest.approx(last, abs=1.0)
    before = snapshot(job.run_dir)
    assert job.close("--reason", "another").code == 0
    assert snapshot(job.run_dir) == before
    assert fold(job, tmp_path / "one", 1e9) == fold(job, tmp_path / "two", time.time())


def test_killed_anywhere_it_can_be_closed_and_folds_to_the_same_everywhere(job: Job, tmp_path: Path) -> None:
    chance = random.Random(5)
    for number in range(12):
        one = Job(tmp_path / f"job{number}", job.archive).script(LONG)
        process = one.start()
        time.sleep(chance.uniform(0.0, 1.2))
        kill_all(process, one)
        closer = one.start("close", "--reason", "killed")
        time.sleep(chance.uniform(0.0, 0.3))
        closer.kill()
        closer.communicate()
        one.close("--reason", "killed")
        is_sound(one)
        if number % 4 == 0:
            assert fold(one, tmp_path / f"a{number}", 1e9) == fold(one, tmp_path / f"b{number}", time.time())


def test_it_is_not_closed_while_its_container_lives(job: Job) -> None:
    process = job.script(LONG).start()
    until(lambda: b"ready" in job.console())
    assert b"another process" in job.close(code=BUSY).err
    process.send_signal(signal.SIGSTOP)
    assert job.close(code=BUSY).code == BUSY
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.communicate()
    is_sound(job)


def test_it_is_not_closed_while_a_process_of_the_command_lives(job: Job) -> None:
    """Outside of containers the command may outlive the attendant."""
    quiet = "import gittrack, time\nrun = gittrack.init()\nwhile True: run.log({'a': 1.0}); time.sleep(0.01)\n"
    process = job.script(quiet).start()
    until(lambda: job.run_dir.is_dir() and job.events("m"))
    process.kill()
    process.communicate()
    assert b"still there" in job.close(code=BUSY).err
    kill_all(process, job)
    job.close()
    is_sound(job)


@pytest.mark.parametrize("how", ["completed", "killed"])
def test_a_job_is_executed_once_however_often_its_container_is_started(job: Job, how: str) -> None:
    code = "open('marks', 'a').write('x'); print('ready', flush=True)\n" + (
        "import time; time.sleep(600)" if how == "killed" else ""
    )
    process = job.script(code).start()
    until(lambda: b"ready" in job.console())
    if how == "killed":
        kill_all(process, job)
    process.communicate()
    for _ in range(2):
        assert b"already" in job.execute(code=AGAIN).err
        is_sound(job)
    assert (job.work / "marks").read_text() == "x"
    assert job.end()["status"] == ("crashed" if how == "killed" else "completed")


def test_two_at_once_execute_it_once(job: Job) -> None:
    job.script("open('marks', 'a').write('x'); import time; time.sleep(0.5)")
    processes = [job.start() for _ in range(4)]
    codes = [process.wait(60) for process in processes]
    assert (job.work / "marks").read_text() == "x" and codes.count(0) == 1 and set(codes) <= {0, BUSY, AGAIN}
    is_sound(job)


def test_a_stopped_job_that_was_killed_for_taking_too_long_was_killed(job: Job) -> None:
    process = job.script(LONG).start()
    until(lambda: b"ready" in job.console())
    (job.run_dir / "stop").touch()
    kill_all(process, job)
    job.close()
    assert job.end()["status"] == "killed" and job.end()["reason"].startswith("it was stopped: it did not end in")


def test_a_stop_that_comes_before_the_command_is_obeyed(job: Job) -> None:
    job.script("open('marks', 'w')")
    job.run_dir.mkdir()
    (job.run_dir / "stop").touch()
    job.execute(code=143)
    assert job.end()["status"] == "killed" and not (job.work / "marks").exists()
    is_sound(job)


def test_a_job_whose_container_never_started_can_be_recorded_as_failed(job: Job, tmp_path: Path) -> None:
    """An image without Python, a port that is taken: the run exists, and says what happened."""
    job.script("pass", params={"batch": 8})
    assert job.close("--reason", "the image has no Python").code == 0
    is_sound(job)
    assert (job.end()["status"], job.end()["reason"]) == ("failed", "the image has no Python")
    assert job.events("params")[0]["values"] == {"batch": 8}
    assert b"already" in job.execute(code=AGAIN).err
    fold(job, tmp_path / "one", 1e9)


def test_the_time_of_the_end_can_be_said(job: Job) -> None:
    process = job.script(LONG).start()
    until(lambda: b"ready" in job.console())
    kill_all(process, job)
    time.sleep(0.3)
    now = time.time()
    job.close("--at", str(now))
    assert job.end()["w"] == pytest.approx(now, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "says"),
    [(("--status", "fine"), "--status fine"), (("--what", "x"), "--what"), (("--reason",), "--reason")],
)
def test_a_wrong_call_is_said(job: Job, options: tuple[str, ...], says: str) -> None:
    assert says in job.script("pass").close(*options, code=2).err.decode()
    assert b"dance" in job.execute("dance", code=2).err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:50], "is no job"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "format 2"),
        (lambda text: text.replace('"cwd": "."', '"cwd": "../.."'), "not in the work tree"),
        (lambda text: text.replace('"argv"', '"orgv"'), "is no job"),
    ],
)
def test_a_job_that_is_none_is_refused(job: Job, change: Callable[[str], str], says: str) -> None:
    path = job.script("pass").folder / "job.json"
    path.write_text(change(path.read_text()))
    assert says in job.execute(code=None).err.decode() and not (job.run_dir / "run.jsonl").exists()


def test_without_a_job_there_is_a_clear_answer(job: Job) -> None:
    done = job.execute(code=73)
    assert b"job.json" in done.err and b"Traceback" not in done.err
