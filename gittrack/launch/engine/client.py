"""The docker library's client, for engines that may say anything: an answer that is no stream is only so long."""

from typing import Any

import docker
import requests

MOST = 64 << 20  # bytes; ten thousand containers are described in 20 MB
_PIECE = 1 << 16


class Client(docker.APIClient):  # type: ignore[misc]  # the library is not typed
    """Raises requests.RequestException where an answer does not end."""

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
