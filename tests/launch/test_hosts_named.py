"""Which machine a text means."""

from types import SimpleNamespace
from typing import Any

import pytest

from gittrack import errors
from gittrack.launch.link.hosts import HERE, Host, find


def meant(text: str, **hosts: Any) -> Host:
    return find(SimpleNamespace(hosts=hosts, host_keep=7), text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu1", (None, "gpu1", None)),
        ("ann@gpu1.example.org", ("ann", "gpu1.example.org", None)),
        ("ann@gpu1:2222", ("ann", "gpu1", 2222)),
        ("ann@corp.example@gpu1", ("ann@corp.example", "gpu1", None)),
        ("10.0.0.7:22", (None, "10.0.0.7", 22)),
        ("[::1]", (None, "::1", None)),
        ("ann@[fe80::1%eth0]:2222", ("ann", "fe80::1%eth0", 2222)),
        ("fe80::1", (None, "fe80::1", None)),
        ("ann@fe80::1", ("ann", "fe80::1", None)),
        ("ssh://ann@gpu1:2222/", ("ann", "gpu1", 2222)),
        ("my_host-2", (None, "my_host-2", None)),
    ],
)
def test_a_host_is_user_address_and_port(text: str, expected: tuple[str | None, str, int | None]) -> None:
    found = meant(text)
    assert (found.user, found.address, found.port) == expected and found.name == text and not found.is_here


@pytest.mark.parametrize(
    "text",
    [
        "", "-oProxyCommand=x", "ann@-x", "-l@gpu1", "gpu1 x", "gpu1;x", "$(x)", "`x`", "gpu1:0", "gpu1:70000",
        "gpu1:x", "ann@", "@gpu1", "a'b@gpu1", "gpu1\n", "[::1", "ssh://gpu1/path", "http://gpu1", "gpu1/../x", "ä",
    ],
)  # fmt: skip
def test_what_can_be_no_host_is_a_wrong_call(text: str) -> None:
    with pytest.raises(errors.UsageError, match="is no host"):
        meant(text)


def test_here_is_this_machine() -> None:
    assert meant("here") == HERE and HERE.is_here
    assert meant("box", box={"host": "here", "image": "x"}).is_here


def test_a_name_of_the_configuration_says_the_rest() -> None:
    settings = {"host": "ann@gpu1:2222", "folder": "/data/ann/gittrack", "docker": "/opt/bin/docker", "gpus": "all"}
    found = meant("big", big=settings)
    assert found == Host("big", "ann", "gpu1", 2222, "/data/ann/gittrack", "/opt/bin/docker", {"gpus": "all"})
    assert meant("gpu1", gpu1={"image": "x"}) == Host("gpu1", None, "gpu1", None, options={"image": "x"})


def test_a_wrong_host_of_the_configuration_is_a_wrong_configuration() -> None:
    with pytest.raises(errors.BadConfig, match="is no host"):
        meant("big", big={"host": "-x"})


@pytest.mark.parametrize("folder", ["/", ".", "~", "~/", "a/../..", "..", "/../x", "./"])
def test_our_folder_at_a_host_is_never_the_home_nor_outside_of_what_was_said(folder: str) -> None:
    with pytest.raises(errors.BadConfig, match="folder"):
        meant("big", big={"folder": folder})
