"""Files handed over with a run: those of checkpoints, and artifacts. The order of things: room, parcel, journal line.

Nothing here raises into the training. What is wrong with the files is said once, and recorded as a warning of the run;
the metrics of a checkpoint are recorded whatever becomes of its files.
"""

from __future__ import annotations

import os

from . import media, room
from .complain import WrongUse, complain, is_new
from .files import RunOver
from .parcels import Parcel, encoded, name_in_run, text_or_bytes
from .secret_names import clean_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Optional

    from .journal import Journal

    Fill = Callable[[Parcel], Optional[str]]  # puts files into a parcel; what was wrong with them

STATE = "checkpoint.pt"
_LONGEST = 2_000
_SHOWN = 3
_PICTURES = (".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")  # what Pillow writes by the name
_DRAWINGS = (".svg", ".pdf", ".eps", ".ps")  # and matplotlib
_NAMES = {"checkpoint": "checkpoint", "file": "log_artifact"}  # as the user calls them
_NO_ROOM = "the files of earlier calls are not stored yet and nothing moves; these were left out"


def _harmless(call: Callable[..., None]) -> Callable[..., None]:
    """For what comes before and after a parcel: looking at a value may raise whatever its class likes."""

    def guarded(journal: Journal, *args: Any) -> None:
        try:
            call(journal, *args)
        except Exception as error:  # noqa: BLE001 - the training must not end for its records
            told = f"{_NAMES.get(call.__name__, 'log_' + call.__name__)}: {type(error).__name__}: {error}"[:_LONGEST]
            complain(told, told, error)

    return guarded


@_harmless
def checkpoint(
    journal: Journal,
    step: Any,
    metrics: Mapping[str, Any] | None,
    primary: tuple[str, str] | None,
    path: Any,
    state: Any,
) -> None:
    """Record a checkpoint with the files at `path` and what `torch.save` makes of `state`."""
    parcel: Parcel | None = None
    error: Exception | None = None
    paths = [] if path is None else _paths(path)
    if paths is None:
        paths, error = [], WrongUse(f"path is a path or a list of paths, not {path!r:.80}")

    def fill(parcel: Parcel) -> str | None:
        trouble = None if state is None else _save_state(state, parcel)
        parcel.add(paths)
        return trouble

    if paths or state is not None:
        parcel, found = _handed(journal, fill)
        error = error or found
    number = journal.checkpoint(step, metrics, primary, parcel.name if parcel else None)
    _settle(journal, "checkpoint", parcel, number is not None, error)


@_harmless
def file(journal: Journal, path: Any, name: Any, kind: str = "file", step: Any = None) -> None:
    """Record a file or folder as an artifact."""
    paths = _paths(path)
    if paths is None or len(paths) != 1 or not (name is None or _is_name(name)):
        return wrong(journal, f"log_artifact takes a path and a name, not {path!r:.80}, {name!r:.80}")
    given = paths[0]

    def fill(parcel: Parcel) -> None:
        return parcel.add([given]) if name is None else parcel.add_as(given, name)

    return _log(
        journal,
        "log_artifact",
        kind,
        text_or_bytes(encoded(name) if name else name_in_run(os.fsencode(given))),
        step,
        fill,
    )


@_harmless
def text(journal: Journal, content: Any, name: Any) -> None:
    """Record a text as a file."""

    def fill(parcel: Parcel) -> None:
        if not isinstance(content, str):
            raise WrongUse(f"log_text takes a text, not {content!r:.80}")
        _write(parcel.file(name), content.encode("utf-8", "backslashreplace"))

    _named(journal, "log_text", "text", name, ("", ()), None, fill)


@_harmless
def image(journal: Journal, picture: Any, name: Any, step: Any) -> None:
    """Record an image: a file, a PIL image, an array or a tensor."""
    is_file = isinstance(picture, (str, os.PathLike))
    is_pil = hasattr(picture, "save") and hasattr(picture, "getbands")
    suffix = os.path.splitext(os.fspath(picture))[1] if is_file else ".png"
    others = _PICTURES if is_pil else ()

    def fill(parcel: Parcel) -> str | None:
        full = _with(name, suffix, others)
        if full != name and name.lower().endswith(_PICTURES):
            parcel.note(name, f"is kept as {full}: that is what it holds")
        if is_file:
            parcel.add_as(picture, full)
            return None
        if is_pil:
            return picture.save(parcel.file(full))  # type: ignore[no-any-return]
        data, trouble = media.png(picture)
        _write(parcel.file(full), data)
        return trouble

    _named(journal, "log_image", "image", name, (suffix, others), step, fill)


@_harmless
def figure(journal: Journal, drawn: Any, name: Any, step: Any) -> None:
    """Record a figure of matplotlib (as PNG, or what the name's extension says) or plotly (as a page)."""
    is_page = hasattr(drawn, "write_html")
    suffix, others = (".html", ()) if is_page else (".png", (*_PICTURES, *_DRAWINGS))
    if not is_page and not hasattr(drawn, "savefig"):
        drawn = getattr(drawn, "figure", drawn)  # of axes

    def fill(parcel: Parcel) -> None:
        if is_page:
            drawn.write_html(parcel.file(_with(name, suffix)))
        elif hasattr(drawn, "savefig"):
            drawn.savefig(parcel.file(_with(name, suffix, others)))
        else:
            raise WrongUse(f"log_figure takes a figure of matplotlib or plotly, not a {type(drawn).__name__}")

    _named(journal, "log_figure", "figure", name, (suffix, others), step, fill)


