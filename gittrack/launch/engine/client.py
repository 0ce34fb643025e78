"""The docker library's client, for engines that may say anything: an answer that is no stream is only so long."""

from typing import Any

import docker
import requests
from docker.transport import UnixHTTPAdapter

MOST = 64 << 20  # bytes; ten thousand containers are described in 20 MB
_PIECE = 1 << 16
_ENGINE = "http+docker://localhost"


class Client(docker.APIClient):  # type: ignore[misc]  # the library is not typed
    """Raises requests.RequestException where an answer does not end."""

    def mount(self, prefix: str, adapter: Any) -> None:
        """Said by the constructor before its first request."""
        if isinstance(adapter, UnixHTTPAdapter):
            adapter = _Kept(f"http+unix://{adapter.socket_path}", adapter.timeout)
        super().mount(prefix, adapter)

    def send(self, request: Any, **options: Any) -> Any:
        """Every request comes through here, also those that the constructor makes."""
        if options.get("stream"):
            return super().send(request, **options)
        answer = super().send(request, **{**options, "stream": True})
        pieces, size = [], 0
        for piece in answer.iter_content(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > MOST:
                answer.close()
                raise requests.exceptions.ContentDecodingError(f"an answer of more than {MOST:,} bytes")
        answer._content = b"".join(pieces)  # what reading it would have left
        return answer


class _Kept(UnixHTTPAdapter):  # type: ignore[misc]
    """Connections are used again, whatever is asked next: each may be a process at a host. The library keeps those of
    each address to itself."""

    def get_connection(self, _url: str, proxies: Any = None) -> Any:
        return super().get_connection(_ENGINE, proxies)
