"""Make a golden repository: `python tests/golden/make.py 2`. Run once per format version, never again for an old one.

It folds a journal that is written here line by line and keeps the refs as a git bundle. The journal has all that the
format knows: two ranks, torn and damaged lines, NaN and infinities, a parameter that is not UTF-8, unicode names, a
long series, a console with two megabytes in one line, a crash. From version 2 on also: checkpoints with files, small
and large ones, paths that are not UTF-8 or that git refuses, a link, a parcel that was kept twice, single artifacts.
From version 3 on also: an archive of two commits, of two runs, one of them of uncommitted code; a run outside of it.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

from gittrack.core import codec
from gittrack.git import objects, snapshot
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import archiving, folding, live, reader, writer
from gittrack.runs.annotations import Author

HERE = os.path.dirname(os.path.abspath(__file__))
COMPLETED, CRASHED, LOOSE = "c0ffee00c0ffee00c0ff", "dead00beef00dead00be", "facade00facade00face"
WRITER = "0123456789abcdef"
ME = Author("Ada Exämple <ada@example.org>", 1760000500.0, "git track archive")
OTHER = "1760000001000-4243-0a1b.jsonl"
STORERS = ("1760000002000-4244-0a1b.jsonl", "1760000003000-4245-0a1b.jsonl")
PARCELS = tuple(f"17600000{number:02d}000-4242-00{number:02d}" for number in range(40))
T0 = 1760000000.0


def line(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def process(version, rank=0, pid=4242, t=0.0):
    facts = {"boot": "golden", "format": version, "host": "atlas", "machine": None, "pid": pid, "pidns": 1, "ppid": 1}
    return line({"e": "process", **facts, "rank": rank, "started": 5, "t": t, "w": T0 + t})


def start(run_id, snapshot, **more):
    secret = {"path": ".env", "size": 12, "reason": "secret", "sha256": None}
    facts = {
        "id": run_id, "command": "python train.py --lr 0.1", "argv": ["python", "train.py", "--lr", "0.1"], "cwd": ".",
        "created": "2025-10-09T08:53:20.000000Z", "user": {"name": "Ada Exämple", "email": "ada@example.org"},
        "host": "atlas", "base": snapshot, "snapshot": snapshot, "state": None, "experiment": "iris", "name": "first",
        "tags": ["golden"], "note": "läuft ✓", "left_out": [secret],
        "parent": None, "continues": None, "notebook": None, "writer": "0123456789abcdef", "gittrack": "0.1.0",
        "a field of tomorrow": {"kept": True}, **more,
    }  # fmt: skip
    return line({"e": "start", "run": facts, "goals": {"loss": "minimize"}, "t": 0.001, "w": T0})


def point(step, t, rank=0, **values):
    place = {"r": rank} if rank else {}
    return line({"m": values, **place, "s": step, "t": t, "w": T0 + t})


def kept(parcel, path, data, t, mode="100644", where="git"):
    """A `kept` line, and the file of blobs/ that goes with it."""
    digest = hashlib.sha256(data).hexdigest()
    event = {"e": "kept", "in": where, "mode": mode, "parcel": parcel, "path": path, "sha256": digest}
    return line({**event, "size": len(data), "t": t, "w": T0 + t}), (digest, data) if where == "git" else None


def whole(parcel, files, t, left_out=()):
    event = {"e": "parcel", "files": files, "left_out": list(left_out), "parcel": parcel, "size": 1}
    return line({**event, "t": t, "w": T0 + t})


def files_of(number):
    """What parcel `number` holds: path, content, mode, where."""
    weights = random.Random(number).randbytes(2000)
    found = [("model.pt", weights, "100644", "store"), ("config.json", b'{"lr":0.1}\n', "100644", "git")]
    if number == 1:
        odd = {"$": "bytes", "b64": "Y2Fm6Q=="}
        found += [
            ("run me.sh", b"#!/bin/sh\n", "100755", "git"), ("läuft/✓/leer", b"", "100644", "git"),
            ("latest", b"model.pt", "120000", "git"), (odd, b"caf\xe9", "100644", "git"),
            ("sub/.GIT/config", b"[core]\n", "100644", "store"), ("gone.txt", b"its blob is lost", "100644", "git"),
        ]  # fmt: skip
    return found


def storers(directory):
    """The journals of two storers, of which the first was killed in the middle of parcel 1, and blobs/."""
    os.makedirs(os.path.join(directory, "blobs"))
    lines = [process(2, pid=4244, t=2.0), process(2, pid=4245, t=3.0)]
    for number, parcel in enumerate(PARCELS):
        t = 50.0 * (number + 1) + 3
        found = [kept(parcel, path, data, t, mode, where) for path, data, mode, where in files_of(number)]
        if number == 1:
            lines[0] += found[0][0] + found[1][0]
        lines[number > 0] += b"".join(one for one, _ in found)
        lines[number > 0] += whole(parcel, len(found), t, [{"path": "socket", "reason": "not a file"}][: number == 2])
        for digest, data in filter(None, (blob for _, blob in found)):
            if data != b"its blob is lost":
                with open(os.path.join(directory, "blobs", digest), "wb") as file:
                    file.write(data)
    lines[1] += kept(PARCELS[0], "model.pt", b"again", 9000.0)[0] + whole(PARCELS[0], 1, 9000.0)
    lines[1] += kept(PARCELS[0], "../outside", b"never", 9000.0)[0]
    for name, data in zip(STORERS, lines, strict=True):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data)


def journal(directory, snapshot, changed, version):
    """The runs' journals, from a fixed seed."""
    rng = random.Random(1)
    done = os.path.join(directory, COMPLETED)
    os.makedirs(done)
    with open(os.path.join(done, "run.jsonl"), "wb") as file:
        file.write(process(version) + start(COMPLETED, snapshot))
        file.write(line({"e": "params", "source": "command", "values": {"lr": 0.1}, "t": 0.1, "w": T0}))
        odd = {
            "path": {"$": "bytes", "b64": "Y2Fm6Q=="},
            "long": "x" * 10_000,
            "größe": 3,
            "inf": {"$": "inf"},
            "a.b/c": None,
        }
        file.write(line({"e": "params", "source": "code", "values": odd, "t": 0.1, "w": T0}))
        file.write(line({"e": "environment", "name": "python.json", "value": {"version": "3.11.7"}, "t": 0.2, "w": T0}))
        file.write(
            line({"e": "environment", "name": "requirements.txt", "value": "torch==2.13.0\n", "t": 0.2, "w": T0})
        )
        file.write(line({"e": "a kind of tomorrow", "t": 0.2, "w": T0}))
        for step in range(30_000):
            file.write(point(step, 1 + step / 100, loss=round(1 / (step + 1) + rng.random() / 9, 6)))
            if step % 5_000 == 4_999:
                file.write(point(step, 1 + step / 100, **{"val/acc": step / 30_000, "nan.x": {"$": "nan"}}))
                primary = ["val/acc", "maximize"]
                event = {"e": "checkpoint", "m": {"val/acc": step / 30_000}, "primary": primary, "s": step}
                if version > 1 and step < 20_000:
                    event["parcel"] = PARCELS[step // 5_000]
                file.write(line({**event, "t": 1 + step / 100, "w": T0 + 1 + step / 100}))
        for parcel in PARCELS[4:] if version > 1 else ():
            event = {"e": "artifact", "kind": "table", "name": "tabelle ✓", "parcel": parcel, "s": None}
            file.write(line({**event, "t": 300.5, "w": T0 + 300.5}))
        file.write(line({"e": "warning", "text": "results.json was not written", "t": 301, "w": T0 + 301}))
        end = {
            "e": "end",
            "code": 0,
            "reason": None,
            "signal": None,
            "status": "completed",
            "t": 302.5,
            "w": T0 + 302.5,
        }
        file.write(line(end))
    with open(os.path.join(done, OTHER), "wb") as file:
        file.write(process(version, rank=1, pid=4243, t=1.0))
        file.write(b'{"m":{"loss":0.\n')  # a full disk
        file.write(b"".join(point(step, 2 + step, rank=1, loss=2.0, only=float(step)) for step in range(20)))
        file.write(b'{"m":{"loss":0.5},"s":2')  # killed in the middle of a write
    with open(os.path.join(done, "console.log"), "wb") as file:
        file.write(b"epoch 1\n" + b"=" * (2 * 1024 * 1024 + 5) + b"\ncaf\xe9 \xe2\x9c\x93\nno line end")
    if version > 1:
        storers(done)
    dead = os.path.join(directory, CRASHED)
    os.makedirs(dead)
    first = start(CRASHED, changed, base=snapshot, name=None, tags=[])
    if version > 1:
        first = first.replace(b',"t":0.001', b',"store":"lfs","t":0.001')
    with open(os.path.join(dead, "run.jsonl"), "wb") as file:
        file.write(process(version) + first + point(0, 3.0, loss=0.5))
        if version > 1:
            event = {"e": "artifact", "kind": "torch", "name": "model.pt", "parcel": PARCELS[0], "s": 0}
            file.write(line({**event, "t": 3.5, "w": T0 + 3.5}))
            file.write(kept(PARCELS[0], "model.pt", b"weights" * 1000, 4.0, where="store")[0])
            file.write(whole(PARCELS[0], 1, 4.0))


def another(directory, snapshot):
    """The journal of a short run that stays outside of the archive."""
    loose = os.path.join(directory, LOOSE)
    os.makedirs(loose)
    end = {"e": "end", "code": 1, "reason": None, "signal": None, "status": "failed", "t": 9.5, "w": T0 + 9.5}
    with open(os.path.join(loose, "run.jsonl"), "wb") as file:
        file.write(process(2) + start(LOOSE, snapshot, name=None) + point(0, 3.0, loss=0.5) + line(end))


def repository(path):
    """A work tree with one commit that is the same on every machine."""
    who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_AUTHOR_DATE": "1759999999 +0000"}
    env = {**os.environ, **who, **{key.replace("AUTHOR", "COMMITTER"): value for key, value in who.items()}}
    subprocess.run(["git", "init", "-q", "-b", "main", path], check=True)
    with open(os.path.join(path, "train.py"), "w") as file:
        file.write("print('golden')\n")
    for argv in (["add", "."], ["-c", "commit.gpgSign=false", "commit", "-q", "-m", "Golden"]):
        subprocess.run(["git", "-C", path, *argv], check=True, env=env)
    return subprocess.check_output(["git", "-C", path, "rev-parse", "HEAD"], text=True).strip()


def fold(path, now):
    """Fold what lies in the clone's live folders; every time is the journal's or `now`."""
    repo = open_repository(discover(path, os.environ), os.environ)
    try:
        return folding.fold_dead(repo, now, force=True)
    finally:
        repo.close()


def build(path, version):
    """The golden repository of a format version in the empty folder `path`."""
    head = repository(path)
    changed = uncommitted(path, head) if version > 2 else head
    journal(live.root(discover(path, os.environ)), head, changed, min(version, 2))
    if version > 2:
        another(live.root(discover(path, os.environ)), head)
    fold(path, T0 + 400)
    if version > 2:
        archive(path, changed)


def uncommitted(path, head):
    """A snapshot that gittrack makes of a work tree that is not committed."""
    repo = open_repository(discover(path, os.environ), os.environ)
    try:
        blob = objects.blob("print('größer')\n".encode())
        tree = objects.tree({"train.py": objects.Entry(objects.FILE, blob.oid)})
        made = objects.commit(tree.oid, [head], snapshot.AUTHOR, 1759999999, snapshot.MESSAGE)
        repo.write([blob, tree, made])
    finally:
        repo.close()
    return made.oid


def archive(path, changed):
    """Two runs in an archive of two commits, in a clone that writes under a known id."""
    paths = discover(path, os.environ)
    writer.renew(paths, WRITER)
    repo = open_repository(paths, os.environ)
    try:
        for run_id in (COMPLETED, CRASHED):
            assert archiving.archive(repo, [run_id], ME).archived == [run_id]
        assert repo.exists(changed)
    finally:
        repo.close()


def documents(path, version):
    """What the records say, for the file beside the bundle."""
    repo = open_repository(discover(path, os.environ), os.environ)
    found = {}
    try:
        for run_id in (COMPLETED, CRASHED, *[LOOSE][: version > 2]):
            record = reader.read(repo, run_id)
            said = {name: getattr(record, name) for name in ("facts", "status", "params", "summary")}
            found[run_id] = json.loads(codec.dumps(said))
    finally:
        repo.close()
    return found


def main(version):
    scratch = tempfile.mkdtemp()
    try:
        build(scratch, version)
        with open(os.path.join(HERE, f"v{version}.json"), "x") as file:
            json.dump(documents(scratch, version), file, indent=1, sort_keys=True)
        bundle = os.path.join(HERE, f"v{version}.bundle")
        refs = ["--glob=refs/track/*", "main"]
        subprocess.run(["git", "-C", scratch, "repack", "-qadf"], check=True)
        subprocess.run(["git", "-C", scratch, "bundle", "create", "-q", bundle, *refs], check=True)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main(int(sys.argv[1]))
