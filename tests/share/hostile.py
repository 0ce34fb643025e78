"""A remote made to harm, with git's own plumbing: whatever can be written into a bare repository."""

import json
import os
import subprocess
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import builder

from gittrack.core import archive, layout
from gittrack.git import objects

WHO = {
    "GIT_AUTHOR_NAME": "Mallory", "GIT_AUTHOR_EMAIL": "m@example.org", "GIT_AUTHOR_DATE": "1767323045 +0000",
    "GIT_COMMITTER_NAME": "Mallory", "GIT_COMMITTER_EMAIL": "m@example.org",
    "GIT_COMMITTER_DATE": "1767323045 +0000",
}  # fmt: skip


class Bare:
    """A bare repository that is written to from within."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *args: str, data: bytes | None = None, code: int | None = 0) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *args], input=data or b"", capture_output=True, env={**os.environ, **WHO},
            check=False,
        )  # fmt: skip
        assert code is None or done.returncode == code, done.stderr
        return done.stdout.decode().strip()

    def blob(self, data: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", data=data)

    def raw(self, kind: str, data: bytes) -> str:
        """An object that git would not make: written as a file."""
        made = objects.make(kind, data)
        place = self.path / "objects" / made.oid[:2] / made.oid[2:]
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(zlib.compress(b"%s %d\0%s" % (kind.encode(), len(data), data)))
        return made.oid

    def tree(self, rows: Mapping[str, tuple[int, str]]) -> str:
        """A tree of these rows, whatever their names."""
        data = b"".join(b"%o %s\0%s" % (mode, name.encode(), bytes.fromhex(oid)) for name, (mode, oid) in rows.items())
        return self.raw("tree", data)

    def record(self, files: Mapping[str, bytes], more: Mapping[str, tuple[int, str]] | None = None) -> str:
        """The tree of a record with these files; `more` are rows of its top."""
        index = {**os.environ, "GIT_INDEX_FILE": str(self.path / "index.tmp")}
        said = "".join(f"100644 {self.blob(data)}\t{path}\n" for path, data in files.items())
        for argv, text in ((["read-tree", "--empty"], ""), (["update-index", "--add", "--index-info"], said)):
            subprocess.run(["git", "-C", str(self.path), *argv], input=text.encode(), env=index, check=True)
        whole = subprocess.run(["git", "-C", str(self.path), "write-tree"], env=index, capture_output=True, check=True)
        oid = whole.stdout.decode().strip()
        if not more:
            return oid
        rows: dict[str, tuple[int, str]] = dict(more)
        for line in self.git("ls-tree", oid).splitlines():
            mode, _, rest = line.split(" ", 2)
            rows[rest.partition("\t")[2]] = (int(mode, 8), rest.partition("\t")[0])
        return self.tree(dict(sorted(rows.items())))

    def commit(self, tree: str, *parents: str, message: str = "by hand") -> str:
        return self.git("commit-tree", tree, *(part for oid in parents for part in ("-p", oid)), data=message.encode())

    def ref(self, name: str, oid: str) -> None:
        """A ref, whatever git thinks of its name."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(oid + "\n")


def files(number: int, **facts: Any) -> dict[str, bytes]:
    """The documents of a sound record."""
    run = builder.start(number, **facts)["run"]
    status = {
        "status": "completed",
        "started": run["created"],
        "ended": run["created"],
        "duration": 1.0,
        "exit_code": 0,
    }
    summary = {"checkpoints": {"best": None, "count": 0, "latest": None}, "goals": {}, "metrics": {}, "points": 0}
    return {
        "format": b"gittrack 2\n",
        "run.json": document(run),
        "status.json": document(status),
        "params.json": document({}),
        "summary.json": document({**summary, "primary": None}),
    }


def document(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def op(clock: int, run: str, kind: str, value: Any, number: int = 0) -> bytes:
    """A line of a log."""
    fields = {
        "clock": clock,
        "id": f"{clock + number:016x}",
        "op": kind,
        "run": run,
        "value": value,
        "w": 1.0,
        "who": "M <m>",
    }
    return document(fields)


def log(bare: Bare, writer: str, lines: bytes, *parents: str) -> str:
    """A log with these lines, behind its ref."""
    tip = bare.commit(bare.record({"format": b"gittrack 1\n", "ops/000/00.jsonl": lines}), *parents)
    bare.ref(layout.log_ref(writer), tip)
    return tip


def listed(bare: Bare, writer: str, lines: bytes, *parents: str) -> str:
    """The list of an archive, behind its ref."""
    tip = bare.commit(bare.record({"format": b"gittrack 1\n", "index/000/00.jsonl": lines}), *parents)
    bare.ref(layout.archive_ref(writer, 0, "list"), tip)
    return tip


def line(number: int, tip: str = "1" * 40, tree: str = "2" * 40, run_id: str | None = None, **facts: Any) -> bytes:
    """A line of a list."""
    found = files(number, **facts)
    values = {name: json.loads(found[f"{name}.json"]) for name in archive.DOCUMENTS}
    return archive.encode(run_id or builder.run_id(number), tip, tree, 1, None, 2, values)
