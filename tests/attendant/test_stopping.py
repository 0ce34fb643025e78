"""A job is stopped: the command hears of it, may save a last checkpoint, and what it leaves is waited for."""

import os
import signal
import time
from pathlib import Path

import pytest
from attendant_jobs import Job, until

SAVES = """
import gittrack, signal, sys, time
run = gittrack.init()
def stop(number, frame):
    open("last.bin", "wb").write(b"l" * 5000)
    run.checkpoint(7, {"loss": 0.5}, path="last.bin")
    print("saved after", signal.Signals(number).name)
    sys.exit(0)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, stop)
print("ready", flush=True)
while True: time.sleep(0.01)
"""


def ready(job: Job, mark: bytes = b"ready") -> None:
    until(lambda: mark in job.console())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_training_saves_its_last_checkpoint(job: Job, number: signal.Signals) -> None:
    process = job.script(SAVES).start()
    ready(job)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and out.decode() == f"ready\nsaved after {number.name}\n"
    end = job.end()
    assert (end["status"], end["code"], end["reason"]) == ("killed", 0, "it was stopped")
    assert job.reasons() == ["start", "checkpoint", "final"]
    (kept,) = job.events("kept")
    assert (job.run_dir / "files" / kept["sha256"]).exists()


def test_who_does_not_listen_is_ended_by_the_signal_and_the_exit_code_says_so(job: Job) -> None:
    process = job.script("import time; print('ready', flush=True); time.sleep(600)").start()
    ready(job)
    process.terminate()
    process.communicate(timeout=60)
    end = job.end()
    assert process.returncode == 128 + signal.SIGTERM
    assert (end["status"], end["signal"], end["code"], end["reason"]) == ("killed", "SIGTERM", None, "it was stopped")


def test_a_run_that_somebody_stops_is_killed_whatever_its_command_says(job: Job) -> None:
    job.script("import sys; print('ready', flush=True); sys.stdin.read(); sys.exit(4)")
    reader, writer = os.pipe()
    process = job.start(stdin=reader)
    ready(job)
    (job.run_dir / "stop").touch()
    os.close(reader)
    os.close(writer)
    process.communicate(timeout=60)
    assert process.returncode == 4 and (job.end()["status"], job.end()["code"]) == ("killed", 4)


def test_only_the_command_itself_hears_a_signal_first(job: Job) -> None:
    """Workers that load data must live until the training has saved its checkpoint."""
    program = """
import os, signal, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def stop(*_):
    time.sleep(0.3)
    print("worker", worker.poll()); worker.kill(); worker.wait(); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
while True: time.sleep(0.01)
"""
    process = job.script(program).start()
    ready(job)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert out == b"ready\nworker None\n"


def test_what_a_shell_leaves_behind_hears_it_when_the_shell_is_gone(job: Job) -> None:
    (job.work / "train.py").write_text(SAVES)
    process = job.write("sh", "-c", f"{job.python} train.py; echo not reached").start()
    ready(job)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert out == b"ready\nsaved after SIGTERM\n" and process.returncode == 128 + signal.SIGTERM
    assert job.end()["status"] == "killed" and job.reasons() == ["start", "checkpoint", "final"]


def test_a_signal_that_comes_before_the_command_is_not_lost(job: Job) -> None:
    """The engine may stop a container at once; whatever was reached, it ends, and is closed or can be."""
    for delay in range(0, 400, 25):
        one = Job(job.folder.parent / f"early{delay}", job.archive).script("import time; time.sleep(600)")
        process = one.start()
        time.sleep(delay / 1000)  # any moment is what is looked for
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM or process.returncode == -signal.SIGTERM
        one.close()
        assert one.reasons()[-1] == "final" and len(one.events("end")) == 1


def test_other_signals_go_through_too(job: Job) -> None:
    program = """
import signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: (print("usr1"), sys.exit(0)))
print("ready", flush=True)
while True: time.sleep(0.01)
"""
    process = job.script(program).start()
    ready(job)
    process.send_signal(signal.SIGUSR1)
    out, _ = process.communicate(timeout=60)
    assert out == b"ready\nusr1\n" and job.end()["status"] == "completed"


def test_a_daemon_with_our_output_is_waited_for(job: Job) -> None:
    program = """
import gittrack, os, sys, time
run = gittrack.init()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while not os.path.exists("go"): time.sleep(0.01)
        run.log({"late": 1.0}, 5)
        print("from the daemon", flush=True)
    os._exit(0)
print("the command ends", flush=True)
"""
    process = job.script(program).start()
    ready(job, b"the command ends")
    until(lambda: job.events("end"))
    assert process.poll() is None
    Path(job.work / "go").touch()
    out, _ = process.communicate(timeout=60)
    assert out == b"the command ends\nfrom the daemon\n" and process.returncode == 0
    assert job.end()["status"] == "completed" and {"late": 1.0} in [line["m"] for line in job.events("m")]
    assert job.reasons()[-1] == "final" and b"from the daemon" in job.console()


def test_a_daemon_that_has_let_go_of_everything_is_not_waited_for(job: Job) -> None:
    program = """
import os, subprocess, sys
null = subprocess.DEVNULL
sleeper = subprocess.Popen(["sleep", "600"], stdin=null, stdout=null, stderr=null, start_new_session=True)
print(sleeper.pid)
"""
    done = job.script(program).execute()
    os.kill(int(done.out), signal.SIGKILL)
    assert job.reasons()[-1] == "final"


def test_processes_that_a_failed_command_left_hanging_are_ended_after_a_while(job: Job) -> None:
    """They would hold the machine, and the run open, for ever."""
    program = """
import gittrack, os, signal, sys, time
run = gittrack.init()
run.log({"loss": 1.0}, 0)
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    run.log({"loss": 2.0}, 1)
    print("hangs", flush=True)
    time.sleep(600)
while not os.path.exists(os.environ["GITTRACK_RUN_DIR"] + "/console.log"): time.sleep(0.01)
time.sleep(0.5)
os._exit(7)
"""
    began = time.monotonic()
    assert job.script(program).execute(code=7, timeout=180).out == b"hangs\n"
    assert time.monotonic() - began > 30
    first, second = job.warnings()
    assert "which keep its run open: python" in first
    assert second == "processes that the command left behind were ended"
    assert job.reasons()[-1] == "final" and job.end()["status"] == "failed" and len(job.events("m")) == 2


@pytest.mark.parametrize("code", [0, 3])
def test_what_goes_on_in_the_background_and_prints_nowhere_is_named_and_not_waited_for(job: Job, code: int) -> None:
    job.write("sh", "-c", f"sleep 600 >/dev/null 2>&1 & echo over; exit {code}").execute(code=code)
    assert job.warnings() == ["the command left processes in the background, which end with its container: sleep"]
    assert job.reasons()[-1] == "final" and job.end()["code"] == code


def test_what_goes_on_in_the_background_and_may_print_is_named_while_it_is_waited_for(job: Job) -> None:
    process = job.write("sh", "-c", "until test -e go; do sleep 0.01; done & echo over").start()
    until(lambda: job.run_dir.is_dir() and job.warnings())
    assert "in the background, which keep its run open: s" in job.warnings()[0]
    assert process.poll() is None and job.end()["status"] == "completed"
    (job.work / "go").touch()
    process.communicate(timeout=60)
    assert process.returncode == 0 and len(job.warnings()) == 1 and job.reasons()[-1] == "final"


def test_helpers_that_follow_their_command_at_once_are_not_named(job: Job) -> None:
    job.write("sh", "-c", "sleep 0.2 >/dev/null 2>&1 & true").execute()
    assert job.warnings() == []
