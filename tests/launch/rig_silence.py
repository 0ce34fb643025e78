"""A host that falls silent: in a network namespace of its own, whose packets are dropped from one moment on, in both
directions, and nobody is told. When that is, is said by what is just done there: every command that is started at the
host passes a gate, and so does every request to its engine.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import rig_ssh
from rig_ssh import Site
from survival import World, until

# $SSH_ORIGINAL_COMMAND is what the client asked for. `step` has the pattern of what is not let through; there is none
# when nothing is held up.
_GATE = """#!/bin/sh
cd {folder}
if [ -s step ] && printf '%s' "$SSH_ORIGINAL_COMMAND" | tr '\\n' ' ' | grep -q -E -f step
then touch reached; while [ -s step ]; do sleep 0.05; done
fi
cd
case $SSH_ORIGINAL_COMMAND in
*dial-stdio*) exec {python} {folder}/requests.py "$SSH_ORIGINAL_COMMAND" ;;
esac
exec /bin/bash -c "$SSH_ORIGINAL_COMMAND"
"""
# A request that fits `request` is passed on to the engine; its answer, and all that follows, is held up.
_REQUESTS = """
import os, re, subprocess, sys, threading, time
from pathlib import Path
folder = Path(__file__).parent
engine = subprocess.Popen(["/bin/bash", "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
passes = threading.Event()
passes.set()
def answers():
    while data := os.read(engine.stdout.fileno(), 65536):
        passes.wait()
        os.write(1, data)
    os._exit(0)
threading.Thread(target=answers, daemon=True).start()
while data := os.read(0, 65536):
    step = (folder / "request").read_bytes()
    if step and re.search(step, data):
        passes.clear()
        (folder / "reached").touch()
    view = memoryview(data)
    while view:
        view = view[os.write(engine.stdin.fileno(), view):]
    while not passes.is_set() and (folder / "request").read_bytes():
        time.sleep(0.05)
    passes.set()
engine.stdin.close()
engine.wait()
time.sleep(60)
"""


class Silence(NamedTuple):
    """The line to such a host. `space`: its namespace, `folder`: of the gate."""

    space: str
    folder: Path
    home: Path
    config: str

    def patience(self, every: int, count: int = 6) -> None:
        """How long the client waits for a host that says nothing; a busy machine takes seconds to answer."""
        own = f"Host line\n  ServerAliveInterval {every}\n  ServerAliveCountMax {count}\n"
        (self.home / ".ssh/config").write_text(own + self.config)

    def hold(self, command: str = "", request: str = "") -> None:
        """Hold up the next command, or request to the engine, that fits."""
        (self.folder / "reached").unlink(missing_ok=True)
        (self.folder / "step").write_text(command)
        (self.folder / "request").write_text(request)

    def reached(self) -> bool:
        """Whether something is held up."""
        return (self.folder / "reached").exists()

    def drop(self) -> None:
        """From now on."""
        for chain in ("INPUT", "OUTPUT"):
            self._iptables("-I", chain, "-j", "DROP")

    def drop_after(self, size: int) -> None:
        """When so many bytes have come."""
        self._iptables("-A", "INPUT", "-m", "quota", "--quota", str(size), "-j", "ACCEPT")
        self._iptables("-A", "INPUT", "-j", "DROP")

    def is_dropping(self) -> bool:
        said = subprocess.check_output(self._argv("-L", "INPUT", "-v", "-x", "-n"), text=True)
        return any(line.split()[2:3] == ["DROP"] and int(line.split()[0]) > 0 for line in said.splitlines())

    def drop_when_reached(self, command: str = "", request: str = "") -> None:
        """Hold up what fits, and drop everything when it has come so far."""
        self.hold(command, request)
        until(self.reached, 60)
        self.drop()

    def mend(self) -> None:
        """All is as before, and what was held up goes on."""
        self._iptables("-F")
        (self.folder / "step").write_text("")
        (self.folder / "request").write_text("")

    def _iptables(self, *words: str) -> None:
        subprocess.run(self._argv(*words), check=True)

    def _argv(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.space, "iptables", "-w", *words]


@contextlib.contextmanager
def silence(world: World, home: Path) -> Iterator[Silence]:
    """Host `gpu1` of the world is behind it from now on."""
    site: Site = world.site
    folder = site.folder / f"gate-{world.marks.name}"
    folder.mkdir()
    folder.chmod(0o777)
    for name, text in (("gate", _GATE.format(folder=folder, python="/usr/bin/python3")), ("requests.py", _REQUESTS)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("step", "request"):
        (folder / name).touch()
    with rig_ssh.line(7, "q") as (space, _, far):
        options = f"ForceCommand {folder}/gate\nMaxStartups 100\n"
        with rig_ssh.sshd(folder / "sshd", [site.ann], site.key, far, space, options) as server:
            site.configure(home, f"Host line\n  HostName {far}\n  User {site.ann.name}\n  IdentityFile {site.key}\n")
            with open(home / ".ssh/known_hosts", "a") as known:
                known.write(f"{far} {server.key()}\n")
            made = Silence(space, folder, home, (home / ".ssh/config").read_text())
            try:
                subprocess.run(made._argv("-L", "-n"), check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                pytest.skip("no iptables")
            made.patience(1)
            try:
                yield made
            finally:
                made.mend()