@_harmless
def table(journal: Journal, rows: Any, name: Any) -> None:
    """Record a table as CSV."""

    def fill(parcel: Parcel) -> None:
        path = parcel.file(_with(name, ".csv"))
        if hasattr(rows, "to_csv"):
            rows.to_csv(path, index=type(rows.index).__name__ != "RangeIndex")
        elif hasattr(rows, "write_csv"):  # polars
            rows.write_csv(path)
        else:
            _write(path, media.csv(rows).encode("utf-8", "backslashreplace"))

    _named(journal, "log_table", "table", name, (".csv", ()), None, fill)


@_harmless
def histogram(journal: Journal, values: Any, name: Any, step: Any, bins: Any) -> None:
    """Record how values are distributed, as JSON."""

    def fill(parcel: Parcel) -> None:
        _write(parcel.file(_with(name, ".json")), media.histogram(values, bins).encode())

    _named(journal, "log_histogram", "histogram", name, (".json", ()), step, fill)


def _named(
    journal: Journal, call: str, kind: str, name: Any, ending: tuple[str, tuple[str, ...]], step: Any, fill: Fill
) -> None:
    if not _is_name(name):
        return wrong(journal, f"{call} takes a name, such as 'samples/first', not {name!r:.80}")
    return _log(journal, call, kind, _with(name, *ending), step, fill)


def _log(journal: Journal, call: str, kind: str, name: str | bytes, step: Any, fill: Fill) -> None:
    parcel, error = _handed(journal, fill)
    done = parcel is not None and journal.artifact(kind, name, parcel.name, step)
    _settle(journal, call, parcel, done, error)


def _handed(journal: Journal, fill: Fill) -> tuple[Parcel | None, Exception | None]:
    """A parcel that is whole, or None; and what was wrong."""
    parcel = None
    try:
        journal.open()  # its lock keeps the run open until the parcel is stored
        if not room.wait(journal.dir):
            return None, WrongUse(_NO_ROOM)
        parcel = Parcel(journal.dir)
        trouble = fill(parcel)
        notes = "; ".join(filter(None, (trouble, parcel.notes())))
        if parcel.is_empty():
            parcel.discard()
            return None, WrongUse(notes or "there is no file in it")
        parcel.seal()
        return parcel, WrongUse(notes) if notes else None
    except BaseException as error:
        if parcel is not None:
            parcel.discard()
        if not isinstance(error, Exception):  # Ctrl-C is the user's
            raise
        return None, error


def _settle(journal: Journal, call: str, parcel: Parcel | None, done: bool, error: Exception | None) -> None:
    """A parcel that no line speaks of is taken back; trouble is said once, here and in the record."""
    if parcel is not None and not done:
        parcel.discard()
    if error is None:
        return None
    reason = str(error.strerror if isinstance(error, OSError) and error.strerror else error) or type(error).__name__
    if not isinstance(error, WrongUse):
        reason = f"the files could not be saved: {reason}. The training goes on."
    told = clean_text(reason if reason.startswith("log_") else f"{call}: {reason}")[:_LONGEST]
    if isinstance(error, RunOver):
        return complain(told, told, error)
    return wrong(journal, told, error)


def wrong(journal: Journal, told: str, error: Exception | None = None) -> None:
    """Say what was wrong, once, here and in the record."""
    if not journal.closed and is_new(told):
        journal.event("warning", text=told)
    complain(told, told, error)


def _save_state(state: Any, parcel: Parcel) -> str | None:
    path = parcel.file(STATE)
    try:
        save = __import__("torch").save  # whoever has tensors has loaded it
        getattr(save, "__wrapped__", save)(state, path)
    except ImportError as error:
        return (
            f"state=... is saved by torch, which cannot be imported here ({error}); save it yourself and give path=..."
        )
    except Exception as error:
        parcel.drop(path)
        if isinstance(error, OSError) or "PytorchStreamWriter" in str(error):  # as with a full disk: nothing fits now
            raise
        return f"torch.save failed on the state: {type(error).__name__}: {error}"
    return _whole_objects(state)


def _whole_objects(state: Any) -> str | None:
    """What of a state is a whole model or optimizer, told by its mark: its file needs the code of its class, so that
    `load()`, which runs none, will refuse it. Nothing is loaded to find out."""
    parts = [*state.items()] if isinstance(state, dict) else [*enumerate(state)] if _is_list(state) else []
    names = [f"state[{name!r:.80}]" for name, part in parts if hasattr(part, "state_dict")]
    if hasattr(state, "state_dict"):
        names = ["state"]
    if not names:
        return None
    few = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{few}: whole objects are kept, but load() opens tensors only: give {names[0]}.state_dict()"


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _paths(given: Any) -> list[str | os.PathLike[str]] | None:
    """What was given as one path or several; None when it is no such thing."""
    several = [*given] if isinstance(given, (list, tuple, set, frozenset)) else [given]
    return several if all(map(_is_path, several)) else None


def _is_path(given: Any) -> bool:
    return isinstance(given, (str, os.PathLike)) and bool(os.fspath(given))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name.strip("/."))


def _with(name: str, suffix: str, others: tuple[str, ...] = ()) -> str:
    """`name` with an extension that says what is in it."""
    return name if name.lower().endswith((suffix.lower(), *others)) else name + suffix


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as out:
        out.write(data)
