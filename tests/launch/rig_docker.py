"""A real Docker engine for tests, and base images to start from; where nothing can be pulled.

The engine is private: its socket, data and process files are its own. It serves every test session that runs at the
time: the first one starts it, the last one that ends stops it; what tells is locks, which the kernel gives back when a
session is killed. Images are made by debootstrap and stay in a cache outside of the checkout, in the engine's own data.
Tests name their containers after runs and remove them, so sessions do not meet. A test that has to kill, fill or
forbid its engine takes `own_engine`.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# As it was before the tests were given a home of their own.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gittrack-tests" / "docker"
RUN = Path("/run/gittrack-tests")  # a socket's path is short, and users of the host must reach it
PATIENCE = 120.0

PYTHON, SLIM, BARE, OLD = "local/python:3.11", "local/python-slim:3.11", "local/bare:1", "local/python:3.9"

# What training images have, and no more: documentation and the lists of packages double the time of an import.
_LESS = ["./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./var/cache/apt/*.bin",
         "./var/cache/apt/archives/*", "./usr/share/perl", "./dev/*", "./proc/*", "./sys/*"]  # fmt: skip
_GIT = ["./usr/bin/git*", "./usr/lib/git-core", "./usr/share/git-core"]
_PIP = ["./usr/lib/python3/dist-packages", "./usr/lib/python3.*/ensurepip", "./usr/share/python-wheels"]
_PYTHON = ["./usr/bin/python*", "./usr/lib/python3*"]
# What certificates this machine trusts, so that a package index behind a proxy of its own answers in a container, too.
_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")


class Recipe(NamedTuple):
    tree: str  # which debootstrap
    without: list[str]


_TREES = {
    "bookworm": "python3,python3-pip,python3-venv,git,ca-certificates",
    "bullseye": "python3-minimal,libpython3-stdlib",
}
IMAGES = {
    PYTHON: Recipe("bookworm", _LESS),
    SLIM: Recipe("bookworm", _LESS + _GIT + _PIP),
    BARE: Recipe("bookworm", [*_LESS, *_GIT, *_PYTHON, "./usr/lib/gcc*", "./usr/share"]),
    OLD: Recipe("bullseye", _LESS),
}


class Engine(NamedTuple):
    """A running dockerd."""

    socket: str
    pidfile: Path
    data: Path = Path("/nowhere")

    @property
    def host(self) -> str:
        """As DOCKER_HOST has it."""
        return "unix://" + self.socket

    @property
    def command(self) -> str:
        """The docker command that speaks to it, for a host's `docker:`."""
        return f"docker --host {self.host}"

    def docker(self, *args: str, code: int | None = 0, timeout: float = 300) -> str:
        """Run the docker command against it."""
        argv = ["docker", "--host", self.host, *args]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)
        if code is not None and done.returncode != code:
            pytest.fail(f"{argv} exited {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        return bool(self.docker("images", "-q", image))


def missing() -> str:
    """Why there can be no engine here; empty when there can."""
    if os.geteuid():
        return "a Docker engine of one's own needs root"
    gone = [name for name in ("dockerd", "docker", "debootstrap") if not shutil.which(name)]
    return f"not installed: {', '.join(gone)} (scripts/system-packages)" if gone else ""


@contextlib.contextmanager
def _held(path: Path, how: int) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)


def again(engine: Engine) -> Engine:
    """Start one that was killed or stopped."""
    return start(engine.data, engine.pidfile.parent)


def start(data: Path, run: Path) -> Engine:
    """Start a dockerd whose everything is its own; with a bridge where this kernel lets it have one."""
    problem = ""
    for bridge in ([], ["--iptables=false"], ["--iptables=false", "--bridge=none"]):
        engine, problem = _start(data, run, bridge)
        if engine:
            return engine
    pytest.fail(f"dockerd does not start: {problem}")


def _start(data: Path, run: Path, options: list[str]) -> tuple[Engine | None, str]:
    data.mkdir(parents=True, exist_ok=True)
    run.mkdir(mode=0o755, parents=True, exist_ok=True)
    engine = Engine(str(run / "docker.sock"), run / "pid", data)
    engine.pidfile.unlink(missing_ok=True)  # of one that was killed
    log = run / "log"
    argv = ["dockerd", "--data-root", str(data), "--exec-root", str(run / "exec"), "--pidfile", str(engine.pidfile),
            "--host", engine.host, "--shutdown-timeout", "3", *options]  # fmt: skip
    with open(log, "wb") as said:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, cwd="/"
        )
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if answers(engine):
            os.chmod(engine.socket, 0o666)  # users of the rig's sshd are in no group
            return engine, ""
        time.sleep(0.05)
    process.kill()
    process.wait()
    return None, log.read_text(errors="replace")[-2000:]


def answers(engine: Engine) -> bool:
    """Whether there is an engine behind the socket."""
    argv = ["docker", "--host", engine.host, "version", "--format", "{{.Server.Version}}"]
    return os.path.exists(engine.socket) and subprocess.run(argv, capture_output=True, check=False).returncode == 0


def stop(engine: Engine) -> None:
    """Remove what runs, and end it. Fine when it is gone."""
    with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
        left = engine.docker("ps", "-aq", code=None).split()
        if left:
            engine.docker("rm", "-f", *left, code=None)
    kill(engine, signal.SIGTERM)


def remove_jobs(engine: Engine, home: Path) -> None:
    """Remove the containers of all jobs of which there is a folder in this home."""
    for job in (home / ".gittrack").glob("jobs/*"):
        engine.docker("rm", "-f", f"gittrack-{job.name}", code=None)


