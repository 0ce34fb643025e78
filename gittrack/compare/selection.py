"""Which runs a reading command is about: `--where`, `--sort` and a limit, asked of the index.

What sqlite can order and cut off by itself it does, so that `ls` of thirty runs reads thirty and loads no parser; an
expression, or a metric as sort key, needs all of them.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gittrack.core import fields
from gittrack.lazy import lazy
from gittrack.runs.index import SORTABLE, Index
from gittrack.runs.row import Row

if TYPE_CHECKING:
    from gittrack.core.moments import Clock

NEWEST_FIRST = "created-desc"


class Selection(NamedTuple):
    """`total`: how many there are without the limit. `known`: the names of all runs, when they were needed."""

    rows: list[Row]
    total: int
    known: fields.Known | None = None


def select(
    index: Index,
    clock: "Callable[[], Clock]",
    where: Sequence[str] = (),
    sort: str | None = None,
    limit: int | None = None,
    deleted: bool = False,
    all_metrics: bool = True,
) -> Selection:
    """The runs that answer to every expression of `where`, in the order of `sort` (newest first), at most `limit`.

    The index must be fresh. `all_metrics` as in Index.rows; an expression needs them all anyway.

    Raises BadExpression for what does not parse and for names that no run has.
    """
    order = sort or NEWEST_FIRST
    if not where and order.removesuffix("-desc").removesuffix("-asc") in SORTABLE:
        rows = index.rows(sort=order.removesuffix("-asc"), limit=limit, deleted=deleted, all_metrics=all_metrics)
        cut = limit is not None and len(rows) == limit
        return Selection(rows, index.count(deleted=deleted) if cut else len(rows))
    query = lazy("gittrack.core.query")
    now = clock()
    questions = [query.parse(text, now) for text in where]
    keys = query.parse_sort(sort) if sort else []
    every = index.rows(sort=NEWEST_FIRST, deleted=deleted)
    known = fields.Known(every)
    if every:  # where there is no run, no name is known and none is mistyped
        for question in questions:
            query.check(question, known)
        for key in keys:
            if key.name not in known:
                raise query.unknown(key.name, known)
    rows = [row for row in every if all(question.matches(fields.lookup(row, now.now)) for question in questions)]
    rows = fields.order(rows, keys, now.now)
    return Selection(rows if limit is None else rows[:limit], len(rows), known)
