"""What went wrong with an engine, in words that help: from what it, or the docker command, said of it. Pure.

An engine knows no codes for most of this, only sentences, which have been the same for years; each is known here by a
piece of its wording. What is not known is told as it was said.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gittrack.errors import GittrackError, HostFailed, ImageFailed
from gittrack.launch.link.protocol import Done
from gittrack.launch.link.words import shown


class _Known(NamedTuple):
    kind: str
    said: str  # a regular expression
    message: str  # {host}, {doing}, {image}, {registry}; {1} the first group of what was said, {0} all that was known
    hint: str
    error: Callable[[str, str, str], GittrackError] = HostFailed


def _image(message: str, hint: str, _kind: str) -> GittrackError:
    return ImageFailed(message, hint)


_KNOWN = (
    _Known(
        "disk-full", r"no space left on device|disk quota exceeded",
        "the disk of {host} is full", "make room there: git track host prune {host}; or: docker system prune",
    ),
    _Known(
        "no-image", r"No such image: (\S+)|pull access denied for (\S+?),|repository (\S+) not found"
        r"|manifest for (\S+) not found|manifest unknown",
        "there is no image {1} at {host}, and none could be pulled",
        "check its name; a private one needs: docker login", _image,
    ),
    _Known(
        "login", r"no basic auth credentials|unauthorized:|authentication required|denied: requested access",
        "{doing}: the registry wants to know who you are, or does not allow it to you",
        "docker login {registry}: on this machine; hosts need no login", _image,
    ),
    _Known(
        "architecture", r"no matching manifest for (\S+)|exec format error|does not match the specified platform",
        "the image is not made for the processors of {host}", "name one that is, or build it there: build: Dockerfile",
        _image,
    ),
    _Known(
        "unreachable", r"dial tcp: lookup|i/o timeout|TLS handshake|x509:|Client\.Timeout|connection refused",
        "{host} cannot reach the registry of {image}",
        "name an image that is there, or a mirror: registry_mirror: in gittrack.yaml", _image,
    ),
    _Known(
        "no-gpu", r"could not select device driver|nvidia-container-cli|unknown or invalid runtime name: nvidia"
        r"|failed to discover GPU|unresolvable CDI devices",
        "the engine of {host} cannot give GPUs to containers",
        "install nvidia-container-toolkit there, then: sudo nvidia-ctk runtime configure --runtime=docker and restart "
        "docker; or run with --gpus none",
    ),
    _Known(
        "port", r"Bind for (\S+) failed: port is already allocated|listen \S+ (\S+): bind: address already in use"
        r"|(address already in use)",
        "a port that was asked for is in use at {host}: {1}", "choose another one: --port HOST:CONTAINER",
    ),
    _Known(
        "mount", r"bind source path does not exist: (.+)|invalid mount config for type .bind.: (.+)",
        "a folder to be mounted is not at {host}: {1}", "make it there, or correct -m HOST:CONTAINER",
    ),
    _Known(
        "limit", r"Range of CPUs is from .*|Minimum memory limit allowed is \S+",
        "{host} cannot give what was asked for: {0}", "ask for less: --cpus, --memory",
    ),
    _Known("name", r"container name \S+ is already in use", "the name of the container is taken at {host}", ""),
    _Known(
        "network", r"network (\S+) not found", "there is no network {1} at {host}", "see there: docker network ls",
    ),
    _Known(
        "no-command", r'exec: "([^"]*)": (?:executable file not found|stat)', "the image has no program {1}",
        "choose an image that has it", _image,
    ),
    _Known(
        "dockerfile", r"dockerfile parse error (.+)", "the Dockerfile is not understood: {1}",
        "correct it; what needs BuildKit, as `RUN <<EOF`, is built with docker buildx, and named: --image NAME", _image,
    ),
)  # fmt: skip


def explain(said: str, doing: str, host: str) -> GittrackError:
    """The error for what an engine answered while it was `doing` something."""
    for known in _KNOWN:
        if match := re.search(known.said, said):
            group = next((each for each in match.groups() if each), match[0])
            words = {"{host}": host, "{doing}": doing, "{registry}": _registry(doing), "{image}": _image_of(doing)}
            words |= {"{1}": shown(group), "{0}": shown(match[0])}
            return known.error(_filled(known.message, words), _filled(known.hint, words), known.kind)
    return HostFailed(f"{doing} at {host} failed: {shown(said) or 'the engine did not say why'}", _SEE, "engine")


_SEE = "what the engine says more: journalctl -u docker, there"
_START = "start it there: sudo systemctl start docker"


def diagnose(done: Done, docker: Sequence[str], host: str) -> HostFailed:
    """Why there is no talking to an engine; `done` is how `docker version` ended there."""
    said = done.err.decode("utf-8", "replace").strip()
    if done.code in (126, 127) and not re.search("permission denied.*(socket|daemon)", said, re.I):
        return HostFailed(
            f"{host} has no docker" if docker[0] == "docker" else f"{host} has no program {docker[0]}",
            "install it there: https://docs.docker.com/engine/install; if it has another name, say so by `docker:` of "
            "the host",
            "no-docker",
        )
    if re.search("permission denied", said, re.I):
        return HostFailed(
            f"you may not use the Docker engine of {host}",
            "there, by somebody who may: sudo usermod -aG docker YOU; then log in again",
            "permission",
        )
    if re.search("cannot connect|is the docker daemon running|connection refused|error during connect", said, re.I):
        return HostFailed(f"the Docker engine of {host} does not run", _START, "daemon")
    return HostFailed(f"the Docker engine of {host} does not answer: {shown(said) or 'it hung up'}", _SEE, "engine")


def odd(problem: str, doing: str, host: str) -> HostFailed:
    """The engine answered what none does."""
    return HostFailed(f"{doing} at {host} failed: its answer makes no sense ({shown(problem)})", _SEE, "hostile")


def not_running(host: str) -> HostFailed:
    return HostFailed(f"the Docker engine of {host} does not run", _START, "daemon")


def not_allowed(host: str) -> HostFailed:
    return HostFailed(
        f"you may not use the Docker engine of {host}", "sudo usermod -aG docker $USER; then log in again", "permission"
    )


def gone(what: str, host: str) -> HostFailed:
    return HostFailed(
        f"{what} is not at {host}", "it was removed there; what had come back is kept: git track ls", "gone"
    )


def _image_of(doing: str) -> str:
    verb, _, name = doing.rpartition(" ")
    return name if verb in ("pulling", "pushing", "building on") else "the image"


def _registry(doing: str) -> str:
    """Of the image that is named last; empty for the usual one."""
    first, slash, _ = doing.rpartition(" ")[2].partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def _filled(text: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(name, value)
    return text
