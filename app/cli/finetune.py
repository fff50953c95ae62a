"""`tuneshift finetune`: make a LoRA or a full-parameter fine-tuning of a base."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, RegistryOption, console, print_json
from app.demo.progress import bars, counted
from app.engines.registry import load_registry
from app.errors import ConfigurationError, InvalidInputError
from app.finetune.recipe import DEFAULT_LR, Method, Recipe, default_recipe
from app.settings import settings_for

_RATES = " and ".join(f"{rate:g} for {method}" for method, rate in DEFAULT_LR.items())


def finetune(
    method: Annotated[Method, typer.Argument(metavar="METHOD", help="lft (LoRA) or sft (every parameter).")],
    base: Annotated[str, typer.Option(metavar="NAME_OR_PATH", help="A base of the registry, or a model folder.")],
    data: Annotated[
        Path, typer.Option(metavar="FILE", help="Tuning set: Alpaca, ShareGPT, messages or Dolly; JSON or JSONL.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; it appears when complete.")],
    epochs: Annotated[int | None, typer.Option(help=f"Passes over the tuning set; else {Recipe.epochs}.")] = None,
    lr: Annotated[float | None, typer.Option(help=f"Peak learning rate; else {_RATES}.")] = None,
    batch: Annotated[int | None, typer.Option(help=f"Instances per optimiser step; else {Recipe.batch}.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help=f"Longest instance, in tokens; else {Recipe.max_tokens}.")
    ] = None,
    rank: Annotated[int | None, typer.Option(help=f"Rank of the LoRA matrices; else {Recipe.rank}.")] = None,
    alpha: Annotated[int | None, typer.Option(help=f"Scale of the LoRA matrices; else {Recipe.alpha}.")] = None,
    seed: Annotated[int | None, typer.Option(help=f"Fixes initialisation and order; else {Recipe.seed}.")] = None,
    dtype: Annotated[str | None, typer.Option(help=f"auto, bfloat16 or float32; else {Recipe.dtype}.")] = None,
    checkpoints: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Tune a base on instruction-answer pairs; the same data and seed give the same weights."""
    choices = {"epochs": epochs, "lr": lr, "batch": batch, "max_tokens": max_tokens, "seed": seed, "dtype": dtype}
    if method == "sft" and (rank is not None or alpha is not None):
        raise InvalidInputError(
            "--rank and --alpha are of LoRA; sft tunes every parameter.", remedy="Leave them out, or tune with lft."
        )
    if method == "lft":
        choices |= {"rank": rank, "alpha": alpha}
    recipe = default_recipe(method, **choices)
    from app.finetune.train import finetune as tune  # noqa: PLC0415  torch is for those who train

    with bars() as progress:
        report = tune(
            base=_base(base, checkpoints),
            data=data,
            out=out,
            recipe=recipe,
            progress=counted(progress, f"Tune {method.upper()}"),
        )
    if json:
        print_json(report.as_dict())
        return
    console.print(f"Wrote {out}: loss {report.losses[0]:.3f} to {report.losses[-1]:.3f}", soft_wrap=True)


def _base(name_or_path: str, registry: Path | None) -> Path:
    folder = Path(name_or_path)
    if (folder / "config.json").is_file():
        return folder
    try:
        found = load_registry(settings_for(registry).resolved_checkpoints).get(name_or_path)
    except ConfigurationError as error:
        raise InvalidInputError(
            f"{name_or_path} is neither a model folder nor a checkpoint.", remedy=str(error)
        ) from error
    return Path(found.model)
