"""The options of `git track run`: their names and what their help says."""

from typing import Annotated

import typer

from gittrack.cli.options import RECONNECT as RECONNECT

COMMAND = Annotated[list[str], typer.Argument(metavar="COMMAND...", help="The command and its arguments.")]
NAME = Annotated[str | None, typer.Option("--name", help="Name the run.")]
TAG = Annotated[list[str] | None, typer.Option("--tag", help="Tag the run. May be given several times.")]
NOTE = Annotated[str | None, typer.Option("--note", help="Add a note to the run.")]
EXPERIMENT = Annotated[str | None, typer.Option("--experiment", help="Group the run with others of that experiment.")]
PARAM = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="KEY=VALUE", help="Record a parameter. May be given several times."),
]
RESUME = Annotated[
    str | None,
    typer.Option("--resume", metavar="RUN", help="Go on where that run stopped: the command finds its checkpoint."),
]
ORIGIN = Annotated[
    str | None,
    typer.Option("--from", metavar="RUN[@STEP]", help="Say from which run this one starts, where git cannot tell."),
]
NO_SNAPSHOT = Annotated[bool, typer.Option("--no-snapshot", help="Do not keep the code.")]
INCLUDE = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="PATH", help="Keep this file although it is ignored, large or looks secret."),
]
NO_AUTOLOG = Annotated[
    bool,
    typer.Option("--no-autolog", help="Do not look into the command: no argparse parameters or system metrics."),
]
HOST = Annotated[
    str | None,
    typer.Option("--host", "-H", metavar="HOST", help="Run it at that host. `any` or `a,b`: at the first free one."),
]
CONTAINER = Annotated[bool, typer.Option("--container", help="Run it in a container on this machine.")]
DETACH = Annotated[bool, typer.Option("--detach", "-d", help="At a host: return when it has started.")]
IMAGE = Annotated[str | None, typer.Option("--image", metavar="IMAGE", help="Of the container.")]
GPUS = Annotated[str | None, typer.Option("--gpus", metavar="all|0,1|none", help="GPUs that the container gets.")]
CPUS = Annotated[str | None, typer.Option("--cpus", metavar="N", help="Most processors that the container uses.")]
MEMORY = Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="Most memory of the container.")]
SHM_SIZE = Annotated[str | None, typer.Option("--shm-size", metavar="SIZE", help="Shared memory of the container.")]
MOUNT = Annotated[
    list[str] | None,
    typer.Option("--mount", "-m", metavar="HOST:CONTAINER[:ro]", help="A folder of the host for the container."),
]
PORT = Annotated[
    list[str] | None,
    typer.Option("--port", metavar="[HOST:]PORT", help="A port of the container for the host."),
]
NETWORK = Annotated[
    str | None,
    typer.Option("--network", metavar="none|host|NAME", help="The network of the container; else the engine's own."),
]
INPUT = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="RUN[@STEP]:PATH", help="A file of another run for the work tree of the job."),
]
ENV = Annotated[list[str] | None, typer.Option("--env", metavar="NAME[=VALUE]", help="A variable for the container.")]
SECRET = Annotated[
    list[str] | None,
    typer.Option("--secret", metavar="NAME", help="A variable for the container that is never recorded."),
]
ACCEPT_NEW = Annotated[
    bool, typer.Option("--accept-new", help="Believe the key of a host that nobody knows, without asking.")
]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Run nothing; show what the snapshot would hold.")]
QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing of our own.")]
JSON = Annotated[
    bool,
    typer.Option("--json", help="When the command has ended, print one JSON object on standard output."),
]
