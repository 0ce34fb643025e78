"""A real Docker engine through a link: everything that a job needs of it, and what is said when it fails."""

import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rig_docker

from gittrack.errors import GittrackError, HostFailed, ImageFailed
from gittrack.launch.engine import containers
from gittrack.launch.engine.containers import Mount, Options, Place, Spec
from gittrack.launch.engine.engine import Engine
from gittrack.launch.engine.wire import Stream
from gittrack.launch.link.protocol import Link

ENDLESS = "import time\nprint('up', flush=True)\ntime.sleep(1000)"


@pytest.fixture(params=["dial-stdio", "socket"])
def engine(request: pytest.FixtureRequest, here: Link, dockerd: rig_docker.Engine) -> Iterator[Engine]:
    """As a host's engine is reached, and as this machine's is."""
    if request.param == "socket":
        opened = Engine.open(here, "docker", {"DOCKER_HOST": dockerd.host})
    else:
        opened = Engine.open(here, dockerd.command)
    yield opened
    opened.close()


@pytest.fixture
def run_id(dockerd: rig_docker.Engine) -> Iterator[str]:
    """A name for one container, which is removed."""
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    yield name
    dockerd.docker("rm", "-f", f"gittrack-{name}", code=None)


def program(run_id: str, image: str, text: str, tmp_path: Path, options: Options = Options()) -> Spec:  # noqa: B008
    """A job whose attendant is `text`."""
    (tmp_path / "job" / "work").mkdir(parents=True, exist_ok=True)
    (tmp_path / "attendant.py").write_text(text)
    user = f"{os.getuid()}:{os.getgid()}"
    place = Place(str(tmp_path / "job"), str(tmp_path / "attendant.py"), str(tmp_path), user)
    return containers.spec(run_id, image, place, options, project="p")


def wait_for(engine: Engine, container: str, text: bytes) -> None:
    """Until the container has printed it."""
    seen = b""
    for _, part in engine.logs(container, follow=True):
        seen += part
        if text in seen:
            return
    pytest.fail(f"it ended, having printed {seen!r}")


def test_a_container_is_made_once_started_once_and_found_by_its_run(
    engine: Engine, slim_image: str, run_id: str, tmp_path: Path
) -> None:
    count = "import os\nwith open('/gittrack/job/count', 'a') as file: file.write('x')\nraise SystemExit(3)"
    spec = program(run_id, slim_image, count, tmp_path)
    made = engine.create(spec)
    assert engine.create(spec) == made
    found = engine.find(run_id)
    assert found and (found.id, found.state, found.code, found.started) == (made, "created", None, None)
    engine.start(made)
    ended = engine.wait(made)
    engine.start(made)
    assert engine.wait(made) == ended
    assert (tmp_path / "job" / "count").read_text() == "x"
    assert (ended.state, ended.code, ended.oom, ended.run) == ("exited", 3, False, run_id)
    assert ended.started and ended.finished and ended.started <= ended.finished <= time.time() + 1
    brief = next(each for each in engine.jobs() if each.run == run_id)
    assert (brief.id, brief.state, brief.code) == (made, "exited", 3)
    engine.remove(made)
    engine.remove(made)
    assert engine.find(run_id) is None


def test_containers_that_are_made_at_once_for_one_run_are_one(
    engine: Engine, slim_image: str, run_id: str, tmp_path: Path
) -> None:
    """The name is taken before the container is there."""
    spec = program(run_id, slim_image, "", tmp_path)
    for _ in range(5):
        found: list[object] = []

        def make(found: list[object] = found) -> None:
            try:
                found.append(engine.create(spec))
            except GittrackError as error:
                found.append(error)

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8 and len(set(found)) == 1, found
        engine.remove(str(found[0]))


