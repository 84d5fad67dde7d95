r"""What the command prints to: text without control characters, and streams that may go away.

A terminal obeys control characters: an escape sequence in the name of a choice could clear the screen or rename the
window, and characters that turn the direction of writing could make a line say something else.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any, TextIO

from sweeps.storage.files import FULL

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


def leave_out_tracebacks_of_jax() -> None:
    """What JAX logs of a user's callback that has failed is left out: the error is raised too, and told in a line."""
    for name in ("jax._src.callback", "jax._src.debugging"):
        logging.getLogger(name).addFilter(_is_no_failed_callback)


def _is_no_failed_callback(record: logging.LogRecord) -> bool:
    return not record.getMessage().endswith("callback failed")


class Output:
    """A standard stream that may go away (a pager that ends, a full disk): writing to it raises no error.

    What a full disk refuses to flush is tried again with what follows; after any other error the rest goes nowhere.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except OSError as error:
            self._error = self._error or error
            if error.errno not in FULL:
                self._drop_the_rest()
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            if error.errno not in FULL:
                self._error = self._error or error
                self._drop_the_rest()

    def end(self) -> OSError | None:
        """Flush for the last time; the first error by which something was lost, if any."""
        try:
            self._file.flush()
        except OSError as error:
            self._error = self._error or error
            self._drop_the_rest()
        return self._error

    def _drop_the_rest(self) -> None:
        # Python would try again when it ends, and exit with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
