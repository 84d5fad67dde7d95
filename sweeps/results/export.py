"""A sweep's trials in a database of Optuna's, where its dashboard and other tools find them.

All of it is one transaction: a reader of the database sees the whole study or nothing of it, also where the command is
killed half-way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker

from sweeps.config import SweepConfig
from sweeps.errors import ResultsError
from sweeps.log.trials import LoggedTrials
from sweeps.results.as_optuna import fill
from sweeps.study.quiet import quiet

_EXAMPLE = "sqlite:///study.db"


def to_optuna(logged: LoggedTrials, config: SweepConfig, storage: str, name: str) -> int:
    """Write all trials into a new study `name` of the database at the URL `storage`; how many there are.

    Raises: ResultsError where the URL is none, the database refuses, or it has a study of that name.
    """
    url = _url(storage)
    with quiet(), _transaction(storage, url) as database:
        try:
            study = optuna.create_study(storage=database, study_name=name, direction=config.objective.direction)
        except optuna.exceptions.DuplicatedStudyError as error:
            rule = f"{_shown(url)} has a study {name} already"
            raise ResultsError(f"{rule}. Give another name with --name, or another --storage") from error
        fill(study, logged, config)
        return len(study.get_trials(deepcopy=False))


def _url(storage: str) -> URL:
    try:
        url = make_url(storage)
    except ArgumentError as error:
        raise ResultsError(f"--storage must be a URL such as {_EXAMPLE}, but got {storage}") from error
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ResultsError(f"--storage must name a file, such as {_EXAMPLE}, but got {storage}")
        folder = Path(str(url.database)).parent
        if not folder.is_dir():
            raise ResultsError(f"--storage must be in a folder that is there, but there is no folder {folder}")
    return url


@contextlib.contextmanager
def _transaction(storage: str, url: URL) -> Iterator[RDBStorage]:
    """A storage whose sessions all join one transaction, committed at the end of the block; an error leaves nothing."""
    file = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
    is_new = file is not None and not file.exists()
    try:
        database = RDBStorage(storage)  # as it was given: a URL that is written anew has other names for some files
        with database.engine.connect() as connection, connection.begin():
            database.scoped_session = scoped_session(sessionmaker(bind=connection))
            yield database
            database.remove_session()
        database.engine.dispose()
    except BaseException as error:
        if is_new and file is not None:
            file.unlink(missing_ok=True)
        if isinstance(error, SQLAlchemyError | optuna.exceptions.OptunaError | ImportError | RuntimeError):
            raise ResultsError(f"{_shown(url)} cannot be written: {_reason(error)}") from error
        raise


def _shown(url: URL) -> str:
    """A URL as a person writes it, without its password."""
    return unquote(url.render_as_string())


def _reason(error: BaseException) -> str:
    """What the database said, which stands below what SQLAlchemy and Optuna say of it."""
    while isinstance(error, optuna.exceptions.StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    said = getattr(error, "orig", None) or error
    return (str(said) or type(said).__name__).splitlines()[0]
