"""Whether a host is the one at which a run was placed. Who sends a job makes up a ticket, which stands in job.json: no
other host knows it, whatever names, addresses and keys hosts have and get.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from typing import Any

from gittrack.core import codec, layout
from gittrack.errors import HostFailed
from gittrack.launch.link.protocol import Link
from gittrack.runs import away

JOB = "job.json"  # of a job at its host, and of the clone that has sent it
LARGEST_JOB = 16 << 20  # bytes
_TICKET = re.compile(r"[0-9a-f]{32}")


def new_ticket() -> str:
    return os.urandom(16).hex()


def ticket_of(document: Any) -> str:
    """Empty where there is none: an older version has sent it."""
    found = document.get("ticket") if isinstance(document, dict) else None
    return found if isinstance(found, str) and _TICKET.fullmatch(found) else ""


def document(link: Link, run_id: str) -> Mapping[str, Any] | None:
    """job.json as the host has it, empty where that is none; None where it is not there yet: it is written last.

    Raises HostFailed, LinkLost."""
    try:
        data = link.read(f"{link.folder()}/jobs/{run_id}/{JOB}", 0, LARGEST_JOB + 1)
    except FileNotFoundError:
        return None
    return _parsed(data) if len(data) <= LARGEST_JOB else {}


def check(link: Link, run_id: str, directory: str, sent: away.Away) -> bool:
    """Whether results of the run in this folder may come from this host; False while it has no such job.

    Raises HostFailed where it is not the host that has the job, LinkLost."""
    ticket = _at_home(directory) or ticket_of(sent.more)
    if ticket:
        found = document(link, run_id)
        if found is None:
            return False
        is_it = ticket_of(found) == ticket
    else:
        is_it = sent.host in (link.name, away.UNKNOWN)
    if is_it:
        return True
    raise _elsewhere(link.name, run_id, sent.host, bool(ticket))


def _elsewhere(name: str, run_id: str, sent: str, is_sure: bool) -> HostFailed:
    where = "as it is now" if sent == name else f"but to {sent}"
    hint = f"`git track fetch {sent}` asks the right one"
    if not is_sure:
        hint = f"if that is the same machine, call it {sent} under `hosts:` in gittrack.yaml"
    elif sent == name:
        hint = "give that machine its name back under `hosts:` in gittrack.yaml, or call it otherwise and fetch from it"
    message = f"run {run_id[: layout.SHORT]} was not sent to {name} {where}: nothing of it is taken"
    return HostFailed(message, hint, "elsewhere")


def _at_home(directory: str) -> str:
    with contextlib.suppress(OSError), open(os.path.join(directory, JOB), "rb") as file:
        return ticket_of(_parsed(file.read()))
    return ""


def _parsed(data: bytes) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = codec.loads(data)
        if isinstance(found, dict):
            return found
    return {}
