"""Secrets are masked where text leaves a run: log, tables, folder, what is printed. In doubt it is masked.

Two kinds are known: the password in a URL, and the value of an environment variable whose name says that it is secret.
Values of hyperparameters are never masked, for they are what a sweep is about.
"""

from __future__ import annotations

import os
import re

MASK = "***"
SHORTEST = 6
"""A shorter value of a variable is more likely to be found in a word than to be kept from anyone."""
_SECRET_NAME = re.compile(
    "TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION)_?KEY", re.IGNORECASE
)
# A password may itself hold `:`, `/` and `@`; it ends at the last `@` of its word.
_IN_URL = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@"'<>]*):[^\s"'<>]+@""")


def masked(text: str) -> str:
    """The text with every secret that is known replaced by `***`.

    >>> masked("no answer from postgresql://ann:s3cr3t@db.example/sweeps")
    'no answer from postgresql://ann:***@db.example/sweeps'
    """
    text = without_passwords(text)
    for value in _secret_values():
        text = text.replace(value, MASK)
    return text


def without_passwords(text: str) -> str:
    """The text with passwords in URLs masked: what it becomes depends on the text alone, not on the environment.

    >>> without_passwords("see http://host:8080/path and s3://key:secret@bucket/file")
    'see http://host:8080/path and s3://key:***@bucket/file'
    """
    return _IN_URL.sub(rf"\1:{MASK}@", text)


def _secret_values() -> list[str]:
    """The longest first, so that a secret that contains another is masked whole."""
    values = {value for name, value in os.environ.items() if len(value) >= SHORTEST and _SECRET_NAME.search(name)}
    return sorted(values, key=len, reverse=True)
