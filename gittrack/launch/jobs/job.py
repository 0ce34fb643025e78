"""What a run at a host consists of, as values: what the user asked for, and job.json, which tells the attendant.

Nothing of the user's environment goes to a host but what is named. So what is taken out of the record there are the
values that travel and no others: those of all secrets here, sent only to be taken out, would be a leak of their own.
job.json has their names alone: it stays, for other clones, when the file that has the values is gone.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core.redact import Redactor
from gittrack.launch.engine import containers
from gittrack.launch.engine.containers import Options
from gittrack.launch.home import placed
from gittrack.record import environment
from gittrack.record.beginning import Beginning, Wish
from gittrack.record.surroundings import artifacts
from gittrack.recorder.secret_names import is_secret_name

FORMAT = 1


class Asked(NamedTuple):
    """What the user asked for besides the command, in his words: kept at home until the job has ended."""

    host: str  # as the user calls it; empty: this machine
    image: str | None = None
    gpus: str | None = None
    cpus: str | None = None
    memory: str | None = None
    shm_size: str | None = None
    mounts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()  # NAME or KEY=VALUE
    secrets: tuple[str, ...] = ()  # names
    network: str | None = None
    inputs: tuple[str, ...] = ()  # RUN:PATH

    def to_json(self) -> dict[str, Any]:
        return self._asdict()

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Asked":
        found: dict[str, Any] = {
            name: tuple(each) if isinstance(each := value[name], list) else each
            for name in Asked._fields
            if name in value
        }
        return Asked(**found)


def options(asked: Asked, more_env: Sequence[str] = ()) -> Options:
    """What the container is to be like; `more_env`: what the settings say of its environment. Raises UsageError."""
    return containers.options(
        gpus=asked.gpus, cpus=asked.cpus, memory=asked.memory, shm_size=asked.shm_size, mounts=asked.mounts,
        ports=asked.ports, env=[*more_env, *asked.env], secrets=asked.secrets, network=asked.network,
    )  # fmt: skip


def check_variables(asked: Asked, environ: Mapping[str, str]) -> None:
    """Raises UsageError for a name that was asked for and is not set: the settings may name what only some have."""
    for text in asked.env:
        if "=" not in text and text not in environ:
            raise errors.UsageError(f"--env {text}: the variable is not set here", f"give a value: --env {text}=VALUE")


def known_secrets(given: Options, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that travel and whose values are to be taken out of all that is recorded."""
    named = containers.environment(given, environ)
    return {name: value for name, value in named.items() if value and (name in given.secrets or is_secret_name(name))}


def document(run_id: str, wish: Wish, began: Beginning, secrets: Sequence[str]) -> dict[str, Any]:
    """job.json, but for what only the host can tell (see `at_host`). `secrets`: names. Raises UsageError outside of a
    work tree."""
    around, settings = began.around, began.around.settings
    cwd = began.facts["cwd"]
    if os.path.isabs(cwd):
        raise errors.UsageError("the current directory is not in the work tree", "change to a folder of the repository")
    autolog = settings.autolog if wish.autolog is None else wish.autolog
    travels = Redactor(around.redactor.rules, (), around.redactor.allow)
    git_config = around.redactor.mapping(around.git_config)
    return {
        "format": FORMAT,
        "id": run_id,
        "ticket": placed.new_ticket(),
        "argv": list(wish.argv),
        "cwd": cwd,
        "start": began.start,
        "params": began.params,
        "warnings": list(began.warnings),
        "redactor": travels.to_json(),
        "secrets": list(secrets),
        "autolog": autolog,
        "artifacts": artifacts(settings, autolog),
        "system_metrics": settings.system_metrics and autolog,
        "params_files": list(settings.params),
        "metric_files": list(settings.metrics),
        "large": settings.large,
        "stored": list(settings.stored),
        "variables": settings.env_names,
        "environment": {"git.json": environment.of_git(around.git, git_config)},
    }


def at_host(job: Mapping[str, Any], where: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    """The whole of job.json: `where` says `host` and `launched` of run.json, `environment` more files of that name."""
    start = {**job["start"], "run": {**job["start"]["run"], **where}}
    sent = {name: value for name, value in job.items() if name not in ("inputs", "given")}  # in the environment
    return {**sent, "start": start, "environment": {**job["environment"], **environment}}
