"""Facts of many clips in columns, for the audit: from prepared shards (nothing is decoded) or from files.

numbers    probes, one float a clip, NaN where a clip has none          sound_trailing_silence_seconds ...
words      facts with a name, None where a clip has none                sound_codec, picture_profile, tag_encoder ...
prints     fingerprints of sound and picture, for near-copies
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ffdv.data.corpus import Corpus
from ffdv.data.pool import Part, crew_size, run_parts
from ffdv.data.shards import Shards
from ffdv.errors import MediaError
from ffdv.features.fingerprints import FINGERPRINT, as_probes, from_probes, sound_fingerprint
from ffdv.features.probes_picture import PROBED_SECONDS, PictureProbes
from ffdv.features.recipe import ExtractSpec, extract_packed
from ffdv.media.read import open_media, read_frames
from ffdv.metrics.ranking import Numbers, Truths
from ffdv.records import Clip, MediaFacts
from ffdv.whole_file import write_atomically

CLIPS_PER_PART = 32
CLIP_TIMEOUT_SECONDS = 900.0
# Below this, spawning workers costs more than they save.
WORTH_A_POOL = 48


@dataclass(frozen=True)
class Fingerprints:
    """bits (n, 240), and which clips have them (n,)."""

    bits: Truths
    known: Truths


@dataclass(frozen=True)
class ProbeTable:
    """n clips: numbers and words by name, each with n entries; failures are not among the clips."""

    clips: tuple[Clip, ...]
    numbers: Mapping[str, Numbers]
    words: Mapping[str, tuple[str | None, ...]]
    sounds: Fingerprints
    pictures: Fingerprints
    failures: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, rows: Sequence[int]) -> ProbeTable:
        """The same facts of some of the clips, in the order asked."""
        at = np.asarray(rows, np.int64)
        return ProbeTable(
            tuple(self.clips[row] for row in rows),
            {name: values[at] for name, values in self.numbers.items()},
            {name: tuple(values[row] for row in rows) for name, values in self.words.items()},
            Fingerprints(self.sounds.bits[at], self.sounds.known[at]),
            Fingerprints(self.pictures.bits[at], self.pictures.known[at]),
            self.failures,
        )


def table_from_shards(shards: Shards, *, copies: bool = True) -> ProbeTable:
    """Columns of prepared shards. Nothing is decoded where fingerprints are stored; else, with `copies`, the kept sound is."""
    rows = np.flatnonzero(~shards.failed)
    every = shards.clips()
    numbers = {name: values[rows] for name, values in _map_columns(shards.table["probes"]).items()}
    facts = shards.table["facts"].to_pylist()
    words = [_words(json.loads(facts[row])) for row in rows.tolist()]
    if copies and not any(name.startswith(f"{FINGERPRINT}sound") for name in numbers):
        stored = [_fingerprint_of(shards, row) for row in rows.tolist()]
        numbers |= _columns(stored)
    failures = tuple((shards.names[row], shards.reasons[row]) for row in np.flatnonzero(shards.failed).tolist())
    return _table([every[row] for row in rows.tolist()], numbers, words, failures)


def table_from_files(
    corpus: Corpus, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> ProbeTable:
    """Columns of files as they lie: one decode of the sound and of a frame a second; a broken file is a failure with a reason."""
    work = len(corpus.clips)
    workers = min(crew_size(workers), -(-work // CLIPS_PER_PART))
    if work < WORTH_A_POOL or workers < 2:
        rows = []
        for done, clip in enumerate(corpus.clips, start=1):
            rows.append(probe_clip(clip))
            if progress:
                progress(done, work)
    else:
        rows = _probed_by_workers(corpus.clips, workers, progress)
    good = [at for at, row in enumerate(rows) if not row.reason]
    failures = tuple((clip.name, row.reason) for clip, row in zip(corpus.clips, rows, strict=True) if row.reason)
    numbers = _columns([rows[at].numbers for at in good])
    return _table([corpus.clips[at] for at in good], numbers, [rows[at].words for at in good], failures)


@dataclass(frozen=True)
class ProbedClip:
    """One clip's numbers and words, or the reason why it has none."""

    numbers: Mapping[str, float]
    words: Mapping[str, str]
    reason: str = ""


def probe_clip(clip: Clip) -> ProbedClip:
    """Everything that the audit asks of one file."""
    try:
        features, _ = extract_packed(clip.path, ExtractSpec())
        numbers = dict(features.probes)
        if features.facts.has_picture:
            numbers |= _picture_numbers(clip.path)
        return ProbedClip(numbers, fact_words(features.facts))
    except MediaError as error:
        return ProbedClip({}, {}, error.reason)


