"""A network that swallows everything from one moment on, in each phase of a job: the command does not hang, says what
happened, goes on by itself where it may, Ctrl-C is heard, and nothing runs twice.

How long a silent host is waited for is said in ~/.ssh/config here. Each phase has its turn in one of three ways;
GITTRACK_TEST_SILENCE=all is for all of them.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rig_ssh
from rig_docker import Engine
from rig_silence import Silence, silence
from rig_ssh import Site
from survival import CONSOLE, World, until, world

from gittrack.cli import interrupts

PATIENCE = 90.0  # seconds, on a busy machine; that a command does not end at all is what would be wrong
FOR_EVER = 600  # seconds between two questions whether the host is there
AGAIN = "trying to reach it again"
Hold = Callable[[Silence], None]


def command(pattern: str) -> Hold:
    return lambda line: line.hold(command=pattern)


def request(pattern: str) -> Hold:
    return lambda line: line.hold(request=pattern)


BUILD = "the image is built"
STARTED = "the container is started"
SENDING = {
    "it is looked at": command("uname -n"),
    "its folder is asked for": command("chmod 700"),
    "its engine is asked for": command("dial-stdio"),
    "its engine is asked": request("GET [^ ]*/info"),
    "the image is looked for": request("GET [^ ]*/images/"),
    BUILD: request("POST [^ ]*/build"),
    "the code is sent": command("receive-pack"),
    "half of the code is sent": lambda line: line.drop_after(2_000_000),
    "inputs are asked for": command("cache/files"),
    "half of the inputs are sent": lambda line: line.drop_after(7_500_000),
    "inputs are placed": command("work.new"),
    "its variables are written": command("/env"),
    "the container is made": request("POST [^ ]*/containers/create"),
    STARTED: request("POST [^ ]*/containers/[0-9a-f]+/start"),
}


def turn(number: int) -> list[str]:
    everything = os.environ.get("GITTRACK_TEST_SILENCE") == "all"
    return [phase for place, phase in enumerate(SENDING) if everything or place % 3 == number]


@pytest.fixture
def far(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[tuple[World, Silence]]:
    with world(repo, sealed, site, dockerd, python_image) as made, silence(made, sealed) as line:
        yield made, line


def begun(far: tuple[World, Silence], phase: str, *args: str) -> "subprocess.Popen[str]":
    """`run -H` at which the line has gone dead in this phase."""
    world, line = far
    settings = (world.repo / "gittrack.yaml").read_text() + "inputs: [data.bin]\nsnapshot_large: 50MB\n"
    if phase == BUILD:
        settings = settings.replace(f"    image: {world.image}\n", "") + "build: Dockerfile\n"
        (world.repo / "Dockerfile").write_text(f"FROM {world.image}\nRUN echo {world.marks}\n")
    (world.repo / "gittrack.yaml").write_text(settings)
    with open(world.repo / ".gitignore", "a") as ignored:
        ignored.write("data.bin\n")
    for name in ("code.bin", "data.bin"):
        (world.repo / name).write_bytes(os.urandom(5_000_000))
    SENDING[phase](line)
    process = world.begin("run", "-H", "gpu1", *args, "python3", "train.py")
    until(lambda: line.reached() or line.is_dropping() or process.poll() is not None, PATIENCE)
    assert process.poll() is None, process.communicate()
    line.drop()
    return process


def heard(process: "subprocess.Popen[str]", words: str) -> str:
    """What it says on its standard error, up to there."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


def only(world: World) -> str:
    (run_id,) = (row["id"] for row in world.rows())
    return str(run_id)


@pytest.mark.parametrize("phase", turn(0))
def test_a_job_is_sent_on_by_attach(far: tuple[World, Silence], phase: str) -> None:
    world, line = far
    process = begun(far, phase, "--reconnect", "0")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 88, err
    run_id = only(world)
    assert "connection is lost: the host has not answered for 6 s" in err, err
    assert f"git track attach {run_id[:7]}" in err and AGAIN not in err, err
    line.mend()
    world.go()
    assert world.track("attach", run_id).out == CONSOLE
    assert len(world.starts()) == 1
    world.check_whole(run_id)


@pytest.mark.parametrize("size", [0, 250, 1000])  # before a word is said, and while keys are exchanged
def test_a_host_that_falls_silent_while_it_is_reached_is_told(far: tuple[World, Silence], size: int) -> None:
    world, line = far
    config = line.home / ".ssh/config"
    config.write_text("Host line\n  ConnectTimeout 2\n" + config.read_text())
    line.drop_after(size)
    done = world.track("run", "-H", "gpu1", "python3", "train.py", code=86)
    assert ("does not answer" if not size else "says nothing") in done.err and "hint: " in done.err, done.err
    assert line.is_dropping() and world.rows() == [] and world.jobs() == []


@pytest.mark.parametrize("phase", turn(1))
def test_a_job_is_sent_on_by_itself_when_the_host_is_there_again(far: tuple[World, Silence], phase: str) -> None:
    world, line = far
    process = begun(far, phase)
    heard(process, AGAIN)
    line.mend()
    world.go()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and out == CONSOLE, err
    assert len(world.starts()) == 1
    world.check_whole(only(world))
    world.check_git()


