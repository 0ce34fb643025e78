"""Record docs/recording.svg: the real output of the commands in STORY, run in a terminal in a scratch repository.

A picture that nobody has to keep true by hand. Needs torch, scikit-learn and git-track on PATH. Usage: `make docs`.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pexpect
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "recording.svg"
COLUMNS = 104
PREPARE = """
git init -q -b main .
git config user.name Ann && git config user.email ann@example.org
git add . && git commit -q -m 'Train on irises'
"""
STORY = (
    "git track run python train.py --lr 0.001",
    "git track run python train.py --lr 0.01 | tail -n 1",
    "sed -i 's/nn.ReLU()/nn.Tanh()/' train.py        # an edit that nobody commits",
    "git track run --name tanh python train.py --lr 0.1 | tail -n 1",
    "git track ls",
    "git track diff latest~1 tanh",
    "git track compare",
)


def run(command: str, cwd: str) -> str:
    """What `command` prints on a terminal."""
    printed = pexpect.run(
        f"bash -c {pexpect_quote(command)}", cwd=cwd, timeout=300, encoding="utf-8",
        env={**os.environ, "GIT_PAGER": "cat", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"},
        dimensions=(50, COLUMNS),
    )  # fmt: skip
    return str(printed).replace("\r\n", "\n")


def pexpect_quote(text: str) -> str:
    """Quote for pexpect's own splitting of command lines."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> None:
    """Play the story and write the picture."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(ROOT / "examples" / "iris" / "train.py", scratch)
        subprocess.run(["bash", "-ec", PREPARE], cwd=scratch, check=True)
        for command in STORY:
            console.print(Text("$ ", "bold green") + Text(command, "bold"))
            printed = Text.from_ansi(run(command, scratch).rstrip("\n"))
            if printed.plain:
                console.print(printed)
            console.print()
    picture = console.export_svg(title="git track")
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # no fonts from the network
    TARGET.write_text(picture.replace("Fira Code, monospace", "monospace"))
    print(TARGET.relative_to(ROOT))


if __name__ == "__main__":
    main()
