"""What the attendant is to do: job.json and env, read and checked. They are our own, written by who sent the job."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import codec
from gittrack.core.redact import Redactor, secret_values, spellings
from gittrack.recorder.resume import RESUME

FORMAT = 1
FILE, ENV, RUN, WORK, HOME, STOP = "job.json", "env", "run", "work", "home", "stop"
FIELDS = ("run", "goals", "default", "store")  # of the start event, in this order


class Job(NamedTuple):
    """job.json."""

    id: str
    argv: list[str]
    cwd: str
    start: dict[str, Any]
    params: dict[str, Any]
    warnings: list[str]
    redactor: dict[str, Any]
    secrets: list[str]  # names of variables in `env`
    autolog: bool
    artifacts: str
    system_metrics: bool
    params_files: list[str]
    metric_files: list[str]
    large: int
    stored: list[str]
    environment: dict[str, Any]
    variables: list[str]
    resume: dict[str, Any]  # what was sent of the run to go on from


class Place(NamedTuple):
    """Where the job is."""

    folder: str
    work: str
    recorder: str  # the zip, or the folder of the recorder's bootstrap: an entry for PYTHONPATH

    @property
    def run(self) -> str:
        return os.path.join(self.folder, RUN)

    @property
    def is_stopped(self) -> bool:
        """Whether somebody said that the command shall end."""
        return os.path.exists(os.path.join(self.run, STOP))


def read(folder: str) -> Job:
    """job.json of a job. Raises UsageError, NewerFormat, OSError."""
    path = os.path.join(folder, FILE)
    with open(path, "rb") as file:
        data = file.read()
    try:
        found = codec.loads(data)
        if found["format"] > FORMAT:
            raise errors.NewerFormat(f"{path} has format {found['format']}", "send the job again with one gittrack")
        start = {name: found["start"][name] for name in FIELDS if name in found["start"]}
        if not found["argv"] or not isinstance(start["run"], dict):
            raise ValueError("it names no command")
        return Job(
            str(found["id"]),
            [_text(word) for word in found["argv"]],
            _below(found.get("cwd") or "."),
            start,
            found.get("params") or {},
            found.get("warnings") or [],
            found.get("redactor") or {"rules": [], "values": [], "allow": []},
            found.get("secrets") or [],
            bool(found.get("autolog", True)),
            str(found.get("artifacts", "1")),
            bool(found.get("system_metrics", True)),
            found.get("params_files") or [],
            found.get("metric_files") or [],
            int(found.get("large", 0)),
            found.get("stored") or [],
            found.get("environment") or {},
            found.get("variables") or [],
            found.get("resume") or {},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.UsageError(f"{path} is no job: {error}", "send the job again") from error


def variables(folder: str) -> dict[str, str]:
    """What `env` says; nothing where there is none. Raises OSError."""
    try:
        with open(os.path.join(folder, ENV), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return {}
    pairs = [entry.partition(b"=") for entry in data.split(b"\0")]
    return {os.fsdecode(name): os.fsdecode(value) for name, equals, value in pairs if equals and name}


def environ(given: Mapping[str, str], place: Place, continued: str | None = None) -> dict[str, str]:
    """The command's environment: the image's, then what the job says, and a home for a user whom the image does not
    know: libraries put their caches there, and ask for the user's name. `continued`: the run and step to go on from."""
    child = {**given, **variables(place.folder)}
    if continued:
        child.setdefault(RESUME, continued)
    if child.get("HOME", "/") in ("", "/") or not os.access(child["HOME"], os.W_OK | os.X_OK):
        child["HOME"] = os.path.join(place.folder, HOME)
    if not _has_account():
        for name in ("USER", "LOGNAME"):
            child.setdefault(name, str(os.getuid()))
    return child


def continued(job: Job) -> str | None:
    """What a training that asks for the checkpoint to go on from is told."""
    if job.resume.get("as"):
        return str(job.resume["as"])
    found = job.start["run"].get("continues")
    if not isinstance(found, dict) or not found.get("run"):
        return None
    return str(found["run"]) if found.get("step") is None else f"{found['run']}@{found['step']}"


def redactor(job: Job, environ: Mapping[str, str]) -> Redactor:
    """Takes out what the sender knows, and what the command's environment has under the names of secrets."""
    named = [text for name in job.secrets if environ.get(name) for text in spellings(environ[name])]
    return Redactor.from_json(job.redactor).knowing((*named, *secret_values(environ)))


def _has_account() -> bool:
    try:
        return bool(pwd.getpwuid(os.getuid()))
    except KeyError:
        return False


def _text(word: Any) -> str:
    """An argument that is not UTF-8 comes as bytes."""
    if isinstance(word, bytes):
        return os.fsdecode(word)
    if not isinstance(word, str) or "\0" in word:
        raise ValueError("an argument is no text")
    return word


def _below(path: Any) -> str:
    found = os.path.normpath(_text(path))
    if os.path.isabs(found) or found.split(os.sep)[0] == os.pardir:
        raise ValueError("its directory is not in the work tree")
    return found