@pytest.mark.parametrize("phase", turn(2))
def test_ctrl_c_ends_the_sending_at_once(far: tuple[World, Silence], phase: str) -> None:
    world, line = far
    line.patience(FOR_EVER)
    process = begun(far, phase)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    line.mend()
    for row in world.rows():  # none, where it was so early that nothing can be there
        assert f"git track stop {row['id'][:7]}" in err
        world.track("stop", row["id"])
    assert [row["status"] for row in world.rows()] == ["killed"] * (phase == STARTED)
    assert len(world.starts()) <= 1
    assert world.engine.docker("ps", "-q", "--filter", f"volume={world.marks}") == ""


def test_ctrl_c_while_a_host_is_tried_again_keeps_what_may_be_there(far: tuple[World, Silence]) -> None:
    world, line = far
    process = begun(far, "the container is made")
    heard(process, AGAIN)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    run_id = only(world)
    assert process.returncode == 130 and f"git track stop {run_id[:7]}" in err, err
    line.mend()
    world.go()
    assert world.track("attach", run_id).out == CONSOLE
    assert len(world.starts()) == 1


def test_what_may_be_at_a_host_that_shows_another_key_stays_known(far: tuple[World, Silence]) -> None:
    world, line = far
    process = begun(far, "the container is made")
    heard(process, AGAIN)
    known = line.home / ".ssh/known_hosts"
    right, other = known.read_text(), rig_ssh.keypair(line.folder / "other").with_suffix(".pub").read_text()
    known.write_text(re.sub(r"(?m)^(10\.\S+ ).*", rf"\1{other.rpartition(' ')[0]}", right))
    line.mend()
    _, err = process.communicate(timeout=PATIENCE)
    run_id = only(world)
    assert process.returncode == 86 and f"git track stop {run_id[:7]}" in err, err
    known.write_text(right)
    world.go()
    assert world.track("attach", run_id).out == CONSOLE
    assert len(world.starts()) == 1


WATCHING = (("attach",), ("wait", "latest"), ("logs", "-f"))
ASKING = {
    ("stop", "latest"): command("dial-stdio"),
    ("exec", "latest", "--", "true"): request("POST [^ ]*/exec"),
    ("top",): request("/stats"),
    ("host", "df", "gpu1"): command("du -sk"),
    ("host", "ls", "gpu1"): request("/containers/json"),
    ("host", "check", "gpu1"): command("uname -n"),
    ("fetch", "gpu1"): command("jobs"),
}


def test_what_asks_a_host_ends_and_says_why_and_ctrl_c_ends_it_before(far: tuple[World, Silence]) -> None:
    world, line = far
    world.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    run_id = only(world)
    until(lambda: len(world.starts()) == 1)
    for words, hold in ASKING.items():
        for is_interrupted in (False, True):
            line.patience(FOR_EVER if is_interrupted else 1)
            hold(line)
            process = world.begin(*words)
            until(line.reached, PATIENCE)
            line.drop()
            if is_interrupted:
                process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
            if is_interrupted:
                assert process.returncode == 130, (words, err)
            else:
                assert process.returncode == (86 if words == ("top",) else 88), (words, err)
                assert "connection is lost" in err, (words, err)
                assert words == ("top",) or "hint: " in err, (words, err)
            line.mend()
    line.patience(FOR_EVER)
    world.go()
    world.track("wait", run_id)
    assert len(world.starts()) == 1
    world.check_whole(run_id)


def test_what_watches_a_job_ends_and_says_how_to_go_on(far: tuple[World, Silence]) -> None:
    world, line = far
    world.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    run_id = only(world)
    for words in WATCHING:
        line.hold(request="GET [^ ]*/logs")
        process = world.begin(*words, "--reconnect", "0")
        until(line.reached, PATIENCE)
        line.drop()
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 88 and f"git track attach {run_id[:7]}" in err, (words, err)
        line.mend()
    line.hold(command="tail -c")  # of its results
    process = world.begin("attach", "--reconnect", "0")
    world.go()
    until(lambda: world.has_ended(run_id) and line.reached(), PATIENCE)
    line.drop()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 88 and f"git track attach {run_id[:7]}" in err, err
    line.mend()
    assert world.track("attach", run_id).out == CONSOLE
    assert len(world.starts()) == 1
    world.check_whole(run_id)


def test_ctrl_c_leaves_a_job_that_is_not_heard_of_any_more(far: tuple[World, Silence]) -> None:
    world, line = far
    world.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    run_id = only(world)
    for words in WATCHING:
        line.patience(FOR_EVER)
        line.hold(request="GET [^ ]*/logs")
        process = world.begin(*words)
        until(line.reached, PATIENCE)
        line.drop()
        process.send_signal(signal.SIGINT)
        heard(process, "stopping")
        time.sleep(interrupts.ECHO)  # earlier it would be the same Ctrl-C
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == (0 if words[0] == "logs" else 130) and "goes on" in err, (words, err)
        line.mend()
    line.patience(1)
    world.go()
    world.track("wait", run_id, code=None)  # a stop may have come through
    assert len(world.starts()) == 1


def test_a_host_that_is_not_heard_does_not_hold_up_the_choice_of_another(far: tuple[World, Silence]) -> None:
    world, line = far
    line.patience(FOR_EVER)
    own = line.home / ".ssh/config"
    own.write_text(f"Host line\n  ConnectTimeout {FOR_EVER}\n" + own.read_text())
    line.drop()
    world.go()
    done = world.track("run", "-H", "gpu1,direct", "python3", "train.py")
    assert done.out == CONSOLE
    assert "gpu1 is passed over" in done.err, done.err
