"""Amounts as a person reads them: things, bytes, times."""

from __future__ import annotations


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "trial"), count(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Bytes in three figures.

    >>> size(512), size(406_600), size(2_500_000_000)
    ('512 B', '407 kB', '2.5 GB')
    """
    value, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value >= 1_000:
            value, unit = value / 1_000, larger
    return f"{value:.3g} {unit}"


def clock(seconds: float) -> str:
    """`0:07`, `12:34` or `3:25:00`.

    >>> clock(754.4)
    '12:34'
    """
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