def test_a_container_of_somebody_else_under_the_name_is_not_taken(
    engine: Engine, dockerd: rig_docker.Engine, slim_image: str, run_id: str, tmp_path: Path
) -> None:
    dockerd.docker("create", "--name", f"gittrack-{run_id}", slim_image, "true")
    assert engine.find(run_id) is None
    with pytest.raises(HostFailed) as caught:
        engine.create(program(run_id, slim_image, "", tmp_path))
    assert caught.value.kind == "name"


def test_output_comes_at_once_and_says_where_it_came_from(
    engine: Engine, slim_image: str, run_id: str, tmp_path: Path
) -> None:
    text = (
        "import os, sys, time\nos.write(1, b'out\\n'); time.sleep(.05); os.write(2, b'err\\n')\n"
        "while not os.path.exists('/gittrack/job/go'): time.sleep(.01)\n"
        "os.write(1, b'x' * 300000)"
    )
    made = engine.create(program(run_id, slim_image, text, tmp_path))
    engine.start(made)
    parts: list[tuple[int, bytes]] = []
    for part in engine.logs(made, follow=True):
        parts.append(part)
        if len(parts) == 2:  # the program waits, so what it said so far was not held back
            (tmp_path / "job" / "go").touch()
    assert parts[:2] == [(1, b"out\n"), (2, b"err\n")]
    whole = b"".join(data for which, data in parts if which == 1)
    assert (len(whole), whole) == (300_004, b"out\n" + b"x" * 300_000)
    assert list(engine.logs(made, tail=0)) == []
    assert b"".join(data for which, data in engine.logs(made) if which == 2) == b"err\n"


def test_output_that_is_no_text_comes_as_it_is(engine: Engine, slim_image: str, run_id: str, tmp_path: Path) -> None:
    made = engine.create(program(run_id, slim_image, "import os; os.write(1, bytes(range(256)) * 300)", tmp_path))
    engine.start(made)
    assert b"".join(data for _, data in engine.logs(made, follow=True)) == bytes(range(256)) * 300
    assert b"".join(data for _, data in engine.logs(made)) == bytes(range(256)) * 300


def test_a_container_is_stopped_killed_and_waited_for(
    engine: Engine, slim_image: str, run_id: str, tmp_path: Path
) -> None:
    text = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(7))\n" + ENDLESS
    made = engine.create(program(run_id, slim_image, text, tmp_path))
    engine.start(made)
    wait_for(engine, made, b"up")
    engine.stop(made, 30)
    assert engine.wait(made).code == 7
    engine.stop(made, 1)
    engine.kill(made)
    engine.stop("no-such-container")
    engine.kill("no-such-container")
    with pytest.raises(HostFailed) as caught:
        engine.wait("no-such-container")
    assert caught.value.kind == "gone"


def test_a_container_that_takes_too_much_memory_is_known_to_have(
    engine: Engine, slim_image: str, run_id: str, tmp_path: Path
) -> None:
    text = "data = []\nwhile True: data.append(b'x' * 1_000_000)"
    made = engine.create(program(run_id, slim_image, text, tmp_path, containers.options(memory="40m")))
    engine.start(made)
    ended = engine.wait(made)
    assert (ended.oom, ended.code) == (True, 137)


def test_a_program_in_a_running_container_is_spoken_with(
    engine: Engine, slim_image: str, run_id: str, tmp_path: Path
) -> None:
    made = engine.create(program(run_id, slim_image, ENDLESS, tmp_path))
    engine.start(made)
    session = engine.exec(made, ["python3", "-c", "print(input('? ')[::-1]); raise SystemExit(4)"])
    session.send(b'$(odd) "quoted"\n')
    assert b"".join(data for _, data in session.frames()) == b'? "detouq" )ddo($\n'
    assert session.code() == 4
    session.close()
    terminal = engine.exec(made, ["sh", "-c", "test -t 0 && stty size; read line; echo $line"], tty=True)
    terminal.resize(33, 77)
    terminal.send(b"hello\n")
    assert b"hello" in b"".join(data for _, data in terminal.frames())
    terminal.close()
    used = engine.stats(made)
    assert used and used.memory > 1_000_000 and used.processes >= 1


