"""The append-only journal of one process: what `log()` has returned for is in the kernel, whatever then dies.

One write(2) of whole lines per call, on a file of this process alone: no lock, no thread, no buffer, nothing that a
fork or a signal could leave half done. Nothing here raises into the training (GITTRACK_STRICT=1 excepted). The
format is docs/format.md §4.
"""

from __future__ import annotations

import errno
import os
from math import isfinite
from os import write
from time import monotonic
from time import time as wall

from . import files
from .complain import complain
from .encode import SPELLED, encode, quote
from .process import rank
from .series import Series, clean, integral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


_NEVER = (0.0, -1)


class Journal:
    """Writes the events of this process of the run in `run_dir`.

    The file is made by the first event. `name` is given by who starts the run ("run.jsonl"); all others get a name of
    their own. A forked child goes on with the same object and writes to its own file.
    """

    def __init__(self, run_dir: str, name: str | None = None) -> None:
        self.dir = os.fspath(run_dir)
        self._given = name
        self._file: files.File | None = None
        self._made: dict[int, files.File] = {}
        self._fd = -1  # for `metrics` alone: -1 sends it the careful way, as any failed write does
        self._zero = 0.0
        self._series = Series()
        self._known = self._series.known
        self._said = self._counted = _NEVER  # when a checkpoint had a step, and which; of its own, or counted
        self._torn = False
        self._lost = 0
        self.closed = False
        _journals.append(self)

    @property
    def name(self) -> str | None:
        """Name of this process's file, None before its first event."""
        return self._file.name if self._file else None

    def metrics(self, metrics: dict[str, Any], step: Any = None) -> None:
        """Record numbers at a step. Without one, each metric counts for itself: one more than its last."""
        try:  # the way of nearly every call: known names, plain numbers, a step, an open file
            names = (*metrics,)
            known = self._known[names]
            values: Sequence[Any] = (*metrics.values(),)
            for value in values:
                if type(value) is not float and type(value) is not int:
                    break
            else:
                if type(step) is int:
                    if not isfinite(sum(values)):
                        values = [value if value - value == 0 else SPELLED[repr(value)] for value in values]
                    known.step = step
                    known.when = now = monotonic()
                    data = (known.template % (*values, step, now - self._zero, wall())).encode()
                    written = write(self._fd, data)
                    if written != len(data):
                        self._finish_write(data, written)
                    return
        except Exception:  # noqa: BLE001 - whatever it was, the careful way finds it again and says it
            pass
        self._carefully(metrics, step)

    def checkpoint(
        self, step: Any, metrics: Any, primary: tuple[str, str] | None, parcel: str | None = None
    ) -> int | None:
        """Record a checkpoint, its metrics as a line of their own just before it, in one write. Returns its step.
        `parcel` holds its files."""
        try:
            values = clean(metrics or {})
            number = None if step is None else integral(step)
            t, w = self._now()
            now = monotonic()
            if number is None:
                number = self._count(now)
            else:
                self._said = now, number
            before = self._series.line(values, number, t, w, now) if values else ""
            place = f'"r":{self._series.rank},' if self._series.rank else ""
            chosen = encode(list(primary)) if primary else "null"
            inner = ",".join([f"{quote(name)}:{value!s}" for name, value in values.items()])
            files_ = f'"parcel":{quote(parcel)},' if parcel else ""
            line = f'{{"e":"checkpoint","m":{{{inner}}},{files_}"primary":{chosen},{place}"s":{number},'
            line += f'"t":{t:.6f},"w":{w:.6f}}}\n'
            return number if self._send(before + line) else None
        except Exception as error:  # noqa: BLE001 - the training must not end for its records
            complain("checkpoint", f"the checkpoint was not recorded: {error}", error)
        return None

    def event(self, kind: str, /, **fields: Any) -> bool:
        """Append an event of any other kind; whether it was written."""
        try:
            t, w = self._now()
            inner = "".join([f"{quote(name)}:{encode(value)}," for name, value in fields.items()])
            return self._send(f'{{"e":{quote(kind)},{inner}"t":{t:.6f},"w":{w:.6f}}}\n')
        except Exception as error:  # noqa: BLE001 - as in `checkpoint`
            complain(f"event {kind}", f"the event {kind!r} was not recorded: {error}", error)
        return False

    def artifact(self, kind: str, name: str | bytes, parcel: str, step: Any = None) -> bool:
        """Record what was handed over in `parcel`; whether it was written."""
        place = {"r": self._series.rank} if self._series.rank else {}
        number = None if step is None else integral(step)
        return self.event("artifact", kind=kind, name=name, parcel=parcel, **place, s=number)

    def last_step(self) -> int | None:
        """The step that was logged last by this process."""
        last = self._series.last()
        return last[1] if last else None

    def open(self) -> None:
        """Make the file now. Raises OSError: for who starts a run and can still say no."""
        if self._file is None:
            self._open()

    def close(self) -> None:
        """Close the file; what is logged later is not recorded. The lock stays with forked children that share it."""
        if self in _journals:
            _journals.remove(self)
        self.closed, self._fd = True, -1
        file, self._file = self._file, None
        if file is not None:
            files.close(file.fd)

    def _carefully(self, metrics: Any, step: Any) -> None:
        """`metrics` for all that is not plain, and for a file that cannot be written."""
        try:
            values = clean(metrics)
            number = None if step is None else integral(step)
            if not values:
                return
            groups = self._series.by_step(values) if number is None else {number: values}
            t, w = self._now()
            self._send("".join([self._series.line(group, at, t, w, monotonic()) for at, group in groups.items()]))
        except Exception as error:  # noqa: BLE001 - as in `checkpoint`
            complain("log", f"metrics were not recorded: {error}", error)

    def _count(self, now: float) -> int:
        """The step of a checkpoint that names none: the last one that was said, by `log` or a checkpoint; where none
        ever was, checkpoints are counted."""
        last = max(self._series.last() or _NEVER, self._said)
        if last[0] > self._counted[0]:
            return last[1]
        self._counted = now, self._counted[1] + 1
        return self._counted[1]

    def _now(self) -> tuple[float, float]:
        if self._file is None:
            self._open()
        return monotonic() - self._zero, wall()

    def _open(self) -> None:
        if self.closed:
            raise files.RunOver("this run is finished; what is logged now is not recorded")
        place = rank()
        made = files.create(self.dir, self._given)
        file = self._made.setdefault(os.getpid(), made)  # atomic: of several threads that come here at once, one wins
        if file is not made:
            files.discard(self.dir, made)
        self._series.set_rank(place)
        self._zero, self._file, self._fd = file.zero, file, file.fd

    def _send(self, text: str) -> bool:
        """Append whole lines. On failure: one warning, and the next call tries again."""
        file = self._file
        if file is None:
            return False
        try:
            try:
                self._append(file.fd, text.encode())
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                self._file = file = files.reopen(self.dir, file)  # a daemon closes all that it does not know
                self._append(file.fd, text.encode())
        except OSError as error:
            self._fd = -1
            self._lost += 1
            complain("write", f"cannot write to {self.dir}: {error.strerror}. The training goes on.", error)
            return False
        self._fd = file.fd
        if self._lost:
            lost, self._lost = self._lost, 0
            self.event("warning", text=f"{lost} calls could not be recorded: the journal could not be written")
        return True

    def _append(self, fd: int, rest: bytes) -> None:
        """Write `rest`. After a write that was cut short, only the lines that are not whole are written again."""
        for _attempt in range(3):
            if self._torn:
                rest = b"\n" + rest  # what stands there becomes a line that does not parse
            written = write(fd, rest)
            whole = rest.rfind(b"\n", 0, written) + 1
            self._torn = written > whole
            rest = rest[whole:]
            if not rest:
                return
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _finish_write(self, data: bytes, written: int) -> None:
        self._torn = written > 0
        self._send(data.decode())

    def _forked(self) -> None:
        """In a forked child: the file is the parent's. Its descriptor stays open, for the lock is ours as well."""
        self._file, self._given, self._fd = None, None, -1
        self._torn, self._lost = False, 0
        self._made = {}


_journals: list[Journal] = []


def shared(run_dir: str) -> Journal:
    """The open journal of this process for the run in `run_dir`: the hooks and `gittrack.init` write to one file."""
    for journal in [*_journals]:
        if journal.dir == run_dir:
            return journal
    return Journal(run_dir)


def _after_fork() -> None:
    for journal in _journals:
        journal._forked()


os.register_at_fork(after_in_child=_after_fork)
