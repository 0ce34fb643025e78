"""From a project and a host to an image: which base, which Dockerfile, which name."""

import json
from collections.abc import Callable, Mapping

import pytest

from gittrack.errors import ImageFailed, UsageError
from gittrack.launch.images import dockerfile, drivers, packages, recipes
from gittrack.launch.images.recipes import Recipe, Wish

UV = b"""version = 1
[[package]]
name = "numpy"
version = "2.1.0"
source = {}

[[package]]
name = "torch"
version = "2.6.0"
"""
CUDA_124 = b'[[package]]\nname = "nvidia-cuda-runtime-cu12"\nversion = "12.4.127"\n'


def reading(**files: bytes) -> Callable[[str], bytes | None]:
    named = {name.replace("__", "/").replace("_", "."): data for name, data in files.items()}
    return lambda path: named.get(path)


def recipe(
    wish: Wish = Wish(),  # noqa: B008
    known: packages.Packages | None = None,
    driver: str = "",
    args: Mapping[str, str] | None = None,
    ca: bytes | None = None,
) -> Recipe:
    return recipes.generated(wish, "f" * 40, "amd64", known, "3.12", driver, args or {}, ca)


@pytest.mark.parametrize(
    ("driver", "cuda"),
    [("580.65.06", (13, 0)), ("580.65.05", (12, 0)), ("535.104.05", (12, 0)), ("525.60.13", (12, 0)),
     ("525.60.11", (11, 0)), ("470.82.01", (11, 0)), ("440.33.01", (10, 2)), ("418.87.01", (10, 1)),
     ("375.26", (8, 0)), ("340.1", None), ("", None)],
)  # fmt: skip
def test_a_driver_runs_what_the_table_says_and_nothing_newer(driver: str, cuda: tuple[int, ...] | None) -> None:
    runs = [each for each, _ in drivers.MINIMUM_DRIVER if drivers.runs(driver, each)]
    assert runs == [each for each, _ in drivers.MINIMUM_DRIVER if cuda and each <= cuda]


def test_one_driver_runs_all_of_a_major_version_and_all_before() -> None:
    assert drivers.runs("525.60.13", (12, 8)) and drivers.runs("525.60.13", (9, 2))
    assert not drivers.runs("525.60.13", (13, 0))
    assert drivers.needed((12, 4)) == "525.60.13" and drivers.needed((13, 1)) == "580.65.06"


@pytest.mark.parametrize(
    ("driver", "wheels"),
    [
        ("580.82.07", ""),
        ("570.124.06", "cu128"),
        ("535.54.03", "cu128"),
        ("470.82.01", "cu118"),
        ("", "cpu"),
    ],
)
def test_torch_comes_for_the_cuda_that_the_driver_runs(driver: str, wheels: str) -> None:
    found = recipe(known=packages.of_snapshot(reading(requirements_txt=b"torch>=2\nnumpy\n")), driver=driver)
    assert (f"--extra-index-url {drivers.TORCH_INDEX}{wheels}" in found.dockerfile) == bool(wheels)
    # The usual index has a newer torch, which is for a newer CUDA.
    alone = f"--index-url {drivers.TORCH_INDEX}{wheels} 'torch>=2'"
    assert (alone in found.dockerfile) == wheels.startswith("cu")
    assert not wheels.startswith("cu") or found.dockerfile.index(alone) < found.dockerfile.index(f"-r {packages.PIP}")
    assert found.base == "python:3.12-slim"


def test_packages_from_a_lock_are_taken_as_locked_and_a_driver_too_old_for_them_is_told() -> None:
    known = packages.of_snapshot(reading(uv_lock=UV + b"\n" + CUDA_124, pyproject_toml=b"[project]"))
    assert known and known.names["torch"] == "2.6.0"
    old = recipe(known=known, driver="470.82.01")
    assert "needs 525.60.13" in old.warnings[0] and drivers.TORCH_INDEX not in old.dockerfile
    assert recipe(known=known, driver="550.54.14").warnings == ()
    assert "uv sync --frozen --no-install-project" in old.dockerfile


def test_packages_that_need_cuda_of_the_system_get_a_base_that_has_it() -> None:
    known = packages.of_snapshot(reading(requirements_txt=b"cupy-cuda12x==13.0\n"))
    found = recipe(known=known, driver="535.54.03")
    assert found.base.startswith("nvidia/cuda:12.") and "--python 3.12" in found.dockerfile
    assert "CUDA" in found.said[0]
    assert recipe(Wish(base_image="mine:1"), known, "535.54.03").base == "mine:1"
    assert recipe(known=known, driver="470.82.01").warnings
    assert recipe(known=known).base == "python:3.12-slim"


def test_the_name_says_what_goes_in_and_nothing_else() -> None:
    one = packages.of_snapshot(reading(requirements_txt=b"numpy==2.0\n"))
    other = packages.of_snapshot(reading(requirements_txt=b"numpy==2.1\n"))
    name = recipe(known=one).name
    assert name == recipe(known=one).name and name.startswith(f"gittrack/{'f' * 12}:") and len(name.split(":")[1]) == 16
    different = [
        recipe(known=other), recipe(Wish(system_packages=["git"]), one), recipe(Wish(install=["true"]), one),
        recipe(Wish(base_image="x:1"), one), recipe(Wish(python="3.10"), one), recipe(known=one, args={"A": "1"}),
        recipe(known=one, ca=b"pem"), recipe(Wish(build={"network": "host"}), one),
    ]  # fmt: skip
    assert len({name, *(each.name for each in different)}) == 1 + len(different)
    assert recipe(Wish(registry_mirror="m.example"), one).name == name


