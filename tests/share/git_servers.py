"""Real git servers on the loopback interface: sshd, nginx with git's own HTTP back end, and gitolite.

Each is started once for a session of tests, on ports of its own. What they serve are bare repositories in one folder:
`Server.new` makes one, with the settings that a test wants the server to have.
"""

import contextlib
import getpass
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import lfs_servers
import pytest
import tied
from common import wait_until
from ports import free_port

PASSWORD = "s3cret-of-ann"
GITOLITE_SHELL = "/usr/share/gitolite3/gitolite-shell"
_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxied; fastcgi_temp_path {folder}/answers;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location ~ ^/open(?<path>/.*)$ {{ include {folder}/git; fastcgi_param GIT_PROTOCOL $http_git_protocol; }}
    location ~ ^/old(?<path>/.*)$ {{ include {folder}/git; fastcgi_param HTTP_GIT_PROTOCOL ""; }}
    location ~ ^/small(?<path>/.*)$ {{ include {folder}/git; client_max_body_size 20k; }}
    location ~ ^/private(?<path>/.*)$ {{
      auth_basic "runs"; auth_basic_user_file {folder}/users;
      include {folder}/git; fastcgi_param GIT_PROTOCOL $http_git_protocol;
    }}
  }}
}}
"""
_GIT = """
fastcgi_request_buffering off;
fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding; fastcgi_param REMOTE_USER $remote_user;
fastcgi_param PATH_INFO $path; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
fastcgi_param SCRIPT_FILENAME {backend}; fastcgi_param GIT_PROJECT_ROOT {served};
fastcgi_pass unix:{folder}/cgi;
"""


class Bare(NamedTuple):
    """A bare repository on a server: what a client calls it, and where it lies."""

    url: str
    path: Path


class Server(NamedTuple):
    """`prefix` + name is a repository's address; `served` the folder that they lie in; `port` where it listens (0: a
    folder); `env` what a client needs."""

    kind: str
    prefix: str
    served: Path
    port: int
    env: Mapping[str, str]

    def new(self, name: str = "", **settings: str) -> Bare:
        """A new bare repository. `settings`: of git's configuration, `__` for the point (`receive__denyDeletes`)."""
        name = name or f"{len(list(self.served.iterdir()))}-{os.getpid()}.git"
        path = self.served / name
        made_bare(path, **{"http__receivepack": "true", **settings})
        return Bare(self.prefix + name, path)

    def at(self, prefix: str) -> "Server":
        """The same server by another address."""
        return self._replace(prefix=prefix)


Find = Callable[[str], Server]


def made_bare(path: Path, **settings: str) -> Path:
    """A bare repository on branch `main`; `settings` as of `Server.new`."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    for key, value in settings.items():
        subprocess.run(["git", "-C", str(path), "config", key.replace("__", "."), value], check=True)
    return path


def hook(bare: Path, name: str, script: str) -> None:
    """Give a repository a hook."""
    path = bare / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def branches_only(bare: Path) -> None:
    """The policy of some forges: refs that are neither branches nor tags are refused."""
    refuse = 'case "$1" in refs/heads/*|refs/tags/*) ;; *) echo "refs of this kind are not accepted" >&2; exit 1;; esac'
    hook(bare, "update", refuse)


def refs_a_push(bare: Path, most: int) -> None:
    """The policy of other forges: a push that moves more than `most` refs is refused whole."""
    count = f'n=$(wc -l); [ "$n" -le {most} ] || {{ echo "Pushes can not update more than {most} refs" >&2; exit 1; }}'
    hook(bare, "pre-receive", count)


def pushes_a_minute(bare: Path, most: int) -> Path:
    """A server that takes `most` pushes a minute. The minute is over when the file that this gives is removed."""
    counter = bare / "pushes"
    script = f"""cat > /dev/null; echo push >> {shlex.quote(str(counter))}
[ "$(wc -l < {shlex.quote(str(counter))})" -le {most} ] && exit 0
echo "429 Too Many Requests: rate limit exceeded, more than {most} pushes in a minute" >&2; exit 1"""
    hook(bare, "pre-receive", script)
    return counter


@contextlib.contextmanager
def files(folder: Path) -> Iterator[Server]:
    """No server at all: repositories in a folder, by file://."""
    yield Server("file", f"file://{folder}/", folder, 0, {})


@contextlib.contextmanager
def ssh(folder: Path) -> Iterator[Server]:
    """An sshd of our own, with git behind it."""
    served = folder / "served"
    served.mkdir()
    with lfs_servers.sshd(folder) as sshd:
        yield Server("ssh", sshd.url(served) + "/", served, sshd.port, {"GIT_SSH_COMMAND": sshd.command})


@contextlib.contextmanager
def http(folder: Path) -> Iterator[Server]:
    """nginx with git-http-backend behind it. Its places: `open` to all; `private`, for ann with PASSWORD; `old`, which
    speaks git's first protocol only; `small`, which takes no request of more than 20 kB."""
    served = folder / "served"
    served.mkdir()
    nginx, cgi = _program("nginx"), _program("fcgiwrap")
    git = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
    backend = f"{git}/git-http-backend"
    port = free_port()
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config = _NGINX.format(folder=folder, port=port, user=user)
    (folder / "git").write_text(_GIT.format(folder=folder, served=served, backend=backend))
    (folder / "nginx.conf").write_text(config)
    (folder / "users").write_text(f"ann:{{PLAIN}}{PASSWORD}\n")
    # git-http-backend reads on for ever when a request ends before its length: it may use some seconds, no more.
    wrapped = ["prlimit", "--cpu=4", cgi, "-c", "8", "-s", f"unix:{folder}/cgi"]
    served_by = [nginx, "-c", str(folder / "nginx.conf")]
    with tied.tied(wrapped), lfs_servers.served(served_by, port, folder / "log", {}):
        wait_until(lambda: _listens(folder / "cgi"))
        yield Server("http", f"http://127.0.0.1:{port}/open/", served, port, {})


def _listens(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        return True
    return False


@contextlib.contextmanager
def gitolite(folder: Path) -> Iterator[Server]:
    """gitolite behind an sshd, with one repository, `project`, where ann may add and nobody may rewrite or delete."""
    if not Path(GITOLITE_SHELL).exists():
        pytest.skip("gitolite3 is not installed")
    home, program = folder / "home", _program("gitolite")
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "USER": getpass.getuser()}
    with lfs_servers.sshd(folder) as sshd:
        key = shutil.copy(folder / "user.pub", folder / "ann.pub")
        rules = home / ".gitolite" / "conf" / "gitolite.conf"
        for argv in (["setup", "-pk", str(key)], ["compile"]):
            done = subprocess.run([program, *argv], env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            rules.write_text("repo project\n    RW = @all\n")
        forced = f'command="env HOME={home} USER=git {GITOLITE_SHELL} ann" '
        (folder / "user.pub").write_text(forced + Path(key).read_text())
        prefix = f"ssh://{getpass.getuser()}@127.0.0.1:{sshd.port}/"
        yield Server("gitolite", prefix, home / "repositories", sshd.port, {"GIT_SSH_COMMAND": sshd.command})


def _program(name: str) -> str:
    found = shutil.which(name) or next((p for p in (f"/usr/sbin/{name}",) if os.path.exists(p)), None)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found
