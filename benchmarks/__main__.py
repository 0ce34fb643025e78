"""Measure gittrack against its floors. usage: python -m benchmarks [--list] [--json FILE] [--page NAME | TOPIC...]

Topics are measured and printed; a page is measured and written, and without either all pages are.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Iterable

from benchmarks import machine, report
from benchmarks.harness import Line
from benchmarks.scene import Scene, opened
from gittrack.lazy import lazy

TOPICS = {
    "log": "benchmarks.rows.log:measure",
    "run": "benchmarks.rows.run:measure",
    "import": "benchmarks.rows.start:measure_import",
    "version": "benchmarks.rows.start:measure_version",
    "ls": "benchmarks.rows.ls:measure",
    "ls-10000": "benchmarks.rows.ls_many:measure",
    "archive": "benchmarks.rows.archive:measure",
    "scale": "benchmarks.rows.scale:measure",
    "fold": "benchmarks.rows.fold:measure",
    "checkpoints": "benchmarks.rows.checkpoints:measure",
    "last": "benchmarks.rows.checkpoints:measure_last",
    "blocked": "benchmarks.rows.artifacts:measure_blocked",
    "sharing": "benchmarks.rows.artifacts:measure_sharing",
    "store": "benchmarks.rows.artifacts:measure_store",
    "checkout": "benchmarks.rows.artifacts:measure_checkout",
    "versions": "benchmarks.rows.artifacts:measure_versions",
    "upload": "benchmarks.rows.upload:measure",
    "push": "benchmarks.rows.share:measure_push",
    "pull": "benchmarks.rows.share:measure_pull",
    "session": "benchmarks.rows.session:measure",
    "hooks": "benchmarks.rows.hooks:measure",
    "hosts": "benchmarks.rows.hosts:measure",
    "kills": "benchmarks.kills:measure",
}
PAGES = {report.MAIN: tuple(topic for topic in TOPICS if topic != "hosts"), report.OF_HOSTS: ("hosts",)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure gittrack against its floors.")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=", ".join(TOPICS))
    parser.add_argument("--list", action="store_true", help="name the topics")
    parser.add_argument("--json", metavar="FILE", help="write every measured value there")
    parser.add_argument("--page", choices=PAGES, help="measure what is on it, and write it")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(TOPICS))
        return 0
    for unknown in set(asked.topics) - set(TOPICS):
        parser.error(f"{unknown!r} is not a topic: {', '.join(TOPICS)}")
    if asked.topics and asked.page:
        parser.error("either topics are measured, or a page")
    lines: list[Line] = []
    failures: dict[str, str] = {}
    with opened() as scene:
        where = machine.describe(scene.root)
        print(where, flush=True)
        if asked.topics:
            lines, failures = _measured(scene, asked.topics)
        for name in [] if asked.topics else [asked.page] if asked.page else PAGES:
            begin = time.monotonic()
            found, failed = _measured(scene, PAGES[name])
            report.write(name, found, failed, where, time.strftime("%d %B %Y"), time.monotonic() - begin)
            lines, failures = lines + found, failures | failed
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump({"machine": where, "failures": failures, "lines": [*map(_values, lines)]}, file, indent=1)
    return 1 if failures else 0


def _measured(scene: Scene, topics: Iterable[str]) -> tuple[list[Line], dict[str, str]]:
    """And which topics failed, and why."""
    lines: list[Line] = []
    failures: dict[str, str] = {}
    for topic in topics:
        module, _, function = TOPICS[topic].partition(":")
        try:
            for line in getattr(lazy(module), function)(scene):
                lines.append(line)
                print(report.text(line), flush=True)
        except Exception as error:  # noqa: BLE001 - one topic that fails must not cost the figures of the others
            traceback.print_exception(error)
            failures[topic] = f"{type(error).__name__}: {error}"
    return lines, failures


def _values(line: Line) -> dict[str, object]:
    plain = {"floor_took": line.floor_took and line.floor_took.values, "ours": line.ours.values}
    return {**line._asdict(), **plain, "figure": line.figure, "reached": line.reached}


if __name__ == "__main__":
    sys.exit(main())
