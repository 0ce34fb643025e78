"""A job is executed: its output, its exit code, its record."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from attendant_jobs import BARE, ID, Job, pythons

TRAINING = """
import gittrack, os, sys
run = gittrack.init({"lr": 0.1})
print("training", run.id)
for step in range(3):
    run.log({"loss": 1 / (step + 1)}, step)
open("model.bin", "wb").write(b"x" * 5000); open("note.txt", "w").write("small")
run.checkpoint(2, {"loss": 0.3}, path="model.bin")
run.log_artifact("note.txt")
print("done", file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.parametrize("version", pythons())
def test_a_training_is_recorded_with_nothing_installed(job: Job, version: str) -> None:
    job.python = pythons()[version]
    done = job.script(TRAINING, params={"batch": 8}).execute(code=3)
    assert (done.out, done.err) == (f"training {ID}\n".encode(), b"done\n")
    assert {event["source"]: event["values"] for event in job.events("params")} == {
        "command": {"batch": 8}, "code": {"lr": 0.1},
    }  # fmt: skip
    assert [line["m"] for line in job.events("m")] == [{"loss": 1.0}, {"loss": 0.5}, {"loss": 1 / 3}, {"loss": 0.3}]
    assert job.reasons() == ["start", "checkpoint", "final"]
    end = job.end()
    assert (end["status"], end["code"], end["signal"]) == ("failed", 3, None)
    assert sorted(job.console().split(b"\n")) == sorted(f"\ntraining {ID}\ndone".encode().split(b"\n"))
    kept = {event["path"]: event for event in job.events("kept")}
    assert (job.run_dir / "files" / kept["model.bin"]["sha256"]).read_bytes() == b"x" * 5000
    assert (job.run_dir / "blobs" / kept["note.txt"]["sha256"]).read_bytes() == b"small"
    names = {event["name"] for event in job.events("environment")}
    assert names == {"container.json", "git.json", "system.json", "python.json", "requirements.txt"}


def test_arguments_come_as_they_are(job: Job) -> None:
    words = ["$(touch evil)", "two\nlines", "'\"`;&|", "", "ünï", "--", "-x"]
    done = job.write(job.python, "-c", "import sys; print(ascii(sys.argv[1:]))", *words).execute()
    assert done.out.decode() == ascii(words) + "\n"
    assert not list(job.work.iterdir()) and job.events("start")[0]["run"]["argv"][-7:] == words


def test_the_command_runs_in_its_folder_and_with_its_variables(job: Job) -> None:
    (job.work / "a" / "b").mkdir(parents=True)
    (job.folder / "env").write_bytes(b"PLAIN=1\0LINES=one\ntwo\0EMPTY=\0PATH=/nowhere:/usr/bin:/bin\0")
    code = "import os; print(os.getcwd(), [os.environ.get(n) for n in ('PLAIN', 'LINES', 'EMPTY', 'OF_IMAGE', 'PATH')])"
    done = job.write(job.python, "-c", code, cwd="a/b").execute(environ={**BARE, "OF_IMAGE": "yes"})
    said = ["1", "one\ntwo", "", "yes", "/nowhere:/usr/bin:/bin"]
    assert done.out.decode() == f"{job.work}/a/b {said}\n"


def test_a_folder_that_nothing_is_committed_in_is_made(job: Job) -> None:
    assert job.write("pwd", cwd="empty/one").execute().out.decode() == f"{job.work}/empty/one\n"


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("no-such-command",), 127, "no-such-command: command not found"),
        (("./script.sh",), 126, "./script.sh is not executable"),
        (("./folder",), 126, "./folder is a directory"),
        (("./broken",), 126, "./broken cannot be run"),
    ],
)
def test_a_command_that_cannot_be_started_is_a_run_that_failed(
    job: Job, argv: tuple[str, ...], code: int, says: str
) -> None:
    (job.work / "script.sh").write_text("#!/bin/sh\n")
    (job.work / "folder").mkdir()
    (job.work / "broken").write_text("#!/no/such/interpreter\n")
    (job.work / "broken").chmod(0o755)
    done = job.write(*argv).execute(code=code)
    assert says in done.err.decode() and done.out == b""
    end = job.end()
    assert (end["status"], end["code"]) == ("failed", code) and says in end["reason"] and "no run" not in end["reason"]
    assert job.reasons() == ["start", "final"]


def test_a_python_that_has_another_name_there_is_named(job: Job, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(job.python)
    done = job.write("python", "train.py").execute(code=127, environ={"PATH": str(tmp_path / "bin")})
    assert done.err.decode() == "gittrack: python: command not found\nhint: in this image it is called python3\n"
    assert job.end()["reason"] == "python: command not found (in this image it is called python3)"


def test_a_script_without_a_first_line_is_run_by_the_shell(job: Job) -> None:
    (job.work / "plain").write_text("echo plain\n")
    (job.work / "plain").chmod(0o755)
    assert job.write("./plain").execute().out == b"plain\n"


def test_nothing_is_looked_into_where_that_is_not_wanted(job: Job) -> None:
    """But `import gittrack` works, which is nowhere else in a container."""
    code = "import os, argparse, gittrack; print(os.path.dirname(gittrack.__file__), os.environ['GITTRACK_AUTOLOG'])"
    job.write(job.python, "-S", "-c", code, autolog=False, system_metrics=False)
    done = job.execute(environ={**BARE, "PYTHONPATH": "/nowhere"})
    assert done.out.decode() == f"{job.archive}/gittrack 0\n"
    assert not (set(os.listdir(job.run_dir)) & {"arguments"})


def test_a_run_that_is_resumed_does_not_silently_begin_anew(job: Job) -> None:
    """Its checkpoint is not there: that ends the training, as it ends one where nothing is installed."""
    job.script("import gittrack\ngittrack.init().resume_checkpoint()\n")
    document = json.loads((job.folder / "job.json").read_text())
    document["start"]["run"]["continues"] = {"run": "f" * 20, "step": 3}
    (job.folder / "job.json").write_text(json.dumps(document))
    assert b"resume_checkpoint()" in job.execute(code=1).err and job.end()["status"] == "failed"


def test_a_home_that_cannot_be_written_is_none(job: Job) -> None:
    job.write("sh", "-c", 'echo "$HOME"; touch "$HOME/cache"')
    assert job.execute(environ={**BARE, "HOME": "/nonexistent"}).out.decode() == f"{job.folder}/home\n"
    other = Job(job.folder.parent / "other", job.archive).write("sh", "-c", 'echo "$HOME"')
    assert other.execute(environ={**BARE, "HOME": str(job.work)}).out.decode() == f"{job.work}\n"


@pytest.mark.parametrize("module", ["record/console", "attendant/recording", "record/pump"])
def test_a_fault_of_ours_does_not_end_the_training(job: Job, tmp_path: Path, module: str) -> None:
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(job.archive) as whole, zipfile.ZipFile(broken, "w") as copy:
        for name in whole.namelist():
            if name != f"gittrack/{module}.pyc":  # which would be taken instead
                copy.writestr(name, b"1 / 0\n" if name == f"gittrack/{module}.py" else whole.read(name))
    good, job.archive = job.archive, str(broken)
    job.script("import time\nfor n in range(3): print(n, flush=True); time.sleep(0.2)\nraise SystemExit(4)\n")
    done = job.execute(code=4)
    assert done.out == b"0\n1\n2\n" and b"ZeroDivisionError" in done.err
    job.archive = good
    job.close("--code", "4")
    assert job.reasons()[-1] == "final" and job.end()["code"] == 4
