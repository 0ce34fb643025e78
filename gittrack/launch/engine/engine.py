"""The Docker engine of a host: containers are made, watched and ended here. The door of the docker library.

The engine is spoken to over its API, through the link: `docker system dial-stdio`, started there once for each
connection, joins us to whatever engine the user's docker command means there. Everything is keyed by the run's id, so a
call that was cut off can be made again.
"""

import contextlib
import http.client
import json
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import requests
import urllib3
from docker import errors as faults

from gittrack.compare.text import line
from gittrack.errors import GittrackError, HostFailed, ImageFailed, LinkLost
from gittrack.launch.engine import containers, problems, wire
from gittrack.launch.engine.client import Client
from gittrack.launch.engine.containers import LABEL, NAME, Mount, Spec
from gittrack.launch.engine.host_facts import Look
from gittrack.launch.engine.inquiry import Inquiry
from gittrack.launch.engine.position import Entry, Position
from gittrack.launch.engine.state import Container as Container
from gittrack.launch.engine.state import Usage, listed, read, usage
from gittrack.launch.engine.wire import Stream
from gittrack.launch.link.protocol import Done, Link
from gittrack.launch.link.words import shown

_MAKING = 0.1  # seconds between looks at a container that somebody else is making: its name is taken before it is there
_WORDS = 40  # characters of what is being done
PATIENCE = 120  # seconds for an answer; making a container with GPUs takes several
SOCKET = "/var/run/docker.sock"
Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much

_BROKEN = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
# While an answer is read: it is none.
_ODD = (AttributeError, TypeError, ValueError, LookupError, OverflowError, RecursionError)


class Image(NamedTuple):
    id: str  # sha256:…
    digest: str  # name@sha256:… where it came from a registry, else its id
    architecture: str
    system: str
    size: int
    created: str
    labels: Mapping[str, str]
    names: tuple[str, ...]


class Session:
    """A program in a container that is spoken with."""

    def __init__(self, stream: Stream, code: Callable[[], int], resize: Callable[[int, int], None]) -> None:
        self._stream = stream
        self.send = stream.send
        self.end_input = stream.end_input
        self.frames = stream.frames
        self.close = stream.close
        self.code = code  # its exit code; once there are no more frames
        self.resize = resize  # rows, columns of its terminal


