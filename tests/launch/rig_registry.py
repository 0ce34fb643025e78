"""A real registry of images on this machine, open or for those who log in, as an engine finds it at 127.0.0.1.

An engine takes an address of 127.0.0.0/8 without certificates.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from rig_ssh import free_port

PATIENCE = 30.0
USER, PASSWORD = "ann", "p4ss of ann"
CONFIG = """version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}, delete: {{enabled: true}}}}
http: {{addr: "{address}", secret: a test}}
"""
LOGIN = "auth: {{htpasswd: {{realm: test, path: {folder}/users}}}}\n"


@contextlib.contextmanager
def registry(login: bool = False) -> Iterator[str]:
    """The address of a registry, `127.0.0.1:PORT`; what was pushed to it goes with it."""
    if not shutil.which("docker-registry"):
        pytest.skip("not installed: docker-registry (scripts/system-packages)")
    with tempfile.TemporaryDirectory() as folder:
        address = f"127.0.0.1:{free_port()}"
        config = Path(folder, "config.yml")
        config.write_text((CONFIG + (LOGIN if login else "")).format(folder=folder, address=address))
        known = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        Path(folder, "users").write_text(f"{USER}:{known}\n")
        with open(Path(folder, "log"), "wb") as said:
            process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=said, stderr=said)
        try:
            _until_it_listens(process, address, Path(folder, "log"))
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _until_it_listens(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    host, _, port = address.partition(":")
    until = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"docker-registry does not listen: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
