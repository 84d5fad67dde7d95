"""A user's own code: the object that `module:name` in a config names, and what is said when such code fails.

The project's folders (the working directory, then the config's own folder, or the one above it where that is called
`configs`) are looked in first, then what is installed. A failure in a user's code is reported with its file and line.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.util
import inspect
import os
import re
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sweeps.errors import SweepError

_PACKAGE = Path(__file__).parent
_DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python", "skimage": "scikit-image", "sklearn": "scikit-learn"}
"""What pip calls the packages that are imported under another name."""
_FRAME = re.compile(r'  File "([^"]+)", line (\d+)')
_folders: list[Path] = []  # of the whole process, as `sys.path` is: data may be read by a thread


def project_of(config_file: Path) -> Path:
    """The folder that a config belongs to: its own, or the one above it where that is called `configs`."""
    folder = config_file.resolve().parent
    return folder.parent if folder.name == "configs" else folder


@contextlib.contextmanager
def project_folders(project: Path | None) -> Iterator[None]:
    """Put the project's folders first while a sweep is checked or runs, for modules and for files.

    The working directory comes before `project`, the folder or the file of a config, of which the folder is taken.

    Raises:
        SweepError: a user's code has tried to end the process.
    """
    folders = [Path.cwd()]
    if project is not None:
        folders.append(project.resolve() if project.is_dir() else project_of(project))
    folders = list(dict.fromkeys(folders))
    sys.path[:0] = map(str, folders)
    before = list(_folders)
    _folders[:] = folders
    try:
        with exits_refused():
            yield
    finally:
        _folders[:] = before
        for folder in folders:
            with contextlib.suppress(ValueError):  # a user's module may have changed the path too
                sys.path.remove(str(folder))


def project_beside() -> Path | None:
    """The project's folder that is not the working directory; None where that is all."""
    return _folders[1] if len(_folders) > 1 else None


def in_two_folders(path: str) -> list[Path]:
    """Where a file is, if both folders of the project have one that is not the same; the first of them is taken."""
    found = [folder / path for folder in _project() if (folder / path).exists()]
    return found if len(found) > 1 and not found[0].samefile(found[1]) else []


def _project() -> list[Path]:
    return _folders or [Path.cwd()]


