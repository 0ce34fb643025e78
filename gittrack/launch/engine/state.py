"""Containers as an engine tells of them, as values. Pure. Its word is a stranger's: all of it is read with care."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from gittrack.launch.engine.containers import LABEL

STATES = frozenset(("created", "running", "paused", "restarting", "removing", "exited", "dead"))
RUNNING = frozenset(("running", "paused", "restarting"))
ENDED = frozenset(("exited", "dead"))
_EXITED = re.compile(r"Exited \((\d{1,3})\)")


class Container(NamedTuple):
    id: str
    name: str
    state: str  # one of STATES
    code: int | None  # its exit code, when it has ended
    oom: bool  # whether a process of it was killed for want of memory
    started: float | None  # seconds since 1970
    finished: float | None
    labels: Mapping[str, str]
    image: str  # as it was named
    image_id: str
    error: str = ""  # what the engine says, where it could not be started
    gpus: tuple[str, ...] = ()  # ("all",), or numbers and ids; as it was made
    created: float | None = None  # seconds since 1970; of those in a list

    @property
    def run(self) -> str:
        """The id of the run that it is for."""
        return self.labels.get(f"{LABEL}.run", "")

    @property
    def is_running(self) -> bool:
        return self.state in RUNNING

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Usage(NamedTuple):
    cpu: float  # percent of one processor
    memory: int
    limit: int
    processes: int


def read(found: Mapping[str, Any]) -> Container:
    """From what `inspect` says."""
    state = found.get("State") or {}
    config = found.get("Config") or {}
    status = _state(state.get("Status"))
    started = moment(state.get("StartedAt"))
    finished = moment(state.get("FinishedAt")) if status in ENDED else None
    if started and finished:
        started = min(started, finished)  # an engine notes the start of one that ends at once after its end
    return Container(
        id=str(found.get("Id", "")),
        name=str(found.get("Name", "")).lstrip("/"),
        state=status,
        code=_code(state.get("ExitCode")) if status in ENDED else None,
        oom=state.get("OOMKilled") is True,
        started=started,
        finished=finished,
        labels=_labels(config.get("Labels")),
        image=str(config.get("Image", "")),
        image_id=str(found.get("Image", "")),
        error=str(state.get("Error") or ""),
        gpus=_gpus((found.get("HostConfig") or {}).get("DeviceRequests")),
    )


def listed(found: Iterable[Mapping[str, Any]]) -> list[Container]:
    """From a list of containers, which says less of each."""
    return [_brief(each) for each in found]


def _brief(found: Mapping[str, Any]) -> Container:
    state = _state(found.get("State"))
    match = _EXITED.match(str(found.get("Status", "")))
    names = found.get("Names") or [""]
    return Container(
        id=str(found.get("Id", "")),
        name=str(names[0]).lstrip("/"),
        state=state,
        code=int(match[1]) if match else None,
        oom=False,
        started=None,
        finished=None,
        labels=_labels(found.get("Labels")),
        image=str(found.get("Image", "")),
        image_id=str(found.get("ImageID", "")),
        created=float(found.get("Created") or 0) or None,
    )


def usage(found: Mapping[str, Any]) -> Usage | None:
    """From one answer of `stats`, which has this second and the one before."""
    now, before = found.get("cpu_stats") or {}, found.get("precpu_stats") or {}
    memory = found.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    spent = _total(now) - _total(before)
    passed = int(now.get("system_cpu_usage") or 0) - int(before.get("system_cpu_usage") or 0)
    processors = int(now.get("online_cpus") or 0) or len((now.get("cpu_usage") or {}).get("percpu_usage") or ()) or 1
    share = spent / passed * processors * 100 if passed > 0 and spent > 0 else 0.0
    details = memory.get("stats") or {}
    cached = int(details.get("total_inactive_file", details.get("inactive_file", 0)) or 0)
    used = int(memory["usage"])
    return Usage(
        share, used - cached if cached < used else used, int(memory.get("limit") or 0),
        int((found.get("pids_stats") or {}).get("current") or 0),
    )  # fmt: skip


def _total(cpu: Mapping[str, Any]) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def moment(text: Any) -> float | None:
    """`2026-01-02T03:04:05.123456789Z` as seconds since 1970; None for what has not been (the year 1)."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", str(text or ""))
    if not match or match[1].startswith("0001"):
        return None
    try:
        whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
    return whole + float(match[2] or 0)


def _gpus(requests: Any) -> tuple[str, ...]:
    found = [each for each in requests or () if isinstance(each, Mapping)]
    if any(each.get("Count") == -1 for each in found):
        return ("all",)
    return tuple(str(name) for each in found for name in each.get("DeviceIDs") or ())


def _state(value: Any) -> str:
    return str(value) if value in STATES else "dead"


def _code(value: Any) -> int | None:
    return value if isinstance(value, int) and -256 < value < 1 << 32 else None


def _labels(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, Mapping) else {}
