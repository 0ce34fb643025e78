"""Real servers on the loopback interface, each started once for a session of tests and asked until it answers.

rclone speaks S3 from a directory and starts in a second; Ceph is what runs in data centres; Azurite is the emulator of
Azure that Microsoft gives out. Google's storage is spoken to in the form of requests that S3 has as well, with another
signature: a server of S3 that asks for none understands them. A test whose server is not installed is skipped and says
so.
"""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import pytest
import tied
from ports import free_port

from gittrack.store.retry import Patience

AZURITE = Path(__file__).parents[2] / ".azurite" / "node_modules" / ".bin"  # where scripts/system-packages puts it
QUICK = Patience(4, 0.02, 0.1)  # what a test waits for
KEY_ID, SECRET = "ACCESSKEY1", "SECRETKEY1"
AZURE_ACCOUNT = "devstoreaccount1"  # the one account of the emulator, and its published key
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class S3(NamedTuple):
    """A server that speaks S3."""

    endpoint: str
    environ: dict[str, str]
    directory: Path | None  # where its buckets lie, if they are directories

    def url(self, bucket: str, endpoint: str | None = None) -> str:
        return f"s3://{bucket}?endpoint={endpoint or self.endpoint}"


def program(name: str) -> str:
    """Where a program is, or the test is skipped."""
    own = (Path(sys.executable).parent / name, AZURITE / name)
    found = next((str(path) for path in own if path.exists()), None) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def serving(*argv: str, port: int, env: dict[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    with tied.tied(argv, env=env) as process:
        wait_for(port, process)
        yield process


def wait_for(port: int, process: "subprocess.Popen[bytes] | None" = None, seconds: float = 60.0) -> None:
    """Until something listens there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process is None or process.poll() is None, "the server has ended"
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")


def keys(key_id: str, secret: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret, "HOME": "/nonexistent"}


@contextlib.contextmanager
def rclone(directory: Path, *options: str) -> Iterator[S3]:
    """Each directory in `directory` is a bucket."""
    port = free_port()
    argv = (program("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY_ID},{SECRET}")
    env = {**os.environ, "RCLONE_CONFIG": os.devnull}
    with serving(*argv, *options, str(directory), port=port, env=env):
        yield S3(f"http://127.0.0.1:{port}", keys(KEY_ID, SECRET), directory)


class Google(NamedTuple):
    """It has one bucket, `models`."""

    endpoint: str
    environ: dict[str, str]

    def url(self, place: str) -> str:
        return f"gs://{place}?endpoint={self.endpoint}"


@contextlib.contextmanager
def google(directory: Path) -> Iterator[Google]:
    """A server that answers the requests of Google's storage and believes every service account."""
    port, key, account = free_port(), directory / "key", directory / "account.json"
    made = ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key))
    subprocess.run([program("openssl"), *made], check=True, capture_output=True)
    said = {"client_email": "tests@example.iam.gserviceaccount.com", "private_key_id": "1", "type": "service_account"}
    account.write_text(json.dumps({**said, "private_key": key.read_text()}))
    (directory / "buckets" / "models").mkdir(parents=True)
    env = {**os.environ, "RCLONE_CONFIG": os.devnull}
    argv = (program("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", str(directory / "buckets"))
    with serving(*argv, port=port, env=env):
        yield Google(f"http://127.0.0.1:{port}", {"GOOGLE_APPLICATION_CREDENTIALS": str(account)})


@contextlib.contextmanager
def ceph(directory: Path) -> Iterator[S3]:
    """One node that keeps all in memory: monitor, manager, storage, gateway. 16 s, 500 MB: workers of pytest-xdist, who
    give the same directory, share one, which the last of them stops."""
    for name in ("ceph-mon", "ceph-mgr", "ceph-osd", "radosgw", "ceph-authtool", "monmaptool"):
        program(name)
    if os.geteuid() != 0:
        pytest.skip("ceph runs as root only")
    users, node = directory / "users", directory / "node"
    directory.mkdir(exist_ok=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        count = int(users.read_text()) if users.exists() else 0
        if not count:
            _start_ceph(node, directory / "port")
        users.write_text(str(count + 1))
    try:
        yield S3(f"http://127.0.0.1:{(directory / 'port').read_text()}", keys(KEY_ID, SECRET), None)
    finally:
        with open(directory / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            users.write_text(str(int(users.read_text()) - 1))
            if users.read_text() == "0":
                _stop_ceph(node)


def _start_ceph(node: Path, port_file: Path) -> None:
    ports = [str(free_port()) for _ in range(3)]
    script = str(Path(__file__).with_name("ceph.sh"))
    try:
        done = subprocess.run(
            ["bash", script, str(node), *ports, KEY_ID, SECRET],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    except BaseException:  # an interrupt leaves no daemons behind
        _stop_ceph(node)
        raise
    port_file.write_text(ports[2])


def _stop_ceph(node: Path) -> None:
    for pid_file in (node / "run").glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
    shutil.rmtree(node, ignore_errors=True)


class Azure(NamedTuple):
    endpoint: str
    environ: dict[str, str]

    def url(self, container: str) -> str:
        return f"az://{container}?endpoint={self.endpoint}/{AZURE_ACCOUNT}"

    def create(self, container: str) -> None:
        path = f"/{AZURE_ACCOUNT}/{container}"
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
        signed = "".join(f"{name}:{value}\n" for name, value in headers.items())
        text = "PUT" + "\n" * 12 + f"{signed}/{AZURE_ACCOUNT}{path}\nrestype:container"
        mac = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(mac).decode()}"
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"), timeout=10)
        connection.request("PUT", f"{path}?restype=container", headers=headers)
        assert connection.getresponse().status == 201
        connection.close()


@contextlib.contextmanager
def azurite(directory: Path) -> Iterator[Azure]:
    port = free_port()
    argv = (program("azurite-blob"), "--blobPort", str(port), "--location", str(directory), "--silent",
            "--skipApiVersionCheck", "--disableTelemetry")  # fmt: skip
    environ = {"AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY}
    with serving(*argv, port=port):
        yield Azure(f"http://127.0.0.1:{port}", environ)
