"""An acknowledged judgment survives the death of the server: nothing lost, nothing stored twice."""

import pytest
from sqlalchemy import make_url

from tests.kill9 import kill_again_and_again

# A server of its own answers PostgreSQL's clients, and a cycle takes it four times as long.
CYCLES = {"sqlite": 200, "postgresql": 60}


@pytest.mark.timeout(600)
def test_no_acknowledged_judgment_is_lost_when_the_server_is_killed(tmp_path, database_url):
    cycles = CYCLES[make_url(database_url).get_backend_name()]
    outcome = kill_again_and_again(tmp_path / "data", cycles=cycles, seed=20_240_721)
    assert outcome.refused == []
    assert (outcome.lost, outcome.duplicated, outcome.gaps, outcome.integrity) == (0, 0, 0, "ok")
    # The kills must have hit requests under way, or nothing was tested.
    assert outcome.acknowledged > cycles
    assert outcome.retries > cycles / 4
