"""A run with files, journal line by journal line: what recorder and storer write, without either."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from gittrack.core import events, parcels
from gittrack.recorder import process
from gittrack.runs import live
from gittrack.store.local import open_local

ID = "0123456789abcdef0123"
STORER = "1700000000000-77-abcd.jsonl"


def lines(*values):
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


def header(version=2):
    boot = {"boot": process.boot_id(), "machine": process.machine_id()}
    return {"e": "process", "format": version, "t": 0.0, "w": 1000.0, **boot}


def start(run_id=ID, **more):
    facts = {"id": run_id, "command": "train", "snapshot": None, "user": {"name": "Ann", "email": "ann@example.org"}}
    return {"e": "start", "run": facts, "goals": {"loss": "minimize"}, "t": 0.0, "w": 1000.0, **more}


def end(step=99):
    return {"e": "end", "status": "completed", "code": 0, "t": float(step), "w": 1000.0 + step}


def point(step):
    return {"m": {"loss": 1 / (step + 1)}, "s": step, "t": step / 10, "w": 1000 + step / 10}


def name(number):
    return f"{1700000000000 + number}-42-{number % 65536:04x}"


def checkpoint(step, parcel=None):
    event = {"e": "checkpoint", **point(step), "primary": ["loss", "minimize"]}
    return {**event, "parcel": name(parcel)} if parcel is not None else event


def artifact(parcel, called="file", kind="file", step=None):
    return {"e": "artifact", "kind": kind, "name": called, "parcel": name(parcel), "s": step, "t": 1.0, "w": 1001.0}


def kept(parcel, path, data, where="git", mode="100644"):
    digest = hashlib.sha256(data).hexdigest()
    size = len(data)
    event = {"e": "kept", "in": where, "mode": mode, "parcel": name(parcel), "path": path, "sha256": digest}
    return {**event, "size": size, "t": 2.0, "w": 1002.0}


def whole(parcel, files=1):
    return {"e": "parcel", "files": files, "left_out": [], "parcel": name(parcel), "size": 1, "t": 2.0, "w": 1002.0}


class Run:
    """The live folder of a run in a repository."""

    def __init__(self, paths, run_id=ID, **more):
        self.paths = paths
        self.directory = live.folder(paths, run_id)
        self.store = open_local(live.track_dir(paths))
        os.makedirs(os.path.join(self.directory, parcels.BLOBS))
        os.makedirs(os.path.join(self.directory, parcels.PARCELS))
        self.write(header(), start(run_id, **more))
        self.write(header(), file=STORER)

    def write(self, *values, file=events.STARTER):
        with open(os.path.join(self.directory, file), "ab") as opened:
            opened.write(lines(*values))

    def hand_over(self, parcel, files):
        """A whole parcel that waits."""
        for path, data in files.items():
            target = Path(live.parcel(self.directory, name(parcel))) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def keep(self, parcel, files, where="git", mode="100644", file=STORER):
        """What a storer does with a parcel of these files."""
        for data in files.values():
            self.keep_bytes(data, where)
        found = [kept(parcel, path, data, where, mode) for path, data in files.items()]
        self.write(*found, whole(parcel, len(found)), file=file)
        self.take_away(parcel)

    def keep_bytes(self, data, where="git"):
        if where == "store":
            self.store.put_bytes(data)
        else:
            self.blob(data).write_bytes(data)

    def take_away(self, parcel):
        shutil.rmtree(live.parcel(self.directory, name(parcel)), ignore_errors=True)

    def blob(self, data):
        return Path(live.blob(self.directory, hashlib.sha256(data).hexdigest()))

    def blobs(self):
        return sorted(os.listdir(os.path.join(self.directory, parcels.BLOBS)))
