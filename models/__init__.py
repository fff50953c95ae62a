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
from models.lexicon import Lexicon
from models.response import Origin, Response, Trace, TraceAggregate
from models.scored_file import FileState, ScoredFile, ScoredLine
from models.study import Arm, Item, ItemResponse, Pair, Study, StudyState
from models.tuning_set import Borrowing, ImportState, TuningInstance, TuningSet, TuningSetUse

__all__ = [
    "Arm",
    "BasePrompt",
    "Borrowing",
    "Comparison",
    "ComparisonColumn",
    "FileState",
    "ImportState",
    "Invite",
    "Item",
    "ItemResponse",
    "Lexicon",
    "Membership",
    "Origin",
    "Pair",
    "Preference",
    "Presentation",
    "PresentationState",
    "Response",
    "Revision",
    "RevisionKind",
    "Role",
    "RunState",
    "ScoredFile",
    "ScoredLine",
    "Severity",
    "Side",
    "Span",
    "Study",
    "StudyState",
    "Trace",
    "TraceAggregate",
    "TuningInstance",
    "TuningSet",
    "TuningSetUse",
    "User",
]