def kill(engine: Engine, how: signal.Signals = signal.SIGKILL) -> None:
    """End the dockerd by a signal, and wait until it is gone."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(engine.pidfile.read_text())
        if str(engine.pidfile.parent).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return  # it is gone, and another process has its number
        os.kill(pid, how)
        until = time.monotonic() + PATIENCE
        while _runs(pid) and time.monotonic() < until:
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # not ours, when another session has started it
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    return os.path.exists(f"/proc/{pid}")


@contextlib.contextmanager
def shared() -> Iterator[Engine]:
    """The engine of all sessions."""
    engine = Engine(str(RUN / "docker.sock"), RUN / "pid", CACHE / "data")
    with _held(RUN / "users", fcntl.LOCK_SH):
        with _held(RUN / "starting", fcntl.LOCK_EX):
            if not answers(engine):
                engine = start(CACHE / "data", RUN)
            os.chmod(engine.socket, 0o666)  # who started it may have been killed before that
        yield engine
    alone = _held(RUN / "users", fcntl.LOCK_EX | fcntl.LOCK_NB)
    with _held(RUN / "starting", fcntl.LOCK_EX), contextlib.suppress(BlockingIOError), alone:
        stop(engine)


def ensure(engine: Engine, image: str) -> str:
    """Have `image` at the engine; the name again."""
    if not engine.has(image):
        with _held(CACHE / "making", fcntl.LOCK_EX) as lock:
            if not engine.has(image):
                _import(engine, image, lock)
    return image


def _import(engine: Engine, image: str, lock: int) -> None:
    recipe = IMAGES[image]
    tree, without = _tree(recipe.tree, lock), [f"--exclude={each}" for each in recipe.without]
    tar = ["tar", "--numeric-owner", "-C", str(tree), *without, "-c", "."]
    argv = ["docker", "--host", engine.host, "import", "-"]
    with subprocess.Popen(tar, stdout=subprocess.PIPE) as packing:
        made = subprocess.run(argv, stdin=packing.stdout, check=True, stdout=subprocess.PIPE, text=True)
    assert packing.returncode == 0, "a tar that was cut off between two files is a whole one to the engine"
    engine.docker("tag", made.stdout.strip(), image)


def _tree(suite: str, lock: int) -> Path:
    """A file system made by debootstrap: made once, as it takes most of a minute. It keeps the lock even when the tests
    are killed: nobody else may write there until it has ended."""
    tree = CACHE / suite
    if not tree.exists():
        made = CACHE / f"{suite}.new"
        _clear(made)  # it mounts what a system needs
        made.parent.mkdir(parents=True, exist_ok=True)
        argv = ["debootstrap", "--variant=minbase", f"--include={_TREES[suite]}", suite, str(made)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, pass_fds=(lock,))
        if done.returncode:
            pytest.fail(f"debootstrap {suite} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        if _TRUSTED.exists():
            target = made / str(_TRUSTED).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_TRUSTED, target)
        made.rename(tree)
    return tree


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Engine]:
    """A running engine, shared with other sessions: what a test makes in it, it removes."""
    if why := missing():
        pytest.skip(why)
    with shared() as engine:
        yield engine


@pytest.fixture(scope="session")
def python_image(dockerd: Engine) -> str:
    """Debian with Python 3.11, pip and git."""
    return ensure(dockerd, PYTHON)


@pytest.fixture(scope="session")
def slim_image(dockerd: Engine) -> str:
    """Python 3.11 alone: no git, no pip."""
    return ensure(dockerd, SLIM)


@pytest.fixture(scope="session")
def bare_image(dockerd: Engine) -> str:
    """A system without Python."""
    return ensure(dockerd, BARE)


@pytest.fixture(scope="session")
def old_image(dockerd: Engine) -> str:
    """Python 3.9, the oldest that a recorder works with."""
    return ensure(dockerd, OLD)


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    """An engine for one test, which may kill it and `start` it again; it has no images until `ensure` brings them."""
    if why := missing():
        pytest.skip(why)
    with _places("own") as (run, data):
        engine = start(data, run)
        yield engine
        stop(engine)


@pytest.fixture
def full_engine() -> Iterator[Engine]:
    """An engine for one test, whose disk has little room."""
    if why := missing():
        pytest.skip(why)
    with _places("full") as (run, data):
        data.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(data)], check=True)
        engine = start(data, run)
        yield engine
        stop(engine)


@contextlib.contextmanager
def _places(kind: str) -> Iterator[tuple[Path, Path]]:
    """Empty folders for an engine of one test: of its sockets and processes, of its data. Both go with all that is in
    them, at the end or, where the tests were killed, when the next ones need such folders."""
    name = f"{kind}-{os.getpid()}"
    with contextlib.ExitStack() as used:
        with _held(RUN / "places", fcntl.LOCK_EX):
            for lock in RUN.glob("*-*.lock"):
                with contextlib.suppress(BlockingIOError), _held(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    _remove(lock.stem)
            used.enter_context(_held(RUN / f"{name}.lock", fcntl.LOCK_EX))
        used.callback(_remove, name)
        yield RUN / name, CACHE / name


def _remove(name: str) -> None:
    """All that there is of an engine of one test."""
    run = RUN / name
    stop(Engine(str(run / "docker.sock"), run / "pid"))
    _clear(run, CACHE / name)
    (RUN / f"{name}.lock").unlink(missing_ok=True)


def _clear(*folders: Path) -> None:
    """Remove what an engine has left that could not clean up: its containerd, mounts, files."""
    for pidfile in folders[0].glob("exec/containerd/containerd.pid"):
        kill(Engine("", pidfile))
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        where = line.split()[1]
        if any(f"{where}/".startswith(f"{folder}/") for folder in folders):
            subprocess.run(["umount", "--lazy", where], check=False)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
