"""What becomes of a job when the process that watches it is interrupted, ended, or cut off."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site

from gittrack.cli import interrupts
from gittrack.launch.jobs import steps

SCRIPT = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("told to stop", flush=True), sys.exit(0)))
print("begun", flush=True)
with open("/gittrack/job/starts", "a") as file:
    file.write("x")
while not pathlib.Path("/gittrack/job/go").exists():
    time.sleep(0.02)
    if pathlib.Path("/gittrack/job/say").exists():
        pathlib.Path("/gittrack/job/say").unlink()
        print("still here", flush=True)
print("over")
"""


@pytest.fixture
def project(repo: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[Path]:
    (repo / "gittrack.yaml").write_text(
        f"hosts:\n  gpu1:\n    host: host\n    docker: {dockerd.command}\n    image: {python_image}\n"
    )
    (repo / "train.py").write_text(SCRIPT)
    yield repo
    rig_docker.remove_jobs(dockerd, site.ann.home)


def job_of(site: Site) -> Path:
    (job,) = (site.ann.home / ".gittrack/jobs").iterdir()
    return job


def status(track: Callable[..., Any]) -> str:
    (row,) = json.loads(track("ls", "--json").stdout)
    return str(row["status"])


def started(project: Path, *options: str) -> "subprocess.Popen[str]":
    """`run -H` without a terminal, once the script has said its first word."""
    process = subprocess.Popen(
        ["git-track", "run", "-H", "gpu1", *options, "python3", "train.py"], cwd=project, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    first = process.stdout.readline()
    assert first == "begun\n", process.stderr.read()
    return process


def continue_and_interrupt(terminal: Any, site: Site) -> None:
    """Answer that the console is to go on, see that it does, and press Ctrl-C again."""
    terminal.sendline("c")
    (job_of(site) / "say").touch()
    terminal.expect("still here")
    time.sleep(interrupts.ECHO)  # earlier it would be the same Ctrl-C
    terminal.sendintr()


def test_ctrl_c_asks_and_detaching_leaves_the_job_alone(project: Path, track: Callable[..., Any], site: Site) -> None:
    terminal = pexpect.spawn("git-track", ["run", "-H", "gpu1", "python3", "train.py"], cwd=str(project), timeout=120)
    terminal.expect("begun")
    terminal.sendintr()
    terminal.expect("ontinue to watch")
    continue_and_interrupt(terminal, site)
    terminal.expect("ontinue to watch")
    terminal.sendline("d")
    terminal.expect("goes on")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 128 + signal.SIGINT
    assert status(track) == "running"
    (job_of(site) / "go").touch()
    assert track("attach").stdout == "begun\nstill here\nover\n"


def test_an_answer_that_is_none_is_asked_for_again_and_the_third_one_detaches(
    project: Path, track: Callable[..., Any], site: Site
) -> None:
    terminal = pexpect.spawn("git-track", ["run", "-H", "gpu1", "python3", "train.py"], cwd=str(project), timeout=60)
    terminal.expect("begun")
    terminal.sendintr()
    terminal.expect("ontinue to watch")
    terminal.sendline("yes")
    terminal.expect("yes is none of d, s, c")
    terminal.expect("ontinue to watch")
    continue_and_interrupt(terminal, site)
    for answer in ("x", "quit", "no"):
        terminal.expect("ontinue to watch")
        terminal.sendline(answer)
        terminal.expect(f"{answer} is none of")
    terminal.expect("goes on")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 128 + signal.SIGINT
    (job_of(site) / "go").touch()
    track("wait", "latest")


def test_a_job_that_a_stop_had_to_kill_is_told_as_that(project: Path, track: Callable[..., Any]) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('begun', flush=True)\ntime.sleep(600)\n"
    (project / "train.py").write_text(f"import signal, time\n{deaf}")
    process = started(project)
    track("stop", "latest", "--grace", "0")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert "did not end in time, and was killed" in err and "nobody knows" not in err
    assert status(track) == "killed"
    assert "it was stopped: it did not end" in track("show", "latest").stdout


def test_what_git_passes_on_of_a_ctrl_c_is_no_second_one(project: Path, track: Callable[..., Any], site: Site) -> None:
    terminal = pexpect.spawn("git-track", ["run", "-H", "gpu1", "python3", "train.py"], cwd=str(project), timeout=120)
    terminal.expect("begun")
    terminal.sendintr()
    # Until it has passed the signal on, the terminal may throw away what it was about to show: the question.
    is_asked = terminal.expect([r"\^C", "ontinue to watch"])
    os.kill(terminal.pid, signal.SIGINT)  # as git does at once, which waits for us
    if not is_asked:
        terminal.expect("ontinue to watch")
    terminal.sendline("s")
    terminal.expect("told to stop")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert status(track) == "killed"


def test_an_interrupt_that_comes_twice_at_once_stops_the_job(project: Path, track: Callable[..., Any]) -> None:
    process = started(project)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out == "told to stop\n"
    assert status(track) == "killed"


def test_ctrl_c_stops_the_job_where_the_user_says_so(project: Path, track: Callable[..., Any]) -> None:
    terminal = pexpect.spawn("git-track", ["run", "-H", "gpu1", "python3", "train.py"], cwd=str(project), timeout=120)
    terminal.expect("begun")
    terminal.sendintr()
    terminal.expect("ontinue to watch")
    terminal.sendline("s")
    terminal.expect("told to stop")  # the console goes on until the end
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert status(track) == "killed"


def test_without_a_terminal_an_interrupt_stops_the_job(project: Path, track: Callable[..., Any]) -> None:
    process = started(project)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out == "told to stop\n"
    assert status(track) == "killed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_ending_the_process_that_watches_does_not_end_the_job(
    project: Path, track: Callable[..., Any], site: Site, number: signal.Signals
) -> None:
    process = started(project)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode in (128 + number, -number)
    assert status(track) == "running"
    (job_of(site) / "go").touch()
    assert track("attach", "--tail", "1").stdout in ("over\n", "begun\nover\n")
    assert status(track) == "completed"


def _killed_after(project: Path, step: str) -> "subprocess.CompletedProcess[bytes]":
    """`run -H`, dead when `step` was done; of the first one, before that was written down."""
    program = (
        "import os, sys\n"
        "from gittrack.runs import away\n"
        "update = away.update\n"
        f"def die(directory, **changes):\n    found = update(directory, **changes) if {step != 'sent'} else None\n"
        f"    os._exit(9) if changes.get('step') == {step!r} else None\n    return found\n"
        "away.update = die\n"
        "from gittrack.cli.main import start\n"
        "sys.exit(start(sys.argv[1:], 'linux'))\n"
    )
    argv = [
        Path(os.environ["PATH"].split(":")[0]) / "python",
        "-c",
        program,
        "run",
        "-H",
        "gpu1",
        "python3",
        "train.py",
    ]
    return subprocess.run(argv, cwd=project, check=False, capture_output=True)


@pytest.mark.parametrize("step", [step.name for step in steps.STEPS])
def test_a_launch_that_is_killed_after_any_step_goes_on_from_there_and_starts_once(
    project: Path, track: Callable[..., Any], site: Site, git: Callable[..., str], step: str
) -> None:
    killed = _killed_after(project, step)
    assert killed.returncode == 9, killed.stderr
    assert status(track) in ("queued", "running")
    (job_of(site) / "go").touch()
    assert track("attach").stdout == "begun\nover\n"
    assert (job_of(site) / "starts").read_text() == "x"
    assert status(track) == "completed"
    git("fsck", "--strict")


def test_a_connection_that_breaks_is_said_and_the_job_goes_on(
    project: Path, track: Callable[..., Any], site: Site
) -> None:
    process = started(project, "--reconnect", "0")
    site.sshd.cut()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 88 and "git track attach" in err
    (job_of(site) / "go").touch()
    assert track("attach").stdout == "begun\nover\n"


def test_logs_follow_a_job_to_its_end(project: Path, track: Callable[..., Any], site: Site) -> None:
    track("run", "-H", "gpu1", "-d", "python3", "train.py")
    following = subprocess.Popen(["git-track", "logs", "-f"], cwd=project, stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None and following.stdout.readline() == "begun\n"
    (job_of(site) / "go").touch()
    assert following.communicate(timeout=120)[0] == "over\n"
    assert status(track) == "completed"


def test_a_job_that_was_never_started_is_given_up_by_stop(project: Path, track: Callable[..., Any], site: Site) -> None:
    killed = _killed_after(project, "sent")
    assert killed.returncode == 9
    assert "never started" in track("stop", "latest").stderr
    assert track("ls", "-q").stdout == "" and not list((site.ann.home / ".gittrack/jobs").iterdir())


def test_a_job_whose_container_was_killed_is_closed_as_crashed_when_it_is_looked_at(
    project: Path, track: Callable[..., Any], site: Site, dockerd: Engine
) -> None:
    track("run", "-H", "gpu1", "-d", "python3", "train.py")
    following = subprocess.Popen(["git-track", "logs", "-f"], cwd=project, stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None and following.stdout.readline() == "begun\n"
    following.kill()
    following.communicate()
    dockerd.docker("rm", "-f", f"gittrack-{job_of(site).name}")  # as if the host had lost its power
    assert track("attach", code=70).returncode == 70
    assert status(track) == "crashed"
    assert "container is gone" in track("show", "latest").stdout
    assert "begun" in track("logs").stdout


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_command_that_a_signal_ended_is_told_as_a_shell_tells_it(
    project: Path, track: Callable[..., Any], number: signal.Signals
) -> None:
    (project / "dies.py").write_text(f"import os\nprint('x', flush=True)\nos.kill(os.getpid(), {int(number)})\n")
    ended = track("run", "-H", "gpu1", "python3", "dies.py", code=128 + number)
    assert ended.stdout == "x\n" and f"killed by {number.name}" in ended.stderr
    assert track("attach", code=128 + number).stdout == "x\n"
    assert track("wait", "latest", code=128 + number).returncode == 128 + number
    (row,) = json.loads(track("ls", "--json").stdout)
    assert row["status"] == "killed"
