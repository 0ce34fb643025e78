"""Runs that a program begins by itself, in real interpreters."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from common import wait_until

from gittrack.core import codec

Git = Callable[..., str]
BEGIN = "import gittrack\nrun = gittrack.init(params={'lr': 0.1}, name='n', tags=['a'], experiment='e')\n"


def python(code: str, cwd: Path, check: bool = True, **env: str) -> "subprocess.CompletedProcess[str]":
    (cwd / "train.py").write_text(code)
    return subprocess.run(
        [sys.executable, "train.py"], cwd=cwd, capture_output=True, text=True, check=check, env={**os.environ, **env}
    )


def runs(git: Git) -> list[str]:
    """Refs of runs, oldest first."""
    found = git("for-each-ref", "--format=%(refname)", "refs/track/runs").split()
    return sorted(found, key=lambda ref: read(git, "run", ref)["created"])


def read(git: Git, name: str, ref: str = "") -> Any:
    return codec.loads(git("show", f"{ref or runs(git)[-1]}:{name}.json"))


def live(repo: Path) -> list[str]:
    folder = repo / ".git" / "track" / "live"
    return os.listdir(folder) if folder.exists() else []


def test_a_program_begins_logs_and_finishes(repo: Path, git: Git) -> None:
    python(BEGIN + "run.log({'loss': 0.5}, step=1)\nrun.params['more'] = 2\nrun.finish()\n", repo)
    facts = read(git, "run")
    assert (facts["name"], facts["tags"], facts["experiment"]) == ("n", ["a"], "e")
    assert facts["argv"] == [sys.executable, "train.py"] and facts["cwd"] == "."
    assert "run = gittrack.init" in git("show", f"{facts['snapshot']}:train.py")
    assert git("for-each-ref", "--format=%(objectname)", "refs/track/code") == facts["snapshot"]
    assert read(git, "summary")["metrics"]["loss"]["last"] == 0.5
    assert {name: each["value"] for name, each in read(git, "params").items()} == {"lr": 0.1, "more": 2}
    status = read(git, "status")
    assert (status["status"], status["exit_code"]) == ("completed", 0)
    assert read(git, "environment/python")["executable"] == sys.executable
    assert "pytest==" in git("show", f"{runs(git)[0]}:environment/requirements.txt")
    assert live(repo) == []


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [
        ("", "completed", None),
        ("import sys; sys.exit(0)", "completed", None),
        ("import sys; sys.exit(3)", "failed", "SystemExit: 3"),
        ("import sys; sys.exit('no data')", "failed", "SystemExit: no data"),
        ("import sys\ntry: sys.exit(3)\nexcept SystemExit: pass", "completed", None),
        ("def f():\n    try: __import__('sys').exit(4)\n    finally: pass\nf()", "failed", "SystemExit: 4"),
        ("raise ValueError('bad lr')", "failed", "ValueError: bad lr"),
        ("raise KeyboardInterrupt", "killed", "KeyboardInterrupt"),
        ("with run: 1 / 0", "failed", "ZeroDivisionError: division by zero"),
        ("run.finish('failed')", "failed", None),
    ],
)
def test_how_the_program_ends_is_how_the_run_ends(repo: Path, git: Git, ending: str, status: str, reason: str) -> None:
    python(BEGIN + ending, repo, check=False)
    found = read(git, "status")
    assert (found["status"], found["reason"]) == (status, reason)
    assert live(repo) == []


def test_a_second_run_ends_the_first(repo: Path, git: Git) -> None:
    python("import gittrack\nfor n in range(3):\n    gittrack.init(params={'n': n}).log({'x': n}, step=0)\n", repo)
    refs = runs(git)
    assert [read(git, "params", ref)["n"]["value"] for ref in refs] == [0, 1, 2]
    assert {read(git, "status", ref)["status"] for ref in refs} == {"completed"}
    assert {read(git, "run", ref)["parent"] for ref in refs} == {None}
    assert len({read(git, "run", ref)["snapshot"] for ref in refs}) == 1


def test_a_changed_file_makes_another_snapshot(repo: Path, git: Git) -> None:
    python(
        "import gittrack\nfor n in range(2):\n    open('note.txt', 'w').write('x' * (n + 1))\n"
        "    gittrack.init().finish()\n",
        repo,
    )
    first, second = [read(git, "run", ref)["snapshot"] for ref in runs(git)]
    assert first != second and git("show", f"{second}:note.txt") == "xx"


def test_a_killed_program_is_folded_by_the_next_command(repo: Path, git: Git) -> None:
    python(BEGIN + "import os\nrun.log({'x': 1}, step=7)\nos.kill(os.getpid(), 9)\n", repo, check=False)
    assert runs(git) == []
    subprocess.run(["git", "track", "recover"], cwd=repo, check=True, capture_output=True)
    assert read(git, "status")["status"] == "crashed" and read(git, "summary")["metrics"]["x"]["last_step"] == 7


def test_outside_a_repository_it_says_what_to_do(tmp_path: Path) -> None:
    done = python("import gittrack\ngittrack.init()\n", tmp_path, check=False)
    assert done.returncode == 1 and "NotARepository" in done.stderr and "is not in a git repository" in done.stderr


def test_the_program_s_own_repository_counts_when_it_is_started_from_elsewhere(
    repo: Path, git: Git, tmp_path: Path
) -> None:
    (repo / "train.py").write_text("import gittrack\ngittrack.init().finish()\n")
    subprocess.run([sys.executable, str(repo / "train.py")], cwd=tmp_path, check=True)
    assert len(runs(git)) == 1


def test_an_empty_repository_is_fine(tmp_path: Path, git: Git) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    python("import gittrack\ngittrack.init().finish()\n", tmp_path)
    assert git("for-each-ref", "refs/track/runs", cwd=tmp_path)


def test_workers_log_into_the_run(repo: Path, git: Git) -> None:
    python(
        "import gittrack, multiprocessing\n"
        "def work(n):\n    gittrack.current_run().log({f'worker{n}': n}, step=n)\n"
        "if __name__ == '__main__':\n"
        "    run = gittrack.init()\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    workers = [context.Process(target=work, args=(n,)) for n in range(2)]\n"
        "    [each.start() for each in workers]; [each.join() for each in workers]\n"
        "    pid = __import__('os').fork()\n"
        "    if pid == 0:\n        run.log({'forked': 1}, step=1)\n        __import__('os')._exit(0)\n"
        "    __import__('os').waitpid(pid, 0)\n",
        repo,
    )
    assert set(read(git, "summary")["metrics"]) == {"worker0", "worker1", "forked"}
    assert len(runs(git)) == 1


def test_a_command_under_a_run_is_a_child_run(repo: Path, git: Git) -> None:
    python(BEGIN + "import subprocess\nsubprocess.run(['git', 'track', 'run', '-q', 'true'], check=True)\n", repo)
    facts = [read(git, "run", ref) for ref in runs(git)]
    assert facts[1]["parent"] == facts[0]["id"] and facts[0]["parent"] is None


def test_options_that_the_program_gives(repo: Path, git: Git) -> None:
    (repo / ".gitignore").write_text("*.bin\n")
    (repo / "w.bin").write_text("w")
    python("import gittrack\ngittrack.init(note='n', include=['w.bin']).finish()\n", repo)
    facts = read(git, "run")
    assert facts["note"] == "n" and git("show", f"{facts['snapshot']}:w.bin") == "w"
    python("import gittrack\ngittrack.init(snapshot=False).finish()\n", repo)
    assert read(git, "run")["snapshot"] is None


LONG = """
import gittrack, os, sys, time
from gittrack.record import assistant
assistant.DELAY = 0.2
run = gittrack.init()
run.checkpoint(step=1, metrics={'loss': 1.0})
print("up", flush=True)
while not os.path.exists("go"):
    time.sleep(0.05)