def test_a_helper_container_is_fed_answers_and_is_gone_afterwards(
    engine: Engine, dockerd: rig_docker.Engine, slim_image: str, tmp_path: Path
) -> None:
    data = os.urandom(3_000_000)
    copy = (
        "import sys\ndata = sys.stdin.buffer.read(); open('/out/copy', 'wb').write(data)\nsys.stdout.buffer.write(data)"
    )
    mounts = [Mount(str(tmp_path), "/out")]
    done = engine.run(slim_image, ["python3", "-c", copy], mounts, data)
    assert (done.code, done.err) == (0, b"")
    assert done.out == data
    assert (tmp_path / "copy").read_bytes() == data
    failed = engine.run(slim_image, ["sh", "-c", "echo no >&2; exit 5"], mounts, b"unread" * 100_000, user="1234:1234")
    assert (failed.code, failed.out, failed.err) == (5, b"", b"no\n")
    assert dockerd.docker("ps", "-aq", "--filter", "label=gittrack.helper", "--filter", f"volume={tmp_path}") == ""


def test_a_program_that_leaves_its_input_unread_has_said_all() -> None:
    has_input = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while not connection.recv(1 << 16).endswith(b"\r\n\r\n"):
                pass
            connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
            assert has_input.wait(60)
            connection.sendall(b"\2\0\0\0\0\0\0\3no\n")

    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/socket"  # its path has to be short
        listener.bind(path)
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        stream = Stream(path, "/containers/x/attach")
        stream.send(b"unread")
        has_input.set()
        assert list(stream.frames()) == [(2, b"no\n")]
        stream.close()


def test_a_host_is_looked_at_in_one_line(engine: Engine) -> None:
    found = engine.look()
    assert found.version.startswith(("20.", "2"))
    assert found.cpus == os.cpu_count()
    assert found.user == f"{os.getuid()}:{os.getgid()}"
    assert found.free and found.home_free and found.memory > 1 << 28
    assert found.clock and abs(found.clock - time.time()) < 5
    assert "git" in found.has and found.home == os.environ["HOME"]
    line = found.line()
    assert line.startswith(f"docker {found.version} on {found.architecture}, ") and "\n" not in line
    if not os.path.exists("/proc/driver/nvidia/version"):
        assert line.endswith("no GPU")


def test_an_image_is_known_or_not(engine: Engine, slim_image: str) -> None:
    found = engine.image(slim_image)
    assert found and found.id.startswith("sha256:") and slim_image in found.names
    assert found.architecture == engine.look().architecture
    assert engine.image("local/none:1") is None
    with pytest.raises(ImageFailed, match="local/none"):
        engine.create(Spec("", "local/none:1", {"Image": "local/none:1"}))


def failure(engine: Engine, spec: Spec) -> GittrackError:
    with pytest.raises(GittrackError) as caught:
        engine.start(engine.create(spec))
    assert caught.value.hint
    return caught.value


def test_what_is_asked_one_after_another_needs_one_connection(here: Link, dockerd: rig_docker.Engine) -> None:
    before = {thread for thread in threading.enumerate() if thread.name == "gittrack-splice"}
    engine = Engine.open(here, dockerd.command)
    engine.look()
    assert engine.image("no/such:image") is None
    assert engine.find("no-such-run") is None
    assert isinstance(engine.jobs(), list)
    carried = {thread for thread in threading.enumerate() if thread.name == "gittrack-splice"} - before
    engine.close()
    assert len(carried) == 1


