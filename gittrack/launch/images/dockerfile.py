"""The Dockerfile that is written for a project that has none. Pure.

Packages go into an environment of their own, in which the base's are seen too, so a base that has torch is not filled
with another one. What changes seldom comes first. The code is not in it: it is brought to each job.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gittrack.attendant.entry import AGAIN, WORK
from gittrack.errors import UsageError
from gittrack.launch.images.drivers import TORCH
from gittrack.launch.images.packages import FROZEN, PIP, POETRY, UV, Packages, lines_of

ENVIRONMENT = "/opt/venv"
TREE = "tree"
_PLACE = "/opt/gittrack"
_CA = "ca.pem"
_TRUST = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+_:=~-]*", re.IGNORECASE)
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Needs(NamedTuple):
    """What the image is to have."""

    base: str
    packages: Packages | None = None
    python: str = ""  # only where the base may have another one
    system: Sequence[str] = ()
    install: Sequence[str] = ()
    wheels: str = ""  # one more index of packages
    args: Mapping[str, str] = {}
    trusts: bool = False  # whether there is a ca.pem


def write(needs: Needs) -> str:
    """Raises UsageError."""
    lines = [f"FROM {needs.base}", *_arguments(needs), f"ENV PATH={ENVIRONMENT}/bin:$PATH VIRTUAL_ENV={ENVIRONMENT}"]
    if system := _system(needs):
        lines.append(_run(f"apt-get update && apt-get install -y --no-install-recommends {' '.join(system)}"
                          " && rm -rf /var/lib/apt/lists/*"))  # fmt: skip
    lines.append(_environment(needs.python))
    lines += _installing(needs.packages, needs.wheels) if needs.packages else []
    lines += [_run(command) for command in needs.install]
    return "\n".join([*lines, ""])


def files(packages: Packages | None, authority: bytes | None) -> dict[str, bytes]:
    """What the Dockerfile copies, by the path in the build's context."""
    found = {f"packages/{path}": data for path, data in (packages.files if packages else {}).items()}
    return found | ({_CA: authority} if authority else {})


def _arguments(needs: Needs) -> list[str]:
    for name in needs.args:
        if not _ARGUMENT.fullmatch(name):
            raise UsageError(f"build: args: {name!r} is no name of an argument", "it is NAME: VALUE")
    lines = [f"ARG {name}" for name in needs.args]
    if needs.trusts:
        lines += [f"COPY {_CA} {_PLACE}/{_CA}", *(f"ARG {name}={_PLACE}/{_CA}" for name in _TRUST)]
    return lines


def _system(needs: Needs) -> list[str]:
    for name in needs.system:
        if not _PACKAGE.fullmatch(name):
            raise UsageError(f"system_packages: {name!r} is no name of a package", "as apt-get install takes it")
    more = ["python3", "python3-venv", "ca-certificates"] if needs.python else []
    return sorted({*needs.system, *more})


def _environment(python: str) -> str:
    if not python:
        return _run(f"python3 -m venv --system-site-packages {ENVIRONMENT}")
    # A base with CUDA has the Python of its distribution, which is seldom the one that is wanted.
    made = (
        "python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv && "
        f"UV_PYTHON_INSTALL_DIR=/opt/python /opt/uv/bin/uv venv --seed --python {python} {ENVIRONMENT}"
    )
    return _run(made)


def _installing(packages: Packages, wheels: str) -> list[str]:
    place = f"{_PLACE}/packages"
    copy = f"COPY packages {place}"
    if packages.kind in (PIP, FROZEN):
        more = f" --extra-index-url {wheels}" if wheels else ""
        install = f"python3 -m pip install --no-cache-dir{more} -r {PIP}"
        return [*_torch(packages, wheels), copy, f"WORKDIR {place}", _run(install), "WORKDIR /"]
    if packages.kind == UV:
        tool = "python3 -m pip install --no-cache-dir uv"
        install = f"UV_PROJECT_ENVIRONMENT={ENVIRONMENT} uv sync --frozen --no-install-project --no-cache --inexact"
    else:
        assert packages.kind == POETRY
        tool = "python3 -m venv /opt/poetry && /opt/poetry/bin/pip install --no-cache-dir poetry"
        install = "/opt/poetry/bin/poetry install --no-root --no-interaction --no-cache"
    return [_run(tool), copy, f"WORKDIR {place}", _run(install), "WORKDIR /"]


def _torch(packages: Packages, wheels: str) -> list[str]:
    """Of a CUDA that is not the newest, torch comes from its index alone: the usual one has newer versions, for a newer
    CUDA, and pip takes those wherever it may."""
    wanted = lines_of(packages, TORCH)
    if not wheels or wheels.endswith("/cpu") or not wanted:
        return []
    return [_run(f"python3 -m pip install --no-cache-dir --index-url {wheels} {' '.join(map(shlex.quote, wanted))}")]


def _run(command: str) -> str:
    """The form that no line of it can break out of."""
    return "RUN " + json.dumps(["/bin/sh", "-ec", command])


def standalone(base: str, argv: Sequence[str], cwd: str) -> str:
    """An image that has the code of a run in the folder `tree`, and executes its command when it is started.

    Raises UsageError."""
    folder = WORK if cwd == "." else f"{WORK}/{cwd}"
    if re.search(r"[\x00-\x1f]", folder):
        raise UsageError(f"the folder {cwd!r} cannot be named in a Dockerfile", "rename it")
    folder = re.sub(r"([\\$])", r"\\\1", folder)  # else a variable would be put there
    start = [f"ENTRYPOINT {json.dumps(list(AGAIN))}", f"CMD {json.dumps(list(argv))}"]
    return "\n".join([f"FROM {base}", f"COPY {TREE} /", f"WORKDIR {folder}", *start, ""])
