"""Names from files that anybody may have written, as text that shows all there is.

A terminal obeys control characters, and neither it nor a browser shows those that change the
direction of text. Standard library only.
"""

from __future__ import annotations

import unicodedata

__all__ = ["escape_controls", "shorten"]


def escape_controls(text: str, keep: str = "") -> str:
    r"""Replace characters that cannot be seen by backslash escapes, except those to keep.

    Examples
    --------
    >>> from seqfeat.runtime.visible_text import escape_controls
    >>> print(escape_controls("red: \x1b[31m, right to left: \u202e, häuser"))
    red: \x1b[31m, right to left: \u202e, häuser
    """
    if text.isprintable():
        return text
    return "".join(one if one in keep or _is_seen(one) else ascii(one)[1:-1] for one in text)


def shorten(text: str, limit: int = 60) -> str:
    """Return a text of at most `limit` characters, for a message.

    Examples
    --------
    >>> from seqfeat.runtime.visible_text import shorten
    >>> shorten("a name that is much too long", 12)
    'a name th...'
    """
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _is_seen(character: str) -> bool:
    """Tell whether a character takes up space: it is no control, format, or half of another."""
    return character.isprintable() or unicodedata.category(character) == "Zs"
