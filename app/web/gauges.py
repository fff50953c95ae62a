"""What `/metrics` asks at the moment it is read, because no counting could keep it right: sizes, runs, processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine as Database
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select

from app.db import reading
from app.workers.place import Place, read_crew
from models import GenerationRun, GenerationState


class Gauges(Collector):
    """What is so now. A database that does not answer leaves its own gauges out; `/readyz` says so."""

    def __init__(self, database: Database, data_dir: Path, place: Place) -> None:
        """Ask nothing yet."""
        self._database, self._data_dir, self._place = database, data_dir, place

    def collect(self) -> Iterator[Metric]:
        """Ask for everything."""
        yield GaugeMetricFamily(
            "tuneshift_disk_free_bytes", "Free space where the data folder is.", shutil.disk_usage(self._data_dir).free
        )
        crew = read_crew(self._place)
        wanted, running, replaced = (crew.wanted, crew.running, crew.replaced) if crew else (1, 1, 0)
        yield GaugeMetricFamily("tuneshift_processes_wanted", "Processes the server should have.", wanted)
        yield GaugeMetricFamily("tuneshift_processes_running", "Processes the server has.", running)
        yield CounterMetricFamily("tuneshift_processes_replaced", "Processes that died and were replaced.", replaced)
        try:
            yield from self._of_database()
        except SQLAlchemyError:
            return

    def _of_database(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("tuneshift_database_bytes", "Size of the database.", database_bytes(self._database))
        with reading(self._database) as session:
            total = func.coalesce(func.sum(col(GenerationRun.total)), 0)
            done = func.coalesce(func.sum(col(GenerationRun.done)), 0)
            query = select(func.count(), total, done).where(GenerationRun.state == GenerationState.RUNNING)
            runs, wanted, stored = session.exec(query).one()
        yield GaugeMetricFamily("tuneshift_generation_runs", "Studies whose responses are being generated.", runs)
        yield GaugeMetricFamily("tuneshift_generation_wanted", "Responses that these runs are to generate.", wanted)
        yield GaugeMetricFamily("tuneshift_generation_stored", "Responses that these runs have stored.", stored)


def database_bytes(database: Database) -> int:
    """Measure the database: its files, the log of what is not in the main one yet included."""
    if database.dialect.name == "sqlite":
        files = [Path(f"{database.url.database}{ending}") for ending in ("", "-wal")]
        return sum(file.stat().st_size for file in files if file.is_file())
    with database.connect() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
