"""`git track run --container`: the engine of this machine is a host like any other."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rig_docker import Engine


def test_a_run_in_a_container_is_recorded_as_one_here_would_be(
    repo: Path, track: Callable[..., Any], git: Callable[..., str], dockerd: Engine, python_image: str
) -> None:
    (repo / "train.py").write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    done = track("run", "--container", "--image", python_image, "python3", "train.py", DOCKER_HOST=dockerd.host)
    assert done.stdout == "out\n" and "err\n" in done.stderr
    print(done.stderr)


def test_show_says_where_a_job_ran_and_in_which_image(
    repo: Path, track: Callable[..., Any], dockerd: Engine, python_image: str
) -> None:
    track("run", "--container", "--image", python_image, "true", DOCKER_HOST=dockerd.host)
    digest = dockerd.docker("image", "inspect", "--format", "{{.Id}}", python_image).removeprefix("sha256:")
    shown = [" ".join(line.split()) for line in track("show").stdout.splitlines()]
    assert f"at here, sent from {os.uname().nodename}" in shown
    assert f"image {python_image} ({digest[:12]})" in shown


def test_an_image_without_python_is_said_to_be_so_and_leaves_no_run(
    repo: Path, track: Callable[..., Any], dockerd: Engine, bare_image: str, sealed: Path
) -> None:
    done = track("run", "--container", "--image", bare_image, "true", DOCKER_HOST=dockerd.host, code=87)
    assert "the image has no Python" in done.stderr
    assert track("ls", "-q").stdout == "" and track("ps", "-q").stdout == ""
    assert list((sealed / ".gittrack").glob("jobs/*")) == []


def test_secrets_and_variables_reach_the_command_and_no_record(
    repo: Path, track: Callable[..., Any], git: Callable[..., str], dockerd: Engine, python_image: str
) -> None:
    secret = "correct horse battery staple"
    (repo / "train.py").write_text(
        "import os\nprint(os.environ['DATA'], os.environ['PHRASE'], 'HIDDEN' in os.environ)\n"
    )
    done = track(
        "run", "--container", "--image", python_image, "--env", "DATA=a b", "--secret", "PHRASE", "python3", "train.py",
        DOCKER_HOST=dockerd.host, PHRASE=secret, HIDDEN="yes",
    )  # fmt: skip
    assert done.stdout == f"a b {secret} False\n"  # here, as of any command; the record is another matter
    assert track("logs").stdout == "a b [redacted] False\n"
    for ref in git("for-each-ref", "--format=%(refname)", "refs/track").splitlines():
        for oid in git("rev-list", "--objects", ref).split():
            if git("cat-file", "-t", oid, code=None) == "blob":
                assert secret not in git("cat-file", "blob", oid)


def test_a_secret_that_is_not_set_is_said_before_anything_is_done(repo: Path, track: Callable[..., Any]) -> None:
    done = track("run", "--container", "--image", "x", "--secret", "PHRASE", "true", code=2)
    assert "PHRASE" in done.stderr


def test_options_of_containers_mean_nothing_without_one(repo: Path, track: Callable[..., Any]) -> None:
    assert "add -H HOST, or --container" in track("run", "--gpus", "all", "true", code=2).stderr


def test_an_empty_name_of_a_host_does_not_mean_this_machine(repo: Path, track: Callable[..., Any]) -> None:
    assert "no host" in track("run", "-H", "", "true", code=2).stderr
    assert track("ls", "-q").stdout == ""


def test_what_is_no_name_of_an_image_is_said(repo: Path, track: Callable[..., Any], dockerd: Engine) -> None:
    done = track("run", "--container", "--image", "../../x", "true", DOCKER_HOST=dockerd.host, code=2)
    assert "no name of an image" in done.stderr and track("ls", "-q").stdout == ""


def test_the_exit_code_of_the_command_is_passed_on(
    repo: Path, track: Callable[..., Any], dockerd: Engine, python_image: str
) -> None:
    done = track(
        "run", "--container", "--image", python_image, "python3", "-c", "raise SystemExit(3)",
        DOCKER_HOST=dockerd.host, code=3,
    )  # fmt: skip
    assert "failed with exit code 3" in done.stderr


def test_a_command_that_takes_too_much_memory_is_recorded_as_that(
    repo: Path, track: Callable[..., Any], dockerd: Engine, python_image: str
) -> None:
    done = track(
        "run", "--container", "--image", python_image, "--memory", "60m", "python3", "-c", "x = b'x' * 500_000_000",
        DOCKER_HOST=dockerd.host, code=None,
    )  # fmt: skip
    assert done.returncode != 0
    shown = track("show", "latest").stdout
    assert "out of memory" in shown


@pytest.mark.parametrize("options", [["--image", "nosuch.invalid/image:1"], ["--port", "{port}:80"]])
def test_a_job_that_cannot_be_started_leaves_nothing(
    repo: Path, track: Callable[..., Any], dockerd: Engine, python_image: str, sealed: Path, options: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = [each.format(port=taken.getsockname()[1]) for each in options]
        image = [] if "--image" in given else ["--image", python_image]
        done = track("run", "--container", *image, *given, "true", DOCKER_HOST=dockerd.host, code=None)
    assert done.returncode in (86, 87) and "error:" in done.stderr
    assert track("ls", "-q").stdout == ""
    assert list((sealed / ".gittrack").glob("jobs/*")) == []
    assert str(sealed) not in dockerd.docker("ps", "-a", "--no-trunc", "--format", "{{.Mounts}}")


def test_json_is_one_document_on_standard_output_after_the_console(
    repo: Path, track: Callable[..., Any], dockerd: Engine, python_image: str
) -> None:
    done = track(
        "run", "--container", "--image", python_image, "--json", "python3", "train.py", DOCKER_HOST=dockerd.host
    )
    console, document = done.stdout.splitlines()
    assert (console, done.stderr) == ("trained", "")
    assert json.loads(document)["status"] == "completed"
