"""Which files hold weights, by their names. It travels to hosts with `loading`."""

from __future__ import annotations

SAFETENSORS = ".safetensors"
_ENDINGS = (".pt", ".pth", ".ckpt", ".bin", SAFETENSORS)


def holds_weights(path: str) -> bool:
    return path.lower().endswith(_ENDINGS)
