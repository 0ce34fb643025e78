"""What is wrong with a commit, and what to do about it, in the words that the user reads."""

from collections.abc import Sequence
from typing import NamedTuple

MOST = 20  # findings that are listed


class Finding(NamedTuple):
    where: str  # path, or path:line
    what: str
    instead: tuple[str, ...] = ()  # what to run, best first


def report(found: Sequence[Finding]) -> str:
    lines = ["gittrack: this commit is refused:"]
    lines += [f"  {one.where}: {one.what}" for one in found[:MOST]]
    if len(found) > MOST:
        lines.append(f"  and {len(found) - MOST} more")
    advice = list(dict.fromkeys(words for one in found[:MOST] for words in one.instead))
    lines += ["instead:", *(f"  {words}" for words in advice)]
    lines.append("to commit it all the same: git commit --no-verify")
    return "\n".join(lines)