def test_a_port_in_use_a_folder_that_is_missing_and_gpus_that_are_not_there_are_named(
    engine: Engine, dockerd: rig_docker.Engine, slim_image: str, run_id: str, tmp_path: Path
) -> None:
    def with_(**given: object) -> Spec:
        return program(run_id, slim_image, "", tmp_path, containers.options(**given))  # type: ignore[arg-type]

    missing = failure(engine, with_(mounts=["/no/such folder:/data"]))
    assert isinstance(missing, HostFailed) and missing.kind == "mount" and "/no/such folder" in missing.message
    gpus = failure(engine, with_(gpus="all"))
    assert isinstance(gpus, HostFailed) and gpus.kind == "no-gpu" and "nvidia-container-toolkit" in gpus.hint
    dockerd.docker("rm", "-f", f"gittrack-{run_id}")
    cpus = failure(engine, with_(cpus="1000"))
    assert isinstance(cpus, HostFailed) and cpus.kind == "limit"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        used = failure(engine, with_(ports=[f"{port}:80"]))
    assert isinstance(used, HostFailed) and used.kind == "port" and str(port) in used.message


def test_an_image_without_python_says_so(engine: Engine, bare_image: str, run_id: str, tmp_path: Path) -> None:
    made = engine.create(program(run_id, bare_image, "", tmp_path))
    engine.start(made)
    assert engine.wait(made).code == 127
    assert b"no Python 3.9 or later" in b"".join(data for _, data in engine.logs(made))


def test_twenty_containers_at_once(engine: Engine, slim_image: str, run_id: str, tmp_path: Path) -> None:
    made: list[str] = []
    errors: list[GittrackError] = []

    def one(number: int) -> None:
        try:
            spec = program(f"{run_id}-{number}", slim_image, "print('done')", tmp_path)
            made.append(engine.create(spec))
            engine.start(made[-1])
        except GittrackError as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert errors == []
        assert [engine.wait(each).code for each in made] == [0] * 20
    finally:
        for each in made:
            engine.remove(each)


def test_an_engine_that_is_killed_is_said_to_be_down_and_comes_back(
    here: Link, own_engine: rig_docker.Engine, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "empty.tar", "w"):
        image = own_engine.docker("import", str(tmp_path / "empty.tar"), "local/empty:1") and "local/empty:1"
    engine = Engine.open(here, own_engine.command)
    made = engine.create(
        Spec("gittrack-r1", image, {"Image": image, "Cmd": ["true"], "Labels": {"gittrack.run": "r1"}})
    )
    rig_docker.kill(own_engine)
    with pytest.raises(HostFailed) as caught:
        engine.jobs()
    assert caught.value.kind == "daemon" and "systemctl start docker" in caught.value.hint
    with pytest.raises(HostFailed) as caught:
        Engine.open(here, "docker", {"DOCKER_HOST": own_engine.host})
    assert caught.value.kind == "daemon"
    rig_docker.again(own_engine)
    assert [each.id for each in engine.jobs()] == [made]
    engine.close()


def test_a_socket_that_one_may_not_use_is_said(here: Link, own_engine: rig_docker.Engine) -> None:
    argv = [sys.executable, "-c", _AS_NOBODY, own_engine.host]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    assert done.stderr == ""
    assert done.stdout.split() == ["permission"]


_AS_NOBODY = """
import contextlib, os, sys
from gittrack.errors import HostFailed
from gittrack.launch.engine.engine import Engine
from gittrack.launch.link.hosts import HERE
from gittrack.launch.reached import open_link
with contextlib.closing(open_link(HERE)) as link:  # all is imported by the one who may read it
    Engine.open(link, f"docker -H {sys.argv[1]}").close()
os.chmod(sys.argv[1].removeprefix("unix://"), 0o600)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    Engine.open(open_link(HERE), "docker", {"DOCKER_HOST": sys.argv[1]})
except HostFailed as error:
    print(error.kind)
"""


def test_no_docker_at_a_host_is_said(here: Link) -> None:
    with pytest.raises(HostFailed) as caught:
        Engine.open(here, "no-such-docker --x")
    assert caught.value.kind == "no-docker" and "docker:" in caught.value.hint
