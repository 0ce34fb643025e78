"""What the texts of options mean, and what the engine is asked for."""

import pytest

from gittrack.errors import UsageError
from gittrack.launch.engine import containers
from gittrack.launch.engine.containers import Mount, Options, Place, Port

PLACE = Place("/home/u/.gittrack/jobs/r1", "/home/u/.gittrack/cache/a.zip", "/home/u", "1000:1001", 64 << 30)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, ()), ("", ()), ("none", ()), ("all", ("all",)), ("0", ("0",)), ("0, 1", ("0", "1")), ("3,1", ("3", "1")),
        ("GPU-8a56a4bc-e184-a047-2620-be19fdf913d5", ("GPU-8a56a4bc-e184-a047-2620-be19fdf913d5",)),
        ("MIG-GPU-8a56a4bc/1/0", ("MIG-GPU-8a56a4bc/1/0",)),
    ],
)  # fmt: skip
def test_gpus_are_all_none_or_which_ones(text: str | None, found: tuple[str, ...]) -> None:
    assert containers.parse_gpus(text) == found


@pytest.mark.parametrize("text", ["some", "all,0", "-1", "0,0", "0;1", "0 1", "none,1"])
def test_other_gpus_are_refused_with_what_can_be_said(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        containers.parse_gpus(text)
    assert "--gpus 0,1" in caught.value.hint or "twice" in caught.value.message


@pytest.mark.parametrize(
    ("text", "found"),
    [("8g", 8 << 30), ("8G", 8 << 30), ("8gb", 8 << 30), ("8GiB", 8 << 30), ("512m", 512 << 20), ("1.5g", 3 << 29),
     ("64k", 64 << 10), ("1000", 1000), (None, None), ("", None)],
)  # fmt: skip
def test_a_size_is_read_as_docker_reads_it(text: str | None, found: int | None) -> None:
    assert containers.parse_memory("--memory", text) == found


@pytest.mark.parametrize("text", ["8x", "-8g", "g", "0", "8 g b", "1e9", "9" * 40])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shm-size"):
        containers.parse_memory("--shm-size", text)


@pytest.mark.parametrize("text", ["two", "0", "-1", "nan", "inf", "1,5"])
def test_what_is_no_number_of_processors_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--cpus"):
        containers.parse_cpus(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/data:/data", Mount("/data", "/data")),
        ("/data:/data:ro", Mount("/data", "/data", True)),
        ("~/sets:/data/:rw", Mount("~/sets", "/data")),
        ("~:/home/me", Mount("~", "/home/me")),
        ("/a b,c:/d e", Mount("/a b,c", "/d e")),
        ("/data:/work/data:ro", Mount("/data", "/work/data", True)),
    ],
)  # fmt: skip
def test_a_mount_is_host_container_and_perhaps_ro(text: str, found: Mount) -> None:
    assert containers.parse_mount(text) == found


@pytest.mark.parametrize(
    "text",
    ["/data", "data:/data", "./data:/data", "/data:data", "/data:/", "/data:/work", "/data:/gittrack/job", "/d:/d:x",
     "/data:/proc", "/a:/b:ro:ro", "/data:/x/../work", "~other:/data", "/data:", ":/data"],
)  # fmt: skip
def test_other_mounts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="-m"):
        containers.parse_mount(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8888", Port("127.0.0.1", 8888, 8888)),
        ("8080:80", Port("127.0.0.1", 8080, 80)),
        ("0.0.0.0:8080:80", Port("0.0.0.0", 8080, 80)),
        ("[::]:8080:80", Port("::", 8080, 80)),
        ("53/udp", Port("127.0.0.1", 53, 53, "udp")),
    ],
)
def test_a_port_is_open_to_the_host_alone_unless_an_address_is_given(text: str, found: Port) -> None:
    assert containers.parse_port(text) == found


@pytest.mark.parametrize("text", ["0", "65536", "http", "1:2:3:4", "8080:80/sctp", "a.b:1:2", "", "1:"])
def test_other_ports_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--port"):
        containers.parse_port(text)


def test_what_would_collide_is_refused() -> None:
    with pytest.raises(UsageError, match="/data is given twice"):
        containers.options(mounts=["/a:/data", "/b:/data/"])
    with pytest.raises(UsageError, match="8080"):
        containers.options(ports=["8080:80", "8080:81"])


