"""What tests share: a data folder, a database with its tables, the app, and the people who use it.

Alice owns the server and the study, Bob judges in it, Carol is a researcher who has nothing to do with it.
"""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis.internal.conjecture import providers
from itsdangerous import TimestampSigner
from sqlalchemy import Engine

from app.db import connect, writing
from app.main import create_app
from app.settings import Settings
from models import Role, Study, User
from tests.databases import Databases, SqliteFiles, databases
from tests.factories import make_member, make_study, make_user
from tests.scripted_engine import ScriptedEngines
from tests.scripted_engine import scripted_engines as build_scripted_engines

ORIGIN = "http://testserver"
START_S = 20
# Who asks for one of these stores things in the database of the run.
_STORING = {"database_url", "all_databases"}
# Property tests judge results, never the speed of the machine; and what refuses a change is the change, never what was
# drawn that day. `--hypothesis-profile search` draws anew each time, to look for what nobody has met yet.
_UNHURRIED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("search", **_UNHURRIED, derandomize=False, print_blob=True)
hypothesis.settings.register_profile("same", **_UNHURRIED, derandomize=True, database=None)
hypothesis.settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=("sqlite", "postgres"), default="sqlite", help="what the tests store in")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile"):
        # Else numbers and texts of whichever of our modules a worker has loaded by then would change what is drawn.
        vars(providers)["_get_local_constants"] = providers.Constants


@pytest.fixture(scope="session")
def database_kind(pytestconfig: pytest.Config) -> str:
    return pytestconfig.getoption("--database")


@pytest.fixture(scope="session")
def all_databases(database_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Where fresh databases come from, of the kind this run is about."""
    with databases(database_kind, tmp_path_factory.mktemp("migrated")) as made:
        yield made


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, all_databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database of this test's own, empty where the test does not ask for `database`.

    Every process the test starts finds it: SQLite by its folder, PostgreSQL by the environment.
    """
    if isinstance(all_databases, SqliteFiles):
        yield all_databases.create(tmp_path / "data", migrated=False)
        return
    url = all_databases.create(tmp_path / "data", migrated="database" in request.fixturenames)
    monkeypatch.setenv("TUNESHIFT_DATABASE_URL", url)
    yield url
    all_databases.drop(url)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", public_url=ORIGIN)


@pytest.fixture
def database(settings: Settings, all_databases: Databases) -> Iterator[Engine]:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if isinstance(all_databases, SqliteFiles):
        all_databases.create(settings.data_dir)
    engine = connect(settings.resolved_database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def both_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Databases]]:
    """Fresh databases of both kinds, whichever the run is about."""
    folder = tmp_path_factory.mktemp("both")
    with databases("sqlite", folder) as sqlite, databases("postgres", folder) as postgres:
        yield {"sqlite": sqlite, "postgres": postgres}


@pytest.fixture
def fresh(both_databases: dict[str, Databases], tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Open fresh databases: `fresh("sqlite")`, `fresh("postgres", migrated=False)`; all are let go at the end."""
    opened: list[tuple[Databases, str, Engine]] = []

    def make(kind: str, *, migrated: bool = True) -> Engine:
        url = both_databases[kind].create(tmp_path / f"{kind}{len(opened)}", migrated=migrated)
        opened.append((both_databases[kind], url, connect(url)))
        return opened[-1][2]

    yield make
    for made, url, engine in opened:
        engine.dispose()
        made.drop(url)


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    return build_scripted_engines(tmp_path / "tokenizer")


@pytest.fixture
def app(settings: Settings, database: Engine, scripted_engines: ScriptedEngines) -> FastAPI:
    return create_app(settings, engines=scripted_engines)


@pytest.fixture
def alice(database: Engine) -> User:
    with writing(database) as session:
        return make_user(session, email="alice@example.org", name="Alice", role=Role.OWNER)


@pytest.fixture
def bob(database: Engine) -> User:
    with writing(database) as session:
        return make_user(session, email="bob@example.org", name="Bob", role=Role.ANNOTATOR)


@pytest.fixture
def carol(database: Engine) -> User:
    with writing(database) as session:
        return make_user(session, email="carol@example.org", name="Carol", role=Role.RESEARCHER)


@pytest.fixture
def study(database: Engine, alice: User, bob: User) -> Study:
    with writing(database) as session:
        study = make_study(session, owner=alice)
        make_member(session, study=study, user=bob)
        return study


def cookie_for(app: FastAPI, user: User) -> str:
    """Sign a session as the app would."""
    return cookie_for_secret(app.state.secret, user)


def cookie_for_secret(secret: str, user: User) -> str:
    """Sign a session as an app with this secret would."""
    session = {"uid": user.id, "version": user.session_version}
    return TimestampSigner(secret).sign(base64.b64encode(json.dumps(session).encode())).decode()


@dataclass
class Server:
    """A running app. `expected` holds parts of console lines that a test provokes on purpose."""

    url: str
    app: FastAPI
    expected: list[str] = field(default_factory=list)


@pytest.fixture
def server(app: FastAPI) -> Iterator[Server]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=2)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_S
        while not running.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, f"the server did not start in {START_S} s"
            time.sleep(0.01)
        yield Server(url=f"http://127.0.0.1:{listener.getsockname()[1]}", app=app)
        running.should_exit = True
        thread.join(timeout=START_S)
        assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def client_for(app: FastAPI) -> Iterator[Callable[..., TestClient]]:
    """Open clients: `client_for()` for nobody, `client_for(user)` signed in as that user."""
    with ExitStack() as stack:
        shared = stack.enter_context(TestClient(app))

        def open_client(user: User | None = None) -> TestClient:
            # One lifespan serves all: later clients borrow the started app.
            client = TestClient(app, headers={"Origin": ORIGIN}, follow_redirects=False)
            client.portal = shared.portal
            if user is not None:
                client.cookies.set("tuneshift_session", cookie_for(app, user))
            return client

        yield open_client


@pytest.fixture
def anonymous(client_for) -> TestClient:
    return client_for()


@pytest.fixture
def researcher(client_for, alice: User) -> TestClient:
    return client_for(alice)


@pytest.fixture
def annotator(client_for, bob: User) -> TestClient:
    return client_for(bob)


@pytest.fixture
def stranger(client_for, carol: User) -> TestClient:
    return client_for(carol)


@pytest.fixture(params=[False, True], ids=["page", "htmx"])
def htmx(request: pytest.FixtureRequest) -> dict[str, str]:
    """Headers to send: none, or those of an htmx request. Every page test that takes it runs both ways."""
    return {"HX-Request": "true"} if request.param else {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the browser tests last: their driver keeps an event loop open, beside which `asyncio.run` refuses to run.

    On another database than SQLite only those run that would notice.
    """
    if config.getoption("--database") != "sqlite":
        indifferent = [
            item
            for item in items
            if item.get_closest_marker("sqlite") or not _STORING & set(getattr(item, "fixturenames", ()))
        ]
        config.hook.pytest_deselected(items=indifferent)
        items[:] = [item for item in items if item not in set(indifferent)]
    for item in items:
        if item.nodeid.startswith("tests/engine/"):
            item.add_marker("alone")
    items.sort(key=lambda item: item.nodeid.startswith("tests/browser/"))
