"""How complaints are worded: one line each, plain words, and nothing of a user's input unescaped.

A `Fault` is a mistake at a YAML path, whose file and line are not known yet; `draft.Draft` makes a `Complaint` of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sweeps.config.other_names import our_name
from sweeps.user_code import module_of_path

Path = tuple[str | int, ...]
"""A YAML path: keys and, in lists, positions: `("enqueue", 0, "optimizer.b1")`."""

QUOTE = "Quote it"
"""How the advice on a number begins that is to be text."""
LONGEST_SHOWN = 60  # characters of a user's value that a message repeats
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]")


class Fault(NamedTuple):
    """One mistake: `rule` must hold at `path`, `got` was found instead, `advice` is what to do next."""

    path: Path
    rule: str
    got: str = ""
    advice: str = ""


def one_line(text: str, longest: int = LONGEST_SHOWN) -> str:
    r"""`text` on one line: control characters escaped, cut in the middle when longer than `longest` characters.

    >>> one_line("two\nlines")
    'two\\nlines'
    """
    if len(text) > longest:
        text = f"{text[: longest - 13]}…{text[-12:]}"
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def show(value: object, longest: int = LONGEST_SHOWN) -> str:
    """A value as its author wrote it, on one line and not too long.

    >>> show(("adam", True, None, 1e-4))
    "['adam', true, null, 0.0001]"
    >>> show({"use": "mnist"})
    "{use: 'mnist'}"
    """
    return one_line(_written(value, longest), longest)


def _written(value: object, room: int) -> str:
    """`value` in YAML's flow style; `room` stops the walk through a large value once it can no longer be shown."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return repr(value if len(value) <= 2 * LONGEST_SHOWN else value[:LONGEST_SHOWN] + value[-LONGEST_SHOWN:])
    if isinstance(value, Mapping):
        inside = (f"{one_line(str(key))}: {_written(item, room // 2)}" for key, item in value.items())
        return f"{{{_joined(inside, room)}}}"
    if isinstance(value, Sequence):
        return f"[{_joined((_written(item, room // 2) for item in value), room)}]"
    return str(value)


def _joined(parts: Iterable[str], room: int) -> str:
    shown: list[str] = []
    for part in parts:
        if room <= 0:
            shown.append("…")
            break
        shown.append(part)
        room -= len(part) + 2
    return ", ".join(shown)


def path_text(path: Path) -> str:
    """A path as one would say it.

    >>> path_text(("enqueue", 0, "optimizer.b1"))
    'enqueue[0].optimizer.b1'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{one_line(step)}" if text else one_line(step)
    return text


def nearest(word: object, known: Iterable[str]) -> str:
    """The known word that `word` was most likely meant to be, or "" when none is near.

    >>> nearest("batchsize", ["epochs", "batch_size"])
    'batch_size'
    """
    if not isinstance(word, str) or len(word) > 2 * LONGEST_SHOWN:
        return ""
    by_lower = {name.lower(): name for name in known}
    if named := our_name(word, by_lower):
        return by_lower[named]
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def listing(words: Iterable[str], last: str = "or") -> str:
    """Words as a phrase.

    >>> listing(["tpe", "random", "grid"])
    '`tpe`, `random` or `grid`'
    """
    quoted = [f"`{one_line(word)}`" for word in words]
    return f" {last} ".join(filter(None, [", ".join(quoted[:-1]), *quoted[-1:]]))


def did_you_mean(word: object, known: Iterable[str], otherwise: str = "") -> str:
    """The advice for a word that is not known: what a path to a file is called, the nearest one, or `otherwise`."""
    if isinstance(word, str) and (own := module_of_path(word)):
        return f"Did you mean `{one_line(own)}`?"
    found = nearest(word, known)
    return f"Did you mean `{one_line(found)}`?" if found else otherwise
