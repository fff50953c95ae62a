"""Making and editing studies in one page: what is stored, what is refused beside which field, and the preview."""

import pytest
from bs4 import BeautifulSoup
from sqlmodel import func, select

from app.db import reading, writing
from app.studies.presets import PRESETS
from app.studies.questions import read_questions
from app.studies.stored import design_of
from models import (
    Arm,
    Guideline,
    Item,
    ItemKind,
    ItemResponse,
    Origin,
    Pair,
    Response,
    Study,
    StudyEvent,
    StudyState,
    WithdrawalPolicy,
)
from tests.factories import fill_study, make_study, make_tuning_set
from tests.web.setup_help import ANCHORS, a_form, arm, dimension, fields_of, known, make, question


def count(database, table):
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(table)).one()


def text_of(answer):
    return " ".join(BeautifulSoup(answer.text, "html.parser").text.split())


def design(database, study_id):
    with reading(database) as session:
        return design_of(session, session.get_one(Study, study_id))


def test_a_whole_study_is_made_of_one_form(stranger, database, carol):
    with writing(database) as session:
        tuning_set = make_tuning_set(session)
    study_id = make(
        stranger,
        arms=(arm("lft"), arm("sft", name="full", temperature="0.7", seed="5"), arm("base", max_tokens="9")),
        pairing="against",
        against="full",
        dimensions=(dimension("Clarity"), dimension("Plain words", anchors=("no", "", "", "", "yes"))),
        questions=(question(),),
        known_items=(known(), known("Is ice cold?", kind="gold", expected="tie_good", why="")),
        strength="yes",
        acceptability="yes",
        evidence="yes",
        evidence_set=tuning_set.id,
        evidence_k="2",
        evidence_decoys="0",
        recognised="end",
        overlap="3",
        sample_n="1",
        sample_overlap="5",
        per_annotator="4",
        repeat_items="yes",
        target="12",
        ends_on="2100-02-03",
        withdrawal="exclude",
        completion_code="C0DE",
        allow_holes="yes",
        seed="my-seed",
    )
    with reading(database) as session:
        study = session.get_one(Study, study_id)
        assert (study.slug, study.seed, study.state) == ("kitchen-questions", "my-seed", StudyState.DRAFT)
        assert (study.overlap, study.per_annotator, study.target, study.repeat_items) == (3, 4, 12, True)
        assert (study.withdrawal, study.completion_code, study.allow_holes) == (WithdrawalPolicy.EXCLUDE, "C0DE", True)
        assert f"{study.ends_at:%Y-%m-%d %H:%M}" == "2100-02-03 23:59"
        asked = read_questions(study.questions)
        assert asked.names == ("clarity", "plain_words")
        assert asked.dimensions[0].anchors == ANCHORS
        assert (asked.evidence.set_id, asked.evidence.k, asked.evidence.decoys) == (tuning_set.id, 2, 0)
        assert (asked.strength, asked.acceptability, asked.spans, asked.recognised) == (True, True, True, "end")
        assert study.comprehension == [
            {
                "question": "What do you judge?",
                "choices": ["Length", "What is written"],
                "right": 1,
                "why": "Length is no merit.",
            }
        ]
        arms = {row.name: row for row in session.exec(select(Arm))}
        assert arms["full"].checkpoint == "sft"
        assert arms["full"].decoding == {"max_tokens": 64, "temperature": 0.7, "seed": 5}
        assert {name for name, row in arms.items() if row.special} == {"better", "worse"}
        pairs = [{pair.first_arm_id, pair.second_arm_id} for pair in session.exec(select(Pair).where(~Pair.special))]
        assert len(pairs) == 2
        assert all(arms["full"].id in pair for pair in pairs)
        items = session.exec(select(Item).order_by(Item.position)).all()
        assert [item.kind for item in items] == ["regular", "regular", "practice", "gold"]
        assert sorted(item.overlap or 0 for item in items[:2]) == [0, 5]
        assert (items[3].expected, items[2].why) == ("tie_good", "It is.")
        texts = session.exec(
            select(Arm.name, Response.text)
            .join(ItemResponse, ItemResponse.arm_id == Arm.id)
            .join(Response, Response.id == ItemResponse.response_id)
            .where(ItemResponse.item_id == items[2].id)
        ).all()
        assert dict(texts) == {"better": "Yes.", "worse": "No."}
        assert session.exec(select(Guideline.text)).all() == ["Judge *fairly*."]


