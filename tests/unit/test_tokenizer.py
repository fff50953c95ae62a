"""Text and ids: templates as transformers renders them, bytes per id, characters split over tokens."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models

from app.engines.tokenizer import Pieces, load_tokenizer
from app.errors import ConfigurationError, InvalidInputError
from tests.unit.tiny_models import write_model

CHAT = (
    "{% for message in messages %}\n"
    "    {% if message['role'] == 'user' %}\n"
    "<s>{{ message['content'] | trim }}</s>\n"
    "    {% endif %}\n"
    "{% endfor %}\n"
    "{% if add_generation_prompt %}{{ eos_token }}assistant:{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tokenizer") / "byte-level")


@pytest.fixture(scope="module")
def tokenizer(folder: Path):
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory):
    folder = write_model(tmp_path_factory.mktemp("tokenizer") / "chat")
    (folder / "chat_template.jinja").write_text(CHAT)
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("sentencepiece")
    vocabulary = {"<unk>": 0, "\u2581": 1, "\u2581hi": 2, "there": 3}
    vocabulary |= {f"<0x{byte:02X}>": 4 + byte for byte in range(256)}
    inner = Inner(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    inner.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    inner.save(str(folder / "tokenizer.json"))
    return load_tokenizer(folder)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(text=texts)
def test_text_comes_back_from_its_ids(tokenizer, text):
    assert tokenizer.text(tokenizer.encode(text)) == text


@given(ids=st.lists(st.integers(-3, 400), max_size=40))
def test_streamed_pieces_join_to_the_text_of_any_ids(tokenizer, ids):
    decoder = Pieces(tokenizer)
    streamed = "".join(decoder.push(token).text for token in ids) + decoder.finish()
    assert streamed == tokenizer.text(ids)
    raw = b"".join(tokenizer.token_bytes(token) for token in ids if not tokenizer.is_special(token))
    assert streamed == raw.decode(errors="replace")


def test_a_split_character_appears_on_its_last_token(tokenizer):
    pieces = tokenizer.pieces(tokenizer.encode("a\U0001f642b"))
    assert [piece.text for piece in pieces] == ["a", "", "", "", "\U0001f642", "b"]
    assert b"".join(piece.bytes for piece in pieces) == "a\U0001f642b".encode()


def test_half_a_character_at_the_end_is_shown_as_damage(tokenizer):
    pieces = tokenizer.pieces(tokenizer.encode("a\U0001f642")[:-1])
    assert [piece.text for piece in pieces] == ["a", "", "", "\ufffd"]


def test_specials_have_a_name_and_no_text(tokenizer):
    ids = (*tokenizer.encode("hi"), 1, 9999)
    assert tokenizer.text(ids) == "hi"
    assert tokenizer.token_bytes(1) == b"</s>"
    assert tokenizer.token_bytes(9999) == b"<id 9999>"
    assert tokenizer.is_special(1)
    assert tokenizer.is_special(9999)
    assert not tokenizer.is_special(ids[0])
    assert tokenizer.eos_ids == {1}


@pytest.mark.parametrize(
    "prompt", ["", "\0", "\u05e9\u05dc\u05d5\u05dd", "\U0001f642", "<b>{x}</b>", "{{ 7*7 }}", "a" * 9999]
)
def test_prompts_reach_the_ids_unchanged(tokenizer, chat, prompt):
    assert tokenizer.text(tokenizer.render(prompt, template="none")) == prompt
    assert f"### Instruction:\n{prompt}\n\n### Response:" in tokenizer.text(tokenizer.render(prompt, template="alpaca"))
    assert tokenizer.text(chat.render(prompt, template="chat")).startswith(prompt)


@pytest.mark.parametrize("template", ["none", "alpaca", "chat"])
def test_half_a_surrogate_pair_is_refused(chat, template):
    with pytest.raises(InvalidInputError, match="character 3"):
        chat.render("ok\ud83d", template=template)


def test_the_chat_template_trims_blocks_and_knows_the_special_tokens(chat):
    ids = chat.render(" hello ", template="chat")
    assert ids == (0, *chat.encode("hello"), 1, *chat.encode("\n"), 1, *chat.encode("assistant:"))


def test_no_chat_template_says_what_to_do(tokenizer):
    assert tokenizer.default_template == "none"
    with pytest.raises(ConfigurationError, match="alpaca"):
        tokenizer.render("hi", template="chat")


@pytest.mark.parametrize(
    "source", ["{{ messages", "{{ raise_exception('no') }}", "{{ ''.__class__.__mro__ }}", "{{ messages.clear() }}"]
)
def test_broken_and_hostile_templates_are_refused(tmp_path, source):
    folder = write_model(tmp_path / "model")
    (folder / "chat_template.jinja").write_text(source)
    with pytest.raises(ConfigurationError, match="chat template"):
        load_tokenizer(folder).render("hi", template="chat")


def test_a_named_template_in_the_configuration_is_found(tmp_path):
    folder = write_model(tmp_path / "model")
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "{{ messages[0].content }}!"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.text(tokenizer.render("hi", template="chat")) == "hi!"


def test_sentencepiece_bytes(sentencepiece):
    assert [sentencepiece.token_bytes(token) for token in (1, 2, 3, 4 + 0xE2)] == [b" ", b" hi", b"there", b"\xe2"]
    ids = (2, 1, 3, *(4 + byte for byte in "\u20ac".encode()))
    assert sentencepiece.text(ids) == " hi there\u20ac"
    assert [piece.text for piece in sentencepiece.pieces(ids)] == [" hi", " ", "there", "", "", "\u20ac"]


@pytest.mark.parametrize("content", ["{", "[]", '{"model": {"type": "none"}}'])
def test_a_damaged_tokenizer_is_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_tokenizer(tmp_path)
