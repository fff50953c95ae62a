"""Run as a script: several processes, of several threads each, that all claim or save at one moment.

Standard input is `{"url", "study", "users", "processes"}`, with `"token"` to save one item and not claim. Printed is
one JSON list: for each user the token that was handed out, or the number of the revision; null where there was none.
"""

import json
import os
import sys
import threading
from datetime import timedelta

from app.db import connect, writing
from app.errors import ConflictError
from app.judging.answers import save_answer
from app.judging.claims import claim
from app.judging.forms import read_json
from models import RevisionKind, Study, User
from models.base import now
from tests.web.judging_help import an_answer

LEASE = timedelta(minutes=60)


def race(wanted: dict, users: list[str], go: int) -> list:
    """Do one process's part: everything is ready, then all its threads start when the pipe `go` is closed."""
    database, found = connect(wanted["url"]), [None] * len(users)

    def run(place: int) -> None:
        with writing(database) as session:
            study, user = session.get_one(Study, wanted["study"]), session.get_one(User, users[place])
            if "token" not in wanted:
                found[place] = claim(session, study, user, now(), lease=LEASE)
                return
            sent = read_json(
                json.dumps(an_answer(base_revision=0, idempotency_key=f"attempt-{os.getpid()}-{place}")).encode()
            )
            try:
                saved = save_answer(session, wanted["token"], user, sent, RevisionKind.DRAFT, now(), lease=LEASE)
            except ConflictError:
                return
            found[place] = saved.revision

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(users))]
    os.read(go, 1)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.dispose()
    return found


def main() -> None:
    """Fork the processes, let them go together, and print what they found."""
    wanted = json.load(sys.stdin)
    users, processes = wanted["users"], wanted["processes"]
    (wait, go), answers = os.pipe(), []
    for number in range(processes):
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(go)
            with os.fdopen(write, "w") as file:
                json.dump(race(wanted, users[number::processes], wait), file)
            os._exit(0)
        os.close(write)
        answers.append(os.fdopen(read))
    os.close(go)
    print(json.dumps([one for answer in answers for one in json.loads(answer.read() or '["a process failed"]')]))


if __name__ == "__main__":
    main()
