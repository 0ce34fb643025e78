"""Documents are held to the code: what is generated is current, what shows commands is run, links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.cli.commands import COMMANDS
from gittrack.cli.store import Action
from gittrack.core import moments, query, select

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
reference = __import__("reference")

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])


@pytest.mark.parametrize("path", reference.OUTPUTS)
def test_what_is_generated_is_current(path):
    assert (ROOT / path).read_text() == reference.OUTPUTS[path](), "run `make docs`"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained_with_an_example(name):
    shown = reference.pages.read(name)
    assert shown.summary == COMMANDS[name].summary
    assert any(f"git track {name}" in line for line in shown.examples), "no example"
    for term, text in (*shown.arguments, *shown.options):
        assert text, f"{term} has no help"


def test_every_error_class_has_an_exit_code_of_its_own():
    classes = reference._subclasses(errors.GittrackError)
    codes = [cls.exit_code for cls in classes]
    assert len(set(codes)) == len(codes)
    text = (ROOT / "docs" / "errors.md").read_text()
    assert all(f"| {cls.exit_code} | `{cls.__name__}` |" in text for cls in classes)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", text):
        if target and "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_commands_that_exist_are_shown(page):
    called = re.findall(r"(?:^|`|\$ |\| )git[ -]track ([a-z]+)", page.read_text(), flags=re.M)
    assert set(called) <= set(COMMANDS)


def test_messages_name_only_commands_that_exist():
    source = "".join(path.read_text() for path in (ROOT / "gittrack").rglob("*.py"))
    called = re.findall(r"(?:`|run: |: )git track ([a-z][a-z-]*)(?: ([a-z]+))?", source)
    assert len(called) > 100
    assert {name for name, _ in called} <= {*COMMANDS, "lfs-agent"}
    assert {word for name, word in called if name == "store" and word} <= {action.value for action in Action}


def test_plain_git_reads_a_run_as_its_page_says(repo, track):
    script = 'import gittrack\nrun = gittrack.init(params={"lr": 0.1})\nrun.log({"loss": 0.5}, step=1)\n'
    script += 'run.log_text("it went well", "notes.txt")\nprint("trained")\n'
    (repo / "train.py").write_text(script)
    (repo / "new.txt").write_text("never added\n")
    track("run", "--quiet", "--", sys.executable, "train.py")
    track("note", "latest", "a note")
    page = (ROOT / "docs" / "plain-git.md").read_text()
    script = "set -euo pipefail\n" + "".join(re.findall(r"```sh\n(.*?)```", page, flags=re.S))
    done = subprocess.run(["bash", "-c", script], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for expected in ('"completed"', '"lr"', '"loss"', "new.txt", "a note", "trained\n", "it went well"):
        assert expected in done.stdout
    assert (repo.parent / "then" / "new.txt").read_text() == "never added\n"


def test_every_selector_and_expression_of_its_page_parses():
    one, many = (ROOT / "docs" / "selecting.md").read_text().split("## Many runs")
    selectors = [text for row in re.findall(r"^\| (`.*?) \|", one, flags=re.M) for text in re.findall(r"`(.*?)`", row)]
    expressions = re.findall(r"^\| `(.*?)` \|", many, flags=re.M)
    assert (len(selectors), len(expressions)) == (8, 12)
    for text in selectors:
        assert select.parse_selector(text)
    for text in expressions:
        assert query.parse(text, moments.Clock(0.0)).names()


def test_the_python_page_runs_as_it_stands(repo):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.S)
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_manual_page_is_sound_and_git_finds_it(repo):
    lint = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(ROOT / "man" / "git-track.1")],
        capture_output=True, text=True,
    )  # fmt: skip
    if lint.returncode == 127:
        pytest.skip("man is not installed")
    assert lint.stderr == ""


def test_nothing_names_a_machine_or_a_registry():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if name != "tests/cli/test_docs.py" and path.suffix in (".md", ".py", ".toml", ".yaml", "", ".1"):
            text = path.read_text(errors="ignore")
            if name == "gittrack/launch/images/drivers.py":  # where torch for a driver comes from is what it knows
                text = text.replace('TORCH_INDEX = "https://download.pytorch.org/whl/"', "")
            assert not re.search(r"pypi\.org|pythonhosted|download\.pytorch|/work/(main|shared)|/opt/pypi", text), name
