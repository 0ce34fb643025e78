"""What a host says, for people: in one line, without control characters, and not endless. Pure."""

MOST = 600  # characters; the last ones, since the reason stands at the end


def shown(said: bytes | str) -> str:
    """Nothing where nothing was said."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    whole = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    end = whole if len(whole) <= MOST else "…" + whole[1 - MOST :]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in end)
