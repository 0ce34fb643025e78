"""What a host says of itself, and whether it can give what is asked for."""

import subprocess
from pathlib import Path

import pytest

from gittrack.errors import HostFailed
from gittrack.launch.engine import containers
from gittrack.launch.engine.host_facts import ARGV, SCRIPT, Gpu, Look, free_gpus, look
from gittrack.launch.jobs import demands

INFO = {"ServerVersion": "24.0.5", "Architecture": "x86_64", "OSType": "linux", "NCPU": 16, "MemTotal": 64 << 30,
        "SecurityOptions": ["name=apparmor"], "Runtimes": {"nvidia": {}}}  # fmt: skip
ANSWER = b"""user=1000:1001
home=/home/ann
name=gpu1
clock=1700000000
has=git
disk=1000000
disk=2000
driver=535.104.05
gpu=0, GPU-aaaa, 24564, 3, 0, 535.104.05, NVIDIA GeForce RTX 4090
gpu=1, GPU-bbbb, 24564, 20000, 97, 535.104.05, NVIDIA GeForce RTX 4090
gpu=2, GPU-cccc, 81920, 100, [N/A], 535.104.05, NVIDIA A100, 80GB
"""


def test_a_host_with_gpus_is_said_in_one_line() -> None:
    found = look(INFO, ANSWER)
    assert found.line() == (
        "docker 24.0.5 on amd64, 16 CPUs, 68.7 GB memory, 1.0 GB free, 2 × NVIDIA GeForce RTX 4090 (25.8 GB), "
        "1 × NVIDIA A100, 80GB (85.9 GB), driver 535.104.05"
    )
    assert (found.user, found.home, found.name, found.clock, found.home_free) == (
        "1000:1001", "/home/ann", "gpu1", 1.7e9, 2_048_000
    )  # fmt: skip
    assert [gpu.number for gpu in free_gpus(found.gpus)] == [0, 2]
    assert found.runtime and found.has == {"git"}


def test_an_engine_without_root_makes_files_of_the_user_as_its_root() -> None:
    assert look({**INFO, "SecurityOptions": ["name=rootless"]}, ANSWER).user == "0:0"


@pytest.mark.parametrize(
    "answer",
    [b"", b"\xff\xfe\n=\n\0", b"user=0;rm -rf\nhome=relative\nclock=x\ndisk=-1\ngpu=1,2\ngpu=a,b,c,d,e,f,g\n",
     b"gpu=" + b"9" * 10_000, b"name=\x1b[2J" + b"x" * 10_000],
)  # fmt: skip
def test_a_host_that_says_anything_is_read_with_care(answer: bytes) -> None:
    found = look({"NCPU": "many", "MemTotal": -5, "ServerVersion": "\x1b[31m" * 100, "SecurityOptions": None}, answer)
    assert (found.user, found.home, found.clock, found.gpus, found.memory) == ("", "", None, (), 0)
    assert found.line().isprintable() and len(found.line()) < 400


def test_a_driver_without_its_file_is_known_from_its_gpus() -> None:
    assert look(INFO, ANSWER.replace(b"driver=535.104.05\n", b"")).driver == "535.104.05"
    assert look(INFO, b"driver=535.104.05\n").line().endswith("NVIDIA driver 535.104.05, no GPU found")


@pytest.mark.parametrize(
    "text",
    ["NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
     "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.104.05  Release Build  (dvs-builder@U16)"],
)  # fmt: skip
def test_the_driver_is_read_from_its_file(text: str, tmp_path: Path) -> None:
    """The command as it is sent, with another file in the place of the kernel's."""
    file, smi = tmp_path / "version", tmp_path / "nvidia-smi"
    file.write_text(f"{text}\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n")
    smi.write_text("#!/bin/sh\necho '0, GPU-a, 24564, 3, 0, 535.104.05, A card'\n")
    smi.chmod(0o755)
    script = SCRIPT.replace("/proc/driver/nvidia/version", str(file)).replace("nvidia-smi --query", f"{smi} --query")
    done = subprocess.run([*ARGV[:2], script], input=b"/\n", capture_output=True, check=True)
    found = look(INFO, done.stdout)
    assert (found.driver, found.gpus) == ("535.104.05", (Gpu(0, "GPU-a", "A card", 24564 << 20, 3 << 20, 0),))
    assert found.free and found.home_free and done.stderr == b""


def demand(host: Look, **given: str) -> str:
    """What is said; empty when the host can give it."""
    try:
        demands.check(host, containers.options(**given), "gpu1")  # type: ignore[arg-type]
    except HostFailed as error:
        assert error.hint
        return error.message
    return ""


def test_what_a_host_cannot_give_is_said_before_anything_is_sent() -> None:
    host = look(INFO, ANSWER)
    for fine in (
        {},
        {"gpus": "all"},
        {"gpus": "2,0"},
        {"gpus": "GPU-aaaa"},
        {"gpus": "MIG-abcde"},
        {"cpus": "16", "memory": "64g"},
    ):
        assert demand(host, **fine) == ""
    assert demand(host, gpus="0,3") == "gpu1 has no GPU 3; it has 0, 1, 2"
    assert "no GPU GPU-dddd" in demand(host, gpus="GPU-dddd")
    assert demand(host, cpus="16.5") == "gpu1 has 16 CPUs, not 16.5"
    assert "memory" in demand(host, memory="65g")
    bare = look(INFO, b"")
    assert "no NVIDIA driver" in demand(bare, gpus="all") and demand(bare, gpus="none") == ""
    assert demand(bare._replace(driver="535.1"), gpus="7") == ""
    assert "windows" in demand(host._replace(system="windows"))
