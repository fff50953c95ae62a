"""A crawl of everything an annotator can receive, looking for anything that names or identifies a model."""

import base64
import html
import json
import re
from urllib.parse import urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.accounts.access import ACCESS
from app.db import reading, writing
from app.settings import ROOT
from app.studies.questions import Questions, write_questions
from models import Arm, Invite, Item, ItemKind, Membership, Pair, Presentation, Response, Study
from tests.factories import fill_study, make_member, make_study, make_user
from tests.scripted_engine import Script
from tests.scripted_engine import scripted_engines as build_engines
from tests.web.judging_help import a_form, an_answer, give_special, post, take

CANARIES = ("zebrafinch-7b", "quokka-lora-13")
FOLDER = "axolotl-weights"
ADAPTER = "numbat-adapter"


@pytest.fixture
def scripted_engines(tmp_path):
    return build_engines(tmp_path / FOLDER, base=Script(), **{name: Script() for name in CANARIES})


@pytest.fixture
def canary_study(database, study, bob):
    with writing(database) as session:
        fill_study(session, session.get(Study, study.id), arms=CANARIES, text="{arm} to: {prompt}\r\n🍞 One more line.")
        for response in session.exec(select(Response)):
            response.run = {"model": f"/models/{FOLDER}", "adapter": ADAPTER, "engine": "wombat-engine"}
    return study


def secrets_of(database, bob):
    """Every string that must not reach Bob: names, paths, ids of rows behind the scenes, hashes, other people."""
    with reading(database) as session:
        found = {*CANARIES, FOLDER, ADAPTER, "wombat-engine", "alice@example.org"}
        found |= {arm.id for arm in session.exec(select(Arm))}
        found |= {pair.id for pair in session.exec(select(Pair))}
        found |= {item.id for item in session.exec(select(Item))}
        found |= {study.seed for study in session.exec(select(Study))}
        found |= {member.pid for member in session.exec(select(Membership))}
        for response in session.exec(select(Response)):
            found |= {response.id, response.text_sha256}
        for shown in session.exec(select(Presentation)):
            found.add(shown.side_order_key)
            if shown.annotator_id != bob.id:
                found.add(shown.id)
    return {secret.casefold() for secret in found}


