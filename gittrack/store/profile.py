"""Keys for S3 in the files that the AWS tools share: ~/.aws/credentials and ~/.aws/config, by profile.

obstore reads environment variables, web identity tokens and the metadata of instances and containers, but not these
files. Read are static keys, session token, region and endpoint. What needs a program or a browser (sso,
credential_process, assumed roles) is refused with the command that turns it into environment variables.
"""

import configparser
import os
from collections.abc import Mapping

from gittrack import errors

_NAMES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
_ELSEWHERE = ("sso_session", "sso_start_url", "credential_process", "role_arn")


def read(environ: Mapping[str, str], name: str | None = None) -> dict[str, str]:
    """What the profile says, in the words of obstore; empty when there is no such file."""
    chosen = name or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    home = environ.get("HOME") or os.path.expanduser("~")
    config = environ.get("AWS_CONFIG_FILE") or os.path.join(home, ".aws", "config")
    keys = environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.join(home, ".aws", "credentials")
    section = chosen if chosen == "default" else f"profile {chosen}"
    said = {**_section(config, section), **_section(keys, chosen)}
    found = {_NAMES[key]: value for key, value in said.items() if key in _NAMES and value}
    if "access_key_id" not in found and any(key in said for key in _ELSEWHERE):
        raise errors.StoreFailed(
            f"the AWS profile {chosen} gets its keys in a way that gittrack does not know",
            f'run: eval "$(aws configure export-credentials --profile {chosen} --format env)"',
        )
    if name and not said:
        raise errors.StoreFailed(f"there is no AWS profile {name}", f"run: aws configure --profile {name}")
    return found


def _section(path: str, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (configparser.Error, UnicodeDecodeError):  # its text would show keys
        raise errors.StoreFailed(f"{path} cannot be read: it is no AWS configuration", "correct the file") from None
    return dict(parser[name]) if parser.has_section(name) else {}
