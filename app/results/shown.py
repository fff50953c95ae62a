"""What was shown, as rows of an export: every presentation ever handed out, the responses, and their traces."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, exists
from sqlmodel import Session, col, select

from app.cells import UNKNOWN_MS
from app.results.records import json_text
from app.shift.classes import DEFAULT_THRESHOLDS, ShiftClass
from app.shift.packing import Packed, open_packed
from models import Arm, Item, ItemResponse, LeakFlag, Membership, Presentation, Response, Revision, Study, Trace

_BATCH = 500


def presentation_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    """Yield every presentation, by item and id; its place in the work of its annotator is `created_at`."""
    arms = dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id)).all())
    pids = dict(session.exec(select(Membership.user_id, Membership.pid).where(Membership.study_id == study.id)).all())
    hashes = hashes_of(session, study.id)
    shown = Presentation
    without_times = and_(
        col(shown.imported_from).is_not(None),
        exists().where(col(Revision.presentation_id) == shown.id, col(Revision.active_ms) == UNKNOWN_MS),
    )
    for item_id, kind in _items(session, study):
        query = (
            select(  # type: ignore[call-overload]
                shown.id, shown.annotator_id, shown.left_arm_id, shown.right_arm_id, shown.left_response_id,
                shown.right_response_id, shown.side_order_key, shown.state, shown.created_at, shown.submitted_at,
                shown.imported_from, without_times,
            )
            .where(shown.item_id == item_id)
            .order_by(col(shown.id))
        )  # fmt: skip
        for token, annotator, left, right, left_text, right_text, key, state, handed, *rest, untimed in session.exec(
            query
        ):
            yield {
                "presentation_id": token,
                "annotator_pid": pids[annotator],
                "item_id": item_id,
                "item_kind": kind,
                "model_left": arms[left],
                "model_right": arms[right],
                "response_left_sha256": hashes[left_text],
                "response_right_sha256": hashes[right_text],
                "side_order_key": key,
                "state": state.value,
                "created_at": None if untimed else handed,
                **dict(zip(("submitted_at", "imported_from"), rest, strict=True)),
            }


def hashes_of(session: Session, study_id: str) -> dict[str, str]:
    """Load the SHA-256 of every response a study has, by response id."""
    query = (
        select(Response.id, Response.text_sha256)
        .join(ItemResponse, col(ItemResponse.response_id) == col(Response.id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study_id)
    )
    return dict(session.exec(query).all())


def _items(session: Session, study: Study) -> Sequence[tuple[str, str]]:
    query = select(Item.id, Item.kind).where(Item.study_id == study.id).order_by(col(Item.position), col(Item.id))
    return [(item_id, str(kind)) for item_id, kind in session.exec(query)]


def response_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    """Yield the response of every item and arm that has one, by item and name of the arm."""
    leaks = _leaks(session, study.id)
    query = (
        select(Item, Arm.name, ItemResponse.withheld, Response)
        .select_from(ItemResponse)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .join(Response, col(Response.id) == col(ItemResponse.response_id))
        .where(Item.study_id == study.id)
        .order_by(col(Item.position), col(Item.id), col(Arm.name))
    )
    for item, arm, withheld, response in session.exec(query.execution_options(yield_per=_BATCH)):
        yield {
            "item_id": item.id,
            "item_kind": item.kind.value,
            "model": arm,
            "response_sha256": response.text_sha256,
            "prompt": item.prompt,
            "text": response.text,
            "checkpoint": response.checkpoint,
            "origin": response.origin.value,
            "finish": response.finish,
            "tokens": len(response.token_ids),
            "token_ids_sha256": _ids_sha256(response.token_ids),
            "run": {name: value for name, value in sorted(response.run.items()) if name != "text_lengths"},
            "withheld": withheld,
            "leaks": leaks.get(response.id, []),
            "created_at": response.created_at,
        }
        # A session keeps what was read together until the garbage collector comes by; an export cannot wait for it.
        session.expunge(response)


def _ids_sha256(ids: Sequence[int]) -> str | None:
    return hashlib.sha256(json_text(list(ids)).encode()).hexdigest() if ids else None


def _leaks(session: Session, study_id: str) -> dict[str, list[dict[str, Any]]]:
    query = (
        select(LeakFlag)
        .where(LeakFlag.study_id == study_id)
        .order_by(col(LeakFlag.start), col(LeakFlag.end), col(LeakFlag.kind))
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for flag in session.exec(query):
        one = {"kind": flag.kind.value, "start": flag.start, "end": flag.end, "decision": flag.decision.value}
        found.setdefault(flag.response_id, []).append(one)
    return found


def trace_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    """Yield every trace of a study's responses, by item, arm, checkpoint, reference and what that read."""
    query = (
        select(Item.id, Item.kind, Arm.name, Response.text_sha256, Response.run, Trace)  # type: ignore[call-overload]
        .select_from(ItemResponse)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .join(Response, col(Response.id) == col(ItemResponse.response_id))
        .join(Trace, col(Trace.response_id) == col(Response.id))
        .where(Item.study_id == study.id)
        .order_by(
            col(Item.position), col(Item.id), col(Arm.name),
            col(Trace.checkpoint), col(Trace.reference), col(Trace.base_prompt),
        )
    )  # fmt: skip
    for item_id, kind, arm, sha256, run, trace in session.exec(query.execution_options(yield_per=_BATCH // 10)):
        whole = {name: getattr(trace, name) for name in _AS_STORED}
        yield {
            "item_id": item_id,
            "item_kind": kind.value,
            "model": arm,
            "response_sha256": sha256,
            "base_prompt": trace.base_prompt.value,
            "text_lengths": run.get("text_lengths") or None,
            **whole,
            **_per_token(open_packed(trace.tokens)),
        }
        session.expunge(trace)


_AS_STORED = (
    "checkpoint", "reference", "engine", "engine_version", "dtype", "kl_kind", "border_width", "n", "unshifted",
    "marginal", "shifted", "mean_kl_tuned_base", "mean_kl_base_tuned",
)  # fmt: skip


def _per_token(packed: Packed) -> dict[str, list[Any]]:
    columns = packed.columns
    ranks = columns["base_rank"]
    kinds = np.array([kind.value for kind in ShiftClass])
    borders = [DEFAULT_THRESHOLDS.unshifted, DEFAULT_THRESHOLDS.marginal]
    return {
        "token_ids": columns["id"].tolist(),
        "base_ranks": ranks.tolist(),
        "tuned_ranks": columns["tuned_rank"].tolist(),
        "classes": kinds[np.searchsorted(borders, ranks)].tolist(),
        "base_logprobs": _known(columns["base_logprob"]),
        "tuned_logprobs": _known(columns["tuned_logprob"]),
        "kl_tuned_base": _known(columns["kl_tuned_base"]),
        "kl_base_tuned": _known(columns["kl_base_tuned"]),
        "near_border": columns["near_border"].astype(bool).tolist(),
    }


def _known(values: NDArray[Any]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124  NaN marks the unknown