def test_a_name_is_enough_for_a_draft_but_not_for_opening(stranger, database):
    made = stranger.post("/studies", data={"name": "Soon", "overlap": "2", "withdrawal": "keep"})
    assert made.status_code == 303
    place = made.headers["location"]
    page = text_of(stranger.get(place))
    assert "It has no prompts." in page
    refused = stranger.post(place.replace("/setup?saved=yes", "/state"), data={"state": "open"})
    assert refused.status_code == 409
    assert "It needs two arms to compare." in text_of(refused)


MISTAKES = [
    ({"name": " "}, "name", "A study needs a name."),
    ({"slug": "Bad Slug"}, "slug", "cannot be an address"),
    ({"prompts": "One?\nOne?\n" + "x" * 30_000}, "prompts", "Row 2 repeats row 1. Row 3 has 30000 characters"),
    ({"prompts": '{"prompt": "\\ud800"}'}, "prompts", "Row 1 contains a NUL character or half of a surrogate pair"),
    ({"arms": (arm("lft"), arm("nope"))}, "arm-1", "There is no checkpoint 'nope'."),
    ({"arms": (arm("lft"), arm("lft"))}, "arm-1", "Two arms are called 'lft'."),
    ({"arms": (arm("lft", name="better"),)}, "arm-0", "is the name of an arm of practice items"),
    ({"arms": (arm(""),)}, "arm-0", "Choose a checkpoint"),
    ({"arms": (arm("lft", max_tokens="9999999"),)}, "arm_max_tokens-0", "A whole number from 1 to 1,024"),
    ({"arms": (arm("lft", temperature="nan"),)}, "arm_temperature-0", "A number from 0 to 2 is needed, not 'nan'."),
    ({"arms": (arm("lft", seed="-1"),)}, "arm_seed-0", "A whole number from 0"),
    ({"pairing": "some"}, "pairing", "Choose which arms"),
    ({"pairing": "against", "against": "gone"}, "against", "No arm is called 'gone'."),
    ({"dimensions": (dimension(""),)}, "dimension-0", "Give the dimension a title"),
    ({"dimensions": (dimension("A"), dimension("a!"))}, "dimension-1", "Two dimensions are called 'a'."),
    ({"dimensions": (dimension("Acceptable"),)}, "dimension-0", "is taken by another question"),
    ({"dimensions": (dimension("A", anchors=("", "", "", "", "")),)}, "dimension-0", "Say what 1 and 5 mean."),
    ({"dimensions": tuple(dimension(f"D{n}") for n in range(11))}, "dimensions", "At most 10 dimensions"),
    ({"evidence": "yes"}, "evidence_set", "Choose the tuning set"),
    ({"evidence": "yes", "evidence_set": "gone"}, "evidence_set", "That tuning set is not here"),
    ({"evidence": "yes", "spans": ""}, "evidence", "let them be marked too"),
    ({"recognised": "sometimes"}, "recognised", "Choose when"),
    ({"overlap": "0"}, "overlap", "A whole number from 1 to 100 is needed, not '0'."),
    ({"overlap": "two"}, "overlap", "not 'two'"),
    ({"overlap": ""}, "overlap", "A whole number from 1 to 100"),
    ({"sample_n": "3", "sample_overlap": "4"}, "sample_n", "There are only 2 prompts to draw from."),
    ({"sample_n": "1"}, "sample_overlap", "Say how often"),
    ({"per_annotator": "0"}, "per_annotator", "A whole number from 1"),
    ({"target": "1.5"}, "target", "not '1.5'"),
    ({"ends_on": "31.12.2100"}, "ends_on", "A day is written like 2030-01-31"),
    ({"ends_on": "2001-01-01"}, "ends_on", "2001-01-01 is over."),
    ({"guidelines": "x" * 50_001}, "guidelines", "the limit is 50,000"),
    ({"questions": (question(choices="One"),)}, "question-0", "Write 2 to 8 choices"),
    ({"questions": (question(right="3"),)}, "question-0", "a number from 1 to 2"),
    ({"known_items": (known(worse="Yes."),)}, "known-0", "Both responses are the same"),
    ({"known_items": (known(why=""),)}, "known-0", "Say why"),
    ({"known_items": (known("Name two rivers."),)}, "known-0", "in the study already"),
    ({"known_items": (known(), known())}, "known-1", "in the study already"),
    ({"withdrawal": "sell"}, "withdrawal", "Choose what becomes"),
    ({"completion_code": "x" * 81}, "completion_code", "at most 80 characters"),
    ({"seed": "two words"}, "seed", "without blanks"),
]