class Engine:
    """Safe to use from several threads at once. Every call raises HostFailed; LinkLost when the connection broke."""

    def __init__(self, link: Link, path: str | None, command: Sequence[str], stack: contextlib.ExitStack) -> None:
        """`path`: of its socket, where that is here."""
        dial = [*command, "system", "dial-stdio"]
        self._direct = path or (lambda: link.open(dial))  # for what is to come without delay
        self.link = link
        self.path = path or stack.enter_context(link.socket(dial))
        self._command = command
        self._stack = stack
        with self.asking("asking for its version"):
            self.api: Any = Client(base_url=f"unix://{self.path}", version="auto", timeout=PATIENCE)
        self.api.trust_env = False  # a proxy of the web is none of the socket's

    @staticmethod
    def open(link: Link, command: str = "docker", environ: Mapping[str, str] | None = None) -> "Engine":
        """The engine that `command` means at the host; here also DOCKER_HOST of `environ`, or its own socket.

        Raises HostFailed, by `kind`: no-docker, permission, daemon."""
        words = shlex.split(command) or ["docker"]
        stack = contextlib.ExitStack()
        try:
            path = _socket_here(words, environ or {}) if link.is_here else None
            return Engine(link, path, words, stack)
        except BaseException:
            stack.close()
            raise

    def close(self) -> None:
        """Hang up. May be called twice."""
        self.api.close()
        self._stack.close()

    def url(self, path: str, **query: Any) -> str:
        return f"/v{self.api.api_version}{path}" + (f"?{urlencode(query)}" if query else "")

    # The host -----------------------------------------------------------------------------------------------------

    def look(self, begun: Inquiry | None = None) -> Look:
        """What the host is like. `begun`: it was asked before the engine was."""
        with self.asking("asking what it is like"):
            return (begun or Inquiry(self.link)).look(self.api.info())

    # Images -------------------------------------------------------------------------------------------------------

    def image(self, name: str) -> Image | None:
        """The image of that name or id, if it is there."""
        with self.asking("looking for an image"):
            try:
                return described(self.api.inspect_image(name))
            except faults.ImageNotFound:
                return None

    def images(self) -> list[str]:
        """The ids of all that are there: those that are named after Python first, of them the newest."""
        with self.asking("listing images"):
            found = [(each["Id"], " ".join(each.get("RepoTags") or ()), each["Created"]) for each in self.api.images()]
            return [str(each[0]) for each in sorted(found, key=lambda each: ("python" not in each[1], -each[2]))]

    def pull(self, name: str, progress: Progress) -> Image:
        """Have the engine fetch an image. Raises ImageFailed."""
        repository, tag = _named(name)
        with self.asking(f"pulling {name}", ImageFailed):
            for event in self.api.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise problems.explain(str(event["error"]), f"pulling {name}", self.link.name)
                _tell(event, progress)
        found = self.image(name)
        if found is None:
            raise problems.explain(f"No such image: {name}", "pulling", self.link.name)
        return found

    # Containers ---------------------------------------------------------------------------------------------------

    def create(self, spec: Spec) -> str:
        """Make a container, and do not start it. Its id; that of the one that is there if there is one of this run."""
        end = time.monotonic() + PATIENCE
        while True:
            with self.asking("making the container"):
                try:
                    return str(self.api.create_container_from_config(spec.body, spec.name or None)["Id"])
                except faults.APIError as error:
                    if error.status_code != 409 or not spec.name:
                        raise
            found = self.inspect(spec.name)
            if found is not None or time.monotonic() > end:
                break
            time.sleep(_MAKING)
        if found is None or found.labels.get(f"{LABEL}.run") != spec.body["Labels"].get(f"{LABEL}.run"):
            raise problems.explain(f"container name {spec.name} is already in use", "", self.link.name)
        return found.id

    def start(self, container: str) -> None:
        """Start a container that was made. One that runs or has run is left as it is: a job is done once."""
        found = self.inspect(container)
        if found is None:
            raise problems.gone("the container", self.link.name)
        if found.state == "created":
            with self.asking("starting the container"):
                self.api.start(container)

    def inspect(self, container: str) -> Container | None:
        """A container by its name or id."""
        with self.asking("looking for the container"):
            try:
                return read(self.api.inspect_container(container))
            except faults.NotFound:
                return None

    def find(self, run_id: str) -> Container | None:
        """The container of a run."""
        found = self.inspect(NAME + run_id)
        return found if found is not None and found.labels.get(f"{LABEL}.run") == run_id else None

    def jobs(self) -> list[Container]:
        """All containers of runs, everybody's, newest first. Times are not known, and OOM neither; `find` has them."""
        with self.asking("listing containers"):
            return listed(self.api.containers(all=True, filters={"label": f"{LABEL}.run"}))

    def logs(
        self, container: str, follow: bool = False, tail: int | None = None, position: Position | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """What a container prints: 1 for standard output or 2 for standard error, and bytes as soon as they come.

        `position`: of one who has read before, and reads on; it moves along."""
        position = position or Position(tail)
        with self.asking("reading the output"):
            yield from position.rest(self._logged(container, follow, position.query))
            if follow and (position.has_begun or position.tail != 0):
                # Engine 20.10 leaves out its last entry, a line without an end.
                yield from position.rest(self._logged(container, False, {"tail": 4 + position.number}))

    def _logged(self, container: str, follow: bool, what: Mapping[str, str | int]) -> Iterator[Entry]:
        """A frame has one entry of the log."""
        query = {"stdout": 1, "stderr": 1, "follow": int(follow), "timestamps": 1, **what}
        for which, data in wire.frames_of(self._direct, self.url(f"/containers/{quote(container)}/logs", **query)):
            stamp, _, text = data.partition(b" ")
            yield which, stamp, text

    def wait(self, container: str) -> Container:
        """The container, once it has ended."""
        with self.asking("waiting for the container"):
            try:
                self.api.wait(container, timeout=None)
            except faults.NotFound:
                raise problems.gone("the container", self.link.name) from None
        found = self.inspect(container)
        if found is None:
            raise problems.gone("the container", self.link.name)
        return found

    def stop(self, container: str, grace: float = 10) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds; waits for the end. Fine when it has ended, or is not there."""
        with self.asking("stopping the container"), contextlib.suppress(faults.NotFound):
            self.api.stop(container, timeout=max(0, round(grace)))

    def kill(self, container: str, signal: str = "KILL") -> None:
        """Send its first process a signal. Fine when it has ended, or is not there."""
        with self.asking("killing the container"), contextlib.suppress(faults.NotFound):
            try:
                self.api.kill(container, signal)
            except faults.APIError as error:
                if error.status_code != 409:  # it does not run
                    raise

    def remove(self, container: str) -> None:
        """Remove it with its volumes, running or not. Fine when it is not there."""
        with self.asking("removing the container"), contextlib.suppress(faults.NotFound):
            try:
                self.api.remove_container(container, v=True, force=True)
            except faults.APIError as error:
                if error.status_code != 409:  # somebody else is at it
                    raise

    def stats(self, container: str) -> Usage | None:
        """What a container uses at the moment; takes a second or two. None when it does not run."""
        with self.asking("asking what it uses"):
            try:
                return usage(self.api.stats(container, stream=False))
            except faults.NotFound:
                return None

    # Programs -----------------------------------------------------------------------------------------------------

    def exec(
        self, container: str, argv: Sequence[str], tty: bool = False, environ: Mapping[str, str] | None = None
    ) -> Session:
        """Start a program in a running container, with its user, directory and environment, and more of that."""
        with self.asking("running a command in the container"):
            more = dict(environ or {})
            made = self.api.exec_create(container, list(argv), stdin=True, tty=tty, environment=more)["Id"]
            stream = self._stream(f"/exec/{made}/start", {"Detach": False, "Tty": tty}, tty)

        def code() -> int:
            with self.asking("asking for the exit code"):
                return int(self.api.exec_inspect(made)["ExitCode"] or 0)

        def resize(rows: int, columns: int) -> None:
            with self.asking("resizing the terminal"):
                self.api.exec_resize(made, height=rows, width=columns)

        return Session(stream, code, resize)

    @contextlib.contextmanager
    def helper(self, image: str, argv: Sequence[str], binds: Sequence[Mount] = (), user: str = "") -> Iterator[Session]:
        """A container for one program of ours, removed at the end. It has no network."""
        made = self.create(containers.helper(image, argv, binds, user))
        try:
            with self.asking(f"running {argv[0]}"):
                stream = self._stream(f"/containers/{made}/attach", stream=1, stdin=1, stdout=1, stderr=1)
            with contextlib.closing(stream):
                with self.asking(f"running {argv[0]} in a container"):
                    self.api.start(made)
                yield Session(stream, lambda: self.wait(made).code or 0, lambda _rows, _columns: None)
        finally:
            with contextlib.suppress(GittrackError):  # what happened before is what matters
                self.remove(made)

    def run(
        self, image: str, argv: Sequence[str], binds: Sequence[Mount] = (), data: bytes = b"", user: str = ""
    ) -> Done:
        """Run a short program of ours in a container of its own to its end."""
        found = {1: bytearray(), 2: bytearray()}
        with self.helper(image, argv, binds, user) as session:
            sender = threading.Thread(target=_feed, args=(session, data), daemon=True)
            sender.start()
            with self.asking(f"running {argv[0]} in a container"):
                for which, part in session.frames():
                    found[which] += part
            return Done(session.code(), bytes(found[1]), bytes(found[2]))

    def _stream(self, path: str, body: Any = None, tty: bool = False, **query: Any) -> Stream:
        return Stream(self.path, self.url(path, **query), body, tty)

    # Errors -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def asking(self, doing: str, odd: type[GittrackError] | None = None) -> Iterator[None]:
        """Turn what the library raises into errors that help; into `odd`, or HostFailed, what makes no sense."""
        try:
            yield
        except faults.APIError as error:
            raise problems.explain(str(error.explanation or error), doing, self.link.name) from None
        except wire.Refused as error:
            raise problems.explain(str(error), doing, self.link.name) from None
        except faults.DockerException as error:
            raise self._silent(error) from None
        except _BROKEN as error:
            raise self._silent(error) from None
        except _ODD as error:
            failed = problems.odd(f"{type(error).__name__}: {error}", doing, self.link.name)
            raise (odd(failed.message, failed.hint) if odd else failed) from error

    def _silent(self, error: Exception) -> HostFailed:
        """Why there was no answer."""
        if self.link.is_here and not os.path.exists(self.path):
            return problems.not_running(self.link.name)
        if self.link.is_here and not os.access(self.path, os.W_OK):
            return problems.not_allowed(self.link.name)
        try:
            done = self.link.run([*self._command, "version", "--format", "{{.Server.Version}}"], check=False)
        except FileNotFoundError:
            done = Done(127, b"", b"")
        except LinkLost as lost:
            return lost
        if done.code == 0:  # it is there: it was this one request that failed
            return HostFailed(
                f"the Docker engine of {self.link.name} hung up: {shown(str(error))}",
                "try again",
                "hung-up",
            )
        return problems.diagnose(done, self._command, self.link.name)


def _feed(session: Session, data: bytes) -> None:
    with contextlib.suppress(OSError):  # a program need not read what it is given
        session.send(data)
        session.end_input()


def _socket_here(words: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """The socket of this machine's engine; None when only the docker command knows how to reach it."""
    if len(words) > 1:
        return None
    address = environ.get("DOCKER_HOST", "")
    if address.startswith("unix://"):
        return address.removeprefix("unix://")
    if address or environ.get("DOCKER_CONTEXT") or _context(environ):
        return None
    own = os.path.join(environ.get("XDG_RUNTIME_DIR") or "/nowhere", "docker.sock")  # of an engine without root
    return own if not os.path.exists(SOCKET) and os.path.exists(own) else SOCKET


def _context(environ: Mapping[str, str]) -> str:
    """The context that the user has chosen for the docker command."""
    folder = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME", ""), ".docker")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            chosen = str(json.load(file).get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""
    return "" if chosen == "default" else chosen


def _named(name: str) -> tuple[str, str | None]:
    """Repository and tag; what is pinned by its digest has no tag."""
    if "@" in name:
        return name, None
    repository, _, tag = name.rpartition(":")
    return (repository, tag) if repository and "/" not in tag else (name, "latest")


def _tell(event: Mapping[str, Any], progress: Progress) -> None:
    detail = event.get("progressDetail") or {}
    if "total" in detail:
        progress(line(str(event.get("status", "")))[:_WORDS], int(detail.get("current", 0)), int(detail["total"]))


def described(found: Mapping[str, Any]) -> Image:
    digests, identity = found.get("RepoDigests") or [], str(found.get("Id", ""))
    labels = (found.get("Config") or {}).get("Labels") or {}
    return Image(
        identity, str(digests[0]) if digests else identity, str(found.get("Architecture", "")),
        str(found.get("Os", "")), int(found.get("Size") or 0), str(found.get("Created", "")), labels,
        tuple(found.get("RepoTags") or ()),
    )  # fmt: skip
