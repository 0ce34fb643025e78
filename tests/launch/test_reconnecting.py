"""A connection that breaks while a job is watched is made again, and the console goes on to the letter."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import rig_ssh
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world

import gittrack
from gittrack.cli import interrupts

LINES = 150
COUNTING = f"""
import sys, time
from pathlib import Path
for number in range({LINES}):
    print("out", number, "x" * (10_000 if number % 50 == 7 else 0), flush=True)
    print("err", number, file=sys.stderr, flush=True)
    time.sleep(0.02)
    while number == 10 and not Path("/marks/go").exists():
        time.sleep(0.01)
print("no end", end="")
"""
OUT = "".join(f"out {number} {'x' * (10_000 if number % 50 == 7 else 0)}\n" for number in range(LINES)) + "no end"
ERR = [f"err {number}" for number in range(LINES)]


@pytest.fixture
def far(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        (made.repo / "count.py").write_text(COUNTING)
        yield made


def lines_of(process: "subprocess.Popen[str]", word: str) -> None:
    """Read its output up to there."""
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError("it has ended")


def begun(far: World, *args: str) -> "subprocess.Popen[str]":
    """A command that has shown the eleventh line of a job, which waits."""
    process = far.begin(*args)
    lines_of(process, "out 10")
    return process


def test_an_engine_that_hangs_up_is_asked_again_as_a_connection_that_broke_is(far: World) -> None:
    process = begun(far, "run", "-H", "gpu1", "python3", "count.py")
    subprocess.run(["pkill", "-KILL", "-U", str(far.site.ann.ids[0]), "-f", "dial-stdio"], check=True)
    far.go()
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert out == OUT.partition("out 10 \n")[2]
    assert "hung up" in err and "gpu1 is reached again" in err


def test_no_line_is_lost_or_shown_twice_however_often_the_connection_breaks(far: World) -> None:
    with open(far.repo.parent / "out", "w+") as out, open(far.repo.parent / "err", "w+") as err:
        process = subprocess.Popen(
            far.argv("run", "-H", "gpu1", "python3", "-u", "count.py"), cwd=far.repo, stdin=subprocess.DEVNULL,
            stdout=out, stderr=err,
        )  # fmt: skip
        for word in ("out 10 ", "out 40 ", "out 90 "):
            until(lambda word=word: word in Path(out.name).read_text())  # type: ignore[misc]
            far.line.break_after(0)
            far.go()
            until(lambda: Path(err.name).read_text().count("trying to reach it again") > 0)
        assert process.wait(timeout=120) == 0
        said = Path(err.name).read_text()
        assert Path(out.name).read_text() == OUT
        assert [line for line in said.splitlines() if line.startswith("err ")] == ERR
        assert said.count("trying to reach it again") == said.count("is reached again") >= 1
    far.check_git()


def test_the_end_of_a_job_is_not_missed_while_nobody_is_connected(far: World) -> None:
    process = begun(far, "run", "-H", "gpu1", "python3", "count.py")
    far.line.down()
    far.go()
    (run_id,) = far.jobs()
    until(lambda: far.has_ended(run_id))
    far.line.mend()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and out.endswith("no end") and out.startswith("out 11 ")


@pytest.mark.parametrize("how", [["--reconnect", "0"], []])
def test_it_can_be_forbidden_and_says_how_to_go_on(far: World, how: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if not how:
        monkeypatch.setenv("GITTRACK_RECONNECT", "false")
    process = begun(far, "run", "-H", "gpu1", *how, "python3", "count.py")
    far.line.break_after(0)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 88 and "git track attach" in err and "again for" not in err
    far.go()
    assert far.track("attach").out == OUT


def test_it_is_given_up_after_the_time_that_was_said(far: World) -> None:
    process = begun(far, "run", "-H", "gpu1", "--reconnect", "2", "python3", "count.py")
    far.line.down()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 88 and "git track attach" in err and "for 2 seconds" in err


def test_a_host_whose_key_has_changed_is_not_tried_again(far: World, sealed: Path, tmp_path: Path) -> None:
    process = begun(far, "run", "-H", "gpu1", "python3", "count.py")
    other = rig_ssh.keypair(tmp_path / "other").with_suffix(".pub").read_text().split()[:2]
    (sealed / ".ssh/known_hosts").write_text(f"{far.site.sshd.name} {' '.join(other)}\n")
    far.line.break_after(0)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 86 and "key" in err


@pytest.mark.parametrize("command", [("attach", "--tail", "3"), ("logs", "-f", "-n", "3")])
def test_the_last_lines_and_all_behind_them_are_shown_once(far: World, command: tuple[str, ...]) -> None:
    far.track("run", "-H", "gpu1", "-d", "python3", "count.py")
    (run_id,) = far.jobs()
    console = far.folder / "jobs" / run_id / "run/console.log"
    until(lambda: console.exists() and b"err 10" in console.read_bytes())
    process = far.begin(*command)
    lines_of(process, "out 10")
    far.line.break_after(0)
    far.go()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == OUT.partition("out 10 \n")[2]
    assert [line for line in err.splitlines() if line.startswith("err ")][-140:] == ERR[-140:]
    assert err.count("err 8\n") == 0 and err.count("err 10\n") == 1


def test_waiting_goes_on_across_connections_in_python_too(far: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(far.repo)
    with gittrack.launch(["python3", "count.py"], host="gpu1") as job:
        pieces = job.logs(follow=True)
        shown = ""
        while "out 10 " not in shown:
            shown += next(pieces)
        far.line.break_after(0)
        far.go()
        shown += "".join(pieces)
        assert "".join(line + "\n" for line in shown.splitlines() if "err" not in line) == OUT + "\n"
        far.line.break_after(0)
        assert job.wait(timeout=120) == "completed"


def test_ctrl_c_while_the_host_is_not_reached_is_asked_about_as_ever(far: World) -> None:
    terminal = pexpect.spawn(
        "git-track", ["run", "-H", "gpu1", "python3", "count.py"], cwd=str(far.repo), timeout=120, encoding="utf-8"
    )
    terminal.expect("out 10")
    far.line.down()
    terminal.expect("trying to reach it again")
    terminal.sendintr()
    terminal.expect("ontinue to watch")
    terminal.sendline("c")
    terminal.expect("trying to reach it again")
    time.sleep(interrupts.ECHO)  # earlier it would be the same Ctrl-C
    terminal.sendintr()
    terminal.expect("ontinue to watch")
    terminal.sendline("d")
    terminal.expect("goes on")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 128 + signal.SIGINT


def test_a_stop_that_is_asked_for_while_the_host_is_not_reached_is_done_afterwards(far: World) -> None:
    process = begun(far, "run", "-H", "gpu1", "python3", "count.py")
    assert process.stderr is not None
    far.line.down()
    while "trying" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    while "stopping" not in process.stderr.readline():
        pass
    far.line.mend()
    process.communicate(timeout=120)
    (row,) = far.rows()
    assert row["status"] == "killed"