@pytest.mark.parametrize(("over", "field", "sentence"), MISTAKES)
def test_a_mistake_stands_beside_its_field_and_what_was_typed_is_kept(stranger, database, over, field, sentence):
    form = a_form(**over)
    answer = stranger.post("/studies", data=form)
    assert answer.status_code == 422
    page = BeautifulSoup(answer.text, "html.parser")
    assert sentence in page.select_one(f"#{field}-error").text
    # The link of the preview leads to something that is there.
    assert page.select_one(f"#preview a[href='#{field}']") is not None
    assert count(database, Study) == count(database, Item) == count(database, Response) == 0
    kept = fields_of(answer)
    # A choice that is not offered cannot be shown again; everything that was written can.
    for name in form.keys() - {
        "recognised",
        "pairing",
        "withdrawal",
        "evidence_set",
        "against",
        "arm_checkpoint",
        "spans",
    }:
        values = form[name] if isinstance(form[name], list) else [form[name]]
        assert kept[name] == [value.replace("\r\n", "\n") for value in values], name


def test_an_address_in_use_is_refused(stranger, database):
    make(stranger)
    again = stranger.post("/studies", data=a_form())
    assert again.status_code == 409
    assert "exists already" in BeautifulSoup(again.text, "html.parser").select_one("#slug-error").text
    assert count(database, Study) == 1


def test_what_is_saved_comes_back_in_the_form_and_saving_it_again_changes_nothing(stranger, database):
    study_id = make(
        stranger,
        prompts='{"prompt": "Two\\nlines"}\n{"prompt": " padded "}',
        arms=(arm("lft"), arm("sft"), arm("base")),
        pairing="chosen",
        chosen=['["lft", "sft"]'],
        known_items=(known(),),
        questions=(question(),),
        sample_n="1",
        sample_overlap="4",
    )
    before = design(database, study_id)
    assert before.prompts == ("Two\nlines", " padded ")
    assert before.pairs == (("lft", "sft"),)
    sent = fields_of(stranger.get(f"/studies/{study_id}/setup"))
    assert stranger.post(f"/studies/{study_id}/setup", data=sent).status_code == 303
    assert design(database, study_id) == before
    assert count(database, Guideline) == 1


def test_editing_a_draft_keeps_the_responses_of_what_did_not_change(stranger, database, carol):
    with writing(database) as session:
        study = make_study(session, owner=carol, slug="d", state=StudyState.DRAFT)
        items = fill_study(session, study)
    form = a_form(
        name="D", slug="d", arms=(arm("lft"), arm("sft")), prompts=f"New?\n{items[2].prompt}\n{items[0].prompt}"
    )
    assert stranger.post(f"/studies/{study.id}/setup", data=form).status_code == 303
    with reading(database) as session:
        now = session.exec(select(Item).order_by(Item.position)).all()
        assert [(item.id, item.position) for item in now[1:]] == [(items[2].id, 2), (items[0].id, 3)]
        answered = session.exec(select(ItemResponse.item_id)).all()
        assert sorted(answered) == sorted([items[0].id, items[0].id, items[2].id, items[2].id])
    # Other decoding: the responses are no longer what the study says they are.
    assert stranger.post(f"/studies/{study.id}/setup", data=form | {"arm_temperature": ["0", "1"]}).status_code == 303
    with reading(database) as session:
        assert len(session.exec(select(ItemResponse.item_id)).all()) == 2
    assert (
        stranger.post(
            f"/studies/{study.id}/setup", data=a_form(name="D", slug="d", arms=(arm("lft"),), prompts="")
        ).status_code
        == 303
    )
    assert count(database, Item) == count(database, ItemResponse) == count(database, Pair) == 0
    assert count(database, Arm) == 1


