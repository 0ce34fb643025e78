"""A job's folder at a host, written line by line: what the attendant leaves there, without a container."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import keeping

from gittrack.core import events, layout
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import away, live
from gittrack.runs.cutting import Cutter
from gittrack.runs.folding import Folder

ID = keeping.ID
PROJECT = "a" * 40


class Job:
    """`jobs/<id>` below our folder of the host whose home is here."""

    def __init__(self, run_id=ID, **facts):
        self.id = run_id
        self.path = Path.home() / ".gittrack" / "jobs" / run_id
        self.run = self.path / "run"
        self.facts = facts
        self.path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path.parent.parent / "version").write_text("1\n")
        for name in ("blobs", "files", "parcels"):
            (self.run / name).mkdir(parents=True)
        self.now = 1000.0
        self.cutter = None

    def start(self, **more):
        event = keeping.start(self.id, **more)
        event["run"].update(self.facts)
        self.write(keeping.header(), event)
        self.write(keeping.header(), file=keeping.STORER)
        return self

    def write(self, *values, file=events.STARTER):
        with (self.run / file).open("ab") as opened:
            opened.write(keeping.lines(*values))

    def say(self, data):
        with (self.run / events.CONSOLE).open("ab") as opened:
            opened.write(data)

    def keep(self, parcel, files, where="git"):
        """The files of a parcel are kept: their bytes first."""
        for data in files.values():
            self.put(data, where)
        found = [keeping.kept(parcel, path, data, where) for path, data in files.items()]
        self.write(*found, keeping.whole(parcel, len(found)), file=keeping.STORER)

    def put(self, data, where="git"):
        path = self.run / ("blobs" if where == "git" else "files") / hashlib.sha256(data).hexdigest()
        path.write_bytes(data)
        return path

    def cut(self, seconds=1.0):
        """Cuts where they are due."""
        self.now += seconds
        self.cutter = self.cutter or Cutter(str(self.run))
        self.cutter.started(self.now)
        self.cutter.checkpoints()
        self.cutter.in_time(self.now)

    def end(self, status=None):
        if status is None:
            self.write(keeping.end())
        self.cut()
        self.cutter.final(self.now, status, live.process_files(str(self.run)))

    def folded(self, clone):
        """The tip that an ordinary local fold of this folder has, in a repository of its own."""
        repo = opened(clone)
        directory = live.folder(repo.paths, self.id)
        shutil.copytree(self.run, directory)
        folder = Folder.open(repo, directory)
        assert folder is not None and folder.finish(2000.0)
        folder.close()
        found = tip(repo, self.id)
        repo.close()
        return found


def opened(path):
    return open_repository(discover(str(path), os.environ), os.environ)


def tip(repo, run_id=ID):
    return repo.refs(layout.run_ref(run_id)).get(layout.run_ref(run_id))


def cloned(repo, path):
    subprocess.run(["git", "clone", "-q", str(repo), str(path)], check=True)
    return path


def send_off(paths, run_id=ID, **facts):
    """The clone knows that the run is at the host."""
    directory = live.folder(paths, run_id)
    start = {"run": {**keeping.start(run_id)["run"], **facts}, "goals": {"loss": "minimize"}}
    away.create(directory, away.Away("here", away.RUNNING, since=1000.0, project=PROJECT, start=start))
    return directory
