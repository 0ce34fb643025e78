"""What a container is to be like: read from the texts of options and settings, and said as the engine wants it. Pure.

The document is that of the engine's API (`POST /containers/create`), so nothing here depends on a client library, and a
test can read what would be asked for. Nothing that may be secret is in it: whoever may use the engine can inspect its
containers, so the environment goes by a file that only the user can read (`env_file`).
"""

import ipaddress
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.attendant import entry
from gittrack.errors import UsageError

LABEL = "gittrack"
NAME = "gittrack-"
JOB, WORK, ATTENDANT = entry.JOB, entry.WORK, entry.ZIP
_TAKEN = ("/gittrack", WORK, "/proc", "/sys", "/dev")
_SMALLEST_SHARED = 64 * 1024 * 1024  # what the engine itself gives
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SMALLEST_MEMORY = 6 << 20  # the engine refuses less
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GPU = re.compile(r"\d{1,3}|(GPU|MIG)-[0-9A-Za-z/-]{4,80}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,510}")
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Mount(NamedTuple):
    source: str  # at the host
    target: str  # in the container
    read_only: bool = False


class Port(NamedTuple):
    address: str
    host: int
    container: int
    protocol: str = "tcp"


class Options(NamedTuple):
    """What the user asked for."""

    gpus: tuple[str, ...] = ()  # ("all",), or numbers and ids of GPUs
    cpus: float | None = None
    memory: int | None = None
    shm_size: int | None = None
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    env: tuple[str, ...] = ()  # NAME or NAME=VALUE
    secrets: tuple[str, ...] = ()
    network: str = ""


_NOTHING = Options()


class Spec(NamedTuple):
    """A container: `body` is what the engine is asked for."""

    name: str
    image: str
    body: dict[str, Any]


class Place(NamedTuple):
    """Where things are at the host, and what it is like."""

    job: str  # ~/.gittrack/jobs/<run id>
    attendant: str  # the zip
    home: str = ""  # of the user
    user: str = ""  # uid:gid
    memory: int = 0  # of the host
    security: tuple[str, ...] = ()  # what the engine says of itself: name=userns, name=selinux, …


# Reading texts ----------------------------------------------------------------------------------------------------


def options(
    *, gpus: str | None = None, cpus: str | float | None = None, memory: str | int | None = None,
    shm_size: str | int | None = None, mounts: Iterable[str] = (), ports: Iterable[str] = (), env: Iterable[str] = (),
    secrets: Iterable[str] = (), network: str | None = None,
) -> Options:  # fmt: skip
    """Options from their texts, as given on the command line or in settings. Raises UsageError."""
    found = Options(
        parse_gpus(gpus), parse_cpus(cpus), parse_memory("--memory", memory), parse_memory("--shm-size", shm_size),
        tuple(parse_mount(each) for each in mounts), tuple(parse_port(each) for each in ports),
        tuple(_variable(each, "--env") for each in env), tuple(_variable(each, "--secret") for each in secrets),
        _network(network),
    )  # fmt: skip
    _distinct("mount", [each.target for each in found.mounts])
    _distinct("port", [f"{each.address}:{each.host}/{each.protocol}" for each in found.ports])
    if found.memory is not None and found.memory < _SMALLEST_MEMORY:
        raise UsageError(f"--memory {memory} is too little", "an engine gives 6 MB at least; for example: --memory 8g")
    return found


def parse_gpus(text: str | None) -> tuple[str, ...]:
    """`all`, `none`, `0`, `0,1`, or ids as `nvidia-smi -L` prints them. A number is which GPU, not how many."""
    words = tuple(word.strip() for word in (str(text) if text is not None else "").split(",") if word.strip())
    if not words or words == ("none",):
        return ()
    if words == ("all",):
        return words
    for word in words:
        if not _GPU.fullmatch(word):
            raise UsageError(f"--gpus {text}: {word!r} is no GPU", "give all, none, or which ones: --gpus 0,1")
    _distinct("GPU", words)
    return words


def parse_cpus(text: str | float | None) -> float | None:
    """`2.5`."""
    if text is None or text == "":
        return None
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.01 <= found <= 100_000:
        raise UsageError(f"--cpus {text} is no number of processors", "for example: --cpus 2.5")
    return found