def everything_in(answer):
    """All the text of an answer: body, headers, cookies, and what is encoded inside them."""
    parts = [answer.text, html.unescape(answer.text), str(answer.status_code)]
    for name, value in answer.headers.multi_items():
        parts.append(f"{name}: {value}")
        chunks = (chunk[: len(chunk) // 4 * 4] for chunk in re.findall(r"[A-Za-z0-9+/_-]{16,}", value))
        parts += [base64.urlsafe_b64decode(chunk).decode("latin-1") for chunk in chunks]
    return "\n".join(parts).casefold()


class Crawl:
    """Follows links as one person, and keeps every answer."""

    def __init__(self, client):
        self.client = client
        self.answers = []
        self.seen = set()

    def get(self, path, **headers):
        answer = self.client.get(path, headers=headers)
        self.answers.append((f"GET {path} {headers}", answer))
        return answer

    def post(self, path, **sent):
        answer = self.client.post(path, **sent)
        self.answers.append((f"POST {path}", answer))
        return answer

    def follow(self, path):
        """Read a page, as a page, as a fragment and as JSON, and all it links to."""
        waiting = [path]
        while waiting:
            path = waiting.pop()
            if path in self.seen:
                continue
            self.seen.add(path)
            answer = self.get(path)
            if path.startswith("/static/"):
                continue
            self.get(path, **{"HX-Request": "true"})
            self.get(path, Accept="application/json")
            self.client.head(path)
            waiting += self._links(path, answer)

    def _links(self, path, answer):
        found = [answer.headers.get("location")]
        if "html" in answer.headers.get("content-type", ""):
            page = BeautifulSoup(answer.text, "html.parser")
            found += [element.get(name) for element in page.find_all(True) for name in ("href", "src")]
        targets = (urlsplit(urljoin(path, link)) for link in found if link)
        return [
            f"{to.path}?{to.query}" if to.query else to.path
            for to in targets
            if to.path.startswith("/") and not to.scheme.startswith("data") and to.netloc in {"", "testserver"}
        ]

    def hits(self, secrets):
        return sorted(
            (where, secret) for where, answer in self.answers for secret in secrets if secret in everything_in(answer)
        )


def crawl_as_annotator(client, app, study):
    crawl = Crawl(client)
    for path in (
        "/",
        "/judge",
        "/judge?stay",
        "/judge/0123456789abcdef",
        "/nothing",
        "/login",
        "/openapi.json",
        "/docs",
    ):
        crawl.follow(path)
    for file in sorted((ROOT / "static" / "js").glob("*.js")):
        crawl.follow(f"/static/js/{file.name}")
    token = first = take(client, study)
    while token:
        crawl.follow(f"/judge/{token}")
        crawl.post(f"/judge/{token}/draft", json=an_answer(), headers={"Accept": "application/json"})
        crawl.post(f"/judge/{token}/draft", json=an_answer(), headers={"Accept": "application/json"})  # stale
        crawl.post(f"/judge/{token}/draft", json=an_answer(model_left="x"))
        mark = {"side": "left", "start": 0, "end": 3, "quote": "no!", "type": "other", "severity": "minor"}
        crawl.post(f"/judge/{token}/draft", json=an_answer(spans=[mark], base_revision=1))
        crawl.post(f"/judge/{token}/submit", json=an_answer(preference=None, base_revision=1))
        crawl.post(f"/judge/{token}/submit", data=a_form(base_revision="9"))
        crawl.post(f"/judge/{token}/submit", data=a_form(base_revision="1"))
        crawl.follow(f"/judge/{token}?again")
        token = take(client, study)
    crawl_own_pages(crawl, study)
    crawl.follow("/judge?done")
    crawl_routes(crawl, study, first)
    return crawl


def crawl_own_pages(crawl, study):
    """The pages beside the item: with right and wrong input."""
    for path in ("history", "history?page=2", "history?page=0", f"guidelines/{study.id}", f"exit/{study.id}"):
        crawl.follow(f"/judge/{path}")
    for keys in ({"flag": "x"}, {"flag": "g"}, {"model": "x"}):
        crawl.post("/judge/shortcuts", json=keys)
    for sent in ({"recognised_model": "yes", "recognised_guess": "a guess"}, {"recognised_model": "?"}):
        crawl.post(f"/judge/exit/{study.id}", data=sent)
    crawl.post(f"/judge/guidelines/{study.id}/seen", data={"version": "1"})


def crawl_routes(crawl, study, token):
    """Every route of the app, with the ids an annotator knows; most answer 403 or 404, and those answers count too."""
    known = {"study_id": study.id, "presentation_id": token, "table": "preferences.csv", "token": "x"}
    for method, route in sorted(ACCESS):
        path = re.sub(r"\{(\w+)\}", lambda name: known.get(name[1], "0"), route)
        if path != "/logout":
            answer = crawl.client.request(method, path, headers={"Accept": "application/json"})
            crawl.answers.append((f"{method} {path}", answer))


def test_no_byte_an_annotator_receives_names_or_identifies_a_model(annotator, app, database, canary_study, bob):
    crawl = crawl_as_annotator(annotator, app, canary_study)
    assert len(crawl.answers) > 80 + len(ACCESS)
    asked = {where.split()[1].split("?")[0] for where, _ in crawl.answers}
    assert {"/judge/history", f"/judge/exit/{canary_study.id}", f"/judge/guidelines/{canary_study.id}"} <= asked
    assert crawl.hits(secrets_of(database, bob)) == []
    pages = [answer for where, answer in crawl.answers if where.startswith("GET /judge/") and answer.status_code == 200]
    assert len(pages) >= 9
    for answer in pages:
        assert "etag" not in answer.headers
        assert "last-modified" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("kind", [ItemKind.PRACTICE, ItemKind.GOLD])
def test_practice_and_gold_name_no_model_either_and_gold_does_not_say_that_it_is(annotator, database, study, bob, kind):
    questions = Questions(strength=True, acceptability=True, recognised="end")
    with writing(database) as session:
        session.get_one(Study, study.id).questions = write_questions(questions)
        token = give_special(session, study, bob, kind=kind, why="Because of the numbat.", text="An answer.")
        for arm in session.exec(select(Arm)):
            arm.checkpoint = CANARIES[0]
    crawl = Crawl(annotator)
    crawl.follow(f"/judge/{token}")
    answer = an_answer(acceptability={"left": True, "right": True}, strength=1)
    crawl.post(f"/judge/{token}/draft", json=answer)
    crawl.post(f"/judge/{token}/draft", json=answer | {"idempotency_key": "another-one"})
    if kind == ItemKind.PRACTICE:
        crawl.post(f"/judge/{token}/submit", json=answer | {"idempotency_key": "the-last-one", "base_revision": 1})
    crawl_own_pages(crawl, study)
    crawl.follow(f"/judge/{token}/feedback")
    assert crawl.hits(secrets_of(database, bob)) == []
    # What is right of a practice item is told afterwards, and of a gold one never.
    feedback = [answer for where, answer in crawl.answers if "/feedback" in where]
    assert len(feedback) == 3
    told = [answer for _, answer in crawl.answers if "numbat" in everything_in(answer)]
    assert told == ([] if kind == ItemKind.GOLD else feedback)


def test_the_crawler_sees_what_a_researcher_sees(researcher, app, database, canary_study, bob):
    crawl = Crawl(researcher)
    crawl.follow(f"/studies/{canary_study.id}")
    found = {secret for _, secret in crawl.hits(secrets_of(database, bob))}
    assert set(CANARIES) <= found


@pytest.mark.parametrize("place", ["name", "guidelines", "prompt", "text"])
def test_the_crawler_sees_a_planted_canary(annotator, app, database, alice, bob, place):
    canary = CANARIES[0].upper()
    with writing(database) as session:
        over = {place: f"about {canary}"} if place in {"name", "guidelines"} else {}
        leaky = make_study(session, owner=alice, slug="leaky", **over)
        make_member(session, study=leaky, user=bob, pid="a77777777777")
        prompts = (f"What is {canary}?",) if place == "prompt" else ("One?",)
        fill_study(session, leaky, arms=CANARIES, prompts=prompts, text=f"I am {canary}." if place == "text" else "x")
    crawl = crawl_as_annotator(annotator, app, leaky)
    assert {secret for _, secret in crawl.hits(secrets_of(database, bob))} == {CANARIES[0]}


def test_the_crawler_sees_through_encodings(annotator, app, database, canary_study, bob):
    secret = CANARIES[0]
    encoded = base64.urlsafe_b64encode(json.dumps({"model": secret}).encode()).decode()

    class Answer:
        text = html.escape(f"<{secret}>")
        status_code = 200

        class headers:  # noqa: N801
            @staticmethod
            def multi_items():
                return [("set-cookie", f"x={encoded}")]

    assert everything_in(Answer).count(secret) == 3


def test_two_annotators_cannot_join_what_they_see(client_for, database, canary_study, bob):
    with writing(database) as session:
        dora = make_user(session, email="dora@example.org", name="Dora")
        make_member(session, study=canary_study, user=dora, pid="a88888888888")
    # That both judge in one study is no secret: its id is on the desk of each.
    pages, own = {bob.id: [], dora.id: []}, {canary_study.id}
    for user in (bob, dora):
        client = client_for(user)
        while (token := take(client, canary_study)) is not None:
            own.add(token)
            pages[user.id].append(client.get(f"/judge/{token}").text)
            post(client, token, "submit", an_answer())
    assert len(pages[bob.id]) == len(pages[dora.id]) == 3
    identifiers = [set(re.findall(r"[0-9a-f]{16,}", " ".join(texts))) - {canary_study.id} for texts in pages.values()]
    assert all(len(found) >= 9 for found in identifiers)
    assert identifiers[0] & identifiers[1] == set()
    # Nor do two items of one annotator share one, but for the link to the item before.
    first, second, third = (set(re.findall(r"[0-9a-f]{16,}", text)) - own for text in pages[bob.id])
    assert first & second == second & third == first & third == set()


def test_an_invite_tells_an_annotator_nothing_about_models(anonymous, researcher, database, canary_study, bob):
    page = researcher.post(f"/studies/{canary_study.id}/people/invites", data={"count": "1"})
    path = urlsplit(BeautifulSoup(page.text, "html.parser").select_one(".people-links code").text).path
    crawl = Crawl(anonymous)
    crawl.follow(path)
    crawl.post(path, data={"email": "dora@example.org", "name": "Dora", "password": "a long enough passphrase"})
    crawl.follow("/judge")
    assert crawl.hits(secrets_of(database, bob)) == []
    with reading(database) as session:
        assert session.exec(select(Invite)).one().used_at is not None
