r"""Text that is safe to print. The rule: what comes from a file or a model can change what a terminal says, never how.

A terminal obeys control characters: an escape sequence in the name of a choice could clear the screen or rename the
window, and characters that turn the direction of writing could make a line say something else.
"""

from __future__ import annotations

import re

# C0, DEL and C1; line and paragraph separators; embeddings, overrides and isolates of direction; halves of surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    r"""The text on one line, without the characters that a terminal obeys.

    >>> clean("\x1b[2Jrelu\n\u202egnat")
    '[2Jrelugnat'
    """
    return _UNPRINTABLE.sub("", text)


def clean_lines(text: str) -> str:
    r"""The same for a text of several lines.

    >>> clean_lines("one\rtwo\nthree")
    'onetwo\nthree'
    """
    return "\n".join(map(clean, text.split("\n")))
