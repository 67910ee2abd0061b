"""The verb that alters clips and looks what becomes of a model's opinion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def stress(
    data: Annotated[Path, typer.Option(help="Labelled clips, or prepared shards.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the table, the heat map and the page.", show_default=False)],
    model: Annotated[
        Path | None,
        typer.Option(help="A run's folder or an .onnx file; else the detector of this package.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this family of alterations: opus, h264, chat ...; may be repeated.", show_default=False
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only this part of the data (train, val, dev ...).", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=10, help="At most so many clips, half of them fake.")] = 200,
    max_seconds: Annotated[float, typer.Option(min=0.5, help="Use only the first seconds of a clip.")] = 10.0,
    false_alarms: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share at which the threshold is fixed on unaltered clips.")
    ] = 0.05,
    lang: Annotated[str, typer.Option(help="Language of the page: en or zh.")] = "en",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores when not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the drawn clips, noises and rooms.")] = 0,
) -> None:
    """AUC and false alarms under re-encoding, noise, rooms, resizing, chat apps ... beside the clips as they are."""
    from ffdv.app import console
    from ffdv.app.show_stress import show_stress
    from ffdv.detect.stress import stress as stress_model
    from ffdv.sentences import language

    with console.progress_bar("stress") as bar:
        table = stress_model(
            model=model,
            data=data,
            out=out,
            only=tuple(only or ()),
            split=split,
            limit=limit,
            max_seconds=max_seconds,
            false_alarms=false_alarms,
            lang=lang,
            workers=workers,
            seed=seed,
            progress=console.follow_clips(bar),
        )
    show_stress(table)
    console.say_written(out / "stress.html", "stress.png", "stress.csv", "stress.json", "scores.csv", lang=lang)
    unusable = model is None and console.say_unusable(language(lang))
    raise typer.Exit(1 if table.failures or unusable else 0)
