"""A run without its supervisor: the folder and the starter's journal, held by the test process, and what is in them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journal_reading import BOOTSTRAP, RUN_ID

from gittrack.recorder import complain
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a process of its own as far as warnings go."""
    monkeypatch.setattr(complain, "_said", set())


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    """The folder of an open run: its starter is this process."""
    path = tmp_path / "live" / RUN_ID
    path.mkdir(parents=True)
    journal = Journal(str(path), "run.jsonl")
    journal.event("start", run={"id": RUN_ID}, goals={})
    yield path
    journal.close()


@pytest.fixture
def run(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ActiveRun]:
    """A run that is joined, and a folder for the training's files as the current one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    joined = ActiveRun(Journal(str(run_dir)), RUN_ID, joined=True)
    yield joined
    joined.finish()


@pytest.fixture
def gently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble is warned of, as for users; not raised, as in tests."""
    monkeypatch.setenv("GITTRACK_STRICT", "0")


@pytest.fixture
def under(run_dir: Path, tmp_path: Path) -> Program:
    """`under("code")` runs a program as `git track run` would; argv, interpreter and variables can be given."""

    def call(
        code: str | None = None,
        *args: str,
        python: str = sys.executable,
        options: tuple[str, ...] = (),
        path: tuple[str, ...] = (BOOTSTRAP,),
        status: int = 0,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "program.py"
        if code is not None:
            script.write_text(code)
            args = (str(script), *args)
        env = {
            **os.environ,
            "GITTRACK_RUN_ID": RUN_ID,
            "GITTRACK_RUN_DIR": str(run_dir),
            "PYTHONPATH": os.pathsep.join(path),
            **variables,
        }
        done = subprocess.run(
            [python, *options, *args], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with nothing installed."""
    path = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    return str(path / "bin" / "python")
