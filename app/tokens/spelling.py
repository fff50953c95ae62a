"""How a token is written out so that all of it shows: white space, fragments of characters, controls."""

# Characters that reorder what follows them; a token holding one is shut into its own direction.
BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DRAWN = {"\n": "⏎", "\t": "⇥", " ": "␣", "\r": "␍"}
_LONGEST = 4


def is_text(raw: bytes) -> bool:
    """Tell whether bytes are whole characters."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def visible(raw: bytes | None, token: int, before: bytes = b"") -> str:
    """Spell a token: white space drawn, controls escaped, and a fragment as the character it completes, else as hex.

    `before` are the bytes of a character the tokens before it have begun.
    """
    if raw is None:
        return f"id {token}"
    if is_text(raw):
        return drawn(raw.decode()) or "∅"
    if before and is_text(before + raw):
        return drawn((before + raw).decode())
    return f"·{raw.hex(' ')}"


def spelled(text: str, raw: bytes | None, token: int) -> str:
    """Spell an emitted token: the `text` it adds, with its bytes where they are no text on their own."""
    if raw is None or is_text(raw):
        return visible(raw, token)
    return f"{drawn(text)}·{raw.hex(' ')}"


def drawn(text: str) -> str:
    """Draw white space and escape what cannot be seen or reorders the line."""
    return "".join(_drawn(char) for char in text)


def begun(raws: list[bytes]) -> bytes:
    """Return the bytes of a character that a sequence of tokens has begun and not ended."""
    tail = b"".join(raws[-_LONGEST:])[-_LONGEST + 1 :]
    for length in range(1, len(tail) + 1):
        lead = tail[-length]
        if lead >= 0xC0:  # noqa: PLR2004 - a leading byte; its bits say how many bytes the character has
            needed = 2 + (lead >= 0xE0) + (lead >= 0xF0)  # noqa: PLR2004
            return tail[-length:] if needed > length else b""
        if lead < 0x80:  # noqa: PLR2004
            return b""
    return b""


def special_name(raw: bytes | None) -> str:
    """Return the name of a special token; a token without text is either one or an unfinished character."""
    return raw.decode() if raw and is_text(raw) else ""


def _drawn(char: str) -> str:
    if char in BIDI_CONTROLS or (not char.isprintable() and char not in _DRAWN):
        return f"\\u{ord(char):04x}"
    return _DRAWN.get(char, char)