def fact_words(facts: MediaFacts) -> dict[str, str]:
    """What headers say in words: codecs, profiles, pixel format, rotation, and every tag with its text."""
    found: dict[str, object] = {"container": facts.container}
    if facts.pictures:
        picture = facts.pictures[0]
        found |= {
            "picture_codec": picture.codec,
            "picture_profile": picture.profile,
            "picture_pixel_format": picture.pixel_format,
            "picture_rotation": picture.rotation,
            "picture_sample_aspect": f"{picture.sample_aspect:g}",
        }
    if facts.sounds:
        found |= {"sound_codec": facts.sounds[0].codec, "sound_profile": facts.sounds[0].profile}
    found |= {f"tag_{re.sub(r'[^a-z0-9]+', '_', key.lower())}": text for key, text in facts.tags.items()}
    return {name: str(text) for name, text in found.items() if text not in (None, "")}


def _words(facts: Mapping[str, Any]) -> dict[str, str]:
    """fact_words of facts as shards store them."""
    from ffdv.records import PictureFacts, SoundFacts

    return fact_words(
        MediaFacts(
            path=Path(),
            size_bytes=facts["size_bytes"],
            container=facts["container"],
            duration_seconds=None,
            bit_rate=None,
            pictures=tuple(PictureFacts(**picture) for picture in facts["pictures"][:1]),
            sounds=tuple(SoundFacts(**sound) for sound in facts["sounds"][:1]),
            encrypted=False,
            tags=facts["tags"],
        )
    )


def _picture_numbers(path: Path) -> dict[str, float]:
    """Picture probes; none where the picture cannot be read, for the sound may still be judged."""
    probes = PictureProbes()
    try:
        with open_media(path) as media:
            for frame in read_frames(media, fps=1.0, stop_seconds=PROBED_SECONDS):
                probes.add(frame.pixels)
    except MediaError:
        return {}
    return probes.finish()


def _fingerprint_of(shards: Shards, row: int) -> dict[str, float]:
    sound = shards.sound(row)
    return {} if sound is None else as_probes("sound", sound_fingerprint(sound))


def _table(
    clips: Sequence[Clip],
    numbers: Mapping[str, Numbers],
    words: Sequence[Mapping[str, str]],
    failures: tuple[tuple[str, str], ...],
) -> ProbeTable:
    prints = [Fingerprints(*from_probes(sense, numbers, len(clips))) for sense in ("sound", "picture")]
    names = sorted({name for row in words for name in row})
    return ProbeTable(
        tuple(clips),
        {name: values for name, values in sorted(numbers.items()) if not name.startswith(FINGERPRINT)},
        {name: tuple(row.get(name) for row in words) for name in names},
        prints[0],
        prints[1],
        failures,
    )


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Numbers]:
    columns: dict[str, Numbers] = {}
    for at, row in enumerate(rows):
        for name, value in row.items():
            columns.setdefault(name, np.full(len(rows), np.nan))[at] = value
    return columns


def _map_columns(column: Any) -> dict[str, Numbers]:
    """A Parquet map column as arrays by key, NaN where a row lacks the key; one pass over all of it."""
    import pyarrow.compute as pc

    columns: dict[str, Numbers] = {}
    start = 0
    for chunk in column.chunks:
        offsets = np.asarray(chunk.offsets)
        rows = np.repeat(np.arange(len(chunk)), np.diff(offsets)) + start
        keys = pc.dictionary_encode(chunk.keys[offsets[0] : offsets[-1]])
        codes, values = np.asarray(keys.indices), np.asarray(chunk.items[offsets[0] : offsets[-1]], np.float64)
        for code, name in enumerate(keys.dictionary.to_pylist()):
            mine = codes == code
            columns.setdefault(name, np.full(len(column), np.nan))[rows[mine]] = values[mine]
        start += len(chunk)
    return columns


class _PartProber:
    """Does one part in a worker: probe each clip, write the rows as JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, part: Part, tell: Callable[[int, str], None]) -> None:
        rows = []
        for position, clip in enumerate(part.items):
            given_up = part.given_up.get(position)
            row = ProbedClip({}, {}, given_up) if given_up else probe_clip(clip)
            rows.append([dict(row.numbers), dict(row.words), row.reason])
            tell(position, row.reason)
        write_atomically(self.folder / f"{part.number}.json", json.dumps(rows).encode())


def _probed_by_workers(
    clips: Sequence[Clip], workers: int, progress: Callable[[int, int], None] | None
) -> list[ProbedClip]:
    parts = [
        Part(number, tuple(clips[start : start + CLIPS_PER_PART]))
        for number, start in enumerate(range(0, len(clips), CLIPS_PER_PART))
    ]
    with tempfile.TemporaryDirectory(prefix="ffdv-audit-") as folder:
        done = 0
        for report in run_parts(
            parts, _PartProber(Path(folder)), workers=workers, item_timeout_seconds=CLIP_TIMEOUT_SECONDS
        ):
            if report.kind == "part":
                done += len(parts[report.part].items)
                if progress:
                    progress(done, len(clips))
        return [ProbedClip(*row) for part in parts for row in _read_rows(Path(folder) / f"{part.number}.json")]


def _read_rows(path: Path) -> Iterable[Any]:
    rows: list[Any] = json.loads(path.read_text(encoding="utf-8"))
    return rows
