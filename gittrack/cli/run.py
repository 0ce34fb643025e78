"""`git track run`."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import context
from gittrack.compare.text import count, size
from gittrack.core import codec
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.record.beginning import Wish
    from gittrack.record.supervise import Result

SHOWN_METRICS = 6
SHOWN_LEFT_OUT = 5


def run(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="The command and its arguments.")],
    name: Annotated[str | None, typer.Option(help="Name the run.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag the run. May be given several times.")] = None,
    note: Annotated[str | None, typer.Option(help="Add a note to the run.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Group the run with others of that experiment.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="KEY=VALUE", help="Record a parameter. May be given several times."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on where that run stopped: the command finds its checkpoint.")
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN[@STEP]", help="Say from which run this one starts, where git cannot tell."),
    ] = None,
    no_snapshot: Annotated[bool, typer.Option("--no-snapshot", help="Do not keep the code.")] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Keep this file although it is ignored, large or looks secret."),
    ] = None,
    no_autolog: Annotated[
        bool,
        typer.Option("--no-autolog", help="Do not look into the command: no argparse parameters or system metrics."),
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            "--host", "-H", metavar="HOST", help="Run it at that host. `any` or `a,b`: at the first free one."
        ),
    ] = None,
    container: Annotated[bool, typer.Option("--container", help="Run it in a container on this machine.")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="At a host: return when it has started.")] = False,
    image: Annotated[str | None, typer.Option(metavar="IMAGE", help="Of the container.")] = None,
    gpus: Annotated[str | None, typer.Option(metavar="all|0,1|none", help="GPUs that the container gets.")] = None,
    cpus: Annotated[str | None, typer.Option(metavar="N", help="Most processors that the container uses.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Most memory of the container.")] = None,
    shm_size: Annotated[str | None, typer.Option(metavar="SIZE", help="Shared memory of the container.")] = None,
    mount: Annotated[
        list[str] | None,
        typer.Option("--mount", "-m", metavar="HOST:CONTAINER[:ro]", help="A folder of the host for the container."),
    ] = None,
    port: Annotated[
        list[str] | None, typer.Option(metavar="[HOST:]PORT", help="A port of the container for the host.")
    ] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="NAME[=VALUE]", help="A variable for the container.")] = None,
    secret: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A variable for the container that is never recorded.")
    ] = None,
    accept_new: Annotated[
        bool, typer.Option("--accept-new", help="Believe the key of a host that nobody knows, without asking.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Run nothing; show what the snapshot would hold.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing of our own.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="When the command has ended, print one JSON object on standard output.")
    ] = False,
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
    reached = None
    if host is not None and not host.strip():  # `-H "$HOST"` where that is not set: it was not meant for this machine
        raise errors.UsageError("-H names no host", "give one, or leave -H out")
    if (host or container) and not dry_run:
        reaching = lazy("gittrack.cli.reaching")
        reached = reaching.begin(place, host, container, gpus, reaching.told(accept_new, quiet or json))
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
        _show_plan(lazy("gittrack.record.beginning").plan(wish, place.paths, os.environ), json)
        return 0
    if reached is not None:
        at_host, manner = lazy("gittrack.cli.run_at_host"), (detach, quiet, json)
        asked = lazy("gittrack.launch.jobs.job").Asked(
            host or "", image, gpus, cpus, memory, shm_size,
            *(tuple(given or ()) for given in (mount, port, env, secret)),
        )  # fmt: skip
        code: int = at_host.run(place, wish, asked, at_host.Manner(*manner), reached)
        return code
    _refuse_without_host(detach=detach, image=image, gpus=gpus, cpus=cpus, memory=memory, shm_size=shm_size,
                         mount=mount, port=port, env=env, secret=secret)  # fmt: skip
    begun = _nothing if quiet or json else _say_begun
    show = _nothing if quiet or json else lazy("gittrack.cli.drain").show
    result: Result = lazy("gittrack.record.supervise").run(wish, place.paths, os.environ, begun, show)
    if json:
        sys.stdout.write(codec.dumps(document(result)).decode())
    elif not quiet:
        tell("".join(line + "\n" for line in summary(result, place)))
    sys.stdout.flush()
    if result.outcome.signal is not None:
        lazy("gittrack.record.signals").die_of(result.outcome.signal)
    return result.outcome.code if result.outcome.code is not None else errors.GittrackError.exit_code


def _refuse_without_host(**given: Any) -> None:
    """Raises UsageError for an option that would mean nothing."""
    for name, value in given.items():
        if value:
            raise errors.UsageError(
                f"--{name.replace('_', '-')} is for a run in a container",
                "add -H HOST, or --container for one on this machine",
            )


def _ensure_streams() -> None:
    """A closed stdout or stderr (`>&-`) becomes /dev/null: its descriptor must not be taken by a file of ours."""
    lazy("gittrack.record.terminal").ensure_standard_streams()
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _nothing(*_: object) -> None:
    pass


def _say_begun(run_id: str, note: str | None) -> None:
    tell(f"gittrack: run {run_id[:SHORT]}\n" + (f"gittrack: {note}\n" if note else ""))


def tell(text: str) -> None:
    """Nothing of ours is worth failing for: the terminal may be gone by now."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass


