"""Responses that were not generated here: kept as text, without tokens, until somebody reads them with a tokenizer."""

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from models import Origin, Response


def add_given(session: Session, *, prompt: str, text: str, run: Mapping[str, Any], user_id: str) -> Response:
    """Keep a finished response to the character. `run` says where it came from; it is marked imported."""
    response = Response(
        checkpoint="",
        origin=Origin.IMPORTED,
        prompt=prompt,
        prompt_ids=[],
        text=text,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        token_ids=[],
        finish="given",
        run={"imported": True, **run, "text_lengths": []},
        created_by=user_id,
    )
    session.add(response)
    return response
