"""A search's memory: Optuna's storage, held by one run at a time, and the proxy through which trials reach it.

Trials reach it through Optuna's gRPC proxy, so that only the driver needs the database and its password, and SQLite
will do. Whether a run is alive cannot be asked through the proxy; whoever holds the lock knows that nobody else is.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._grpc.server import make_server  # run_grpc_proxy_server is this, but never ends
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from lib.errors import UserError
from lib.lock import only_one

FILE = "tune.db"
# Has the URL where it holds a password, which belongs in no file.
VARIABLE = "CATMATCH_TUNE_STORAGE"
# Another program may hold SQLite's lock for a moment; a trial's report can wait so long.
LOCKED_SECONDS = 20
# A port that was free a moment ago may be taken now.
PORTS_TRIED = 5


@dataclass(frozen=True)
class Memory:
    """An open storage.

    Attributes:
        storage: what Optuna takes.
        shown: its URL without a password.
        file: of SQLite; None for another database.
        inode: of the file when it was opened.
    """

    storage: BaseStorage
    shown: str
    file: Path | None
    inode: int

    def check(self) -> None:
        """SQLite goes on writing to a file that has been deleted, and nobody would ever see what.

        Raises:
            UserError: the file is gone.
        """
        if self.file is not None and not (self.file.is_file() and self.file.stat().st_ino == self.inode):
            raise UserError(_gone(self.shown, "its file was removed or replaced"))

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Raises UserError where the database does not do what it is asked."""
        with _mistakes(self.shown):
            yield


@contextlib.contextmanager
def opened(url: str | None, state: Path, study: str) -> Iterator[Memory]:
    """The storage, for this run alone.

    Args:
        url: of a database, unless the environment has one; None: SQLite in `state`.
        state: where the lock is, unless the database is a file. Whoever searches one study must name the same.
        study: whose lock.

    Raises:
        UserError: another run has it, or it cannot be opened.
    """
    file = None
    address = os.environ.get(VARIABLE) or url or f"sqlite:///{state.resolve() / FILE}"
    try:
        parsed = make_url(address)
    except SQLAlchemyError:
        raise UserError("storage is no SQLAlchemy URL, such as sqlite:////shared/tune.db") from None
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise UserError(
                "storage is SQLite without a file, which ends with its run; name one: sqlite:////shared/tune.db"
            )
        file = Path(str(parsed.database))
    # Beside the file, where every run finds it, whatever its configuration.
    locks = state / "tune" if file is None else file.parent
    with only_one(locks / f"tune-{study.replace('/', '-')}.lock", f"study {study} is being searched"):
        shown = parsed.render_as_string(hide_password=True)
        waiting = {"connect_args": {"timeout": LOCKED_SECONDS}} if file is not None else {}
        with _mistakes(shown):
            storage = get_storage(RDBStorage(address, engine_kwargs=waiting))
        yield Memory(storage, shown, file, file.stat().st_ino if file is not None else 0)


@contextlib.contextmanager
def proxy(memory: Memory, host: str) -> Iterator[int]:
    """Serve the storage on a free port of the host for as long as the context lasts; the port."""
    for tried in range(PORTS_TRIED):
        with socket.socket() as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        try:
            server = make_server(memory.storage, host, port)
            break
        except RuntimeError:
            if tried + 1 == PORTS_TRIED:
                raise
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()


@contextlib.contextmanager
def _mistakes(shown: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, OSError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        raise UserError(_gone(shown, " ".join(str(getattr(cause, "orig", None) or cause).split()))) from None


def _gone(shown: str, why: str) -> str:
    return (
        f"the study's storage {shown} cannot be used ({why}); let whoever holds it end, or put it back, and run again: "
        "finished trials are kept there"
    )


def host_of(driver: str | None) -> str:
    """Where executors find the driver."""
    return driver or os.environ.get("SPARK_LOCAL_IP") or "127.0.0.1"