def test_practice_and_gold_items_come_and_go_with_their_arms(stranger, database):
    study_id = make(stranger, known_items=(known(), known("Is ice cold?", kind="gold")))
    place = f"/studies/{study_id}/setup"
    with reading(database) as session:
        kept = session.exec(select(Item).where(Item.kind == ItemKind.GOLD)).one().id
        given = session.exec(select(Response)).all()
        assert {(row.origin, row.finish, row.run["imported"]) for row in given} == {(Origin.IMPORTED, "given", True)}
    stranger.post(place, data=a_form(known_items=(known("Is ice cold?", kind="gold"), known("Fire?"))))
    with reading(database) as session:
        assert session.exec(select(Item).where(Item.kind == ItemKind.GOLD)).one().id == kept
    stranger.post(place, data=a_form())
    with reading(database) as session:
        assert session.exec(select(Arm.name).order_by(Arm.name)).all() == ["lft", "sft"]
        assert not session.exec(select(Item).where(Item.kind != ItemKind.REGULAR)).all()
        assert not session.exec(select(Pair).where(Pair.special)).all()


def test_the_sample_is_drawn_by_the_seed_alone(stranger, database):
    prompts = [f"Prompt {n}?" for n in range(30)]

    def drawn(order, seed, slug):
        study_id = make(stranger, slug=slug, prompts="\n".join(order), sample_n="10", sample_overlap="4", seed=seed)
        with reading(database) as session:
            query = select(Item.prompt).where(Item.study_id == study_id, Item.overlap == 4)
            return set(session.exec(query))

    one = drawn(prompts, "a", "s1")
    assert len(one) == 10
    assert drawn(prompts[::-1], "a", "s2") == one
    assert drawn(prompts, "b", "s3") != one


@pytest.mark.parametrize("key", PRESETS)
def test_a_preset_fills_the_form(stranger, key, htmx):
    page = stranger.get(f"/studies/new?preset={key}", headers=htmx)
    sent = fields_of(page)
    preset = PRESETS[key]
    assert sent["preset"] == [key]
    assert sent["dimension_title"] == [one.title for one in preset.questions.dimensions]
    assert sent["guidelines"][0].strip() == preset.guidelines.strip()
    assert ("evidence" in sent) == preset.evidence
    assert sent["arm_checkpoint"][:1] == ["lft"]
    assert sent["pairing"] == [preset.pairs]


def test_a_preset_in_the_form_keeps_what_was_typed(stranger):
    form = a_form(preset="methods", guidelines="My own.", do="preset")
    sent = fields_of(stranger.post("/studies/preview", data=form))
    assert sent["guidelines"] == ["My own."]
    assert sent["name"] == ["Kitchen questions"]
    assert sent["pairing"] == ["against"]
    assert len(sent["dimension_title"]) == 5


def test_an_unknown_preset_is_the_plain_form(stranger):
    assert fields_of(stranger.get("/studies/new?preset=nope"))["preset"] == [""]


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true", "HX-Target": "preview"}])
def test_the_preview_shows_what_annotators_will_see_and_stores_nothing(stranger, database, headers):
    form = a_form(dimensions=(dimension("Wit"),), strength="yes", acceptability="yes", per_annotator="1")
    answer = stranger.post("/studies/preview", data=form, headers=headers)
    assert answer.status_code == 200
    page = BeautifulSoup(answer.text, "html.parser")
    assert ("<html" in answer.text) == (not headers)
    seen = page.text
    assert "2 items \N{MULTIPLICATION SIGN} 1 pair \N{MULTIPLICATION SIGN} 2 = 4 judgments" in seen
    assert "at most 1 per person, at least 4 people." in seen
    assert "Wit" in seen
    assert [li.text for li in page.select(".preview-anchors li")] == list(ANCHORS)
    assert "By how much?" in seen
    assert "Acceptable?" in seen
    assert page.select_one(".guide-prose em").text == "fairly"
    assert page.select_one(".preview-prompt").text == "Why does bread rise?"
    assert page.select_one(".preview-prompt").has_attr("hx-disable")
    assert count(database, Study) == 0


