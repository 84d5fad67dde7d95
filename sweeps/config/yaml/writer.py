"""Plain Python values to YAML text, from which `reader.read` gets the very same values.

PyYAML writes for YAML 1.1, and would leave the text "1e-4" unquoted, which YAML 1.2 reads as a number.
"""

from __future__ import annotations

import math
from typing import Any

import yaml

from sweeps.config.yaml.scalars import PATTERNS


class _Dumper(yaml.SafeDumper):
    """Writes scalars so that the core schema of YAML 1.2 reads them, and never an alias."""

    yaml_implicit_resolvers: dict[Any, Any] = {  # noqa: RUF012  # a table of the class, as PyYAML has it
        None: [(f"tag:yaml.org,2002:{kind}", pattern) for kind, pattern in PATTERNS.items()]
    }

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # PyYAML names its argument
        return True


_Dumper.add_representer(tuple, lambda dumper, value: dumper.represent_list(value))


def write(tree: dict[str, Any]) -> str:
    """`tree` as YAML, in its own order, with the innermost mappings and lists on one line.

    >>> print(write({"choices": (1, 2), "low": 1e-4, "text": "1e-4"}), end="")
    choices: [1, 2]
    low: 0.0001
    text: '1e-4'
    """
    return yaml.dump(tree, Dumper=_Dumper, default_flow_style=None, sort_keys=False, allow_unicode=True, width=math.inf)
