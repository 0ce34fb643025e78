"""The text by which a container finds a Python for the attendant, in the shells that images have."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from attendant_jobs import PYENV, Job, pythons

from gittrack.attendant import entry

SHELLS = [path for path in map(shutil.which, ("dash", "bash", "busybox", "zsh")) if path]


def start(job: Job, path: Path, shell: str = "/bin/sh", *more: str) -> "subprocess.CompletedProcess[str]":
    argv = [shell, *(["sh"] if shell.endswith("busybox") else []), *entry.ENTRYPOINT[1:-1], job.archive, *more]
    environ = {"PATH": str(path), "GITTRACK_JOB": str(job.folder), "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"}
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "path"
    folder.mkdir()
    return folder


def wrap(path: Path, name: str, python: str) -> None:
    """`name` on the path of the image, telling on standard error that it was taken."""
    (path / name).write_text(f'#!/bin/sh\nunset PYTHONHOME\nexec {python} "$@"\n')
    (path / name).chmod(0o755)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_first_python_that_is_new_enough_is_taken(job: Job, path: Path, shell: str) -> None:
    job.write(job.python, "-c", "print('it runs')", autolog=False)
    (job.folder / "env").write_bytes(b"PYTHONHOME=\0PYTHONPATH=\0")
    wrap(path, "python", job.python)
    assert start(job, path, shell).stdout == "it runs\n"


def test_old_pythons_are_passed_over(job: Job, path: Path) -> None:
    old = [str(home / "bin" / "python3") for home in sorted(PYENV.glob("3.[678].*"))]
    wrap(path, "python3", old[0] if old else "/bin/false")  # which answers as an old one does
    for home in PYENV.glob("2.7*"):
        wrap(path, "python", str(home / "bin" / "python"))
    job.write(job.python, "-c", "print('it runs')", autolog=False)
    (job.folder / "env").write_bytes(b"PYTHONHOME=\0PYTHONPATH=\0")
    done = start(job, path)
    assert done.returncode == entry.NO_PYTHON and "no Python 3.9 or later" in done.stderr
    assert not (job.run_dir / "run.jsonl").exists()
    wrap(path, f"python{max(pythons(), key=lambda one: int(one[2:]))}", job.python)
    assert start(job, path).stdout == "it runs\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_an_image_without_python_says_what_is_missing_and_what_to_do(job: Job, path: Path, shell: str) -> None:
    done = start(job.script("pass"), path, shell)
    assert done.returncode == entry.NO_PYTHON and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "install one in it, or choose another image" in done.stderr


def test_arguments_reach_the_attendant_as_they_are(job: Job, path: Path) -> None:
    wrap(path, "python3", job.python)
    done = start(job.script("pass"), path, "/bin/sh", "close", "--reason", "it's $(gone)\n\"")
    assert done.returncode == 0 and job.end()["reason"] == "it's $(gone)\n\""


@pytest.mark.parametrize("shell", SHELLS)
def test_an_image_of_a_run_without_python_executes_its_command(path: Path, shell: str) -> None:
    argv = [shell, *(["sh"] if shell.endswith("busybox") else []), *entry.AGAIN[1:], "/bin/echo", "it's $(here)", ""]
    done = subprocess.run(argv, env={"PATH": str(path)}, capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("it's $(here) \n", "")


def test_it_is_one_fixed_text() -> None:
    assert entry.ENTRYPOINT[0] == "/bin/sh" and "\n" not in entry.SCRIPT and entry.ENTRYPOINT[-1] == entry.ZIP
    assert os.path.isabs(entry.JOB) and os.path.isabs(entry.WORK)
