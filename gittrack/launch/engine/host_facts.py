"""What a host is like: engine, processors, memory, room, GPUs; by one command and one call of the engine. Pure.

The command is one fixed text for a shell. Which folder the engine's disk is looked up by, it reads at its end: by then
the engine has said so, and neither has waited for the other. Where no NVIDIA driver is loaded nothing is started for
GPUs. Its answer is a stranger's word: what does not look right is left out.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.compare.text import count, size

# printf is in every shell; the names before `=` are ours, and a value ends with its line.
SCRIPT = r"""
printf 'user=%s:%s\n' "$(id -u)" "$(id -g)"
printf 'home=%s\n' "$HOME"
printf 'name=%s\n' "$(uname -n)"
for name in git python3; do command -v $name >/dev/null 2>&1 && printf 'has=%s\n' $name; done
if [ -r /proc/driver/nvidia/version ] || [ -e /dev/dxg ]; then
    sed -n 's/^NVRM version:.* \([0-9][0-9]*\.[0-9.]*\) .*/driver=\1/p' /proc/driver/nvidia/version 2>/dev/null
    nvidia-smi --query-gpu=index,uuid,memory.total,memory.used,utilization.gpu,driver_version,name \
        --format=csv,noheader,nounits 2>/dev/null </dev/null | sed 's/^/gpu=/'
fi
IFS= read -r root
printf 'clock=%s\n' "$(date +%s)"
for folder in "$root" .; do
    df -Pk -- "$folder" 2>/dev/null | { read -r _; read -r _ _ _ kb _; printf 'disk=%s\n' "$kb"; }
done
exit 0
"""
ARGV = ("sh", "-c", SCRIPT)
_MOST_GPUS = 64
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "i386": "386"}
_MB = 1 << 20


class Gpu(NamedTuple):
    number: int
    id: str
    name: str
    memory: int  # bytes
    used: int
    busy: int | None  # percent

    def is_called(self, word: str) -> bool:
        """By its number or its id, of which the beginning is enough."""
        return word == str(self.number) or (word.startswith("GPU-") and self.id.startswith(word))


class Look(NamedTuple):
    """A host as it was when it was asked."""

    version: str = ""  # of the engine
    architecture: str = ""  # as images name it: amd64, arm64
    system: str = ""
    cpus: int = 0
    memory: int = 0
    free: int | None = None  # bytes on the disk of the engine's data
    driver: str = ""  # NVIDIA's
    gpus: tuple[Gpu, ...] = ()
    runtime: bool = False  # whether the engine can give GPUs to containers, as far as it says
    security: tuple[str, ...] = ()
    running: int = 0  # containers
    name: str = ""  # the host's own
    user: str = ""  # uid:gid as whom a container writes files that are the user's
    home: str = ""
    clock: float | None = None  # seconds since 1970
    ahead: float | None = None  # seconds by which that clock is ahead of ours
    has: frozenset[str] = frozenset()  # git, python3
    home_free: int | None = None

    def line(self) -> str:
        """The host in one line."""
        said = [f"docker {self.version} on {self.architecture}", count(self.cpus, "CPU"), f"{size(self.memory)} memory"]
        if self.free is not None:
            said.append(f"{size(self.free)} free")
        if self.gpus:
            said += [*_kinds(self.gpus), f"driver {self.driver}"]
        elif self.driver:
            said.append(f"NVIDIA driver {self.driver}, no GPU found")
        else:
            said.append("no GPU")
        return ", ".join(said)


def look(info: Mapping[str, Any], answer: bytes) -> Look:
    """From what the engine says of itself, and what `ARGV` printed."""
    lines = [line.partition("=")[::2] for line in answer.decode("utf-8", "replace").splitlines()]
    said = dict(lines)
    disks = [_disk(value) for name, value in lines if name == "disk"]
    security = tuple(_word(each) for each in info.get("SecurityOptions") or ())
    gpus = [gpu for name, value in lines if name == "gpu" if (gpu := _gpu(value))][:_MOST_GPUS]
    return Look(
        version=_word(info.get("ServerVersion")),
        architecture=machine(_word(info.get("Architecture"))),
        system=_word(info.get("OSType")),
        cpus=_number(info.get("NCPU")),
        memory=_number(info.get("MemTotal")),
        free=disks[0] if disks else None,
        home_free=disks[-1] if disks else None,
        driver=_word(said.get("driver") or next((_driver(value) for name, value in lines if name == "gpu"), "")),
        gpus=tuple(gpus),
        runtime="nvidia" in (info.get("Runtimes") or {}) or bool(info.get("CDISpecDirs")),
        security=security,
        running=_number(info.get("ContainersRunning")),
        name=_word(said.get("name")),
        user=_owner(said.get("user", ""), security),
        home=said.get("home", "") if said.get("home", "").startswith("/") else "",
        clock=float(said["clock"]) if re.fullmatch(r"\d{1,12}", said.get("clock", "")) else None,
        has=frozenset(value for name, value in lines if name == "has"),
    )


def machine(name: str) -> str:
    """`x86_64` as images name it: `amd64`."""
    return _MACHINES.get(name, name)


def free_gpus(gpus: Sequence[Gpu]) -> list[Gpu]:
    """GPUs on which nobody seems to work."""
    return [gpu for gpu in gpus if gpu.used < max(500 * _MB, gpu.memory // 50) and not (gpu.busy or 0) > 10]


def _owner(user: str, security: Sequence[str]) -> str:
    if "name=rootless" in security:
        return "0:0"  # root of such an engine is the user himself
    return user if re.fullmatch(r"\d{1,10}:\d{1,10}", user) else ""


def _kinds(gpus: Sequence[Gpu]) -> list[str]:
    kinds: dict[tuple[str, int], int] = {}
    for gpu in gpus:
        kinds[gpu.name, gpu.memory] = kinds.get((gpu.name, gpu.memory), 0) + 1
    return [f"{number} × {name} ({size(memory)})" for (name, memory), number in kinds.items()]


def _gpu(text: str) -> Gpu | None:
    parts = [part.strip() for part in text.split(",", 6)]
    if len(parts) != 7 or not parts[0].isdecimal() or not parts[2].isdecimal():
        return None
    number, name, memory, used, busy, _, title = parts
    return Gpu(
        int(number), _word(name), _word(title), int(memory) * _MB, int(used) * _MB if used.isdecimal() else 0,
        int(busy) if busy.isdecimal() else None,
    )  # fmt: skip


def _driver(text: str) -> str:
    """As a GPU names it: in WSL there is no file that says it."""
    found = text.split(",")[5:6]
    return found[0].strip() if found and re.fullmatch(r" *[0-9.]{1,20}", found[0]) else ""


def _disk(text: str) -> int | None:
    return int(text) * 1024 if re.fullmatch(r"\d{1,15}", text) else None


def _word(value: Any) -> str:
    """A text that can be shown: of a host that may lie, without what moves the cursor."""
    return "".join(letter for letter in str(value or "")[:100] if letter.isprintable())


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 62 else 0