def summary(result: "Result", place: context.Workplace) -> list[str]:
    """How it went: one line, and one more for each thing that the user should know."""
    outcome, final = result.outcome, result.outcome.final
    short = outcome.run_id[:SHORT]
    lines = [f"gittrack: run {short} {_how(result)}{_metrics(final.metrics, final.primary) if final else ''}"]
    if outcome.error is not None:
        lines.append(f"  not closed yet: {outcome.error}; nothing is lost, `git track recover` closes it")
    elif outcome.unkept is not None:
        lines.append(f"  {size(outcome.unkept)} of its files are still being kept; `git track recover` waits for that")
    elif final is None:
        lines.append("  processes that it started still run; they are recorded until they end")
    if final and final.artifacts:
        lines.append(f"  {_kept(outcome.run_id, place)}")
    lines += _left_out(result.facts["left_out"])
    lines += [f"  note: {text}" for text in (final.warnings if final else result.notes)]
    lines.append(f"  see: git track show {short}")
    return lines


def _kept(run_id: str, place: context.Workplace) -> str:
    """As `show` counts: what is the same is there once."""
    artifacts, record = lazy("gittrack.runs.artifacts"), lazy("gittrack.runs.reader").read(place.repository, run_id)
    found = artifacts.listed(place.repository, record)
    return f"{len(found)} {'file' if len(found) == 1 else 'files'} kept, {size(artifacts.size_of(found))}"


def _how(result: "Result") -> str:
    outcome, final = result.outcome, result.outcome.final
    duration = lazy("gittrack.core.story").duration(final.duration if final else outcome.duration)
    if outcome.signal is not None:
        return f"killed by {lazy('gittrack.record.signals').name_of(outcome.signal)} after {duration}"
    if outcome.code:
        return f"failed with exit code {outcome.code} after {duration}"
    return f"completed in {duration}" if outcome.code == 0 else f"ended after {duration}, nobody knows how"


def _metrics(metrics: dict[str, Any], primary: dict[str, Any] | None) -> str:
    names = [name for name in metrics if not name.startswith("system/")]
    if primary and primary["metric"] in names:
        names.remove(primary["metric"])
        names.insert(0, primary["metric"])
    shown = [
        f"{name} {metrics[name]['last']:.5g}" for name in names[:SHOWN_METRICS] if metrics[name]["last"] is not None
    ]
    more = len(names) - SHOWN_METRICS
    return ": " + ", ".join(shown) + (f" and {more} more" if more > 0 else "") if shown else ""


def _left_out(left: list[dict[str, Any]]) -> list[str]:
    lines = [f"  left out: {each['path']} ({each['reason']})" for each in left[:SHOWN_LEFT_OUT]]
    if len(left) > SHOWN_LEFT_OUT:
        lines.append(f"  left out: {len(left) - SHOWN_LEFT_OUT} more")
    if left:
        wanted = next((each["path"] for each in left if "secret" not in each["reason"]), left[0]["path"])
        lines.append(f"  to keep such a file: git track run --include {wanted} ...")
    return lines


def document(result: "Result") -> dict[str, Any]:
    """What `--json` prints. The same names as in the record."""
    outcome, final = result.outcome, result.outcome.final
    return {
        "id": outcome.run_id,
        "status": final.status if final else "running",
        "exit_code": outcome.code,
        "signal": lazy("gittrack.record.signals").name_of(outcome.signal) if outcome.signal is not None else None,
        "duration": round(final.duration if final else outcome.duration, 6),
        "snapshot": result.facts["snapshot"],
        "metrics": {key: each["last"] for key, each in final.metrics.items()} if final else {},
        "artifacts": (final and final.artifacts) or {"count": 0, "size": 0},
        "left_out": result.facts["left_out"],
        "warnings": final.warnings if final else list(result.notes),
        "error": outcome.error,
    }


def _show_plan(plan: Any, json: bool) -> None:
    """What `--dry-run` prints."""
    if json:
        document = {
            "base": plan.base,
            "state": plan.state,
            "size": plan.size,
            "files": [{"path": each.path, "kind": each.kind, "size": each.size} for each in plan.entries],
            "left_out": [
                {"path": each.path, "size": each.size, "reason": each.reason, "include": each.include}
                for each in plan.left_out
            ],
            "notes": list(plan.notes),
        }
        sys.stdout.write(codec.dumps(document).decode())
        return
    sys.stdout.write("".join(line + "\n" for line in _plan_lines(plan)))


def _plan_lines(plan: Any) -> list[str]:
    base = f"on {plan.base[:SHORT]}" if plan.base else "no commit yet"
    if not plan.entries:
        lines = [f"The work tree is as committed ({base}): that commit is the snapshot."]
    else:
        lines = [
            f"The snapshot ({base}) would differ in {count(len(plan.entries), 'file')}, {size(plan.size)} to read:"
        ]
        lines += [f"  {each.kind:<10} {size(each.size):>9}  {each.path}" for each in plan.entries]
    if plan.left_out:
        lines.append("Left out:")
        for each in plan.left_out:
            how_large = size(each.size) if each.size is not None else ""
            lines.append(f"  {each.reason:<24} {how_large:>9}  {each.path}")
        wanted = next((each.path for each in plan.left_out if each.include and "secret" not in each.reason), None)
        if wanted is not None:
            lines.append(f"To keep such a file: git track run --include {wanted} ...")
    lines += [f"Note: {note}" for note in plan.notes]
    return lines
