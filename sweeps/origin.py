"""Whether a folder's text was written by this user: signatures with a key that this user alone has.

What a results folder names is imported and called by some commands, and a folder may come from anyone. A signature
stays right when the folder is moved, and on every machine that shares the user's home.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

_BYTES = 32


def signature(text: str) -> str:
    """Of a text that this user writes; "" where no key can be kept."""
    key = _key()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() if key else ""


def is_own(text: str, signed: object) -> bool:
    """Whether `signed` is this user's signature of the text."""
    own = signature(text)
    return bool(own) and isinstance(signed, str) and hmac.compare_digest(own, signed)


def key_file() -> Path:
    """Where the key is, among what programs keep of their state in the user's home."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return home / "sweep" / "key"


def _key() -> bytes:
    try:
        path = key_file()
        with suppress(FileExistsError):
            _make(path)
        key = path.read_bytes()
    except (OSError, RuntimeError):  # the latter where there is no home
        return b""
    return key if len(key) == _BYTES else b""


def _make(path: Path) -> None:
    """Make a key where there is none. It appears whole, and another process that makes one meanwhile wins or loses."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".key.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        path.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)