def test_the_preview_lists_what_is_wrong_without_refusing(stranger):
    answer = stranger.post(
        "/studies/preview", data=a_form(overlap="x"), headers={"HX-Request": "true", "HX-Target": "preview"}
    )
    assert answer.status_code == 200
    assert "not 'x'" in BeautifulSoup(answer.text, "html.parser").select_one("a[href='#overlap']").text


def test_the_preview_warns_of_names_that_tell(stranger):
    said = text_of(stranger.post("/studies/preview", data=a_form(guidelines="Prefer the SFT one.")))
    assert "The guidelines contain sft, which annotators would read as the name of a model." in said


@pytest.mark.parametrize(
    ("do", "kind", "left"),
    [("add-arm", "arm_seed", 3), ("remove-arm-0", "arm_seed", 1), ("add-dimension", "dimension_title", 2),
     ("add-question", "question_why", 1), ("add-known", "known_why", 1), ("remove-arm-9", "arm_seed", 2),
     ("remove-arm-x", "arm_seed", 2), ("explode", "arm_seed", 2)],
)  # fmt: skip
def test_rows_are_added_and_removed_without_scripts(stranger, do, kind, left, htmx):
    headers = htmx | ({"HX-Target": "setup"} if htmx else {})
    answer = stranger.post("/studies/preview", data=a_form(do=do), headers=headers)
    assert answer.status_code == 200
    assert len(fields_of(answer).get(kind, [])) == left


def test_somebody_elses_draft_is_not_previewed(stranger, study):
    assert stranger.post("/studies/preview", data=a_form(study_id=study.id)).status_code == 404


def settled(database, alice, **over):
    with writing(database) as session:
        study = make_study(session, owner=alice, slug="o", overlap=2, per_annotator=5, **over)
        fill_study(session, study)
        return study


def test_after_opening_only_what_may_change_changes_and_each_change_is_written_down(researcher, database, alice):
    study = settled(database, alice)
    place = f"/studies/{study.id}/setup"
    page = researcher.get(place)
    assert "What may still change" in page.text
    changes = {
        "name": "Kettles, again", "overlap": "3", "per_annotator": "", "target": "9", "ends_on": "2100-01-01",
        "guidelines": "Second *edition*.",
    }  # fmt: skip
    assert researcher.post(place, data=changes).status_code == 303
    with reading(database) as session:
        now = session.get_one(Study, study.id)
        assert (now.name, now.overlap, now.per_annotator, now.target) == ("Kettles, again", 3, None, 9)
        assert (now.version, now.guideline_version, now.guidelines) == (2, 2, "Second *edition*.")
        events = session.exec(select(StudyEvent).order_by(StudyEvent.created_at)).all()
        assert {event.action for event in events} == {
            "change_name", "change_target", "change_ends_at", "change_overlap", "change_per_annotator",
            "change_guidelines", "new_version",
        }  # fmt: skip
        assert {event.user_id for event in events} == {alice.id}
        assert "Judgments per item: 2 became 3." in {event.detail for event in events}
    # Saved again as it stands, nothing changes.
    researcher.post(place, data=changes)
    assert count(database, StudyEvent) == 7
    page = researcher.get(f"/studies/{study.id}/guidelines?version=1")
    assert "Judge what is written" in page.text
    newest = BeautifulSoup(researcher.get(f"/studies/{study.id}/guidelines").text, "html.parser")
    assert newest.select_one("ins").text == "Second *edition*."


def test_a_new_target_is_no_new_design(researcher, database, alice):
    study = settled(database, alice)
    researcher.post(f"/studies/{study.id}/setup", data={"target": "50"})
    with reading(database) as session:
        assert session.get_one(Study, study.id).version == 1