def test_requirements_bring_what_they_include_and_leave_out_what_is_a_folder_here() -> None:
    files = {
        "requirements.txt": b"-r more/dev.txt\n-e .\nnumpy==1.0\n./local\n",
        "more/dev.txt": b"-c ../limits.txt\nscipy\npkg @ file:///tmp/x\n",
        "limits.txt": b"numpy<2\n",
    }
    known = packages.of_snapshot(files.get)
    assert known and set(known.files) == set(files)
    assert known.files["requirements.txt"] == b"-r more/dev.txt\nnumpy==1.0\n"
    assert sorted(known.left_out) == ["-e .", "./local", "pkg @ file:///tmp/x"]
    assert "-e ." in recipe(known=known).warnings[0]
    with pytest.raises(ImageFailed, match=r"gone\.txt"):
        packages.of_snapshot({"requirements.txt": b"-r gone.txt\n"}.get)
    with pytest.raises(ImageFailed, match="outside"):
        packages.of_snapshot({"requirements.txt": b"-r ../../etc/x\n"}.get)


def test_what_is_installed_here_is_written_so_that_a_host_can_install_it() -> None:
    lines = "# mine (in development, /home/me)\nfoo==1.0\ngittrack==0.1\ntorch==2.4.0+cu121\nx @ file:///x\nz @ git+https://z@1\n"
    known = packages.frozen(lines)
    assert known.files == {"requirements.txt": b"foo==1.0\ntorch==2.4.0\nz @ git+https://z@1\n"}
    assert known.names == {"foo": "1.0", "torch": "2.4.0", "z": ""}
    assert len(known.left_out) == 2


@pytest.mark.parametrize("name", ["environment.yml", "Pipfile.lock"])
def test_files_that_are_not_read_are_said_not_to_be_with_what_to_do(name: str) -> None:
    read = {name: b"dependencies: [numpy]"}.get
    assert packages.of_snapshot(read) is None
    assert packages.unread(read).startswith(f"{name} is not read") and "Dockerfile" in packages.unread(read)
    assert packages.unread({}.get) == ""


def test_what_requirements_say_of_a_package_is_found_without_options_and_remarks() -> None:
    text = b"torch >= 2, < 3  # new\ntorchvision==0.20.1 \\\n    --hash=sha256:00\ntorch-extra\n# torch\nnumpy\n"
    found = packages.of_snapshot(reading(requirements_txt=text))
    assert found is not None
    assert packages.lines_of(found, drivers.TORCH) == ["torch >= 2, < 3", "torchvision==0.20.1"]


def test_a_lock_without_its_project_is_refused() -> None:
    with pytest.raises(ImageFailed, match=r"pyproject\.toml"):
        packages.of_snapshot(reading(poetry_lock=b""))
    assert packages.of_snapshot(reading(train_py=b"")) is None
    assert packages.python_of(reading()) is None
    assert packages.python_of({".python-version": b"3.12.4\n"}.get) == "3.12"


def test_no_text_of_a_setting_becomes_a_line_of_the_dockerfile() -> None:
    evil = 'echo "a\nUSER root\nFROM evil"'
    text = recipe(Wish(install=[evil])).dockerfile
    assert [line.split()[0] for line in text.splitlines()] == ["FROM", "ENV", "RUN", "RUN"]
    assert json.loads(text.splitlines()[-1].removeprefix("RUN "))[2] == evil
    for wish in (
        Wish(system_packages=["git; rm"]),
        Wish(base_image="a\nRUN x"),
        Wish(python="3.1; x"),
        Wish(python="2.7"),
    ):
        with pytest.raises(UsageError):
            recipe(wish)
    with pytest.raises(UsageError):
        recipe(args={"A B": "1"})
    standalone = dockerfile.standalone("base", ["python", 'a"b\n$(x)'], "sub $HOME")
    assert "WORKDIR /work/sub \\$HOME\n" in standalone
    assert json.loads(standalone.splitlines()[-1].removeprefix("CMD ")) == ["python", 'a"b\n$(x)']
    with pytest.raises(UsageError):
        dockerfile.standalone("base", ["x"], "a\nRUN b")


@pytest.mark.parametrize(
    ("name", "found"),
    [("python:3.12", "m.example:5000/library/python:3.12"), ("nvidia/cuda:12", "m.example:5000/nvidia/cuda:12"),
     ("ghcr.io/x/y", "ghcr.io/x/y"), ("localhost/x", "localhost/x"), ("host:5000/x", "host:5000/x")],
)  # fmt: skip
def test_public_images_come_from_the_mirror(name: str, found: str) -> None:
    assert recipes.mirrored(name, "m.example:5000/") == found
    assert recipes.mirrored(name, None) == name


def test_arguments_of_a_build_take_values_from_the_environment_when_they_have_none() -> None:
    assert recipes.arguments({"args": {"A": 1, "B": None, "C": None}}, {"B": "b"}) == {"A": "1", "B": "b"}
    assert recipes.arguments({"args": ["A=1=2", "B", "C"]}, {"B": "b"}) == {"A": "1=2", "B": "b"}