run.checkpoint(step=2, metrics={'loss': 0.5})
"""


def test_a_long_run_is_folded_while_it_goes_on(repo: Path, git: Git) -> None:
    (repo / "train.py").write_text(LONG)
    running = subprocess.Popen([sys.executable, "train.py"], cwd=repo)
    wait_until(lambda: runs(git) and read(git, "summary")["checkpoints"]["count"] == 1)
    assert read(git, "status")["status"] == "running"
    (repo / "go").touch()
    assert running.wait(60) == 0
    assert read(git, "status")["status"] == "completed" and read(git, "summary")["checkpoints"]["count"] == 2
    assert live(repo) == []
    git("fsck", "--strict")


def test_a_long_run_that_is_killed_is_closed_by_its_helper(repo: Path, git: Git) -> None:
    """Also where the training stands in a folder with modules that are called as Python's own."""
    (repo / "train.py").write_text(LONG)
    (repo / "data").mkdir()
    (repo / "data" / "subprocess.py").write_text("raise SystemExit(3)\n")
    running = subprocess.Popen([sys.executable, "../train.py"], cwd=repo / "data", stdout=subprocess.PIPE)
    wait_until(lambda: runs(git))
    running.send_signal(signal.SIGKILL)
    running.wait()
    wait_until(lambda: not live(repo))
    assert read(git, "status")["status"] == "crashed"


def test_a_notebook_records_itself_and_does_not_nest(repo: Path, git: Git) -> None:
    book = nbformat.v4.new_notebook()
    cell = "import gittrack\nrun = gittrack.init(params={'lr': 0.1})\nrun.log({'loss': 0.5}, step=1)"
    book.cells = [nbformat.v4.new_code_cell(text) for text in (cell, cell, "1 / 0", cell)]
    (repo / "explore.ipynb").write_text(nbformat.writes(book))
    script = (
        "import nbclient, nbformat\n"
        "book = nbformat.read('explore.ipynb', 4)\n"
        "client = nbclient.NotebookClient(book, allow_errors=True, kernel_name='python3')\n"
        "client.create_kernel_manager().shutdown_wait_time = 60\n"  # then it would be killed
        "client.execute()\n"
        "print([output.get('evalue') for cell in book.cells for output in cell.outputs])\n"
    )
    env = {**os.environ, "JPY_SESSION_NAME": str(repo / "explore.ipynb"), "IPYTHONDIR": str(repo / ".git" / "ipython")}
    done = subprocess.run([sys.executable, "-c", script], cwd=repo, capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == "['division by zero']"
    refs = runs(git)
    assert len(refs) == 3
    assert [read(git, "run", ref)["notebook"] for ref in refs] == ["explore.ipynb"] * 3
    assert {read(git, "status", ref)["status"] for ref in refs} == {"completed"}
    assert read(git, "run", refs[0])["command"] == "explore.ipynb"
    assert json.loads(git("show", f"{read(git, 'run', refs[0])['snapshot']}:explore.ipynb"))["cells"]