def parse_image(text: str) -> str:
    """The name or id of an image. What there is none of an engine would say; this is about what is none at all, since
    it becomes part of the path of a request."""
    if not _IMAGE.fullmatch(text) or ".." in text or "//" in text:
        raise UsageError(
            f"--image {text[:80]!r} is no name of an image", "for example: python:3.12, ghcr.io/me/train:1"
        )
    return text


def parse_memory(option: str, text: str | int | None) -> int | None:
    """`8g`: as docker reads it, where g, gb and gib are all 1024 × 1024 × 1024 bytes."""
    if text is None or text == "":
        return None
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([bkmgt]?)(i?b)?", str(text).strip().lower())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if not 0 < size < 1 << 60:
        raise UsageError(f"{option} {text} is no size", f"for example: {option} 8g")
    return size


def parse_mount(text: str) -> Mount:
    """`HOST:CONTAINER[:ro]`; HOST may begin with ~/ for the home directory there."""
    parts = text.split(":")
    how = parts.pop() if len(parts) == 3 else "rw"
    if len(parts) != 2 or how not in ("ro", "rw"):
        raise UsageError(f"-m {text}: not understood", "it is HOST:CONTAINER or HOST:CONTAINER:ro")
    source, target = parts
    if "\0" in text or not (source.startswith(("/", "~/")) or source == "~"):
        raise UsageError(
            f"-m {text}: {source!r} is no folder of the host", "give the whole path there, or one that begins with ~/"
        )
    target = posixpath.normpath(target) if target.startswith("/") else ""
    if target in ("", "/", "//"):
        raise UsageError(f"-m {text}: no place in the container", "give the whole path there, such as /data")
    if any(target == each or target.startswith(each + "/") for each in _TAKEN) and not target.startswith(WORK + "/"):
        raise UsageError(f"-m {text}: {target} is taken", "choose another folder of the container, such as /data")
    return Mount(source, target, how == "ro")


def parse_port(text: str) -> Port:
    """`8888`, `8080:80`, `0.0.0.0:8080:80`, each with /udp. Without an address only the host itself can connect."""
    ports, _, protocol = text.strip().partition("/")
    address, numbers = "127.0.0.1", ports.split(":")
    if match := re.fullmatch(r"\[([0-9A-Fa-f:]+)\]:(.+)", ports):
        address, numbers = match[1], match[2].split(":")
    elif len(numbers) == 3:
        address = numbers.pop(0)
    known = all(re.fullmatch(r"\d{1,5}", each) and 0 < int(each) < 65536 for each in numbers)
    if not known or len(numbers) > 2 or protocol not in ("", "tcp", "udp") or not _is_address(address):
        raise UsageError(f"--port {text}: not understood", "it is PORT, HOST:CONTAINER or ADDRESS:HOST:CONTAINER")
    return Port(address, int(numbers[0]), int(numbers[-1]), protocol or "tcp")


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _variable(text: str, option: str) -> str:
    name, given, _ = text.partition("=")
    if not _VARIABLE.fullmatch(name) or "\0" in text:
        shown = name if given else text  # a value may be secret
        forms = f"{option} NAME" + (f" or {option} NAME=VALUE" if option == "--env" else "")
        raise UsageError(f"{option} {shown}: no name of a variable", f"it is {forms}")
    if option == "--secret" and given:
        raise UsageError(
            f"--secret {name}=…: a value on the command line is seen by everybody on this machine",
            f"set it in the environment: export {name}=…; then: --secret {name}",
        )
    return text


def _network(text: str | None) -> str:
    if text and not _NETWORK.fullmatch(text):
        raise UsageError(f"--network {text}: no name of a network", "for example: --network host")
    return text or ""


def _distinct(what: str, given: Sequence[str]) -> None:
    for each in given:
        if given.count(each) > 1:
            raise UsageError(f"{what} {each} is given twice", "leave one of them out")


# The environment --------------------------------------------------------------------------------------------------


