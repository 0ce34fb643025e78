"""Real servers on the loopback interface: sshd with git, with and without git-lfs, and a git-lfs server over HTTP."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import tied
from ports import free_port

GIFTLESS = Path(sys.prefix) / "giftless"
WAITRESS = GIFTLESS / "bin" / "waitress-serve"
_SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if os.path.exists("/usr/sbin/sshd") else None)
_CONFIG = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
ListenAddress 127.0.0.1
Port {port}
MaxStartups 100
SetEnv PATH={path}
AcceptEnv GIT_PROTOCOL
"""
_GIFTLESS = """
LEGACY_ENDPOINTS: false
AUTH_PROVIDERS: ["giftless.auth.allow_anon:read_write"]
TRANSFER_ADAPTERS:
  basic:
    factory: giftless.transfer.basic_streaming:factory
    options:
      storage_class: giftless.storage.local_storage:LocalStorage
      storage_options: {{path: "{folder}/objects"}}
"""
_AUTHENTICATE = """#!/bin/sh
printf '{"href": "%s/org/repo.git/info/lfs", "header": {}, "expires_in": 600}\\n' "$LFS_SERVER"
"""


class Ssh(NamedTuple):
    """An sshd. `command` is for GIT_SSH_COMMAND."""

    port: int
    command: str

    def url(self, path: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"


class Lfs(NamedTuple):
    """A git-lfs server over HTTP."""

    url: str
    objects: Path


@contextlib.contextmanager
def sshd(folder: Path, lfs: Lfs | None = None) -> Iterator[Ssh]:
    """An sshd of our own. With `lfs`, it has a `git-lfs-authenticate` as forges have, which leads there."""
    if _SSHD is None:
        pytest.skip("sshd is not installed")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    path = os.environ["PATH"]
    commands = folder / "bin"
    commands.mkdir()
    if lfs:
        (commands / "git-lfs-authenticate").write_text(_AUTHENTICATE.replace("$LFS_SERVER", lfs.url))
        (commands / "git-lfs-authenticate").chmod(0o755)
        path = f"{commands}:{path}"
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # where Debian's sshd locks its unprivileged half in
    port = free_port()
    (folder / "config").write_text(_CONFIG.format(folder=folder, port=port, path=path))
    with served([_SSHD, "-f", str(folder / "config"), "-D", "-e"], port, folder / "log", {}):
        options = "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        yield Ssh(port, f"ssh {options} -o IdentitiesOnly=yes -i {folder / 'user'}")


@contextlib.contextmanager
def giftless(folder: Path) -> Iterator[Lfs]:
    """The git-lfs server that scripts/lfs-server installs."""
    if not (GIFTLESS / "installed").exists():  # scripts/lfs-server makes that last
        pytest.skip(f"giftless is not installed: scripts/lfs-server {sys.prefix}")
    (folder / "config.yaml").write_text(_GIFTLESS.format(folder=folder))
    port = free_port()
    argv = [str(WAITRESS), f"--listen=127.0.0.1:{port}", "--call", "giftless.app:init_app"]
    with served(argv, port, folder / "log", {"GIFTLESS_CONFIG_FILE": str(folder / "config.yaml")}):
        yield Lfs(f"http://127.0.0.1:{port}", folder / "objects" / "org" / "repo")


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """An S3 server whose buckets are directories in `folder`: its address, and the variables with which it is used."""
    own = Path(sys.executable).parent / "rclone"
    rclone = str(own) if own.exists() else shutil.which("rclone")
    if not rclone:
        pytest.skip("rclone is not installed")
    port = free_port()
    argv = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "ACCESSKEY1,SECRETKEY1", str(folder)]
    with served(argv, port, folder.with_suffix(".log"), {"RCLONE_CONFIG": os.devnull}):
        keys = {"AWS_ACCESS_KEY_ID": "ACCESSKEY1", "AWS_SECRET_ACCESS_KEY": "SECRETKEY1"}
        yield f"http://127.0.0.1:{port}", keys


@contextlib.contextmanager
def served(argv: list[str], port: int, log: Path, env: dict[str, str]) -> Iterator[None]:
    """A server for as long as the block runs, ready when the block starts."""
    with open(log, "wb") as output, tied.tied(argv, output, {**os.environ, **env}) as process:
        until = time.monotonic() + 60
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{argv[0]} did not start: {log.read_text()}")
            time.sleep(0.02)
        yield


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
