"""24: what another website makes a browser send changes nothing, and neither does reading."""

import pytest
from sqlalchemy import inspect

from app.accounts.access import ACCESS
from tests.web.test_access import place as place  # noqa: PLC0414  a fixture

# What a look may leave behind: that it took place, and what was worked out to be shown.
LEFT_BY_LOOKS = {"studyevent", "auditevent", "studyfindings"}


def stored(database):
    """Read every table, a row a text."""
    with database.connect() as connection:
        names = inspect(connection).get_table_names()
        return {name: sorted(map(repr, connection.exec_driver_sql(f'SELECT * FROM "{name}"'))) for name in names}


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_case_24_no_other_site_changes_anything_through_any_route(place, database, researcher, annotator, origin):
    before = stored(database)
    changing = [row for row in ACCESS if row[0] != "GET"]
    assert len(changing) > 40
    for method, path in changing:
        address, form = place(path)
        for client in (researcher, annotator):
            answer = client.request(method, address, data=form or None, headers={"Origin": origin})
            assert answer.status_code == 403, (method, path)
            plain = {"Origin": origin, "Content-Type": "text/plain"}
            assert client.request(method, address, content=b"{}", headers=plain).status_code == 403
    assert stored(database) == before


def test_case_24_reading_changes_nothing(place, database, researcher, annotator, anonymous):
    before = stored(database)
    for path in [path for method, path in ACCESS if method == "GET"]:
        address, _ = place(path)
        for client in (researcher, annotator, anonymous):
            client.get(address)
            client.head(address)
    after = stored(database)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name] and name not in LEFT_BY_LOOKS] == []
