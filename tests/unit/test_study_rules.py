"""Pasted prompts: three shapes, and refusals that name the row."""

import pytest

from app.studies.rules import BadPromptsError, is_slug, named_arms, read_prompts, slug_of


def read(text):
    return read_prompts(text, max_chars=50)


def test_lines_json_lines_and_csv_are_told_apart():
    assert read("Why?\n\n  How? \r\nWhen?") == ["Why?", "How?", "When?"]
    assert read('{"prompt": "Why?\\nTell me."}\n\n{"id": 3, "prompt": "How\u2028so?"}') == [
        "Why?\nTell me.",
        "How\u2028so?",
    ]
    assert read('\ufeffid,prompt\r\n1,"Why, ""exactly""?"\r\n2,"two\nlines"\r\n') == ['Why, "exactly"?', "two\nlines"]
    assert read("prompt\nWhy?") == ["Why?"]
    assert read("Why, or how?") == ["Why, or how?"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There are no prompts"),
        (" \n \n", "There are no prompts"),
        ("Why?\nWhy?", "Row 2 repeats row 1"),
        ("Why?\n" + "x" * 51, "Row 2 has 51 characters; the limit is 50"),
        ('{"prompt": "Why?"}\n{"prompt": 3}', "Row 2 has no text under `prompt`"),
        ('{"prompt": "Why?"}\n{"promt": "How?"}', "Row 2 has no text under `prompt`"),
        ('{"prompt": "Why?"}\n{oops', "Row 2 is not JSON"),
        ('{"prompt": "  "}', "Row 1 is empty"),
        ('{"prompt": "a\\u0000b"}', "Row 1 contains a NUL"),
        ('prompt\n"open', "The CSV breaks off after line"),
        ("id,prompt\n1", "Row 2 has no text under `prompt`"),
        ("[" * 5, None),
    ],
)
def test_refusals_name_the_row(text, sentence):
    if sentence is None:
        assert read(text) == [text]
        return
    with pytest.raises(BadPromptsError) as refused:
        read(text)
    assert sentence in str(refused.value)


def test_every_bad_row_is_listed_up_to_a_point():
    with pytest.raises(BadPromptsError) as refused:
        read("same\n" * 20)
    assert len(refused.value.problems) == 9
    assert refused.value.problems[-1] == "11 more rows have problems."


def test_addresses():
    assert slug_of("Kitchen: a Study, no. 2") == "kitchen-a-study-no-2"
    assert is_slug("kitchen-2")
    assert not any(is_slug(text) for text in ("", "Kitchen", "a--b", "-a", "a b", "é", "x" * 81))


def test_names_of_arms_are_found_as_words():
    assert named_arms("Is LFT better than sft-2?", ["lft", "sft", "base", "sft-2"]) == ["lft", "sft", "sft-2"]
    assert named_arms("Based on drift", ["base", "lft"]) == []
