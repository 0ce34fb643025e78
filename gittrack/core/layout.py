"""Where things stand: ref names, paths in a record tree, the format number. docs/format.md §2 and §3 in code."""

from __future__ import annotations

import re

from gittrack import errors

FORMAT = 2
LOG_FORMAT = 1  # of annotations, which have not changed since
ARCHIVE_FORMAT = 1

RUNS = "refs/track/runs/"
CODE = "refs/track/code/"
LOG = "refs/track/log/"
ARCHIVE = "refs/track/archive/"
KEPT = "refs/track-kept/records"
REMOTES = "refs/track-remotes/"

ID_LENGTH = 20
SHORT = 7
PER_DIRECTORY = 32

_ID = re.compile(r"[0-9a-f]{20}\Z")
_ARCHIVE = re.compile(r"refs/track/archive/([0-9a-f]{16})/(0|[1-9][0-9]{0,5})/(list|records|code)\Z")


def is_id(text: str) -> bool:
    """Whether `text` is a whole run id."""
    return _ID.match(text) is not None


def new_id(entropy: bytes) -> str:
    """A run id out of at least 10 random bytes."""
    return entropy.hex()[:ID_LENGTH]


def run_ref(run_id: str) -> str:
    return f"{RUNS}{run_id[-2:]}/{run_id}"


def code_ref(oid: str) -> str:
    return f"{CODE}{oid[-2:]}/{oid}"


def log_ref(writer: str) -> str:
    return LOG + writer


def archive_ref(writer: str, number: int, part: str) -> str:
    """`part`: list, records or code."""
    return f"{ARCHIVE}{writer}/{number}/{part}"


def archive_of_ref(ref: str) -> tuple[str, int, str] | None:
    """(writer, number, part) of an archive's ref, or None when its name is not of that form."""
    match = _ARCHIVE.match(ref)
    return (match[1], int(match[2]), match[3]) if match else None


def archived_run(run_id: str) -> str:
    """The place of a run in the tree of `records`."""
    return f"runs/{run_id[-2:]}/{run_id}"


def archived_tree(run_id: str, cut: int) -> str:
    """The place of the record as of commit number `cut`, below it."""
    return f"{archived_run(run_id)}/{cut // PER_DIRECTORY:03d}/{cut % PER_DIRECTORY:02d}"


def archived_code(oid: str) -> str:
    """The place of a snapshot in the tree of `code`: a directory with `commit` and `tree`."""
    return f"snapshots/{oid[-2:]}/{oid}"


def id_of_ref(ref: str) -> str | None:
    """The run id that a ref under refs/track/runs/ stands for, or None when its name is not of that form."""
    run_id = ref.rpartition("/")[2]
    return run_id if is_id(run_id) and ref == run_ref(run_id) else None


def segment_path(root: str, number: int, suffix: str) -> str:
    """The path of segment `number` (from 0) of the series `root`, for example `metrics/000/07.jsonl`."""
    return f"{root}/{number // PER_DIRECTORY:03d}/{number % PER_DIRECTORY:02d}{suffix}"


def file_path(parcel: int, path: str) -> str:
    """The place of a file of parcel number `parcel`, for example `files/000/01/07/config.json`."""
    outer, inner = divmod(parcel, PER_DIRECTORY)
    return f"files/{outer // PER_DIRECTORY:03d}/{outer % PER_DIRECTORY:02d}/{inner:02d}/{path}"


def format_line(number: int = FORMAT) -> bytes:
    """The `format` file."""
    return b"gittrack %d\n" % number


def check_format(data: bytes | None, what: str, newest: int = FORMAT) -> None:
    """Refuse what this version cannot read. `data` is its `format` file; `what` names it in the error."""
    match = re.match(rb"gittrack (\d+)\n\Z", data or b"")
    if match is None:
        raise errors.DamagedRecord(f"{what} has no valid `format` file", "run `git track doctor`")
    if int(match[1]) > newest:
        raise errors.NewerFormat(
            f"{what} has format {int(match[1])}; this gittrack reads up to {newest}",
            "upgrade with `pip install --upgrade gittrack`",
        )
