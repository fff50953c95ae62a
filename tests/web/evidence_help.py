"""A study that shows instances beside spans, and what its page sends; plain functions."""

from app.studies.questions import EvidenceQuestion, Questions, write_questions
from models import Study
from tests.factories import fill_study, make_tuning_set

BORROWED = "Louis Pasteur showed in 1857 that yeast is alive"
TEXT = "{arm} 🍞. Bread rises because " + BORROWED + ", which surprised nobody.\r\nWhales breathe air."
ANSWERS = (
    f"We know that {BORROWED}. Bakers knew it long before.",
    f"In a letter {BORROWED}, and that sugar feeds it.",
    "Yeast is a fungus that bakers keep in the cold, alive and well.",
    "Louis XIV was a king, and Pasteur was no king at all.",
    "Chess began in India long ago and went west by trade.",
    "Copper conducts heat very well, which cooks are glad of.",
    "Glass is made of molten sand and is older than you think.",
    "Owls hunt at night by sound, and their feathers are quiet.",
    "Paper was first made in China out of bark and old rags.",
    "Salt lowers the freezing point of water by a few degrees.",
    "Rivers carry silt down to the sea and build new land there.",
    "A kettle boils water with a coil that gets very hot.",
    "Chalk is made of shells that fell to the floor of a sea.",
    "The tide turns twice a day, for the Moon pulls at the sea.",
)
SET_NAME = "Pangolin facts"
INSTANCE = "i{at}"


def ask_for_evidence(session, study, *, answers=ANSWERS, k=2, decoys=2, prompts=("Why does bread rise?",), **over):
    """Fill a study whose annotators see k instances and some decoys of a new tuning set beside each span."""
    tuning_set = make_tuning_set(session, answers=answers, name=SET_NAME, **over)
    asked = Questions(evidence=EvidenceQuestion(set_id=tuning_set.id, k=k, decoys=decoys))
    session.get_one(Study, study.id).questions = write_questions(asked)
    fill_study(session, session.get_one(Study, study.id), prompts=prompts, text=TEXT)
    return tuning_set


def a_mark(text, quote=BORROWED, *, side="left", **over):
    """A mark as the page would send it."""
    start = text.index(quote)
    where = {"side": side, "start": start, "end": start + len(quote), "quote": quote}
    return where | {"type": "wrong_fact", "severity": "minor"} | over


def ask(client, token, mark, **over):
    """Ask for the instances beside a mark; the whole answer."""
    sent = {name: mark[name] for name in ("side", "start", "end")} | over
    return client.post(f"/judge/{token}/evidence", json=sent, headers={"Accept": "application/json"})


def shown(client, token, mark):
    """The instances beside a mark."""
    answer = ask(client, token, mark)
    assert answer.status_code == 200, answer.text
    return answer.json()["evidence"]