def test_only_named_variables_go_along_and_secrets_must_be_set() -> None:
    environ = {"HOME": "/home/me", "TOKEN": "s3cr=t\n", "SEED": "1"}
    options = containers.options(env=["SEED", "MODE=fast=1", "NOT_SET", "EMPTY="], secrets=["TOKEN"])
    found = containers.environment(options, environ)
    assert found == {"SEED": "1", "MODE": "fast=1", "EMPTY": "", "TOKEN": "s3cr=t\n"}
    assert containers.env_file(found).split(b"\0") == [b"EMPTY=", b"MODE=fast=1", b"SEED=1", b"TOKEN=s3cr=t\n", b""]
    with pytest.raises(UsageError, match="TOKEN"):
        containers.environment(options, {})


@pytest.mark.parametrize("text", ["-x", "../../x", "a b", "a\nb", "$(x)", "--privileged", "a//b", "é", "x" * 600, ""])
def test_what_is_no_name_of_an_image_never_reaches_an_engine(text: str) -> None:
    with pytest.raises(UsageError):
        containers.parse_image(text)


@pytest.mark.parametrize(
    "text", ["python:3.12", "localhost:5000/a/b_c@sha256:" + "0" * 64, "sha256:" + "1" * 64, "0a1b"]
)
def test_names_of_images_are_known(text: str) -> None:
    assert containers.parse_image(text) == text


def test_a_secret_on_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        containers.options(secrets=["TOKEN=hunter2"])
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_no_variable_is_in_what_the_engine_is_asked_for() -> None:
    options = containers.options(env=["A=hunter2"], secrets=["TOKEN"])
    assert "hunter2" not in repr(containers.spec("r1", "image", PLACE, options))


def test_the_container_of_a_run() -> None:
    options = containers.options(
        gpus="0,1", cpus="2.5", memory="8g", mounts=["~/data:/data:ro"], ports=["8080:80"], network="host"
    )
    spec = containers.spec("r1", "image", PLACE, options, project="p1", who="ann", cwd="sub/dir")
    host = spec.body["HostConfig"]
    assert spec.name == "gittrack-r1"
    assert spec.body["User"] == "1000:1001"
    assert spec.body["WorkingDir"] == "/work/sub/dir"
    assert spec.body["Labels"] == {
        "gittrack": "1", "gittrack.run": "r1", "gittrack.project": "p1", "gittrack.user": "ann"
    }  # fmt: skip
    assert host["DeviceRequests"] == [{"Driver": "", "Capabilities": [["gpu"]], "DeviceIDs": ["0", "1"]}]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (2_500_000_000, 8 << 30, 8 << 30)
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert host["NetworkMode"] == "host"
    assert host["RestartPolicy"] == {"Name": "no"}
    assert {(each["Source"], each["Target"], each["ReadOnly"]) for each in host["Mounts"]} == {
        ("/home/u/.gittrack/jobs/r1", "/gittrack/job", False),
        ("/home/u/.gittrack/jobs/r1/work", "/work", False),
        ("/home/u/.gittrack/cache/a.zip", "/gittrack/attendant.zip", True),
        ("/home/u/data", "/data", True),
    }


def test_all_gpus_are_asked_for_by_number_minus_one_and_none_not_at_all() -> None:
    every = containers.spec("r", "i", PLACE, Options(gpus=("all",))).body["HostConfig"]
    assert every["DeviceRequests"] == [{"Driver": "", "Capabilities": [["gpu"]], "Count": -1}]
    assert "DeviceRequests" not in containers.spec("r", "i", PLACE).body["HostConfig"]


def test_shared_memory_is_half_of_what_there_is_unless_it_is_said() -> None:
    def shared(place: Place = PLACE, **given: str) -> int:
        found: int = containers.spec("r", "i", place, containers.options(**given)).body["HostConfig"]["ShmSize"]
        return found

    assert shared() == 32 << 30
    assert shared(memory="8g") == 4 << 30
    assert shared(memory="8g", shm_size="1g") == 1 << 30
    assert shared(Place("/j", "/a")) == 64 << 20


def test_engines_that_map_users_or_guard_labels_are_asked_not_to() -> None:
    place = PLACE._replace(security=("name=userns", "name=selinux"))
    host = containers.spec("r", "i", place).body["HostConfig"]
    assert host["UsernsMode"] == "host"
    assert host["SecurityOpt"] == ["label=disable"]
