"""Data that `sweep init` makes up, so that a new project runs before it has its own."""

from __future__ import annotations

import datetime
import math
import random
import struct
import zlib
from collections.abc import Iterator

SIZE = 24
SHAPES = ("circle", "cross", "square")
PER_SHAPE = 80
DAYS = 1500


def series() -> str:
    """Temperatures of four years as CSV: a season, a slow change of the weather, and chance."""
    chance, weather, lines = random.Random(0), 0.0, ["day,temperature,wind"]  # noqa: S311  (no secret)
    for number in range(DAYS):
        day = datetime.date(2020, 1, 1) + datetime.timedelta(days=number)
        weather = 0.8 * weather + chance.gauss(0, 1.5)
        temperature = 10 - 9 * math.cos(2 * math.pi * number / 365.25) + weather
        lines.append(f"{day},{temperature:.1f},{abs(chance.gauss(4, 2)) + max(-weather, 0) / 2:.1f}")
    return "\n".join(lines) + "\n"


def shapes() -> Iterator[tuple[str, bytes]]:
    """Grey images of three shapes as PNG, each with its path: a folder for each shape."""
    chance = random.Random(0)  # noqa: S311  (no secret)
    for shape in SHAPES:
        for number in range(PER_SHAPE):
            yield f"{shape}/{number:02}.png", _png(_drawn(shape, chance))


def _drawn(shape: str, chance: random.Random) -> list[bytes]:
    """Rows of grey pixels."""
    radius = chance.uniform(4, 8)
    middle_x, middle_y = (chance.uniform(radius + 1, SIZE - radius - 2) for _ in range(2))
    ink, paper = chance.randint(150, 255), chance.randint(0, 60)
    rows = []
    for y in range(SIZE):
        distances = ((abs(x - middle_x), abs(y - middle_y)) for x in range(SIZE))
        inks = (ink if _is_inside(shape, across / radius, down / radius) else paper for across, down in distances)
        rows.append(bytes(min(max(round(each + chance.gauss(0, 12)), 0), 255) for each in inks))
    return rows


def _is_inside(shape: str, across: float, down: float) -> bool:
    match shape:
        case "circle":
            return math.hypot(across, down) <= 1
        case "cross":
            return min(across, down) <= 0.3 and max(across, down) <= 1
        case _:
            return max(across, down) <= 0.85


def _png(rows: list[bytes]) -> bytes:
    """A grey image of 8 bits a pixel. PNG specification, third edition: https://www.w3.org/TR/png-3/."""
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
