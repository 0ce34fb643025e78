"""Settings of images: what may be written, and what is said otherwise."""

from typing import Any

import pytest

from gittrack.config import values


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, {}),
        ("docker/Dockerfile", {"dockerfile": "docker/Dockerfile"}),
        ({"network": "host", "args": {"A": 1}, "target": None}, {"network": "host", "args": {"A": 1}}),
        ({"args": ["A"]}, {"args": ["A"]}),
    ],
)
def test_build_is_a_dockerfile_or_a_mapping(given: Any, found: Any) -> None:
    assert values.build(given) == found


@pytest.mark.parametrize("given", [["Dockerfile"], {"dockerfil": "x"}, {"args": "A"}, {"context": 3}, True])
def test_another_build_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="Dockerfile"):
        values.build(given)


@pytest.mark.parametrize(
    ("given", "found"), [(None, None), ("3.12", "3.12"), (3.12, "3.12"), (3.1, "3.10"), ("3.11.4", "3.11.4")]
)
def test_a_version_may_look_like_a_number(given: Any, found: Any) -> None:
    assert values.version(given) == found


@pytest.mark.parametrize("given", ["three", 3, "3.x", "3.12; rm"])
def test_what_is_no_version_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"3\.12"):
        values.version(given)


def test_one_command_may_have_commas() -> None:
    assert values.commands("pip install a,b") == ("pip install a,b",)
    assert values.commands(["a", "b,c"]) == ("a", "b,c")
    assert values.commands(None) == ()
