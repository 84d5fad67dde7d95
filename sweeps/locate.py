"""The one seam for extension: `module:name` to the object it names.

The project folder (the working directory, then the folder above the config's `configs/`) is looked up first, then
what is installed.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sweeps.errors import SweepError


@contextlib.contextmanager
def project_folders(config_file: Path | None) -> Iterator[None]:
    """Put the project's folders at the front of the import path while a sweep runs."""
    folders = [Path.cwd()]
    if config_file is not None and config_file.resolve().parent.name == "configs":
        folders.append(config_file.resolve().parent.parent)
    added = [str(folder) for folder in folders if str(folder) not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)


def locate(use: str, error: type[SweepError]) -> Any:
    """The attribute `name` of `module`, as `use="module:name"` says.

    Raises:
        error: no such module, an exception while it was imported (with the user's file and line), no such attribute.
    """
    module_name, _, name = use.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (module_name == missing.name or module_name.startswith(f"{missing.name}.")):
            raise error(f"there is no module {module_name!r} in {Path.cwd()} or among the installed packages") from None
        raise error(
            f"{module_name} needs the package {missing.name!r}, which is not installed: pip install {missing.name}"
        ) from missing
    except Exception as failure:
        raise error(
            f"importing {module_name} failed at {origin(failure)}: {type(failure).__name__}: {failure}"
        ) from failure
    try:
        return getattr(module, name)
    except AttributeError:
        public = [attribute for attribute in vars(module) if not attribute.startswith("_")]
        near = difflib.get_close_matches(name, public, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise error(f"module {module_name} has no attribute {name!r}{hint}") from None


def parameters(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function, or of a class's constructor even where a metaclass hides its signature."""
    if not isinstance(target, type):
        return dict(inspect.signature(target).parameters)
    return dict(list(inspect.signature(target.__init__).parameters.items())[1:])  # type: ignore[misc]  # the class's own


class ArgumentFault(NamedTuple):
    """An argument that a function does not take, or needs and does not get."""

    name: str
    rule: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.rule}{f'. {self.advice}' if self.advice else ''}"


def argument_faults(
    use: str, taken: Mapping[str, bool], given: Iterable[str], derived: Iterable[str] = ()
) -> list[ArgumentFault]:
    """What is wrong with the names of the arguments `given`.

    `taken` maps what the function takes to whether it needs it; it may take `derived` too, but a config does not give
    those.
    """
    given = list(given)
    known = [name for name in taken if name not in set(derived)]
    faults = []
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            takes = f"{use} takes {', '.join(known)}" if known else f"{use} takes no arguments"
            faults.append(ArgumentFault(name, "unknown argument", f"Did you mean `{near[0]}`?" if near else takes))
    missing = [name for name in known if taken[name] and name not in given]
    return faults + [ArgumentFault(name, f"{use} needs this argument", "") for name in missing]


def taken_by(target: Callable[..., Any]) -> dict[str, bool] | None:
    """The arguments that a function takes by name, each with whether it needs it; None if it takes any."""
    found = parameters(target).values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in found):
        return None
    return {parameter.name: parameter.default is inspect.Parameter.empty for parameter in found}


def origin(failure: BaseException) -> str:
    """`file:line` of the last frame of a user's own code in a traceback."""
    if isinstance(failure, SyntaxError) and failure.filename:
        return f"{failure.filename}:{failure.lineno}"
    place, trace = "an unknown place", failure.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "site-packages" not in file and not file.startswith("<") and Path(file).parent != Path(__file__).parent:
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
