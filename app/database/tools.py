"""PostgreSQL's own programs: found, new enough for the server, and run with no password on their command line."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from app.errors import ConfigurationError

_DEBIAN = Path("/usr/lib/postgresql")


def find_tool(name: str, *, server: int) -> Path:
    """Return a program that is at least as new as the server's major version.

    Raises ConfigurationError where there is none, or only older ones, saying which package brings it.
    """
    on_path = shutil.which(name)
    versions = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: -float(path.parent.parent.name))
    found = [*([Path(on_path)] if on_path else []), *versions]
    remedy = f"Install PostgreSQL's client programs, version {server} or newer (Debian: postgresql-client-{server})."
    if not found:
        raise ConfigurationError(f"The program {name} was not found.", remedy=remedy)
    majors = {path: _major(path) for path in found}
    for path, major in majors.items():
        if major >= server:
            return path
    newest = max(majors.values())
    raise ConfigurationError(f"{name} is of version {newest}, the server of version {server}.", remedy=remedy)


def run_tool(command: Sequence[str | Path], *, doing: str) -> None:
    """Run a program to its end; raises ConfigurationError with its last words where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603  our own words and paths
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise ConfigurationError(f"{doing} failed: {said[-1] if said else f'exit code {done.returncode}'}")


@contextmanager
def address_of(url: URL) -> Iterator[str]:
    """Write a database's address as those programs read it; a password is in a file that only we may read."""
    address = URL.create(
        "postgresql", username=url.username, host=url.host, port=url.port, database=url.database, query=url.query
    )
    if url.password is None:
        yield as_libpq(address)
        return
    secret = str(url.password).replace("\\", "\\\\").replace(":", "\\:")
    with tempfile.NamedTemporaryFile("w", prefix="tuneshift-", suffix=".pgpass") as file:
        file.write(f"*:*:*:*:{secret}\n")
        file.flush()
        yield as_libpq(address.update_query_dict({"passfile": file.name}))


def as_libpq(address: URL) -> str:
    """Write an address as PostgreSQL's own library reads it, to which a plus sign is one and not a space."""
    place, mark, query = address.set(drivername="postgresql").render_as_string(hide_password=False).partition("?")
    return f"{place}{mark}{query.replace('+', '%20')}"


def _major(path: Path) -> int:
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603  asks which version it is
    number = re.search(r"(\d+)", told)
    return int(number[1]) if number else 0