def module_file(name: str) -> Path | None:
    """The file of a module of the project, without importing it; None for one that is not in the project's folders."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    for folder in _project():
        for path in (folder.joinpath(*parts, "__init__.py"), folder.joinpath(*parts[:-1], f"{parts[-1]}.py")):
            if path.is_file() and _PACKAGE not in path.parents:
                return path
    return None


def find_file(path: str, error: type[SweepError]) -> Path:
    """The file that a config means by `path`: itself where it is absolute, else the first in the project's folders.

    Raises:
        error: there is none; the folders that were looked in are named.
    """
    for folder in _project():
        if (folder / path).exists():
            return folder / path
    looked = "" if Path(path).is_absolute() else f" in {' or '.join(map(str, _project()))}"
    raise error(f"there is no file {path}{looked}")


def locate(use: str, error: type[SweepError]) -> Any:
    """The attribute `name` of `module`, as `use="module:name"` says; dots in `name` go on to attributes of it.

    Raises:
        error: no such module, an exception while it was imported (with the user's file and line), no such attribute.
    """
    module_name, _, names = use.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *names.split("."))):
        near = module_of_path(use)
        advice = f". Did you mean `{near}`?" if near else ""
        raise error(f"must be `module:name`, such as `models.mlp:MLP`, but got {use!r}{advice}")
    found = _module(module_name, error)
    for name in names.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            public = [attribute for attribute in vars(found) if not attribute.startswith("_")]
            raise error(f"module {module_name} has no {names!r}{_hint(name, public)}") from None
    if not callable(found):
        raise error(f"{use} must be a function or a class, but it is {type(found).__name__}")
    return found


def module_of_path(text: str) -> str:
    """What is called in a config what is named by the path of its file, or after another dot; "" of anything else.

    >>> module_of_path("models/mlp.py:MLP"), module_of_path("./models/mlp.py::MLP"), module_of_path("models/mlp.py")
    ('models.mlp:MLP', 'models.mlp:MLP', 'models.mlp:NAME')
    >>> module_of_path("adamm"), module_of_path("models.mlp:MLP"), module_of_path("http://a.b/c")
    ('', '', '')
    """
    path, colon, name = text.partition(":")
    module, dot, attribute = text.rpartition(".")
    if not colon and dot and attribute != "py" and module_file(module):
        return f"{module}:{attribute}"
    if not re.search(r"[/\\]|\.py$", path) or not (path.endswith(".py") or module_file(_dotted(path))):
        return ""
    named = f"{_dotted(path)}:{name.lstrip(':') or 'NAME'}"
    return named if all(part.isidentifier() for part in re.split("[.:]", named)) else ""


def _dotted(path: str) -> str:
    """A path as the name of a module, from the folder of the project that it is in."""
    for folder in _project():
        if Path(path).is_absolute() and Path(path).is_relative_to(folder):
            path = str(Path(path).relative_to(folder))
    return re.sub(r"[/\\]+", ".", path.removesuffix(".py").removeprefix("./"))


def _module(name: str, error: type[SweepError]) -> Any:
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"  # Keras looks once, when it is imported, and lanes know no other
    try:
        with directory_kept(f"importing {name}", error):
            return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
            near = _hint(missing.name or "", _neighbours(missing.name or ""))
            raise error(f"{failed(f'importing {name}', missing)}{near}") from missing
        if (file := module_file(name)) is not None:
            package = name.partition(".")[0]
            rule = f"Python takes `{package}` from another folder, {_places_of(package)}, which comes before it"
            raise error(f"module {name!r} is {file}, but {rule}. Give one of them another name") from None
        near = module_of_path(name) if name.endswith(".py") else ""
        hint = f". Did you mean `{near.partition(':')[0]}`?" if near else _hint(missing.name, _neighbours(missing.name))
        places = " or ".join(map(str, _project()))
        raise error(f"there is no module {name!r} in {places}, nor is it installed{hint}") from None
    except error:
        raise
    except (Exception, SystemExit) as failure:
        raise error(failed(f"importing {name}", failure)) from failure


@contextlib.contextmanager
def directory_kept(what: str, error: type[SweepError]) -> Iterator[None]:
    """Hold the user's code to the working directory, where results and relative paths are.

    Raises:
        error: it has left it.
    """
    before = Path.cwd()
    yield
    if (now := Path.cwd()) != before:
        os.chdir(before)
        raise error(f"{what} changes the working directory to {now}, and results would go there. Leave `os.chdir` out")


def _places_of(package: str) -> str:
    return " and ".join(map(str, getattr(sys.modules.get(package), "__path__", ["an installed one"])))


def _neighbours(module_name: str) -> list[str]:
    """Modules where the one that is not there would be."""
    package, dot, _ = module_name.rpartition(".")
    folders = map(Path, getattr(sys.modules.get(package), "__path__", []) if dot else _project())
    found = (file for folder in folders if folder.is_dir() for file in folder.iterdir())
    return [f"{package}{dot}{file.stem}" for file in found if file.suffix == ".py" or file.is_dir()]


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f". Did you mean `{near[0]}`?" if near else ""


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
    given, derived = list(given), set(derived)
    known = [name for name in taken if name not in derived]
    faults = []
    for name in given:
        if name in derived:
            faults.append(ArgumentFault(name, "comes from the data and is not for a config to give", "Remove it"))
        elif name not in known:
            takes = f". {use} takes {', '.join(known)}" if known else f". {use} takes no arguments"
            faults.append(ArgumentFault(name, "unknown argument", (_hint(name, known) or takes).removeprefix(". ")))
    missing = [name for name in known if taken[name] and name not in given]
    return faults + [ArgumentFault(name, f"{use} needs this argument", "") for name in missing]


def taken_by(target: Callable[..., Any]) -> dict[str, bool] | None:
    """The arguments that a function takes by name, each with whether it needs it; None if it takes any."""
    try:
        found = parameters(target).values()
    except ValueError:  # a function written in C may have no signature
        return None
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in found):
        return None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {each.name: each.default is inspect.Parameter.empty for each in found if each.kind in named}


def failed(what: str, failure: BaseException) -> str:
    """That `what` failed, in one line: where in the user's own code, if it was there, and why."""
    place = _place(failure)
    return f"{what} failed{f' at {place}' if place else ''}: {reason(failure)}"


def reason(failure: BaseException) -> str:
    """An exception in one line: its type and the first line of what it says; how to install a package that lacks.

    Where that holds the traceback of another exception, as JAX's message on a failed callback does, it is that one.
    """
    if cause := next((line for line in _traceback(failure) if not line.startswith(" ")), ""):
        return cause
    said = failure.msg if isinstance(failure, SyntaxError) else _first_line(str(failure))
    lacking = _lacking(failure)
    if lacking == "tensorflow":
        return "the package 'tensorflow' is not installed: `import keras` is enough, which computes with JAX here"
    if lacking:
        return f"the package {lacking!r} is not installed: pip install {_DISTRIBUTIONS.get(lacking, lacking)}"
    return f"{type(failure).__name__}{f': {said}' if said else ''}"


def _traceback(failure: BaseException) -> list[str]:
    """The lines of a traceback within an exception's message."""
    return str(failure).partition("Traceback (most recent call last):\n")[2].splitlines()


def _first_line(said: str) -> str:
    """The first line that says something: Keras puts one before it that only names the layer, and sets it in bold."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [""]
    is_preface = lines[0].startswith("Exception encountered when calling") and len(lines) > 1
    return lines[1].replace("\x1b[1m", "").replace("\x1b[0m", "") if is_preface else lines[0]


def _lacking(failure: BaseException) -> str:
    """The package that an import did not find; "" where it was a part of one that is there, or another failure."""
    package = (getattr(failure, "name", None) or "").partition(".")[0]
    is_missing = isinstance(failure, ModuleNotFoundError) and package and sys.modules.get(package) is None
    return package if is_missing and importlib.util.find_spec(package) is None else ""


def reason_with_place(failure: BaseException) -> str:
    """`reason`, and where in the user's own code.

    >>> reason_with_place(ValueError("no rows"))
    'ValueError: no rows'
    """
    if isinstance(failure, SweepError):
        return str(failure)  # which says where
    place = _place(failure)
    return f"{reason(failure)} ({place})" if place else reason(failure)


@contextlib.contextmanager
def exits_refused() -> Iterator[None]:
    """Raise `SweepError` where a user's code tries to end the process."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as ended:
        if refusal := exit_refused(ended):
            raise refusal from ended
        raise


def exit_refused(ended: BaseException) -> SweepError | None:
    """The error to raise where a user's code has raised `SystemExit` (`sys.exit`), or `KeyboardInterrupt` itself.

    None where that came from elsewhere: from this package, or from a Ctrl-C, which raises `KeyboardInterrupt` only as
    long as no other handler is set.
    """
    place, name = _last_own_frame(ended)
    is_ctrl_c = isinstance(ended, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not place or is_ctrl_c:
        return None
    return SweepError(f"`{name}` failed at {place}: {reason(ended)}. It must return, or raise an error of another kind")


def _place(failure: BaseException) -> str:
    if isinstance(failure, SyntaxError) and failure.filename:
        return f"{failure.filename}:{failure.lineno}"
    frames = filter(None, map(_FRAME.match, _traceback(failure)))
    own = [f"{frame[1]}:{frame[2]}" for frame in frames if _is_own(frame[1])]
    return own[-1] if own else _last_own_frame(failure)[0]


def _last_own_frame(failure: BaseException) -> tuple[str, str]:
    """`file:line`, and the function's name; "" where no frame is the user's."""
    found, trace = ("", ""), failure.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if _is_own(code.co_filename):
            found = f"{code.co_filename}:{trace.tb_lineno}", code.co_name
        trace = trace.tb_next
    return found


def _is_own(file: str) -> bool:
    """Whether a file is the user's. Code that was compiled elsewhere has a relative name, generated code `<...>`."""
    return Path(file).is_absolute() and not any(Path(file).is_relative_to(folder) for folder in _not_the_users())


@functools.cache
def _not_the_users() -> tuple[Path, ...]:
    installed = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    # A `.pth` file or PYTHONPATH may have added the packages of another environment.
    installed += [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    return (_PACKAGE, *map(Path, installed))
