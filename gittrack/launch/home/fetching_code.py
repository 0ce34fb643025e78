"""The code of jobs that somebody else has sent to a host, from the project's repository there into this clone.

git fetches it as from any remote, with the same checks; its way is the link, which it reaches through a socket. What
comes are objects: their refs are made with those of the runs, wherever the objects are here. So they come to a desk
first, and are ours when nothing that they need is missing: a shallow clone may have sent them there.
"""

import re
import shlex
import sys
from collections.abc import Collection, Mapping

from gittrack import errors
from gittrack.core import layout
from gittrack.git import desk, network, remote_errors
from gittrack.git.command import Git
from gittrack.git.objects import is_oid
from gittrack.git.repository import Repository
from gittrack.launch.link import shelling
from gittrack.launch.link.protocol import Link
from gittrack.launch.sending import code_scripts
from gittrack.launch.sending.snapshots import NO_HELP, Helper
from gittrack.share import validate

URL = "ssh://gittrack-host/project"  # never looked up: our program takes the place of ssh, and knows one way only
GONE = "it has it no more"
_IMAGE = re.compile(r"sha256:[0-9a-f]{64}")

# $1: path of the socket. What git calls as its ssh. When git reads no more, it has said why.
_SSH = """
import os, signal, socket, sys, threading
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
def send():
    while data := os.read(0, 1 << 16):
        line.sendall(data)
    line.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := line.recv(1 << 16):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""


def snapshot_of(start: Mapping[str, object]) -> str | None:
    """The oid of the code, as a start event says it."""
    run = start.get("run")
    found = run.get("snapshot") if isinstance(run, dict) else None
    return found if isinstance(found, str) and is_oid(found) else None


def image_of(start: Mapping[str, object]) -> str:
    """The image of a job, in which a host without git may find one; empty where it is not known."""
    run = start.get("run")
    launched = run.get("launched") if isinstance(run, dict) else None
    found = launched.get("digest") if isinstance(launched, dict) else None
    return found if isinstance(found, str) and _IMAGE.fullmatch(found) else ""


def bring(
    link: Link, repo: Repository, project: str, snapshots: Collection[str], helper: Helper = NO_HELP
) -> dict[str, str]:
    """Have the objects of these snapshots. Gives those that are not here afterwards, or not to be used, and why.

    Raises RemoteFailed where there is no git that answers, LinkLost."""
    lacking = {oid for oid in snapshots if not repo.exists(oid)}
    if not lacking:
        return {}
    if link.list(f"{link.folder()}/repos/{project}.git") is None:
        return dict.fromkeys(lacking, GONE)
    program = code_scripts.UPLOAD.strip() + "\n"
    given = (helper.docker, helper.image, link.folder(), project)
    argv = shelling.script(code_scripts.WITH_GIT_QUIETLY, program, *given)
    with link.socket(argv) as path:
        ssh = {
            "GIT_SSH_COMMAND": shlex.join([sys.executable, "-I", "-S", "-c", _SSH, path]),
            "GIT_SSH_VARIANT": "simple",
        }
        found = network.ls_remote(Git(repo.paths, {**repo.git.environ, **ssh}), URL)
        wanted = {ref: oid for oid in lacking if found.get(ref := layout.code_ref(oid)) == oid}
        refused = _taken(repo, ssh, wanted)
    refused.update(validate.commits(repo, {ref: oid for ref, oid in wanted.items() if ref not in refused}))
    why = {wanted[ref]: text for ref, text in refused.items()}
    return {oid: why.get(oid, GONE) for oid in lacking if oid in why or not repo.exists(oid)}


def _taken(repo: Repository, ssh: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Bring what these refs of the host stand at; which of them are refused, and why. One that is bad spoils no other:
    it is found by halving. Raises RemoteFailed where it is not single refs that are bad."""
    try:
        with desk.desk(repo.git) as at:
            desk.borrow(at)
            desk.name(at, {ref: oid for ref, oid in repo.refs("refs/").items() if not ref.startswith(layout.RUNS)})
            network.fetch(Git(at.git.paths, {**at.git.environ, **ssh}), URL, wanted)
            desk.take(at)
        return {}
    except errors.RemoteFailed as error:
        if error.kind not in (remote_errors.DAMAGED, remote_errors.GONE):
            raise
        why = error.message.removeprefix(f"{URL}: ")
    refs = sorted(wanted)
    if len(refs) == 1:
        return {refs[0]: why}
    halves = refs[: len(refs) // 2], refs[len(refs) // 2 :]
    return {ref: why for half in halves for ref, why in _taken(repo, ssh, {ref: wanted[ref] for ref in half}).items()}
