"""Stored responses with traces for the tests of Find."""

from itertools import accumulate, pairwise

from app.engines.protocol import Scores
from app.shift.trace import TokenShift
from app.tokens.store import Reading, add_response, add_trace
from models import BasePrompt, ItemResponse
from tests.factories import add, make_arm, make_item


def shift(id_, rank, *, tuned=-0.25, kl=None, base=None):
    """One token; what is not said follows from the rank."""
    return TokenShift(
        id=id_,
        base_rank=rank,
        base_logprob=-float(rank) if base is None else base,
        tuned_rank=1,
        tuned_logprob=tuned,
        kl_tuned_base=0.1 * (rank - 1) if kl is None else kl,
        kl_base_tuned=0.2 * (rank - 1),
        ties=0,
        near_border=False,
        base_entropy=1.5,
        tuned_entropy=0.5,
        top_base=((id_, -0.5), (1, -1.5)),
        top_tuned=((id_, -0.25), (2, -2.0)),
    )


def store(session, words, ranks, *, checkpoint="sft", prompt="Why?", base_prompt=BasePrompt.SAME_IDS, **shifts):
    """Keep a response of whole words, `words[i]` having base rank `ranks[i]`, and its trace by `checkpoint`."""
    ids = [sum(word.encode()) % 1000 for word in words]
    response = add_response(
        session,
        checkpoint=checkpoint,
        prompt=prompt,
        prompt_ids=(80, 81),
        ids=ids,
        texts=words,
        finish="stop",
        run={"engine": "scripted", "role": checkpoint},
    )
    read(session, response, ranks, checkpoint=checkpoint, base_prompt=base_prompt, **shifts)
    return response


def read(session, response, ranks, *, checkpoint, base_prompt=BasePrompt.SAME_IDS, **shifts):
    """Add a trace of a response by some checkpoint."""
    scores = Scores(
        tokens=tuple(shift(id_, rank, **shifts) for id_, rank in zip(response.token_ids, ranks, strict=True)),
        kl_kind="exact",
        dtype="float32",
        border_width=0.0,
        engine="scripted",
        engine_version="1",
    )
    names = {
        id_: response.text[start:end].encode()
        for id_, (start, end) in zip(
            response.token_ids, pairwise(accumulate(response.run["text_lengths"], initial=0)), strict=True
        )
    }
    reading = Reading(checkpoint, "base", base_prompt, (80, 81), (80, 81), scores)
    return add_trace(session, response, reading, names.get)


def add_arm(session, study, name, answers):
    """Give a study an arm whose checkpoint has its name, and an answer per item: `(words, ranks)` by position."""
    arm = make_arm(session, study=study, name=name)
    return [
        add(session, ItemResponse(item_id=item.id, arm_id=arm.id, response_id=response.id)).response_id
        for item, (words, ranks) in answers
        for response in [store(session, words, ranks, checkpoint=name, prompt=item.prompt)]
    ]


def make_items(session, study, prompts):
    return [make_item(session, study=study, position=at, prompt=prompt) for at, prompt in enumerate(prompts, start=1)]
