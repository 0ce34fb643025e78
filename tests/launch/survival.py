"""A world in which things go wrong: a project, a host behind a line that breaks, a training that says when it starts,
and what has to be true afterwards, whatever happened.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import forked
from rig_docker import Engine
from rig_ssh import Proxy, Site

STEPS = 12
TRAINING = f"""
import os, time
from pathlib import Path
import gittrack
with open("/marks/starts", "a") as file:
    file.write(os.environ["HOSTNAME"] + chr(10))
run = gittrack.init()
for step in range({STEPS}):
    run.log({{"loss": 1 / (step + 1)}}, step=step)
    print("step", step, flush=True)
    if step % 4 == 0:
        Path("small.txt").write_text(str(step))
        Path("model.bin").write_bytes(bytes([step]) * 100_000)
        run.checkpoint(step=step, metrics={{"loss": 1 / (step + 1)}}, path=["small.txt", "model.bin"])
    while step == 5 and not Path("/marks/go").exists():
        time.sleep(0.01)
    time.sleep(0.03)
"""
CONSOLE = "".join(f"step {step}\n" for step in range(STEPS))


class World(NamedTuple):
    repo: Path
    site: Site
    engine: Engine
    line: "BreakingLine"
    marks: Path  # a folder of the host that is mounted into containers
    folder: Path  # ours at the host
    image: str

    def go(self) -> None:
        """The training may go on behind its sixth step."""
        (self.marks / "go").touch()

    def starts(self) -> list[str]:
        """The containers in which the training was started, once for each time."""
        return (self.marks / "starts").read_text().split()

    def jobs(self) -> list[str]:
        """Runs that have a folder at the host."""
        return sorted(path.name for path in self.folder.glob("jobs/*"))

    def has_ended(self, run_id: str) -> bool:
        """Whether the last cut is made."""
        with contextlib.suppress(FileNotFoundError):
            return '"final"' in (self.folder / "jobs" / run_id / "run/cuts.jsonl").read_text()
        return False

    def argv(self, *args: str) -> list[str]:
        return [forked.TRACK, *args]

    def begin(self, *args: str, cwd: Path | None = None, **env: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.argv(*args), cwd=cwd or self.repo, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, **env},
        )  # fmt: skip

    def track(self, *args: str, code: int | None = 0, cwd: Path | None = None, **env: str) -> "Said":
        done = forked.run(self.argv(*args), cwd or self.repo, {**os.environ, **env}, timeout=300)
        assert code is None or done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return Said(done.returncode, done.stdout, done.stderr)

    def rows(self, cwd: Path | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.track("ls", "--json", cwd=cwd).out)
        return found

    def refs(self, cwd: Path | None = None) -> dict[str, str]:
        """Every run and its commit."""
        argv = ["git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/track/runs/"]
        text = subprocess.check_output(argv, cwd=cwd or self.repo, text=True)
        return dict(line.split() for line in text.splitlines())

    def second(self) -> Path:
        """The clone of a teammate who has fetched what is at the host, without anything having gone wrong."""
        path = self.repo.parent / f"second-{time.monotonic_ns()}"
        subprocess.run(["git", "clone", "-q", str(self.repo), str(path)], check=True)
        self.track("fetch", "direct", cwd=path)
        return path

    def check_whole(self, run_id: str, console: str = CONSOLE) -> None:
        """Nothing is missing in the record of a run that was executed once, and git finds nothing wrong."""
        (row,) = [row for row in self.rows() if row["id"] == run_id]
        assert row["status"] == "completed", row
        assert row["metrics"]["loss"]["last_step"] == STEPS - 1
        assert self.track("logs", run_id).out == console
        listed = json.loads(self.track("artifacts", run_id, "--json").out)
        assert {"small.txt", "model.bin"} <= {Path(each["path"]).name for each in listed}, listed
        self.check_git()

    def check_git(self, cwd: Path | None = None) -> None:
        done = subprocess.run(
            ["git", "fsck", "--strict", "--no-dangling"], cwd=cwd or self.repo, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


class Said(NamedTuple):
    code: int
    out: str
    err: str


class BreakingLine:
    """What goes to the server passes here; `break_after` so many bytes, in both directions together, it breaks."""

    def __init__(self, site: Site) -> None:
        self._proxy = Proxy(site.sshd)
        self.port = self._proxy.port
        self._stop = threading.Event()

    @property
    def moved(self) -> int:
        return self._proxy.sent + self._proxy.received

    def break_after(self, moved: int) -> None:
        """From now on so many bytes, then an end of all connections that there are."""
        end = self.moved + moved
        self._stop.set()
        self._stop = stop = threading.Event()

        def watch() -> None:
            while self.moved < end:
                if stop.wait(0.0005):
                    return
            self._proxy.cut()

        threading.Thread(target=watch, daemon=True).start()

    def down(self) -> None:
        """It breaks, and nobody gets through."""
        self._proxy.is_down = True
        self._proxy.cut()

    def mend(self) -> None:
        """It breaks no more."""
        self._stop.set()
        self._proxy.is_down = False

    def close(self) -> None:
        self.mend()
        self._proxy.close()


@contextlib.contextmanager
def world(
    repo: Path, home: Path, site: Site, engine: Engine, image: str, folder: Path | None = None
) -> Iterator[World]:
    """Host `gpu1` is behind the line; `direct` is the same one without it, `bob` the same for another user. (These
    settings are committed: clones have them, too.)"""
    marks = site.folder / f"marks-{time.monotonic_ns()}"
    marks.mkdir()
    marks.chmod(0o777)
    (marks / "starts").touch()
    (marks / "starts").chmod(0o666)  # of whichever user is first
    line = BreakingLine(site)
    site.configure(home, f"Host line\n  HostName 127.0.0.1\n  Port {line.port}\n  User {site.ann.name}\n"
                   f"  IdentityFile {site.key}\n  HostKeyAlias {site.sshd.name}\n")  # fmt: skip
    common = f"docker: {engine.command}\n    image: {image}\n    mounts: [{marks}:/marks]\n"
    common += f"    folder: {folder}\n" if folder else ""
    (repo / "gittrack.yaml").write_text(
        f"large: 50kB\nhosts:\n  gpu1:\n    host: line\n    {common}  direct:\n    host: host\n    {common}"
        f"  bob:\n    host: bobs\n    {common}"
    )
    (repo / "train.py").write_text(TRAINING)
    (repo / ".gitignore").write_text("small.txt\nmodel.bin\n")
    for argv in (["add", "."], ["commit", "-q", "-m", "Training"]):
        subprocess.run(["git", "-C", str(repo), *argv], check=True)
    made = World(repo, site, engine, line, marks, folder or site.ann.home / ".gittrack", image)
    try:
        yield made
    finally:
        line.close()
        for run_id in made.jobs():
            engine.docker("rm", "-f", f"gittrack-{run_id}", code=None)


def kill(process: "subprocess.Popen[str]") -> None:
    """And its helpers: what a power cut does. (It has a session of its own.)"""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def until(what: Callable[[], object], seconds: float = 120) -> None:
    """`what` gives something, and asserts nothing that is wrong."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return
            last = repr(found)
        except AssertionError as error:
            last = str(error)
        assert time.monotonic() < end, f"it does not happen; the last time: {last}"
        time.sleep(0.02)


def killed_after(world: World, step: str, *options: str, **env: str) -> None:
    """`run -H` of the training, dead when this step was done and written down."""
    program = (
        "import os, sys\n"
        "from gittrack.runs import away\n"
        "update = away.update\n"
        "def die(directory, **changes):\n    found = update(directory, **changes)\n"
        f"    os._exit(9) if changes.get('step') == {step!r} else None\n    return found\n"
        "away.update = die\n"
        "from gittrack.cli.main import start\n"
        "sys.exit(start(sys.argv[1:], 'linux'))\n"
    )
    argv = [sys.executable, "-c", program, "run", "-H", "gpu1", *options, "python3", "train.py"]
    done = subprocess.run(argv, cwd=world.repo, check=False, capture_output=True, env={**os.environ, **env})
    assert done.returncode == 9, done.stderr
