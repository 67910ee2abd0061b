"""Several prepared folders as one: their rows copied as they are, nothing decoded, each clip told which data set it is of.

shards A, shards B ─▶ OUT: A/clip names, B/clip names, group column `dataset`
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ffdv.data.seen import data_hash
from ffdv.data.shards import (
    INDEX_NAME,
    EncodedRow,
    ShardIndex,
    Shards,
    open_shards,
    part_is_done,
    read_index,
    write_index,
    write_part,
)
from ffdv.errors import ShardError

DATASET, JOINED = "dataset", "shards"
CLIPS_PER_PART = 128


def join_shards(folders: Sequence[Path | str], out: Path | str) -> Shards:
    """Copy the rows of several shards into one folder; done once, and gone on with where it was stopped.

    Names become FOLDER/NAME and a group `dataset` holds FOLDER, the folder's own name; corpus splits stay. Senses that not all
    folders hold are left out. Raises ShardError when the folders were prepared in different ways, or `out` holds something else.
    """
    sources = [open_shards(folder) for folder in folders]
    names = dataset_names(folders)
    index = _index(sources, names)
    folder = Path(out)
    _check(folder, index)
    folder.mkdir(parents=True, exist_ok=True)
    write_index(folder, index)
    places = [(which, row) for which, source in enumerate(sources) for row in range(len(source))]
    for part in range(index.num_parts):
        if not part_is_done(folder, index, part):
            rows = [_copied(sources[which], row, names[which], index) for which, row in _some(places, index, part)]
            write_part(folder, index, part, rows)
    return Shards(folder, index)


def folders_of(data: Sequence[Path | str] | Path | str) -> list[Path]:
    """One folder or several, as a list."""
    return [Path(data)] if isinstance(data, (str, Path)) else [Path(folder) for folder in data]


def open_one_or_joined(data: Sequence[Path | str] | Path | str, out: Path) -> Shards:
    """One folder's shards as they are, several joined in `out`. Raises ShardError as join_shards, and where none is named."""
    folders = folders_of(data)
    if not folders:
        raise ShardError("no data is named; give prepared shards (--data SHARDS)")
    return open_shards(folders[0]) if len(folders) == 1 else join_shards(folders, out)


def dataset_names(folders: Sequence[Path | str]) -> tuple[str, ...]:
    """What to call each folder: its own name, with its parent's where that is not unique.

    >>> dataset_names(["/data/faces", "/other/voices"]), dataset_names(["a/shards", "b/shards"])
    (('faces', 'voices'), ('a-shards', 'b-shards'))

    Raises ShardError when a folder is named twice.
    """
    paths = [Path(folder).resolve() for folder in folders]
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise ShardError(f"{twice[0]}: named twice as data; a clip can be there only once")
    plain = Counter(path.name for path in paths)
    longer = [path.name if plain[path.name] == 1 else f"{path.parent.name}-{path.name}" for path in paths]
    unique = len(set(longer)) == len(longer)
    return tuple(longer if unique else [f"{number}-{path.name}" for number, path in enumerate(paths, start=1)])


def _index(sources: Sequence[Shards], names: Sequence[str]) -> ShardIndex:
    first = sources[0].index
    for source in sources[1:]:
        if source.index.extract != first.extract or source.index.sound_codec != first.sound_codec:
            raise ShardError(
                f"{source.folder}: was prepared otherwise than {sources[0].folder} (rates, faces or codec differ); "
                "prepare both with the same settings"
            )
    digest = hashlib.sha256(
        "\n".join(
            f"{name} {source.index.fingerprint} {data_hash(source)}"
            for name, source in zip(names, sources, strict=True)
        ).encode()  # labels may have changed since
    )
    return ShardIndex(
        extract=first.extract,
        sound_codec=first.sound_codec,
        data=os.path.commonpath([Path(source.index.data).absolute() for source in sources]),
        num_clips=sum(map(len, sources)),
        clips_per_part=CLIPS_PER_PART,
        fingerprint=digest.hexdigest(),
        senses=tuple(sense for sense in first.senses if all(sense in source.index.senses for source in sources)),
    )


def _check(folder: Path, index: ShardIndex) -> None:
    """Refuse to write over other shards."""
    there = read_index(folder) if folder.is_dir() else None
    if there is not None and there.fingerprint != index.fingerprint:
        raise ShardError(f"{folder / INDEX_NAME}: holds other clips; delete the folder, or choose another one")


def _some(places: Sequence[tuple[int, int]], index: ShardIndex, part: int) -> Sequence[tuple[int, int]]:
    inside = index.part_rows(part)
    return places[inside.start : inside.stop]


def _copied(source: Shards, row: int, name: str, index: ShardIndex) -> EncodedRow:
    """The row's cells with its new name and group; where its clip lies is told anew, and whether that is trusted is for the reader to see."""
    light: dict[str, Any] = source.table.slice(row, 1).to_pylist()[0]
    path = os.path.relpath(Path(source.index.data) / light["path"], index.data)
    groups = sorted({**dict(light["groups"]), DATASET: name}.items())
    light |= {"name": f"{name}/{light['name']}", "path": path, "groups": groups}
    return EncodedRow(light, {sense: source.cells(sense, row) for sense in index.senses})
