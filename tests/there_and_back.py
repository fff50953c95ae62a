"""Take a database to an older schema and back, and say what every table held at each station."""

from alembic import command
from sqlalchemy import Engine, MetaData

from app import migrate
from app.database.digest import Digest, digest_of

Held = dict[str, Digest]


def downgrade(database: Engine, revision: str) -> None:
    """Take the schema back; what the older one has no place for is lost."""
    with database.connect() as connection:
        if database.dialect.name == "sqlite":
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            command.downgrade(migrate.config(connection), revision)
        if database.dialect.name == "sqlite":
            connection.connection.cursor().execute("PRAGMA foreign_keys=ON")


def columns_of(database: Engine) -> dict[str, list[str]]:
    """List the columns of every table there is now, but for the migrations' own."""
    tables = MetaData()
    tables.reflect(database)
    names = {table.name: [column.name for column in table.columns] for table in tables.sorted_tables}
    return {table: columns for table, columns in names.items() if table != "alembic_version"}


def held(database: Engine, columns: dict[str, list[str]]) -> Held:
    """Digest the named columns of the named tables, every row of them."""
    tables = MetaData()
    tables.reflect(database)
    with database.connect() as connection:
        return {name: digest_of(connection, tables.tables[name], columns[name]) for name in columns}
