"""A config's file to its text: text or one clear complaint, for anything that can be at the path."""

from __future__ import annotations

from pathlib import Path

from sweeps.config.wording import one_line
from sweeps.errors import Complaint, ConfigError

MAX_BYTES = 1_000_000


def load_text(path: str | Path) -> str:
    """The text of the file at `path`.

    Raises:
        ConfigError: it is missing, not a file, unreadable, larger than 1 MB or not UTF-8.
    """
    where, file, content = one_line(str(path), 400), Path(path), b""
    try:
        if file.stat() and file.is_file():  # a device or a pipe could be read for ever
            with file.open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
        else:
            raise _error(where, "a config must be a file", "a folder" if file.is_dir() else "something else")
    except FileNotFoundError:
        raise _error(where, "there is no such file", advice=_neighbours(file)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _error(where, f"the file cannot be read: {one_line(reason).lower()}") from None
    if len(content) > MAX_BYTES:
        raise _error(where, f"a config must be at most {MAX_BYTES:,} bytes", "more", "Is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, got = content.count(b"\n", 0, error.start) + 1, f"the byte 0x{content[error.start]:02x}"
        raise _error(f"{where}:{line}", "the file must be UTF-8 text", got, "Save it as UTF-8") from None


def _error(where: str, rule: str, got: str = "", advice: str = "") -> ConfigError:
    return ConfigError([Complaint(where, "", rule, got, advice)])


def _neighbours(path: Path) -> str:
    try:
        names = sorted(each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        names = []
    return f"Its folder has {', '.join(map(one_line, names[:5]))}" if names else "Check the path"
