"""The docker library's client, for engines that may say anything."""

from collections.abc import Iterator, Mapping
from typing import Any

import docker
from docker.transport import UnixHTTPAdapter

from gittrack.launch.engine import answers

_ENGINE = "http+docker://localhost"


class Client(docker.APIClient):  # type: ignore[misc]  # the library is not typed
    """Raises requests.RequestException where an answer does not end, ValueError for events that are none."""

    def mount(self, prefix: str, adapter: Any) -> None:
        """Said by the constructor before its first request."""
        if isinstance(adapter, UnixHTTPAdapter):
            adapter = _Kept(f"http+unix://{adapter.socket_path}", adapter.timeout)
        super().mount(prefix, adapter)

    def send(self, request: Any, **options: Any) -> Any:
        """Every request comes through here, also those that the constructor makes."""
        request.headers["Accept-Encoding"] = "identity"
        answer = super().send(request, **{**options, "stream": True})
        if not options.get("stream") or not answer.ok:
            answer._content = answers.whole(answer)  # what reading it would have left
        return answer

    def _stream_helper(self, response: Any, **_decode: bool) -> Iterator[Mapping[str, Any]]:
        """What a pull, a push or a build tells. The library's own reads each chunk to its end, and takes a refusal for
        a build that has nothing to tell."""
        self._raise_for_status(response)
        return answers.events(answers.pieces(response))


class _Kept(UnixHTTPAdapter):  # type: ignore[misc]
    """Connections are used again, whatever is asked next: each may be a process at a host. The library keeps those of
    each address to itself."""

    def get_connection(self, _url: str, proxies: Any = None) -> Any:
        return super().get_connection(_ENGINE, proxies)
