"""A config's file to its text. The rule: whatever is at the path, the answer is text or one clear complaint."""

from __future__ import annotations

import stat
from pathlib import Path

from sweeps.config.wording import one_line
from sweeps.errors import Complaint, ConfigError

MAX_BYTES = 1_000_000


def load_text(path: str | Path) -> str:
    """The text of the file at `path`.

    Raises:
        ConfigError: it is missing, not a file, unreadable, larger than 1 MB or not UTF-8.
    """
    where = one_line(str(path), 400)
    try:
        # A device or a pipe could be read for ever.
        is_file = stat.S_ISREG(Path(path).stat().st_mode)
        content = _content(Path(path)) if is_file else b""
    except FileNotFoundError:
        raise _error(where, "there is no such file", advice=_neighbours(Path(path))) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _error(where, f"the file cannot be read: {one_line(reason).lower()}") from None
    if not is_file:
        raise _error(where, "a config must be a file", "a folder" if Path(path).is_dir() else "something else")
    if len(content) > MAX_BYTES:
        raise _error(where, f"a config must be at most {MAX_BYTES:,} bytes", "more", "Is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        got = f"the byte 0x{content[error.start]:02x}"
        raise _error(f"{where}:{line}", "the file must be UTF-8 text", got, "Save it as UTF-8") from None


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _error(where: str, rule: str, got: str = "", advice: str = "") -> ConfigError:
    return ConfigError([Complaint(where, "", rule, got, advice)])


def _neighbours(path: Path) -> str:
    try:
        names = sorted(each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        names = []
    shown = [one_line(name) for name in names[:5]]
    return f"Its folder has {', '.join(shown)}" if shown else "Check the path"
