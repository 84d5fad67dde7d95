"""Asking before a command imports and calls what a folder from elsewhere names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from sweeps.command.terminal import clean
from sweeps.errors import ResultsError
from sweeps.origin import is_own

_OBJECTS = re.compile(r"\b[A-Za-z_][\w.]*:[A-Za-z_]\w*")
MOST = 8


def require_trust(folder: Path, text: str, signatures: Iterable[object], *, trusts: bool) -> None:
    """Go on where the user has written `text`, which names what is called, or trusts it; ask where one can be asked.

    Raises:
        ResultsError: it is not trusted.
    """
    if trusts or any(is_own(text, signed) for signed in signatures):
        return
    names = list(dict.fromkeys(_OBJECTS.findall(text)))
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    named = f" ({', '.join(map(clean, names[:MOST]))}{more})" if names else ""
    what = f"{folder} was not made by you, or not with this home folder, and this command runs what it names{named}"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ResultsError(f"{what}. Give --trust if you would run it as a script")
    if input(f"{what}. Run it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise ResultsError("nothing was run")
