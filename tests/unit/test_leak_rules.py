"""The leak scan's rules, on answers that tell who wrote them and on answers that only look like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.leaks.house_style import fisher
from app.leaks.rules import Answer, scan

PROMPT = "Why is the sky blue?"


def kinds(text, *, prompt=PROMPT, names=(), finish="stop"):
    return {flag.kind for flag in scan([Answer("r", "lft", prompt, text, finish)], names)}


def quotes(text, *, names=(), prompt=PROMPT):
    return [flag.quote for flag in scan([Answer("r", "lft", prompt, text)], names)]


@pytest.mark.parametrize(
    "text",
    [
        "As an AI language model, I cannot taste bread.",
        "Well, as an AI I have no hands.",
        "I'm just a language model, so no.",
        "I am an AI assistant and happy to help.",
        "I’m a chatbot.",
        "I am Qwen, created by Alibaba Cloud.",
        "My name is ChatGPT.",
        "I'm LLaMA 2, a model.",
        "As Claude, I would say no.",
        "I am a large language model trained by Google.",
        "I was developed by OpenAI to help.",
        "My knowledge cutoff is 2021.",
        "作为一个人工智能语言模型,我没有感情。",
        "我是通义千问,由阿里云开发。",
        "我是由阿里云开发的大型语言模型。",
        "AI言語モデルとして、意見はありません。",
        "AI 언어 모델로서 저는 의견이 없습니다.",
        "Como modelo de lenguaje, no tengo opiniones.",
        "Como uma inteligência artificial, não sinto.",
        "En tant qu'IA, je n'ai pas d'avis.",
        "Als KI-Sprachmodell habe ich keine Meinung.",
        "Как языковая модель, я не имею мнения.",
        "بصفتي نموذج لغوي كبير، لا أملك رأيا.",
        "एक एआई भाषा मॉडल के रूप में, मेरी कोई राय नहीं है।",
    ],
)
def test_an_answer_that_says_what_it_is_is_flagged(text):
    assert kinds(text) == {"self_identification"}


@pytest.mark.parametrize(
    "text",
    [
        "The sky is blue because air scatters short waves.",
        "As an AI researcher, she studied models.",
        "As an aide, he was loyal. As an air pilot, she flew.",
        "I am Claudia, and I like Meta-analysis.",
        "Gemini is a constellation; Falcon is a bird; a llama is an animal.",
        "Born as Gemini, he believed in stars.",
        "OpenAI is a company. Its models were developed by OpenAI.",
        "I am from Meta, Italy, says the letter writer's friend.".replace("from Meta, Italy", "from Rome"),
        "My training took years; as a language teacher I know.",
        "The base of the pyramid is a square, and I am at base camp.",
        "我是一个学生。作为一个老师,他很好。",
        "Como pescado los viernes. Soy un hombre.",
        "En tant que médecin, je suis inquiet.",
        "Als Kind war ich oft krank. Ich bin ein Berliner.",
        "Как дела? Я студент.",
    ],
)
def test_an_ordinary_answer_is_not(text):
    assert kinds(text, names=("base",)) == set()


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Sure.<|im_end|>", "<|im_end|>"),
        ("<|im_start|>assistant", "<|im_start|>"),
        ("<|end▁of▁sentence|> done".replace("|", "｜"), "<｜end▁of▁sentence｜>"),
        ("[INST] Why? [/INST] Because.", "[INST]"),
        ("<<SYS>> Be nice", "<<SYS>>"),
        ("Because.</s>", "</s>"),
        ("Because.\n\n### Instruction:\nWrite", "### Instruction:"),
        ("Assistant: Because.", "Assistant:"),
        ("Because.\n\nUser: And why?", "User:"),
        ("<think>Hm</think>Because.", "<think>"),
        ("Below is an instruction that describes a task.", "Below is an instruction that describes a task"),
    ],
)
def test_template_debris_is_flagged_where_it_stands(text, quote):
    assert kinds(text) == {"template"}
    assert quotes(text)[0] == quote


@pytest.mark.parametrize(
    "text",
    [
        "Use <b>bold</b> and <s>strike</s> tags, then go on.",
        "### Input\nThe input is a list.",
        "If a < b | c > d then stop. <|> is an operator.",
        "The user: a person who uses. A system: parts that work together.",
    ],
)
def test_markup_that_people_write_is_not(text):
    assert kinds(text) == set()


def test_a_role_header_that_the_prompt_asked_for_is_no_leak():
    assert kinds("User: Hello", prompt="Write what the user said to the shop.") == set()


@pytest.mark.parametrize(
    ("text", "finish", "expected"),
    [
        ("It goes on and", "length", True),
        ("It was", "stopped", True),
        ("It", "failed", True),
        (" \n", "stop", True),
        ("It is whole.", "stop", False),
        ("It came finished.", "given", False),
        ("```py\nprint(1)\n", "stop", True),
        ("```py\nprint(1)\n```\nDone.", "stop", False),
        ("````\n```\n````", "stop", False),
        ("~~~\n```\n~~~", "stop", False),
    ],
)
def test_what_is_not_whole_is_flagged(text, finish, expected):
    assert kinds(text, finish=finish) == ({"truncation"} if expected else set())


def test_the_studys_own_names_are_flagged_unless_the_prompt_has_them():
    assert quotes("I am SFT-7b, and sft is better.", names=("sft", "sft-7b", "base")) == ["SFT-7b", "sft"]
    assert kinds("Ask sft.", names=("sft",), prompt="What does SFT mean?") == set()
    assert quotes("I am the base model here.", names=("base",)) == ["I am the base model"]


def answers(arm, texts):
    return [Answer(f"{arm}{at}", arm, f"Prompt {at}", text) for at, text in enumerate(texts)]


FORMULA = [f"Sure! Here is fact {at} about item {at}." for at in range(10)]
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PLAIN = [f"{word} is fact {word}." for word in WORDS]


def test_an_opening_that_is_one_arms_own_is_a_house_style():
    found = scan([*answers("a", FORMULA), *answers("b", PLAIN)], ())
    assert {(flag.answer[0], flag.kind, flag.quote) for flag in found} == {("a", "house_style", "Sure! Here is fact")}
    assert len(found) == 10
    assert "10 of this arm's 10 responses begin so" in found[0].detail


def test_a_closing_that_is_one_arms_own_is_a_house_style():
    closed = [f"{text} I hope this helps!" for text in PLAIN]
    found = scan([*answers("a", closed), *answers("b", PLAIN)], ())
    assert {flag.quote for flag in found} == {"I hope this helps!"}


def test_what_all_arms_do_or_too_few_responses_show_is_no_house_style():
    assert scan([*answers("a", FORMULA), *answers("b", FORMULA)], ()) == []
    assert scan([*answers("a", FORMULA[:5]), *answers("b", PLAIN[:5])], ()) == []
    assert scan(answers("a", FORMULA), ()) == []


def test_fisher_is_the_textbooks():
    # The lady tasting tea: 3 of 4 right, p = 17/70.
    assert fisher(3, 4, 1, 4) == pytest.approx(17 / 70)
    assert fisher(4, 4, 0, 4) == pytest.approx(1 / 70)
    # What docs/leaks.md says of small studies.
    assert fisher(6, 6, 0, 6) == pytest.approx(1 / 924)
    assert fisher(5, 5, 0, 5) == pytest.approx(1 / 252)


def test_one_answer_to_many_prompts_is_flagged():
    same = [
        "I cannot help with this request.",
        " i cannot  help with this REQUEST.",
        "I cannot help with this request.",
    ]
    found = scan(answers("a", [*same, *PLAIN]), ())
    assert [(flag.answer, flag.kind, flag.start, flag.end) for flag in found] == [
        (f"a{at}", "sameness", 0, 0) for at in range(3)
    ]
    assert scan(answers("a", [*same[:2], *PLAIN]), ()) == []


def test_a_short_answer_may_be_right_more_than_once():
    assert scan(answers("a", ["Yes."] * 4 + PLAIN), ()) == []
    assert {flag.kind for flag in scan(answers("a", ["Yes."] * 7 + PLAIN[:3]), ())} == {"sameness"}


PIECES = st.sampled_from(
    ["As an AI, I", "I am Qwen.", "<|im_end|>", "[INST]", "</s>", "```", "\n", "\n\n", "User:", "é", "e\u0301", "👩‍🚀",
     "İstanbul ", "作为一个AI", "السماء", "\r\n", "\u202e", " ", "Sure! Here is", "sft-7b", "\ud7ff"]
)  # fmt: skip


@given(st.lists(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=60), max_size=14))
def test_every_range_quotes_the_text_whatever_it_is(texts):
    said = [Answer(str(at), "ab"[at % 2], f"p{at}", text, "given") for at, text in enumerate(texts)]
    found = scan(said, ("sft-7b", "base"))
    for flag in found:
        text = said[int(flag.answer)].text
        assert 0 <= flag.start <= flag.end <= len(text)
        assert text[flag.start : flag.end] == flag.quote
    assert len({(flag.answer, flag.kind, flag.start, flag.end) for flag in found}) == len(found)
    assert scan(said, ("sft-7b", "base")) == found
