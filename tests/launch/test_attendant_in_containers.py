"""The attendant as what it is made for: the first process of a container whose image has Python and nothing else."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attendant_jobs
import pytest
from attendant_jobs import Job, until
from rig_docker import Engine

from gittrack.attendant import entry

USER = 54321  # whom no image knows

TRAINING = """
import gittrack, os, signal, sys, time
run = gittrack.init({"lr": 0.1})
def stop(*_):
    open("last.bin", "wb").write(b"l" * 5000)
    run.checkpoint(99, {"loss": 0.1}, path="last.bin")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("home", os.environ["HOME"], os.environ["USER"], os.getppid(), flush=True)
for step in range(3):
    run.log({"loss": 1 / (step + 1)}, step)
if os.path.exists("wait"):
    print("ready", flush=True)
    while True: time.sleep(0.01)
sys.exit(3)
"""


class Container:
    """A container of one job, as `launch.engine.containers` asks for it."""

    def __init__(self, engine: Engine, image: str, job: Job) -> None:
        self.engine, self.image, self.job = engine, image, job
        self.name = f"gittrack-test-{os.getpid()}-{time.monotonic_ns()}"
        os.chown(job.folder, USER, USER)
        for path in job.folder.rglob("*"):
            os.chown(path, USER, USER)

    def create(self, *options: str, verb: tuple[str, ...] = ()) -> None:
        binds = [
            f"{self.job.folder}:{entry.JOB}",
            f"{self.job.work}:{entry.WORK}",
            f"{self.job.archive}:{entry.ZIP}:ro",
        ]
        shell, *script = entry.ENTRYPOINT
        self.engine.docker(
            "create", "--name", self.name, "--network", "none", "--user", f"{USER}:{USER}", "--workdir", entry.WORK,
            *(word for bind in binds for word in ("--volume", bind)), *options, "--entrypoint", shell,
            self.image, *script, *verb,
        )  # fmt: skip

    def start(self, *options: str, **more: tuple[str, ...]) -> None:
        self.create(*options, **more)
        self.engine.docker("start", self.name)

    def wait(self) -> int:
        return int(self.engine.docker("wait", self.name))

    def logs(self) -> tuple[str, str]:
        argv = ["docker", "--host", self.engine.host, "logs", self.name]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return done.stdout, done.stderr

    def remove(self) -> None:
        self.engine.docker("rm", "--force", "--volumes", self.name, code=None)


Make = Callable[[str, Job], Container]


@pytest.fixture
def make(dockerd: Engine) -> Iterator[Make]:
    made: list[Container] = []

    def container(image: str, job: Job) -> Container:
        made.append(Container(dockerd, image, job))
        return made[-1]

    yield container
    for each in made:
        each.remove()


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    return attendant_jobs.build(tmp_path_factory.mktemp("attendant"))


@pytest.fixture
def job(tmp_path: Path, archive: str) -> Job:
    for folder in (tmp_path, *tmp_path.parents, Path(archive).parent, *Path(archive).parents):
        if str(folder).startswith("/tmp/"):  # another user is to come through
            folder.chmod(folder.stat().st_mode | 0o055)
    return Job(tmp_path / "job", archive, "python3").script(TRAINING)


@pytest.fixture(params=["slim_image", "old_image"])
def image(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def test_a_training_in_an_image_with_python_alone(make: Make, image: str, job: Job) -> None:
    one = make(image, job)
    one.start("--memory", "256m", "--cpus", "1.5")
    assert one.wait() == 3
    out, err = one.logs()
    assert out == f"home {entry.JOB}/home {USER} 1\n" and err == "" and job.console() == out.encode()
    assert job.end()["status"] == "failed" and job.end()["code"] == 3 and job.reasons() == ["start", "final"]
    found = {event["name"]: event["value"] for event in job.events("environment")}
    assert found["system.json"]["container"] == "docker" and "Debian" in found["system.json"]["os"]["text"]
    assert found["container.json"] == {"image": "here", "memory_limit": 256 << 20, "cpu_limit": 1.5}
    assert job.events("process")[0]["pid"] == 1 and job.events("params")[0]["values"] == {"lr": 0.1}
    assert {path.stat().st_uid for path in job.folder.rglob("*")} == {USER}


def test_a_container_that_is_stopped_has_saved_its_last_checkpoint(make: Make, image: str, job: Job) -> None:
    (job.work / "wait").touch()
    one = make(image, job)
    one.start()
    until(lambda: b"ready" in job.console())
    (job.run_dir / "stop").touch()
    one.engine.docker("stop", "--time", "30", one.name)
    assert one.wait() == 0
    assert (job.end()["status"], job.end()["reason"]) == ("killed", "it was stopped")
    assert job.reasons() == ["start", "checkpoint", "final"] and job.events("checkpoint")[0]["s"] == 99


def test_a_stop_is_obeyed_from_the_first_moment_on(make: Make, slim_image: str, job: Job) -> None:
    """The kernel passes over signals for which the first process of a container is not prepared."""
    (job.work / "wait").touch()
    job.run_dir.mkdir()
    for _ in range(3):
        one = make(slim_image, job)
        one.create()
        (job.run_dir / "stop").touch()
        one.engine.docker("start", one.name)
        began = time.monotonic()
        one.engine.docker("stop", "--time", "60", one.name)
        assert time.monotonic() - began < 50 and job.end()["status"] == "killed"
        for path in job.run_dir.iterdir():
            path.unlink() if path.is_file() else None


def test_a_killed_container_is_closed_by_another_one(make: Make, image: str, job: Job) -> None:
    (job.work / "wait").touch()
    one = make(image, job)
    one.start()
    until(lambda: b"ready" in job.console())
    one.engine.docker("kill", one.name)
    assert one.wait() == 137 and job.reasons() in (["start"], [])
    closer = make(image, job)
    closer.start(verb=("close", "--reason", "it's $(gone)"))
    assert closer.wait() == 0
    assert job.reasons() == ["start", "final"] and job.end()["reason"] == "it's $(gone)"
    again = make(image, job)
    again.start()
    assert again.wait() == 76 and "already" in again.logs()[1]


def test_a_container_that_lives_is_not_closed_by_another_one(make: Make, slim_image: str, job: Job) -> None:
    (job.work / "wait").touch()
    one = make(slim_image, job)
    one.start()
    until(lambda: b"ready" in job.console())
    closer = make(slim_image, job)
    closer.start(verb=("close",))
    assert closer.wait() == 75 and "final" not in job.reasons()


def test_a_command_that_takes_too_much_memory_is_recorded_as_that(make: Make, image: str, job: Job) -> None:
    (job.work / "train.py").write_text(
        "print('before', flush=True)\nx = bytearray(1 << 30)\nx[::4096] = b'x' * (1 << 18)\n"
    )
    one = make(image, job)
    one.start("--memory", "64m", "--memory-swap", "64m")
    assert one.wait() == 137
    assert job.end()["status"] == "killed" and job.end()["signal"] == "SIGKILL"
    assert job.end()["reason"].startswith("out of memory: the container may have 0.0671 GB")
    assert job.reasons()[-1] == "final" and job.console() == b"before\n"


def test_orphans_leave_no_zombies(make: Make, image: str, job: Job) -> None:
    (job.work / "train.py").write_text(
        "import glob, os, subprocess, sys, time\n"
        "for _ in range(50): subprocess.run(['sh', '-c', 'sleep 0.05 &'], check=True)\n"
        "time.sleep(0.5)\n"
        "states = [open(p).read().rpartition(')')[2].split()[0] for p in glob.glob('/proc/[0-9]*/stat')]\n"
        "print(len(states) < 10, states.count('Z'))\n"
    )
    one = make(image, job)
    one.start()
    assert one.wait() == 0 and one.logs()[0] == "True 0\n"


def test_an_image_without_python_is_told_apart(make: Make, bare_image: str, job: Job) -> None:
    one = make(bare_image, job)
    one.start()
    assert one.wait() == entry.NO_PYTHON and "no Python 3.9 or later" in one.logs()[1]
    assert not (job.run_dir / "run.jsonl").exists()


def test_metrics_of_the_system_are_taken_without_any_package(make: Make, image: str, job: Job) -> None:
    (job.work / "train.py").write_text(
        "import glob, time\n"
        "end = time.time() + 60\n"
        "while time.time() < end and not any('\"system/' in open(each).read() for each in glob.glob(\n"
        "    '/gittrack/job/run/*.jsonl')): pass\n"
    )
    one = make(image, job)
    one.start("--memory", "256m")
    assert one.wait() == 0
    line, *_ = job.events("m")
    assert set(line["m"]) >= {"system/cpu_percent", "system/memory_percent", "system/process_memory_mb"}
    assert 0 < line["m"]["system/memory_percent"] < 50 and 1 < line["m"]["system/process_memory_mb"] < 200
