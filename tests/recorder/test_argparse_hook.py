"""Programs that use argparse behave as ever, and their parameters are in the run."""

from pathlib import Path
from typing import Any

import pytest
from journal_reading import BOOTSTRAP, events, values

HEAD = "import argparse, enum, pathlib\np = argparse.ArgumentParser(prog='train')\n"


def test_values_are_typed_and_defaults_are_there(under: Any, run_dir: Path) -> None:
    under(
        HEAD
        + """
class Mode(enum.Enum):
    FAST = 1
def loss(x): return x
p.add_argument("--lr", type=float, default=0.1)
p.add_argument("--epochs", type=int, default=3)
p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/x"))
p.add_argument("--amp", action="store_true")
p.add_argument("--sizes", type=int, nargs="+", default=[1, 2])
p.add_argument("--mode", default=Mode.FAST)
p.add_argument("--loss", default=loss)
p.add_argument("--hf-token")
p.add_argument("--absent", default=argparse.SUPPRESS)
p.add_argument("data", nargs="?")
a = p.parse_args()
assert a.out == pathlib.Path("out/x") and a.hf_token == "secret-value"
""",
        *("--lr", "3e-4", "--sizes", "5", "6", "--hf-token", "secret-value"),
    )
    assert values(run_dir, "argparse") == {
        "lr": 3e-4, "epochs": 3, "out": "out/x", "amp": False, "sizes": [5, 6], "mode": "FAST", "loss": "loss",
        "hf_token": "[redacted]", "data": None,
    }  # fmt: skip


def test_sub_parsers_and_parents_are_part_of_one_call(under: Any, run_dir: Path) -> None:
    code = """
base = argparse.ArgumentParser(add_help=False); base.add_argument("--seed", type=int, default=1)
subs = p.add_subparsers(dest="command")
train = subs.add_parser("train", parents=[base]); train.add_argument("--lr", type=float, default=0.1)
deep = train.add_subparsers(dest="kind").add_parser("deep"); deep.add_argument("--layers", type=int)
train.set_defaults(call=print)
p.parse_args()
"""
    under(HEAD + code, "train", "--lr", "0.5", "deep", "--layers", "4")
    assert values(run_dir, "argparse") == {
        "command": "train", "seed": 1, "lr": 0.5, "kind": "deep", "layers": 4, "call": "print",
    }  # fmt: skip
    assert len(events(run_dir, "params")) == 1


@pytest.mark.parametrize("method", ["parse_known_args", "parse_intermixed_args", "parse_known_intermixed_args"])
def test_the_other_methods_count_as_well(under: Any, run_dir: Path, method: str) -> None:
    code = f"p.add_argument('--lr', type=float); p.add_argument('rest', nargs='*'); print(p.{method}())\n"
    extra = ("--other", "1") if "known" in method else ()
    arguments = ("a", "--lr", "0.5", *extra)
    assert under(HEAD + code, *arguments).stdout == under(HEAD + code, *arguments, path=()).stdout
    assert values(run_dir, "argparse")["lr"] == 0.5


def test_a_second_call_adds_to_the_first(under: Any, run_dir: Path) -> None:
    code = """
p.add_argument("--config"); early, rest = p.parse_known_args()
q = argparse.ArgumentParser(); q.add_argument("--lr", type=float); q.parse_args(rest)
"""
    under(HEAD + code, "--config", "c.yaml", "--lr", "0.5")
    assert values(run_dir, "argparse") == {"config": "c.yaml", "lr": 0.5}


def test_a_parser_inside_an_action_is_part_of_the_outer_call(under: Any, run_dir: Path) -> None:
    code = """
class Inner(argparse.Action):
    def __call__(self, parser, space, value, option=None):
        q = argparse.ArgumentParser(); q.add_argument("--hidden", default=1); q.parse_args([])
        space.inner = value
p.add_argument("--inner", action=Inner); p.parse_args()
"""
    under(HEAD + code, "--inner", "x")
    assert values(run_dir, "argparse") == {"inner": "x"}


def test_subclasses_that_override_are_seen_through_the_base(under: Any, run_dir: Path) -> None:
    code = """
class Parser(argparse.ArgumentParser):
    def parse_args(self, *args, **named):
        space = super().parse_args(*args, **named); space.lr *= 2; return space
q = Parser(); q.add_argument("--lr", type=float, default=1.0); assert q.parse_args().lr == 2.0
"""
    under(HEAD + code)
    assert "lr" in values(run_dir, "argparse")


@pytest.mark.parametrize(("arguments", "status"), [(("--help",), 0), (("--wrong",), 2), (("--lr", "x"), 2)])
def test_exits_are_the_programs_own(under: Any, run_dir: Path, arguments: tuple[str, ...], status: int) -> None:
    code = HEAD + "p.add_argument('--lr', type=float); p.parse_args()"
    recorded, alone = (under(code, *arguments, status=status, path=path) for path in ((BOOTSTRAP,), ()))
    assert (recorded.stdout, recorded.stderr) == (alone.stdout, alone.stderr)


def test_results_are_the_very_objects(under: Any) -> None:
    under(
        HEAD
        + """
space = argparse.Namespace(before=1)
p.add_argument("--x", default=object())
assert p.parse_args([], namespace=space) is space
known = p.parse_known_args([], space)
assert type(known) is tuple and known[0] is space and known[1] == []
"""
    )


def test_parameters_of_tools_do_not_join_those_of_the_training(under: Any, run_dir: Path) -> None:
    code = HEAD + "p.add_argument('--lr', default=1.0); p.parse_args()\n"
    code += "subprocess = __import__('subprocess'); sys = __import__('sys')\n"
    code += "subprocess.run([sys.executable, '-m', 'calendar', '2026', '1'], check=True, stdout=subprocess.DEVNULL)\n"
    under(code)
    assert values(run_dir, "argparse") == {"lr": 1.0}


def test_a_tool_that_is_the_training_is_recorded(under: Any, run_dir: Path) -> None:
    under(None, "-m", "calendar", "2026", "1")
    assert values(run_dir, "argparse")["year"] == 2026


def test_several_scripts_of_one_run_are_all_recorded(under: Any, run_dir: Path) -> None:
    under(HEAD + "p.add_argument('--clean', type=int); p.parse_args()", "--clean", "1")
    under(HEAD + "p.add_argument('--lr', type=float); p.parse_args()", "--lr", "0.5")
    assert values(run_dir, "argparse") == {"clean": 1, "lr": 0.5}


def test_threads_that_parse_are_told_apart(under: Any, run_dir: Path) -> None:
    code = """
import threading
def work(n):
    q = argparse.ArgumentParser(); q.add_argument(f"--t{n}", default=n); q.parse_args([])
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    under(HEAD + code)
    assert values(run_dir, "argparse") == {f"t{n}": n for n in range(8)}
