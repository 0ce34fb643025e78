"""One sealed home for every test: nothing of the developer's machine reaches it, so that every hash is reproducible.

The tests run real git, real processes and real files. What is sealed is only what differs between machines: home
directory, configuration, identity, time zone, language, and whatever variables of git or gittrack happen to be set.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import clocks
import forked
import hypothesis
import pytest

BIN = str(Path(sys.executable).parent)
FIRST_COMMIT = "2026-01-02T03:04:05+00:00"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ann Example",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann Example",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}
# What the outside may not decide. GIT_* and GITTRACK_* go as a whole, see `sealed`.
DROPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "NO_COLOR", "FORCE_COLOR", "PAGER", "COLUMNS", "LINES", "CI")

# A shell that starts the tests in the background, or nohup, has them ignore these, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A red build is the fault of the change, not of a slow machine or of chance. To look for new counter-examples:
# pytest --hypothesis-profile=search
_UNHURRIED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("search", **_UNHURRIED)
hypothesis.settings.register_profile("build", derandomize=True, **_UNHURRIED)
hypothesis.settings.load_profile("build")

Runner = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="a test that cannot run because something is missing fails"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"could not run: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def sealed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Seal the environment of this process and its children; gives the empty home directory."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("GIT_", "GITTRACK_", "XDG_")) or name in DROPPED:
            monkeypatch.delenv(name)
    settings = {
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GITTRACK_STRICT": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "xterm-256color",
        "PATH": BIN + os.pathsep + os.environ["PATH"],
        **IDENTITY,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    yield home
    monkeypatch.undo()
    time.tzset()


def _run(
    argv: list[str], cwd: Path, code: int | None, text_in: str | None, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    start = forked.run if argv[0] == forked.TRACK else forked.execute
    done = start(argv, cwd, {**os.environ, **env}, text_in)
    if code is not None and done.returncode != code:
        pytest.fail(
            f"{argv} exited {done.returncode}, not {code}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        )
    return done


@pytest.fixture
def clock() -> Iterator[clocks.Clock]:
    """`clock("-3h")` is the environment of processes whose clock is slow by three hours."""
    with clocks.clocks() as shifted:
        yield shifted


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """The work tree of a real repository with one commit: `train.py` and `README` on branch `main`."""
    path = tmp_path / "repo"
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    (path / "train.py").write_text('print("trained")\n')
    (path / "README").write_text("a project\n")
    dates = {"GIT_AUTHOR_DATE": FIRST_COMMIT, "GIT_COMMITTER_DATE": FIRST_COMMIT}
    for argv in (["add", "."], ["commit", "-q", "-m", "First commit"]):
        subprocess.run(["git", "-C", str(path), *argv], check=True, env={**os.environ, **dates})
    return path


@pytest.fixture
def git(repo: Path) -> Callable[..., str]:
    """`git("log", "-1")` runs git in `repo` (or `cwd=`) and gives its output without the last newline."""

    def call(*args: str, cwd: Path | None = None, code: int | None = 0, text_in: str | None = None, **env: str) -> str:
        return _run(["git", *args], cwd or repo, code, text_in, env).stdout.removesuffix("\n")

    return call


@pytest.fixture
def track(repo: Path) -> Runner:
    """`track("ls")` runs the installed `git-track` in `repo` (or `cwd=`), in a process of its own (see `forked`);
    `code=` is the exit status it must have."""

    def call(
        *args: str, cwd: Path | None = None, code: int | None = 0, text_in: str | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return _run([forked.TRACK, *args], cwd or repo, code, text_in, env)

    return call
