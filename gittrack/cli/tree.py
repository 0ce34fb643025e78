"""`git track tree`: which run came from which."""

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from gittrack.cli import render
from gittrack.cli.asking import find, fresh, nothing
from gittrack.cli.context import output_colour
from gittrack.compare.listing import short_ids
from gittrack.compare.text import cell, json_text
from gittrack.core import fields, lineage
from gittrack.core.lineage import Forest, Link, Node
from gittrack.runs.row import Row

WORDS = {
    lineage.RESUME: "resumes {}",
    lineage.STARTED: "started by {}",
    "said": "from {}",
    "checkout": "from a checkout of {}",
    "checkpoint": "from the checkpoint {}",
    "apply": "with the changes of {}",
    "commit": "from a commit of {}",
}


def tree(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="What this run came from, and what came from it.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also runs that stand alone; with RUN, its whole tree.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the runs and what each came from.")] = False,
) -> None:
    """Draw which run came from which.

    A run comes from another one when it resumes it (`--resume`), when its code or files were put back from it
    (`git track checkout`, `apply`, `branch`, `promote`, or a commit that names it), when it was started by it, or when
    you say so: `git track run --from RUN`. One column is one line of descent, the oldest run above; a branch begins
    with ├─. Deleted runs, and runs that are not here, are shown where something came from them.

    Examples:
      git track tree
      git track tree best
      git track tree --all --json
    """
    target = find(run, deleted=True).id if run else None
    rows = {row.id: row for row in fresh().index.rows(deleted=True, all_metrics=False)}
    if not rows:
        return nothing(None)
    found = lineage.forest(rows.values())
    nodes = _nodes(found, rows, target, everything)
    if as_json:
        return render.write(json_text(json.dumps([_entry(node, rows, found) for node in nodes])) + "\n")
    if not nodes:
        return render.say("no run comes from another one; `git track tree --all` draws all of them")
    return _print(nodes, rows, target)


def _nodes(found: Forest, rows: dict[str, Row], target: str | None, everything: bool) -> list[Node]:
    if target is None:
        roots = found.roots if everything else [one for one in found.roots if found.below.get(one)]
        return [*lineage.drawn(found, roots, lambda one: one in rows and not rows[one].deleted)]
    root = lineage.line_of(found, target)[-1]
    wanted: Callable[[str], bool] = _anything if everything else lineage.around(found, target).__contains__
    return [*lineage.drawn(found, [root], wanted)]


def _anything(_: str) -> bool:
    return True


def _entry(node: Node, rows: dict[str, Row], found: Forest) -> dict[str, Any]:
    row = rows.get(node.id)
    links = [{"run": one.run, "step": one.step, "how": one.how} for one in found.links.get(node.id, ())]
    entry: dict[str, Any] = {"id": node.id, "is_here": row is not None, "from": links}
    if row is not None:
        entry |= {"name": row.name, "status": row.status, "created": row.created, "deleted": row.deleted}
        entry |= {"archived": row.archived, "primary": _primary(row)}
    return entry


def _primary(row: Row) -> dict[str, Any] | None:
    if row.primary is None:
        return None
    metric = row.primary[0]
    value = fields.metric(row.metrics, f"{metric}.best")
    return {"metric": metric, "value": fields.metric(row.metrics, metric) if value is None else value}


def _print(nodes: list[Node], rows: dict[str, Row], target: str | None) -> None:
    colour = output_colour()
    short = short_ids([*rows, *(node.id for node in nodes)])
    width = render.terminal_width()
    names = max((len(cell(rows[node.id].name)) for node in nodes if node.id in rows and rows[node.id].name), default=0)
    depth = max(len(node.prefix) for node in nodes)
    lines = []
    for node in nodes:
        row = rows.get(node.id)
        texts = [node.prefix.ljust(depth) + cell(node.id[:short]), *(_texts(row, names) if row else ["not here"])]
        texts += [_came(node.link, short)] if node.link else []
        line = "  ".join(texts).rstrip()
        style = "bold" if node.id == target else "dim" if row is None or row.deleted else ""
        lines.append(render.paint(line if width is None else render.clip(line, width), style, colour and bool(style)))
    render.write("".join(line + "\n" for line in lines))


def _texts(row: Row, names: int) -> Iterable[str]:
    primary = _primary(row)
    metric = f"{cell(primary['metric'])} {cell(primary['value'])}" if primary else ""
    if names:
        yield (cell(row.name) if row.name else "").ljust(names)
    yield f"{'deleted' if row.deleted else row.status:<9}"
    yield metric


def _came(link: Link, short: int) -> str:
    other = cell(link.run[:short]) + (f"@{link.step}" if link.step is not None else "")
    return WORDS.get(link.how, "from {}").format(other)
