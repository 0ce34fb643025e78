"""What was asked for on the command line is what the command finds: mounts, limits, a port, files of its own user."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site

Track = Callable[..., Any]
SCRIPT = """
import errno, json, os
said = {"data": open("/data/set").read(), "uid": os.getuid(), "gpus": os.environ.get("NVIDIA_VISIBLE_DEVICES")}
try:
    open("/data/new", "w")
except OSError as error:
    said["refused"] = errno.errorcode[error.errno]
open("/out/result", "w").write("made there")
shared = os.statvfs("/dev/shm")
said["shared"] = shared.f_blocks * shared.f_frsize
print(json.dumps(said))
"""
SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"of the job")
server = http.server.HTTPServer(("0.0.0.0", 80), Handler)
print("listening", flush=True)
server.handle_request()
"""


@pytest.fixture
def project(repo: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[Path]:
    (repo / "gittrack.yaml").write_text(
        f"hosts:\n  gpu1: {{host: host, docker: {dockerd.command}, image: '{python_image}', mounts: ['~/out:/out']}}\n"
    )
    (repo / "train.py").write_text(SCRIPT)
    (repo / "serve.py").write_text(SERVER)
    for name in ("data", "out"):
        folder = site.ann.home / name
        folder.mkdir()
        folder.chmod(0o777)
    yield repo
    rig_docker.remove_jobs(dockerd, site.ann.home)


def test_mounts_and_limits_are_those_that_were_asked_for(project: Path, site: Site, track: Track) -> None:
    (site.ann.home / "data" / "set").write_text("a data set")
    limits = ["--cpus", "1.5", "--memory", "256m", "--shm-size", "80m", "--gpus", "none"]
    done = track("run", "-H", "gpu1", "-m", f"{site.ann.home}/data:/data:ro", *limits, "python3", "train.py")
    said = json.loads(done.stdout)
    owner = (site.ann.home / "out" / "result").stat().st_uid
    assert (said["data"], said["refused"], said["shared"]) == ("a data set", "EROFS", 80 << 20)
    assert said["uid"] == owner == site.ann.home.stat().st_uid != 0
    given = json.loads(track("show", "--json").stdout)["environment"]["container.json"]
    assert (given["cpu_limit"], given["memory_limit"]) == (1.5, 256 << 20)
    assert f"{site.ann.home}/data:/data:ro" in given["mounts"] and "~/out:/out" in given["mounts"]


def test_a_port_leads_to_the_job(project: Path, track: Track) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    track("run", "-H", "gpu1", "-d", "--port", f"{port}:80", "python3", "serve.py")
    following = subprocess.Popen(["git-track", "logs", "-f"], cwd=project, stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None and following.stdout.readline() == "listening\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=60) as answer:
        assert answer.read() == b"of the job"
    following.communicate(timeout=60)
    track("wait", "latest")
