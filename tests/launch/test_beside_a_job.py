"""`git track exec`: a command in the container of a job has what the job has."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from rig_docker import Engine

Track = Callable[..., Any]


@pytest.fixture
def beside(repo: Path, track: Track, dockerd: Engine, python_image: str) -> Iterator[Track]:
    """`git track exec` at a job of the folder `sub` that was given a variable and a secret."""
    (repo / "sub").mkdir()
    (repo / "sub/wait.py").write_text(
        "import os, time\nopen('home', 'w').write(os.environ['HOME'])\nwhile True: time.sleep(1)\n"
    )
    track(
        "run", "--container", "--image", python_image, "-d", "--env", "DATA=of the job", "--secret", "PHRASE",
        "--env", "HOME=/", "python3", "wait.py", cwd=repo / "sub", DOCKER_HOST=dockerd.host, PHRASE="correct horse",
    )  # fmt: skip

    def run(*args: str, code: int = 0, **env: str) -> Any:
        return track("exec", *args, code=code, DOCKER_HOST=dockerd.host, **env)

    yield run
    track("stop", "latest", "--grace", "0", DOCKER_HOST=dockerd.host)


def test_it_has_the_directory_the_home_and_the_variables_of_the_job(beside: Track) -> None:
    shell = 'pwd; echo "$HOME"; while ! [ -s home ]; do :; done; cat home; echo; echo "$DATA, $PHRASE"'
    said = beside("latest", "--", "sh", "-c", shell).stdout
    home = "/gittrack/job/home"  # that of the image is no place for files, so the job has got one
    assert said.splitlines() == ["/work/sub", home, home, "of the job, correct horse"]


def test_more_variables_go_before_those_of_the_job(beside: Track) -> None:
    shell = ["sh", "-c", 'echo "$DATA, $MORE"']
    assert beside("--env", "DATA=mine", "--env", "MORE", "latest", "--", *shell, MORE="a b").stdout == "mine, a b\n"
    assert "UNSET" in beside("--env", "UNSET", "latest", "--", "true", code=2).stderr


def test_exit_codes_and_arguments_are_passed_on(beside: Track) -> None:
    assert beside("latest", "--", "sh", "-c", "exit 5", code=5).returncode == 5
    assert beside("latest", "--", "printf", "%s|", "a b", "$HOME", "--", "'").stdout == "a b|$HOME|--|'|"
    assert "command not found" in beside("latest", "--", "no-such-program", code=127).stderr
    assert beside("latest", "--", "sh", "-c", "kill -SEGV $$", code=139).returncode == 139
    assert beside("latest", "sh", "-c", "yes | head -n 1").stdout == "y\n"  # a broken pipe ends what writes into it


def test_without_a_command_nothing_is_done(beside: Track) -> None:
    assert "no command" in beside("latest", "--", code=2).stderr


def test_what_is_typed_before_the_command_is_there_reaches_it(beside: Track, repo: Path, dockerd: Engine) -> None:
    argv = ["exec", "latest", "--", "sh", "-c", 'read line; echo "got <$line>"']
    environ = {**os.environ, "DOCKER_HOST": dockerd.host}
    terminal = pexpect.spawn("git-track", argv, cwd=str(repo), env=environ, timeout=60)  # type: ignore[arg-type]
    terminal.sendline("typed ahead")
    terminal.expect_exact("got <typed ahead>")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
