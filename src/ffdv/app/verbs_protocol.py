"""The verbs that ask whether a number can be believed: on what was held out, and against another run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

OWN_RECIPES = "voice, mel-resnet18, faces-efficientnet, faces-sbi, motion-histogram, sync, fusion-late, fusion-joint"
Recipe = Annotated[str, typer.Option(help=f"{OWN_RECIPES}, or a TOML file.")]
Epochs = Annotated[
    int | None,
    typer.Option(min=1, help="Instead of the recipe's, and of those that a fusion trains.", show_default=False),
]


def crossval(
    data: Annotated[
        list[Path], typer.Option(help="Prepared shards; may be repeated, they are then one corpus.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the folds and crossval.csv, .json and .png.", show_default=False)
    ],
    recipe: Recipe = "voice",
    by: Annotated[
        str | None,
        typer.Option(help="Hold out each method, source_repo, identity, or dataset (of several).", show_default=False),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Hold out whole groups in so many folds, not one by one.", show_default=False),
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(help="Train on all of the data and judge on these shards instead.", show_default=False),
    ] = None,
    epochs: Epochs = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one setting: model.backbone=efficientnet_b0.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of training and loader, instead of the recipe's; the split stays (split.seed).")
    ] = None,
) -> None:
    """Train without each group and judge on it: what a recipe does on methods, sources and people it has not seen."""
    from ffdv.app import console
    from ffdv.app.show_protocol import follow_folds, show_crossval
    from ffdv.training.crossval import crossval as cross_validate

    with console.progress_bar("crossval") as bar:
        table = cross_validate(
            data=data,
            out=out,
            recipe=recipe,
            by=by,
            folds=folds,
            test=tuple(test or ()),
            epochs=epochs,
            overrides=tuple(overrides or ()),
            seed=seed,
            progress=follow_folds(bar),
        )
    show_crossval(table)
    console.say(f"wrote {out / 'crossval.csv'}, crossval.json and crossval.png")
    raise typer.Exit(1 if table.failures else 0)


def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of a run, or a CSV of scores.", show_default=False)],
    run_b: Annotated[Path, typer.Argument(help="Another.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(
            help="Prepared shards that neither was trained on; for two CSVs also a labelled corpus.", show_default=False
        ),
    ],
    split: Annotated[
        str | None, typer.Option(help="Only this part of the data (test, val, dev ...).", show_default=False)
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the numbers to this file.", show_default=False)
    ] = None,
) -> None:
    """Is one run better than another? The difference in AUC on the same clips, with its interval and DeLong's p."""
    from ffdv.app.show_protocol import show_comparison
    from ffdv.training.compare import compare as compare_runs

    show_comparison(compare_runs(run_a, run_b, data=data, split=split, json=json_file))