def environment(options: Options, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that go to the container: those named, and nothing else. Raises UsageError when a secret is not set."""
    found: dict[str, str] = {}
    for text in options.env:
        name, given, value = text.partition("=")
        if given:
            found[name] = value
        elif name in environ:
            found[name] = environ[name]
    for name in options.secrets:
        if name not in environ:
            raise UsageError(f"the secret {name} is not set here", f"export {name}=… first")
        found[name] = environ[name]
    return found


def env_file(variables: Mapping[str, str]) -> bytes:
    """`env` of the job's folder: NAME=VALUE, each ended by a zero byte, since a value may have several lines."""
    return b"".join(f"{name}={value}\0".encode("utf-8", "surrogateescape") for name, value in sorted(variables.items()))


# What the engine is asked for -------------------------------------------------------------------------------------


def spec(
    run: str, image: str, place: Place, options: Options = _NOTHING, *,
    project: str = "", who: str = "", cwd: str = ".", arguments: Sequence[str] = (),
) -> Spec:  # fmt: skip
    """The container of a run. `arguments` go to the attendant."""
    body: dict[str, Any] = {
        "Image": image,
        "Entrypoint": attendant(),
        "Cmd": list(arguments),
        "User": place.user,
        "WorkingDir": posixpath.normpath(posixpath.join(WORK, cwd)),
        "Labels": {LABEL: "1", f"{LABEL}.run": run, f"{LABEL}.project": project, f"{LABEL}.user": who},
        "Env": [],
        "AttachStdout": False,
        "AttachStderr": False,
        "StopSignal": "SIGTERM",
        "ExposedPorts": {f"{port.container}/{port.protocol}": {} for port in options.ports},
        "HostConfig": _limits(place, options) | _places(place, options),
    }
    return Spec(NAME + run, image, body)


def attendant(*arguments: str) -> list[str]:
    """What starts the attendant in any image that has Python."""
    return [*entry.ENTRYPOINT, *arguments]


def helper(image: str, argv: Sequence[str], binds: Sequence[Mount], user: str = "", label: str = "helper") -> Spec:
    """A container for one short program of ours, without a network. The engine chooses its name."""
    body: dict[str, Any] = {
        "Image": image,
        "Entrypoint": list(argv[:1]),
        "Cmd": list(argv[1:]),
        "User": user,
        "WorkingDir": "/",
        "Labels": {LABEL: "1", f"{LABEL}.{label}": "1"},
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {"Mounts": [_mount(each, "") for each in binds], "NetworkMode": "none"},
    }
    return Spec("", image, body)


def _limits(place: Place, options: Options) -> dict[str, Any]:
    found: dict[str, Any] = {
        "RestartPolicy": {"Name": "no"},
        "ShmSize": options.shm_size or max((options.memory or place.memory) // 2, _SMALLEST_SHARED),
        # The run's own record of the console is what is kept; this one is for following it. `json-file`, which engines
        # choose by themselves, makes U+FFFD of all bytes that are not UTF-8.
        "LogConfig": {"Type": "local", "Config": {"max-size": "100m", "max-file": "2"}},
    }
    if options.cpus:
        found["NanoCpus"] = round(options.cpus * 1e9)
    if options.memory:
        found |= {"Memory": options.memory, "MemorySwap": options.memory}  # without swap: it would be slow, not dead
    if options.gpus:
        which: dict[str, Any] = {"Count": -1} if options.gpus == ("all",) else {"DeviceIDs": list(options.gpus)}
        found["DeviceRequests"] = [{"Driver": "", "Capabilities": [["gpu"]], **which}]
    if "name=userns" in place.security:
        found["UsernsMode"] = "host"  # else the user's id in the container would be nobody's at the host
    if "name=selinux" in place.security:
        found["SecurityOpt"] = ["label=disable"]  # it would forbid the job's folder, which has the label of a home
    return found


def _places(place: Place, options: Options) -> dict[str, Any]:
    binds = [
        Mount(place.job, JOB),
        Mount(place.job + "/work", WORK),
        Mount(place.attendant, ATTENDANT, read_only=True),
        *options.mounts,
    ]
    ports: dict[str, list[dict[str, str]]] = {}
    for port in options.ports:
        bound = {"HostIp": port.address, "HostPort": str(port.host)}
        ports.setdefault(f"{port.container}/{port.protocol}", []).append(bound)
    found: dict[str, Any] = {"Mounts": [_mount(each, place.home) for each in binds], "PortBindings": ports}
    return found | ({"NetworkMode": options.network} if options.network else {})


def _mount(mount: Mount, home: str) -> dict[str, Any]:
    source = home + mount.source[1:] if mount.source == "~" or mount.source.startswith("~/") else mount.source
    return {"Type": "bind", "Source": source, "Target": mount.target, "ReadOnly": mount.read_only}