@pytest.mark.parametrize(
    ("sent", "status", "sentence"),
    [
        ({"overlap": "1"}, 422, "It can only grow: 2 are promised per item already, not 1."),
        ({"overlap": ""}, 422, "A whole number from 2 to 100"),
        ({"per_annotator": "4"}, 422, "It can only grow"),
        ({"name": ""}, 422, "A study needs a name."),
        ({"ends_on": "1999-01-01"}, 422, "is over"),
        ({"prompts": "Other?"}, 409, "The prompts stand"),
        ({"seed": "other"}, 409, "The seed stands"),
        ({"arm_name": "x"}, 409, "The arms stand"),
        ({"dimension_title": "x"}, 409, "The questions stand"),
        ({"chosen": "x"}, 409, "The pairs stand"),
        ({"known_prompt": "x"}, 409, "Practice and gold items stand"),
        ({"question_right": "1"}, 409, "The comprehension check stands"),
        ({"sample_n": "1"}, 409, "The sample stands"),
        ({"withdrawal": "exclude"}, 409, "What becomes of the judgments"),
    ],
)
def test_after_opening_everything_else_is_refused_with_the_reason(researcher, database, alice, sent, status, sentence):
    study = settled(database, alice)
    answer = researcher.post(f"/studies/{study.id}/setup", data={"name": "Other"} | sent)
    assert answer.status_code == status
    assert sentence in text_of(answer)
    with reading(database) as session:
        now = session.get_one(Study, study.id)
        assert (now.name, now.overlap, now.per_annotator) == ("Kettles", 2, 5)
    assert count(database, StudyEvent) == 0


def test_a_closed_study_changes_in_nothing(researcher, database, alice):
    study = settled(database, alice, state=StudyState.CLOSED)
    answer = researcher.post(f"/studies/{study.id}/setup", data={"name": "Other"})
    assert answer.status_code == 409
    assert "This study is closed" in text_of(answer)
    page = BeautifulSoup(researcher.get(f"/studies/{study.id}/setup").text, "html.parser")
    assert page.select_one(f"form[action='/studies/{study.id}/setup'] button").has_attr("disabled")


def test_a_top_up_lifts_the_items_of_a_smaller_sample(researcher, database, alice):
    study = settled(database, alice)
    with writing(database) as session:
        item = session.exec(select(Item)).first()
        item.overlap = 3
        session.add(item)
    researcher.post(f"/studies/{study.id}/setup", data={"overlap": "4"})
    with reading(database) as session:
        assert session.get_one(Item, item.id).overlap is None


def test_a_copy_is_a_draft_with_the_same_responses_and_a_seed_of_its_own(researcher, database, alice):
    study = settled(database, alice, state=StudyState.CLOSED)
    made = researcher.post(f"/studies/{study.id}/duplicate")
    assert made.status_code == 303
    copy_id = made.headers["location"].split("/")[2]
    one, other = design(database, study.id), design(database, copy_id)
    assert (other.prompts, other.arms, other.pairs, other.questions) == (
        one.prompts, one.arms, one.pairs, one.questions,
    )  # fmt: skip
    assert other.seed != one.seed
    assert (other.name, other.slug) == ("Kettles (copy)", "o-2")
    with reading(database) as session:
        assert session.get_one(Study, copy_id).state is StudyState.DRAFT
        used = session.exec(select(ItemResponse.response_id)).all()
        assert len(used) == 2 * len(set(used))
    # Another copy finds another address.
    assert researcher.post(f"/studies/{copy_id}/duplicate").status_code == 303


def test_a_draft_is_deleted_only_when_confirmed(stranger, database):
    study_id = make(stranger, known_items=(known(),))
    assert "Delete this draft" in stranger.get(f"/studies/{study_id}").text
    refused = stranger.post(f"/studies/{study_id}/delete")
    assert refused.status_code == 409
    assert "Tick the box" in text_of(refused)
    assert count(database, Study) == 1
    stranger.post(f"/studies/{study_id}/people/invites", data={"count": "1"})
    assert stranger.post(f"/studies/{study_id}/delete", data={"confirm": "yes"}).headers["location"] == "/studies"
    for table in (Study, Item, Arm, Pair, ItemResponse, Guideline):
        assert count(database, table) == 0, table
    with reading(database) as session:
        assert session.exec(select(StudyEvent.action)).all() == ["invited", "deleted"]


def test_a_page_of_many_prompts_keeps_them_without_sending_them(stranger, database):
    long = [f"{n} " + "x" * 1_000 for n in range(250)]
    study_id = make(stranger, prompts="\n".join(long))
    page = stranger.get(f"/studies/{study_id}/setup")
    assert "250 prompts are kept as they are while this is empty." in page.text
    sent = fields_of(page)
    assert sent["prompts"] == [""]
    assert stranger.post(f"/studies/{study_id}/setup", data=sent).status_code == 303
    assert len(design(database, study_id).prompts) == 250
