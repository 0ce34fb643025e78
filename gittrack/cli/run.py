"""`git track run`."""

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import errors
from gittrack.cli import context
from gittrack.cli import run_options as given
from gittrack.core import codec
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.cli.reaching import Reaching
    from gittrack.record.beginning import Wish
    from gittrack.record.supervise import Result


class _Where(NamedTuple):
    """What is asked of the container: the names are those of the options."""

    image: str | None
    gpus: str | None
    cpus: str | None
    memory: str | None
    shm_size: str | None
    mount: list[str] | None
    port: list[str] | None
    network: str | None
    input: list[str] | None
    env: list[str] | None
    secret: list[str] | None
    detach: bool
    reconnect: int | None


def run(
    command: given.COMMAND,
    name: given.NAME = None,
    tag: given.TAG = None,
    note: given.NOTE = None,
    experiment: given.EXPERIMENT = None,
    param: given.PARAM = None,
    resume: given.RESUME = None,
    origin: given.ORIGIN = None,
    no_snapshot: given.NO_SNAPSHOT = False,
    include: given.INCLUDE = None,
    no_autolog: given.NO_AUTOLOG = False,
    host: given.HOST = None,
    container: given.CONTAINER = False,
    detach: given.DETACH = False,
    image: given.IMAGE = None,
    gpus: given.GPUS = None,
    cpus: given.CPUS = None,
    memory: given.MEMORY = None,
    shm_size: given.SHM_SIZE = None,
    mount: given.MOUNT = None,
    port: given.PORT = None,
    network: given.NETWORK = None,
    input: given.INPUT = None,
    env: given.ENV = None,
    secret: given.SECRET = None,
    reconnect: given.RECONNECT = None,
    accept_new: given.ACCEPT_NEW = False,
    dry_run: given.DRY_RUN = False,
    quiet: given.QUIET = False,
    json: given.JSON = False,
) -> int:
    """Run a command and record it as a run.

    The work tree is kept as a snapshot, uncommitted and untracked files included, without touching your index, branch
    or files. Then the command runs as it would without git track: its output, its terminal, signals and exit code
    pass through. Recorded are console, parameters, metrics, environment and how it ended.

    With -H the snapshot is sent to a host that SSH reaches, and executed in a Docker container there. Console and
    results come back while it runs, and it goes on when you leave. --container does the same on this machine.

    Options of git track stand before COMMAND; what follows belongs to the command.

    Examples:
      git track run python train.py --lr 0.1
      git track run --name baseline --tag sweep -p data=v2 ./train.sh
      git track run --resume latest python train.py
      git track run --from best python finetune.py
      git track run --dry-run python train.py
      git track run -H gpu1 --image python:3.12 python train.py
      git track run -H any --gpus all -d python train.py
    """
    _ensure_streams()
    place = context.here()
    where = _Where(image, gpus, cpus, memory, shm_size, mount, port, network, input, env, secret, detach, reconnect)
    if host is not None and not host.strip():  # `-H "$HOST"` where that is not set: it was not meant for this machine
        raise errors.UsageError("-H names no host", "give one, or leave -H out")
    reached: Reaching | None = None
    if (host or container) and not dry_run:
        reaching = lazy("gittrack.cli.reaching")
        reached = reaching.begin(place, host, container, gpus, reconnect, reaching.told(accept_new, quiet or json))
    wish: Wish = lazy("gittrack.record.beginning").Wish(
        command,
        lazy("gittrack.record.facts").Labels(name, tag or (), note, experiment),
        lazy("gittrack.record.parameters").parse(param or ()),
        not no_snapshot,
        include or (),
        False if no_autolog else None,
        resume,
        origin,
    )
    if dry_run:
        shown = lazy("gittrack.cli.run_plan")
        plan = lazy("gittrack.record.beginning").plan(wish, place.paths, os.environ)
        shown.show(plan, json, shown.given(place, plan) if host or container else None)
        return 0
    if reached is not None:
        return _at_host(place, wish, host or "", where, reached, quiet, json)
    _refuse_without_host(where)
    return _here(place, wish, quiet, json)


def _at_host(
    place: context.Workplace, wish: "Wish", host: str, where: _Where, reached: "Reaching", quiet: bool, json: bool
) -> int:
    at_host = lazy("gittrack.cli.run_at_host")
    asked = lazy("gittrack.launch.jobs.job").Asked(
        host, where.image, where.gpus, where.cpus, where.memory, where.shm_size,
        *(tuple(texts or ()) for texts in (where.mount, where.port, where.env, where.secret)), where.network,
        tuple(where.input or ()),
    )  # fmt: skip
    code: int = at_host.run(place, wish, asked, at_host.Manner(where.detach, quiet, json, where.reconnect), reached)
    return code


def _here(place: context.Workplace, wish: "Wish", quiet: bool, json: bool) -> int:
    told = lazy("gittrack.cli.run_summary")
    begun = _nothing if quiet or json else _say_begun
    show = _nothing if quiet or json else lazy("gittrack.cli.drain").show
    result: Result = lazy("gittrack.record.supervise").run(wish, place.paths, os.environ, begun, show)
    if json:
        sys.stdout.write(codec.dumps(told.document(result)).decode())
    elif not quiet:
        told.tell("".join(line + "\n" for line in told.summary(result, place)))
    sys.stdout.flush()
    if result.outcome.signal is not None:
        lazy("gittrack.record.signals").die_of(result.outcome.signal)
    return result.outcome.code if result.outcome.code is not None else errors.GittrackError.exit_code


def _refuse_without_host(where: _Where) -> None:
    """Raises UsageError for an option that would mean nothing."""
    for name, value in where._asdict().items():
        if value is not None and value is not False:
            raise errors.UsageError(
                f"--{name.replace('_', '-')} is for a run in a container",
                "add -H HOST, or --container for one on this machine",
            )


def _ensure_streams() -> None:
    """A closed stdout or stderr (`>&-`) becomes /dev/null: its descriptor must not be taken by a file of ours."""
    lazy("gittrack.record.terminal").ensure_standard_streams()
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _nothing(*_: Any) -> None:
    pass


def _say_begun(run_id: str, note: str | None) -> None:
    text = f"gittrack: run {run_id[:SHORT]}\n" + (f"gittrack: {note}\n" if note else "")
    lazy("gittrack.cli.run_summary").tell(text)
