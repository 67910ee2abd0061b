"""The verbs that change and forge material: augment (seen and heard) and forge (written to disk)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def augment(
    file: Annotated[Path, typer.Argument(help="A clip with sound, picture or both.", show_default=False)],
    out: Annotated[Path, typer.Option(help="gallery.html (with sound) or gallery.png.", show_default=False)],
    other: Annotated[
        Path | None, typer.Option(help="A clip of another person, for swaps and blends.", show_default=False)
    ] = None,
    recordings: Annotated[
        Path | None, typer.Option(help="A folder of noises or impulse responses.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Every augmentation and forgery of one clip at three strengths, to be seen and heard."""
    from ffdv.app import console
    from ffdv.data.gallery_page import gallery

    with console.progress_bar("augment") as bar:
        summary = gallery(
            file,
            out=out,
            other=other,
            recordings=recordings,
            seed=seed,
            progress=lambda done, name: bar.update(bar.task_ids[0], completed=done, text=name),
        )
    for note in summary.notes:
        console.warn(note)
    console.say(f"wrote {summary.out}: {summary.transforms} transforms")


def forge(
    data: Annotated[
        Path,
        typer.Argument(
            help="Genuine clips: a folder, a label table (fakes are passed over), or one file.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the clips and manifest.csv.", show_default=False)],
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="Draw from these only: griffin_lim_copy, self_blend ...", show_default=False),
    ] = None,
    per_clip: Annotated[int, typer.Option(min=1, help="Forgeries of each clip.")] = 1,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    with_real: Annotated[
        bool, typer.Option("--with-real/--without-real", help="Write the genuine clips through the same encoder too.")
    ] = True,
    max_seconds: Annotated[float, typer.Option(min=0.2, help="Use only the first seconds of a clip.")] = 10.0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores when not given.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first so many clips.")] = None,
) -> None:
    """Make forgeries of genuine clips, with labels and the seconds that are forged; the same seed gives the same clips."""
    from ffdv.app import console
    from ffdv.data.forge import forge as forge_clips

    with console.progress_bar("forge") as bar:
        summary = forge_clips(
            data,
            out=out,
            methods=tuple(methods or ()),
            per_clip=per_clip,
            seed=seed,
            with_real=with_real,
            max_seconds=max_seconds,
            workers=workers,
            limit=limit,
            progress=console.follow_clips(bar),
        )
    for row in summary.failures[: console.MANY]:
        console.warn(f"{row.source}: {row.reason}")
    fakes = sum(clip.target for clip in summary.clips)
    console.say(
        f"wrote {fakes} forged and {len(summary.clips) - fakes} genuine clips with {summary.out / 'manifest.csv'}"
        + (f"; {len(summary.failures)} failed" if summary.failures else "")
    )
    raise typer.Exit(1 if summary.failures else 0)
