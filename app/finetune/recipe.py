"""How a checkpoint is tuned: every choice that changes the outcome, in one record."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from app.errors import InvalidInputError

Method = Literal["lft", "sft"]
Dtype = Literal["auto", "bfloat16", "float32"]

METHODS: tuple[Method, ...] = get_args(Method)
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

# Fixed before any result was looked at; docs/demo.md gives the reasons.
DEFAULT_LR: dict[Method, float] = {"lft": 1e-3, "sft": 1e-4}


class RecipeError(InvalidInputError):
    """A recipe that cannot be run: names the field, its value and what would be right."""


@dataclass(frozen=True)
class Recipe:
    """One tuning run. `lft` trains LoRA matrices on the target modules, `sft` trains every parameter.

    `lr` is the peak after a linear warm-up over the `warmup` share of the steps, followed by a cosine decay to zero;
    `batch` counts instances per optimiser step; `max_tokens` is the limit for prompt and answer together. `dtype` is
    the arithmetic of the matrix products: weights and optimiser stay float32. "auto" is bfloat16 where it is fast.
    """

    method: Method
    lr: float
    epochs: int = 2
    batch: int = 8
    max_tokens: int = 1024
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip: float = 1.0
    rank: int = 8
    alpha: int = 16
    targets: tuple[str, ...] = PROJECTIONS
    seed: int = 20240721
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        """Refuse values that cannot train, naming the field."""
        limits = {
            "method": (self.method in METHODS, "lft or sft"),
            "lr": (0 < self.lr < 1, "between 0 and 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch": (self.batch >= 1, "at least 1"),
            "max_tokens": (self.max_tokens >= 2, "at least 2"),  # noqa: PLR2004 - one token in, one token out
            "warmup": (0 <= self.warmup < 1, "from 0 up to below 1"),
            "weight_decay": (self.weight_decay >= 0, "0 or more"),
            "clip": (self.clip > 0, "above 0"),
            "rank": (self.rank >= 1, "at least 1"),
            "alpha": (self.alpha >= 1, "at least 1"),
            "targets": (len(self.targets) > 0, "at least one module name"),
            "seed": (0 <= self.seed < 2**63, "from 0 up to 2**63 - 1"),
            "dtype": (self.dtype in get_args(Dtype), "auto, bfloat16 or float32"),
        }
        for field, (holds, right) in limits.items():
            if not holds:
                raise RecipeError(f"recipe: {field} is {getattr(self, field)!r}.", remedy=f"It must be {right}.")

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON values. SFT has no adapter, so the three adapter fields are left out."""
        values = dataclasses.asdict(self)
        values["targets"] = list(self.targets)
        if self.method == "sft":
            for field in ("rank", "alpha", "targets"):
                del values[field]
        return values

    def as_json(self) -> str:
        """The record as one line of JSON with sorted keys: equal recipes give equal text."""
        return json.dumps(self.as_dict(), sort_keys=True)


def default_recipe(method: Method, **changes: Any) -> Recipe:
    """The documented recipe of `method`, with some fields changed; None leaves a field as it is."""
    given = {field: value for field, value in changes.items() if value is not None}
    return Recipe(**{"method": method, "lr": DEFAULT_LR[method], **given})
