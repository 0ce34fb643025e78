"""Which run came from which: a forest out of what records say, drawn as `git log --graph` draws.

Records come from anybody, so they may name runs that are not here, themselves, or each other in a circle; and a chain
of ten thousand resumed runs is deeper than Python's stack. Nothing here recurses.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

RESUME, STARTED = "resume", "started"  # beside the ways that an `origin` says
ROOT, BESIDE, PASSING, NOTHING = "● ", "├─● ", "│ ", "  "


class Named(Protocol):
    """What is asked of a run."""

    @property
    def id(self) -> str: ...
    @property
    def created(self) -> float | None: ...
    @property
    def continues(self) -> Mapping[str, Any] | None: ...
    @property
    def origin(self) -> Mapping[str, Any] | None: ...
    @property
    def parent(self) -> str | None: ...


class Link(NamedTuple):
    """The run that another one came from, from which step of it, and how."""

    run: str
    step: int | None
    how: str


class Node(NamedTuple):
    """A run in the order of drawing; `prefix` is what stands before it."""

    id: str
    prefix: str
    link: Link | None


class Forest(NamedTuple):
    """Each run stands under one other at most: the first of its links. Runs that are only named are in it, too."""

    links: Mapping[str, Sequence[Link]]  # run -> all that it says
    above: Mapping[str, Link]  # run -> what it stands under
    below: Mapping[str, Sequence[str]]  # run -> those under it, the oldest first
    roots: Sequence[str]


def links_of(row: Named) -> list[Link]:
    """What a run says of where it came from, the closest first."""
    found = []
    for said, how in ((row.continues, RESUME), (row.origin, None)):
        run, step = (said or {}).get("run"), (said or {}).get("step")
        if isinstance(run, str) and run and run != row.id:
            way = how or (said or {}).get("how")
            found.append(Link(run, step if type(step) is int else None, way if isinstance(way, str) else "said"))
    if isinstance(row.parent, str) and row.parent and row.parent != row.id:
        found.append(Link(row.parent, None, STARTED))
    return found


def forest(rows: Iterable[Named]) -> Forest:
    """All runs and those that they name."""
    by_id = {row.id: row for row in rows}
    links = {row.id: found for row in by_id.values() if (found := links_of(row))}
    above = {run_id: found[0] for run_id, found in links.items()}
    for run_id in _closing(above):
        del above[run_id]
    every = dict.fromkeys([*by_id, *(link.run for link in above.values())])

    def age(run_id: str) -> tuple[float, str]:
        row = by_id.get(run_id)
        return (row.created or 0.0) if row else 0.0, run_id

    below: dict[str, list[str]] = {}
    for run_id, link in above.items():
        below.setdefault(link.run, []).append(run_id)
    for group in below.values():
        group.sort(key=age)
    return Forest(links, above, below, sorted((one for one in every if one not in above), key=age))


def around(found: Forest, run_id: str) -> set[str]:
    """A run, what it came from, and all that came from it."""
    return {*line_of(found, run_id), *_under(found, run_id)}


def line_of(found: Forest, run_id: str) -> list[str]:
    """A run and what it came from, the run first."""
    line = [run_id]
    while (link := found.above.get(line[-1])) is not None:
        line.append(link.run)
    return line


def _under(found: Forest, run_id: str) -> list[str]:
    """A run and all under it, each after what it stands under."""
    order = [run_id]
    for one in order:  # grows meanwhile
        order += found.below.get(one, ())
    return order


def drawn(found: Forest, roots: Sequence[str], wanted: Callable[[str], bool]) -> Iterator[Node]:
    """The trees of `roots`, as far as they are wanted, in the order of drawing.

    The largest branch goes on in the column of its run, after the smaller ones: so the picture is never more than
    log2(runs) columns wide, and one line of descent is one column.
    """
    for root in roots:
        sizes = _sizes(found, root, wanted)
        waiting = [(root, "", ROOT)] if root in sizes else []
        while waiting:
            run_id, before, mark = waiting.pop()
            yield Node(run_id, before + mark, found.above.get(run_id))
            column = before + (PASSING if mark == BESIDE else "")
            children = [one for one in found.below.get(run_id, ()) if one in sizes]
            if not children:
                continue
            main = max(children, key=lambda one: sizes[one])
            beside = [one for one in children if one != main]
            waiting.append((main, column, ROOT))
            waiting += [(one, column, BESIDE) for one in reversed(beside)]


def _sizes(found: Forest, root: str, wanted: Callable[[str], bool]) -> dict[str, int]:
    """How many wanted runs stand in the branch of each; those of branches without any left out."""
    sizes: dict[str, int] = {}
    for run_id in reversed(_under(found, root)):
        size = wanted(run_id) + sum(sizes.get(one, 0) for one in found.below.get(run_id, ()))
        if size:
            sizes[run_id] = size
    return sizes


def _closing(above: Mapping[str, Link]) -> list[str]:
    """One run of each circle: without what it says, there is none. The same one, whatever the order."""
    state: dict[str, int] = {}  # number of the walk in which a run was met
    found = []
    for number, start in enumerate(above):
        path = []
        one: str | None = start
        while one is not None and one not in state:
            state[one] = number
            path.append(one)
            link = above.get(one)
            one = link.run if link else None
        if one is not None and state[one] == number and one in path:
            found.append(min(path[path.index(one) :]))
    return found
