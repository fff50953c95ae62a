"""The tables, one file per group; importing this package registers them all."""

from models.account import Invite, Membership, Role, User
from models.comparison import BasePrompt, Comparison, ComparisonColumn, RunState
from models.judgment import (
    Preference,
    Presentation,
    PresentationState,
    Revision,
    RevisionKind,
    Severity,
    Side,
    Span,
)
from models.response import Response, Trace
from models.study import Arm, Item, ItemResponse, Pair, Study, StudyState

__all__ = [
    "Arm",
    "BasePrompt",
    "Comparison",
    "ComparisonColumn",
    "Invite",
    "Item",
    "ItemResponse",
    "Membership",
    "Pair",
    "Preference",
    "Presentation",
    "PresentationState",
    "Response",
    "Revision",
    "RevisionKind",
    "Role",
    "RunState",
    "Severity",
    "Side",
    "Span",
    "Study",
    "StudyState",
    "Trace",
    "User",
]
