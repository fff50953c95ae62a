"""What stands around a flagged quote on the page of leaks."""

import pytest

from app.leaks.view import AROUND, around

TEXT = "a" * AROUND + "b" * 10 + "c" * AROUND


@pytest.mark.parametrize(
    ("text", "start", "end", "tail", "shown"),
    [
        (TEXT, AROUND, AROUND + 10, False, ("a" * AROUND, "c" * AROUND)),
        (f"x{TEXT}y", AROUND + 1, AROUND + 11, False, (f"… {'a' * AROUND}", f"{'c' * AROUND} …")),
        ("I am sft.", 5, 8, False, ("I am ", ".")),
        ("short", 0, 0, False, ("", "short")),
        ("short", 0, 0, True, ("", "short")),
        # 330 characters, of which 320 are shown.
        (TEXT, 0, 0, False, ("", f"{TEXT[:320]} …")),
        (TEXT, 0, 0, True, ("… ", TEXT[10:])),
    ],
)
def test_a_cut_text_says_where_it_goes_on(text, start, end, tail, shown):
    assert around(text, start, end, tail=tail) == shown
