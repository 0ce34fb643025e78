"""The run as the training sees it: what `gittrack.init()` returns.

Nothing in it may hurt the training: after `init`, wrong use is warned of once and skipped.
"""

from __future__ import annotations

import atexit
import os
import sys

from . import logged, resume, torch_hook
from .complain import complain
from .opening import ARTIFACTS, RUN_DIR, RUN_ID
from .plain import plain, plain_params
from .secret_names import clean_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any

    from .journal import Journal

_GOALS = ("minimize", "maximize")
_STATES = ("completed", "failed", "killed")
_REASON = 2_000


class Params(dict):  # type: ignore[type-arg]
    """The parameters of a run. Setting one records it; the values are recorded as they are at that moment."""

    def __init__(self, record: Callable[[Mapping[Any, Any]], None], values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._record = record

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._record({name: value})

    def update(self, *others: Any, **values: Any) -> None:
        """As of a dict; recorded as one event."""
        try:
            new = dict(*others, **values)
        except (TypeError, ValueError) as error:
            return complain("params", f"parameters are a dict, not {others!r:.80}: nothing was recorded", error)
        super().update(new)
        return self._record(new)

    def __ior__(self, other: Any) -> Params:  # type: ignore[misc]
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        """As of a dict."""
        if name not in self:
            self[name] = default
        return self[name]

    def _keep(self, *_args: Any, **_named: Any) -> Any:
        complain("params removed", "parameters that were recorded cannot be taken back")

    __delitem__ = pop = popitem = clear = _keep

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class ActiveRun:
    """A run that is being recorded. Also a context manager: an exception that leaves it marks the run as failed.

    `joined` says that another process (`git track run`, or the rank that started it) began the run and will end it.
    `on_finish` is called once, in the process that began the run, when its end has been written. `continues` names the
    run that it resumes, and `artifacts` says what of torch.save is kept, as the variables of the environment do.
    """

    def __init__(
        self,
        journal: Journal,
        run_id: str,
        joined: bool = False,
        params: Mapping[str, Any] | None = None,
        on_finish: Callable[[ActiveRun], None] | None = None,
        continues: str | None = None,
        artifacts: str | None = None,
    ) -> None:
        self.id = run_id
        self.dir = journal.dir
        self.joined = joined
        self.params = Params(self._record_params, {})
        self.status = "running"
        self._journal = journal
        self._on_finish = on_finish
        self._pid = os.getpid()
        self._last_error = _last_error()
        self.log = journal.metrics  # not a method that calls it: that would cost 3 % more
        if params:
            self.params.update(params)
        self.continues = resume.named() if joined else continues
        said = {RUN_ID: run_id, RUN_DIR: journal.dir, resume.RESUME: continues}
        self._outer = (
            None if joined else _announce({**said, ARTIFACTS: artifacts} if artifacts not in (None, "1") else said)
        )
        torch_hook.watch()
        _open.append(self)
        atexit.register(self._at_exit)

    def checkpoint(
        self,
        step: int | None = None,
        metrics: Mapping[str, Any] | None = None,
        primary_metric: tuple[str, str] | None = None,
        path: Any = None,
        state: Any = None,
    ) -> None:
        """Mark a moment that is kept: its step and metrics, and files.

        `path` is a file or folder, or a list of them; `state` is saved by `torch.save` as `checkpoint.pt`. When this
        returns, the files may be changed or deleted. `primary_metric` is (name, "minimize" or "maximize"). Without
        `step` it is the last one that `log` or a checkpoint had; where none had one, checkpoints are counted.
        """
        if path is None and isinstance(step, (str, os.PathLike)) and os.path.lexists(step):  # checkpoint("model.pt")
            path, step = step, None
        if isinstance(step, (str, os.PathLike)):
            wrong = f"checkpoint: {step!r:.80} is neither a whole number, which `step` is, nor a file that is there"
            logged.wrong(self._journal, f"{wrong}: the step was worked out")
            step = None
        logged.checkpoint(self._journal, step, metrics, self._primary(primary_metric), path, state)

    def resume_checkpoint(self) -> Any:
        """The checkpoint to go on from: the last one, or the chosen one, of the run that this one continues.

        None when it continues none, or one without checkpoints. It has `.step`, `.metrics`, `.files`, `.open(path)`,
        `.load()` and `.checkout(directory)`. Raises when it cannot be read: silently beginning anew would be worse.
        """
        return resume.last_checkpoint(self.dir, self.continues)

    def log_artifact(self, path: Any, name: str | None = None) -> None:
        """Keep a file or folder with the run, under `name` or its own."""
        logged.file(self._journal, path, name)

    def log_text(self, text: str, name: str) -> None:
        """Keep a text as the file `name`."""
        logged.text(self._journal, text, name)

    def log_image(self, image: Any, name: str, step: int | None = None) -> None:
        """Keep an image: a file, a PIL image, an array H×W, H×W×3 or 4, or a tensor C×H×W, of uint8 or floats 0…1."""
        logged.image(self._journal, image, name, step)

    def log_figure(self, fig: Any, name: str, step: int | None = None) -> None:
        """Keep a figure of matplotlib or plotly."""
        logged.figure(self._journal, fig, name, step)

    def log_table(self, table: Any, name: str) -> None:
        """Keep a table as CSV: a DataFrame, a list of dicts, or a dict of lists."""
        logged.table(self._journal, table, name)

    def log_histogram(self, values: Any, name: str, step: int | None = None, bins: Any = 64) -> None:
        """Keep how values are distributed, as JSON: edges of `bins` and counts."""
        logged.histogram(self._journal, values, name, step, bins)

    def finish(self, status: str | None = None) -> None:
        """End the run (completed, failed or killed), or leave it when another process began it. May be called twice."""
        if status is not None and status not in _STATES:
            complain("status", f"a run ends {', '.join(_STATES)}; {status!r:.80} was taken as completed")
            status = None
        self._end(status or "completed", None, None)

    def describe(self, **facts: Any) -> None:
        """Record what a script says of a run that was begun for it: name, tags, experiment."""
        self._journal.event("describe", **{name: plain(value) for name, value in facts.items() if value})

    def is_own(self) -> bool:
        """Whether this process began the run, and so will end it."""
        return not self.joined and self._pid == os.getpid()

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(*_verdict(error))

    def __repr__(self) -> str:
        how = ", joined" if self.joined else ""
        has = f"{len(self.params)} parameter{'s' * (len(self.params) != 1)}"
        return f"<gittrack run {self.id[:7]} {self.status}{how}: {has}>"

    def _repr_html_(self) -> str:
        rows = "".join([f"<tr><th>{_escape(name)}</th><td>{_escape(value)}</td></tr>" for name, value in self._rows()])
        return f"<table><caption>gittrack run <code>{self.id[:7]}</code> {self.status}</caption>{rows}</table>"

    def __reduce__(self) -> Any:
        raise TypeError("a run cannot be sent to another process; call gittrack.init() there, it joins the same run")

    def _rows(self) -> list[tuple[str, object]]:
        return [*plain_params(self.params).items()]

    def _primary(self, chosen: Any) -> tuple[str, str] | None:
        is_pair = isinstance(chosen, (tuple, list)) and len(chosen) == 2
        if is_pair and isinstance(chosen[0], str) and chosen[1] in _GOALS:
            return chosen[0], chosen[1]
        if chosen is not None:
            wrong = f'primary_metric is (name, "minimize" or "maximize"), not {chosen!r:.80}: it was left out'
            logged.wrong(self._journal, wrong)
        return None

    def _record_params(self, values: Mapping[Any, Any]) -> None:
        if self._journal.closed:
            complain("params late", "the run is finished; parameters that are set now are not recorded")
        else:
            self._journal.event("params", source="code", values=plain_params(values))

    def _at_exit(self) -> None:
        error = _last_error()
        self._end(*_verdict(error if error is not self._last_error and not _is_interactive() else None))

    def _end(self, status: str, reason: str | None, signal: str | None) -> None:
        if self.status != "running":
            return
        own = self.is_own()
        self.status = status if own else "left"
        if self in _open:
            _open.remove(self)
        try:
            if self._outer is not None:
                _withdraw(self.dir, self._outer)
            if own:
                code = None if signal else int(status != "completed")
                self._journal.event("end", code=code, reason=reason, signal=signal, status=status)
            self._journal.close()
            if own and self._on_finish is not None:
                self._on_finish(self)
            atexit.unregister(self._at_exit)
        except Exception as error:  # noqa: BLE001 - the training is over and its exit code must stay its own
            complain("finish", f"the run is recorded, but was not closed properly: {error}", error)


_open: list[ActiveRun] = []


def _announce(said: dict[str, str | None]) -> dict[str, str | None]:
    """Let the processes that this one starts join the run. Returns what the environment said before."""
    before = {name: os.environ.get(name) for name in said}
    _set(said)
    return before


def _withdraw(run_dir: str, before: dict[str, str | None]) -> None:
    if os.environ.get(RUN_DIR) == run_dir:
        _set(before)


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def current() -> ActiveRun | None:
    """The run that this process is recording: the one begun or joined last."""
    return _open[-1] if _open else None


def _verdict(error: BaseException | None) -> tuple[str, str | None, str | None]:
    """Status, reason and signal of a run that `error` ended."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "completed", None, None
    reason = type(error).__name__ + (f": {plain(str(error))}" if str(error) else "")
    if isinstance(error, KeyboardInterrupt):
        return "killed", reason, "SIGINT"
    return "failed", clean_text(reason)[:_REASON], None


def _last_error() -> BaseException | None:
    """The exception that the interpreter reported last; at exit, the one that ended the program."""
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)


def _is_interactive() -> bool:
    """In a notebook or at a prompt an error ends a cell, not the program."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or "ipykernel" in sys.modules


def _escape(value: object) -> str:
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
