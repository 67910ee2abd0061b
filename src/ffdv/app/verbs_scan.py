"""`ffdv scan`: one clip or many, a verdict with its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffdv.cores import keep_to_one_thread
from ffdv.memory import share_one_arena


def scan(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Media files, folders, or tables of clips.", show_default=False, metavar="FILE|FOLDER|TABLE..."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for index.html, scores.csv, and a page and a JSON for each clip.", show_default=False
        ),
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of verdict and pages: en or zh.")] = "en",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes for many clips; as many as there are cores when not given.")
    ] = None,
    max_minutes: Annotated[float, typer.Option(help="Look at so much of each clip.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines; one line a clip of many.")] = False,
) -> None:
    """How likely a clip is forged, by which sense, in which seconds, and why. A folder is scanned by many processes and resumes."""
    share_one_arena()
    keep_to_one_thread()  # decoding, faces and sound have threads of their own
    from ffdv.app import console, show_scan
    from ffdv.detect.scan import scan as scan_clips
    from ffdv.detect.scan_json import as_text, failure_json, verdict_json
    from ffdv.detect.verdict import Verdict
    from ffdv.detect.words import say
    from ffdv.errors import FfdvError, MediaError
    from ffdv.memory import leave_imports_alone
    from ffdv.sentences import LANGUAGES, Lang

    leave_imports_alone()
    speech: Lang = next((known for known in LANGUAGES if known == lang), "en")
    with console.progress_bar("scan") as bar:
        try:
            result = scan_clips(
                data[0] if len(data) == 1 else data,
                out=out,
                lang=lang,
                workers=workers,
                max_minutes=max_minutes,
                progress=console.follow_clips(bar),
            )
        except MediaError as error:
            if as_json:
                console.json_line(
                    as_text(failure_json(error.path.name, error.reason, code=error.code, lang=speech), indent=1)
                )
            else:
                console.say_failure(error, speech)
            raise typer.Exit(1) from None
        except FfdvError as error:
            console.say_failure(error, speech)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            console.warn(say("stopped" if out is None else "stopped_resumes", speech), label="")
            raise typer.Exit(130) from None
    unusable = console.say_unusable(speech)
    if isinstance(result, Verdict):
        if as_json:
            console.json_line(as_text(verdict_json(result, result.path.name, lang=speech), indent=1))
        else:
            show_scan.show_verdict(result, speech, out)
        raise typer.Exit(1 if unusable else 0)
    if as_json:
        for line in show_scan.summary_lines(result):
            console.json_line(line)
    else:
        show_scan.show_summary(result, speech)
    raise typer.Exit(1 if result.failures or unusable else 0)
