"""What tests of setting a study up send: the form as a browser would send it, row by row."""

import json

from bs4 import BeautifulSoup

ANCHORS = ("poor", "weak", "fair", "good", "great")


def arm(checkpoint, *, name="", max_tokens="64", temperature="0", seed="0"):
    return {"name": name, "checkpoint": checkpoint, "max_tokens": max_tokens, "temperature": temperature, "seed": seed}


def dimension(title, *, name="", anchors=ANCHORS):
    return {"name": name, "title": title} | {f"a{at}": text for at, text in enumerate(anchors, start=1)}


def question(text="What do you judge?", *, choices="Length\nWhat is written", right="2", why="Length is no merit."):
    return {"question": text, "choices": choices, "right": right, "why": why}


def known(prompt="Is water wet?", *, kind="practice", better="Yes.", worse="No.", expected="better", why="It is."):
    return {"kind": kind, "prompt": prompt, "better": better, "worse": worse, "expected": expected, "why": why}


def a_form(*, arms=(), dimensions=(), questions=(), known_items=(), **over):
    """A form with a name, two prompts and two arms; lists of rows as parallel fields."""
    rows = {
        "arm": arms or (arm("lft"), arm("sft")),
        "dimension": dimensions or (dimension("Clarity"),),
        "question": questions,
        "known": known_items,
    }
    form = {
        "name": "Kitchen questions",
        "prompts": "Why does bread rise?\r\nName two rivers.",
        "pairing": "all",
        "spans": "yes",
        "recognised": "item",
        "overlap": "2",
        "guidelines": "Judge *fairly*.",
        "withdrawal": "keep",
    }
    for kind, values in rows.items():
        for value in values:
            for name, text in value.items():
                form.setdefault(f"{kind}_{name}", []).append(text)
    return form | over


def fields_of(page):
    """Read the set-up form of a page back as a browser would send it."""
    form = BeautifulSoup(page.text, "html.parser").select_one("#setup")
    sent = {}
    for field in form.select("input, select, textarea"):
        name = field.get("name")
        if not name or field.get("form") not in (None, "setup"):
            continue
        if field.get("type") in ("checkbox", "radio") and not field.has_attr("checked"):
            continue
        if field.name == "select":
            chosen = field.select_one("option[selected]") or field.select_one("option")
            value = chosen["value"] if chosen else ""
        else:
            value = field.text.removeprefix("\n") if field.name == "textarea" else field.get("value", "")
        sent.setdefault(name, []).append(value)
    return sent


def make(client, **over):
    """Make a draft; its id."""
    answer = client.post("/studies", data=a_form(**over))
    assert answer.status_code == 303, BeautifulSoup(answer.text, "html.parser").select_one(".setup-form").text
    return answer.headers["location"].split("/")[2]


def send_file(client, study_id, kind, content, *, name="file.jsonl", **fields):
    content = content.encode() if isinstance(content, str) else content
    data = {"study_id": study_id, "kind": kind} | fields
    return client.post("/studies/imports", data=data, files={"file": (name, content)})


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)
