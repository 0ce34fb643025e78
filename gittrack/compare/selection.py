"""Which runs a reading command is about: `--where`, `--sort` and a limit, asked of the index.

What sqlite can order and cut off by itself it does, so that `ls` of thirty runs reads thirty; an expression or a metric
as sort key needs all of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gittrack.core import fields, moments, query
from gittrack.runs.index import SORTABLE, Index
from gittrack.runs.row import Row

NEWEST_FIRST = "created-desc"


class Selection(NamedTuple):
    """`total`: how many there are without the limit. `known`: the names of all runs, when they were needed."""

    rows: list[Row]
    total: int
    known: fields.Known | None = None


def select(
    index: Index,
    clock: moments.Clock,
    where: Sequence[str] = (),
    sort: str | None = None,
    limit: int | None = None,
    deleted: bool = False,
) -> Selection:
    """The runs that answer to every expression of `where`, in the order of `sort` (newest first), at most `limit`.

    The index must be fresh. Raises BadExpression for what does not parse and for names that no run has.
    """
    questions = [query.parse(text, clock) for text in where]
    keys = query.parse_sort(sort) if sort else []
    if not questions and _stored_order(keys):
        order = f"{keys[0].name}{'-desc' if keys[0].descending else ''}" if keys else NEWEST_FIRST
        rows = index.rows(sort=order, limit=limit, deleted=deleted)
        cut = limit is not None and len(rows) == limit
        return Selection(rows, index.count(deleted=deleted) if cut else len(rows))
    every = index.rows(sort=NEWEST_FIRST, deleted=deleted)
    known = fields.Known(every)
    if every:  # where there is no run, no name is known and none is mistyped
        _check(questions, keys, known)
    rows = [row for row in every if all(_holds(question, row, clock.now) for question in questions)]
    rows = fields.order(rows, keys, clock.now)
    return Selection(rows if limit is None else rows[:limit], len(rows), known)


def _stored_order(keys: Sequence[query.SortKey]) -> bool:
    return not keys or (len(keys) == 1 and keys[0].name in SORTABLE)


def _check(questions: Sequence[query.Expression], keys: Sequence[query.SortKey], known: fields.Known) -> None:
    for question in questions:
        fields.check(question, known)
    for key in keys:
        if key.name not in known:
            raise fields.unknown(key.name, known)


def _holds(question: query.Expression, row: Row, now: float) -> bool:
    return question.matches(fields.lookup(row, now))
