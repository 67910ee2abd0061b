"""Prepared clips in Parquet: one row a clip, failures with their reason included, in the corpus's order.

    SHARDS/shards.json             what was prepared, how and from what; written first
    SHARDS/sound/00000.parquet     part 0: the sounds, a row group a clip, so that one is read without its neighbours; a row a clip,
                                   but beyond a minute a row a minute: Parquet holds a cell three times while it writes it
    SHARDS/faces/00000.parquet     likewise face tracks with crops, only when they were asked for; so are
    SHARDS/motion, SHARDS/mouth    movement in numbers, and the mouth at 25 pictures a second
    SHARDS/light/00000.parquet     names, labels, groups, probes, facts ...; written last: where it is, the part is whole

Part k holds rows [k*n, (k+1)*n) of the plan. Each folder is a plain Parquet data set for any other tool
(pandas.read_parquet("SHARDS/light")). docs/decisions/0005-shards.md has the measurements behind this layout.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ffdv.data.blobs import (
    SoundCodec,
    decode_faces,
    decode_motion,
    decode_mouth,
    decode_sound,
    encode_faces,
    encode_motion,
    encode_mouth,
    encode_sound,
    most_samples,
)
from ffdv.data.corpus import Seconds, forged_seconds, group_spellings
from ffdv.data.sources.roots import VARIABLE, lies_within, trusted_roots
from ffdv.errors import ExtraMissing, ShardError
from ffdv.features.kept_sound import KeptSound
from ffdv.features.recipe import ExtractSpec
from ffdv.records import (
    REAL,
    Clip,
    FacesSeen,
    Features,
    FloatArray,
    MediaFacts,
    MouthTrack,
    Note,
    PictureFacts,
    Samples,
    SoundFacts,
)
from ffdv.whole_file import whole_file, write_atomically

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_VERSION = 1
INDEX_NAME = "shards.json"
LIGHT, SOUND, FACES, MOTION, MOUTH = "light", "sound", "faces", "motion", "mouth"
UNKNOWN_LABEL = -1
# Shards may come from strangers: what is claimed is checked before room is made for it. An index is some kilobytes, light cells are some
# kilobytes a clip, and ten minutes of many faces a few hundred megabytes.
MOST_INDEX_BYTES = 1 << 26
MOST_LIGHT_BYTES, MOST_LIGHT_BYTES_A_CLIP = 1 << 28, 1 << 14
MOST_CLIP_BYTES = 1 << 31
# Where a clip lies of which the shards say that it is outside the data's folder: nowhere, and the path tells the cure.
OUTSIDE = f"(outside the data's folder; name the clip's own folder in {VARIABLE})"
# Each open part keeps a descriptor and 40 kB; reopening one costs 1 ms.
MAX_OPEN_PARTS = 200

T = TypeVar("T")


class ShardIndex(BaseModel):
    """What shards.json says; every part file repeats `fingerprint`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "ffdv-shards"
    version: int = SHARD_VERSION
    extract: ExtractSpec
    sound_codec: SoundCodec = "flac"
    data: str
    num_clips: int = Field(ge=0, le=1_000_000_000)
    clips_per_part: int = Field(ge=1, le=100_000)
    fingerprint: str
    senses: tuple[str, ...] = (SOUND,)
    num_problems: int = 0
    problems: tuple[str, ...] = ()

    @property
    def num_parts(self) -> int:
        """How many part files a finished folder holds."""
        return -(-self.num_clips // self.clips_per_part)

    def part_rows(self, part: int) -> range:
        """The clips, by their number in the plan, that a part holds."""
        return range(part * self.clips_per_part, min(self.num_clips, (part + 1) * self.clips_per_part))


@dataclass(frozen=True)
class ShardRow:
    """One clip to be stored: its features, or the reason why there are none. sound: in place of features.sound, as read."""

    clip: Clip
    features: Features | None = None
    reason: str = ""
    sound: KeptSound | None = None

    def __post_init__(self) -> None:
        """A row has features or a reason."""
        if (self.features is None) == (not self.reason):
            raise ValueError(f"row {self.clip.name!r}: a clip has either features or a reason for having none")


class Shards:
    """A finished shards folder: light columns in memory, blobs read on demand. Safe to pickle into worker processes."""

    def __init__(self, folder: Path, index: ShardIndex) -> None:
        self.folder = folder
        self.index = index
        self._open_parts: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def __len__(self) -> int:
        return self.index.num_clips

    def __repr__(self) -> str:
        """One line: where they lie, and what they hold."""
        return f"Shards({str(self.folder)!r}, {len(self)} clips, {', '.join(self.index.senses)})"

    def __getstate__(self) -> dict[str, Any]:
        """Only where it lies: open files and tables stay in their process."""
        return {"folder": self.folder, "index": self.index, "_open_parts": OrderedDict()}

    @cached_property
    def table(self) -> pa.Table:
        """The light columns of all clips: name, path, label, split, groups, status, reason, facts, probes, notes, sound_seconds."""
        import pyarrow as pa

        tables, left = [], MOST_LIGHT_BYTES + MOST_LIGHT_BYTES_A_CLIP * len(self)
        for part in range(self.index.num_parts):
            with _open_part(self.folder, self.index, part, LIGHT) as file:
                tables.append(_read_light(file, part_path(self.folder, part), most_bytes=left))
            left -= tables[-1].nbytes
        return pa.concat_tables(tables)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Clip names, in order."""
        return tuple(self.table["name"].to_pylist())

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(clips,) 0 real, 1 fake, -1 unknown."""
        return np.asarray(self.table["label"].fill_null(UNKNOWN_LABEL).to_numpy(), np.int64)

    @cached_property
    def failed(self) -> npt.NDArray[np.bool_]:
        """(clips,) whether extraction failed; `reasons` says why."""
        return np.asarray([status == "failed" for status in self.table["status"].to_pylist()], np.bool_)

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why a clip failed; empty where it did not."""
        return tuple(self.table["reason"].to_pylist())

    @cached_property
    def splits(self) -> tuple[str | None, ...]:
        """The split that the corpus names, in order."""
        return tuple(self.table["split"].to_pylist())

    @cached_property
    def sound_seconds(self) -> npt.NDArray[np.float64]:
        """(clips,) length of the kept sound, 0 where there is none."""
        return np.asarray(self.table["sound_seconds"].fill_null(0.0).to_numpy(), np.float64)

    @cached_property
    def face_crops(self) -> npt.NDArray[np.int64]:
        """(clips,) crops of faces that are kept, 0 where there is no face or the picture was not looked at."""
        return self._count("face_crops", FACES)

    @cached_property
    def motion_numbers(self) -> npt.NDArray[np.int64]:
        """(clips,) numbers of the movement that could be measured."""
        return self._count("motion_numbers", MOTION)

    @cached_property
    def mouth_frames(self) -> npt.NDArray[np.int64]:
        """(clips,) frames that show the mouth."""
        return self._count("mouth_frames", MOUTH)

    def _count(self, column: str, sense: str) -> npt.NDArray[np.int64]:
        """A light column of counts; shards from before there was that sense have none."""
        if sense not in self.index.senses:
            return np.zeros(len(self), np.int64)
        return np.asarray(self.table[column].fill_null(0).to_numpy(), np.int64)

    @cached_property
    def group_names(self) -> tuple[str, ...]:
        """All group columns that some clip has."""
        return _map_keys(self.table["groups"])

    @cached_property
    def probe_names(self) -> tuple[str, ...]:
        """All probes that some clip has."""
        return _map_keys(self.table["probes"])

    def group(self, by: str) -> tuple[str | None, ...]:
        """Each clip's value of a group column, other spellings of the idea included (method = generator)."""
        import pyarrow.compute as pc

        columns = [pc.map_lookup(self.table["groups"], name, "first") for name in group_spellings(by)]
        return tuple(pc.coalesce(*columns).to_pylist())

    @cached_property
    def forged_seconds(self) -> tuple[Seconds | None, ...]:
        """Which seconds of each clip are forged: () of a real one, None of a fake whose corpus does not say.

        A fake that names none is one of which nothing is known. Raises ShardError where a text is no such list.
        """
        found: list[Seconds | None] = []
        for name, label, text in zip(self.names, self.labels.tolist(), self.group("segments"), strict=True):
            try:
                known = forged_seconds({"segments": text} if text else {})
            except ValueError as error:
                raise ShardError(
                    f"{self.folder}: the forged seconds of {name!r} are {error}; prepare the clips again, into another folder"
                ) from None
            found.append(() if label == REAL else known or None)
        return tuple(found)

    def probe(self, name: str) -> npt.NDArray[np.float64]:
        """(clips,) one probe, NaN where a clip has none."""
        import pyarrow.compute as pc

        column = pc.map_lookup(self.table["probes"], name, "first")
        return np.asarray(column.fill_null(float("nan")).to_numpy(), np.float64)

    def clips(self) -> tuple[Clip, ...]:
        """Each row as a Clip, for splits; path is where the file lay when it was prepared.

        Shards from elsewhere must not make us read files of this machine: what lies neither in the data's folder nor in one that
        FFDV_DATA_ROOTS names gets a path to nothing. A folder of those that is gone stops nobody who only trains: its clips get none.
        """
        columns = [self.table[name].to_pylist() for name in ("name", "path", "label", "split", "groups")]
        rows = zip(*columns, strict=True)
        path_of = ClipPaths(self.index.data)
        return tuple(Clip(name, path_of(path), label, split, dict(groups)) for name, path, label, split, groups in rows)

    def file_bytes(self, index: int) -> int | None:
        """How large one clip's file was when it was prepared; None where that failed."""
        facts = self.table["facts"][self._checked(index)].as_py()
        size = json.loads(facts).get("size_bytes") if facts else None
        return size if isinstance(size, int) else None

    def features(self, index: int) -> Features:
        """All that is kept of one clip. Raises ShardError when its extraction failed."""
        row = self.table.slice(self._checked(index), 1).to_pylist()[0]
        if row["status"] == "failed":
            raise ShardError(f"{row['name']!r} has no features, its extraction failed: {row['reason']}")
        facts = _facts_from_json(row["facts"], Path(self.index.data) / row["path"])
        notes = tuple(Note(**note) for note in json.loads(row["notes"]))
        sound, faces, motion, mouth = self.sound(index), self.faces(index), self.motion(index), self.mouth(index)
        return Features(facts, sound, faces, dict(row["probes"]), notes, motion, mouth)

    def sound(self, index: int) -> Samples | None:
        """One clip's sound alone, the quickest read; None where it has none."""
        return self._decoded(SOUND, index, self._decode_sound)

    def _decode_sound(self, rows: list[dict[str, Any]]) -> Samples | None:
        return decode_sound(rows, self.index.sound_codec, most=most_samples(self.index.extract))

    def faces(self, index: int) -> FacesSeen | None:
        """One clip's face tracks; None where the picture was not looked at."""
        return self._decoded(FACES, index, lambda rows: decode_faces(rows[0])) if FACES in self.index.senses else None

    def motion(self, index: int) -> FloatArray | None:
        """One clip's movement in the order of features/motion.VECTOR_NAMES; None where there is none."""
        if MOTION not in self.index.senses:
            return None
        return self._decoded(MOTION, index, lambda rows: decode_motion(rows[0]))

    def mouth(self, index: int) -> MouthTrack | None:
        """The mouth of one clip's most prominent face; None where there is none."""
        return self._decoded(MOUTH, index, lambda rows: decode_mouth(rows[0])) if MOUTH in self.index.senses else None

    def cells(self, sense: str, index: int) -> tuple[dict[str, Any], ...]:
        """One clip's heavy cells of a sense as they are stored, row by row, to be copied into other shards."""
        rows = self._rows(sense, index)
        return tuple({name: value for name, value in row.items() if name != "name"} for row in rows)

    def _rows(self, sense: str, index: int) -> list[dict[str, Any]]:
        part, inside = divmod(self._checked(index), self.index.clips_per_part)
        file = self._part(sense, part)
        claimed = _claimed_bytes(file.metadata.row_group(inside))
        if claimed > MOST_CLIP_BYTES:
            raise self._damaged(sense, index, f"a clip of {claimed} bytes")
        try:
            rows: list[dict[str, Any]] = file.read_row_group(inside, use_threads=False).to_pylist()
        except (OSError, ValueError) as error:  # Arrow's own among them
            raise self._damaged(sense, index, error) from error
        return rows

    def _decoded(self, sense: str, index: int, decode: Callable[[list[dict[str, Any]]], T]) -> T:
        """What a clip's heavy cells stand for. Raises ShardError where they are none of ours."""
        rows = self._rows(sense, index)
        try:
            return decode(rows)
        except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
            raise self._damaged(sense, index, error) from error

    def _damaged(self, sense: str, index: int, error: Exception | str) -> ShardError:
        path = part_path(self.folder, index // self.index.clips_per_part, sense)
        return ShardError(f"{path}: damaged ({error}); delete the part (light, too) and run ffdv prepare again")

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return index

    def _part(self, sense: str, part: int) -> pq.ParquetFile:
        """An open part file; the ones used longest ago are closed."""
        key = (sense, part)
        if key not in self._open_parts:
            self._open_parts[key] = _open_part(self.folder, self.index, part, sense)
            if len(self._open_parts) > MAX_OPEN_PARTS:
                self._open_parts.popitem(last=False)[1].close()
        self._open_parts.move_to_end(key)
        return self._open_parts[key]


def open_shards(path: Path | str) -> Shards:
    """Open a finished shards folder. Raises ShardError when it is missing, unfinished, foreign or of another version."""
    folder = Path(path)
    require_parquet()
    index = read_index(folder)
    if index is None:
        raise ShardError(
            f"{folder}: holds no prepared clips ({INDEX_NAME} is missing); run: ffdv prepare DATA --out {folder}"
        )
    done = _parts_there(folder, index)
    if done < index.num_parts:
        raise ShardError(
            f"{folder}: only {done} of {index.num_parts} parts are prepared; run the same ffdv prepare again, it resumes"
        )
    return Shards(folder, index)


class ClipPaths:
    """Where clips lie by the cells of their rows, relative to the folder of the data; a path to nothing where one leads out of all trusted
    folders. Folders are looked at once for all clips; a trusted one that is gone counts as not named.

    >>> path_of = ClipPaths("/corpus")
    >>> path_of("sub/a.mp4").as_posix(), path_of("/etc/passwd").parts[1:3] == ("corpus", OUTSIDE)
    ('/corpus/sub/a.mp4', True)
    """

    def __init__(self, data: str) -> None:
        self.root = Path(data)
        self._is_trusted: dict[Path, bool] = {}

    def __call__(self, cell: str) -> Path:
        """The path of one cell."""
        inside = PurePath(cell)
        path = self.root / inside
        if not inside.is_absolute() and ".." not in inside.parts:
            return path
        try:
            if self._leads_to_trusted(path):
                return path
        except (OSError, ValueError, RuntimeError):  # a loop of links, or a null byte
            pass
        return self.root / OUTSIDE / inside.name

    @cached_property
    def _roots(self) -> tuple[Path, ...]:
        return (self.root.resolve(), *trusted_roots(must_exist=False))

    def _leads_to_trusted(self, path: Path) -> bool:
        if path.name == ".." or "\0" in path.name or path.is_symlink():
            return lies_within(path.resolve(), self._roots)
        folder = path.parent
        if folder not in self._is_trusted:
            self._is_trusted[folder] = lies_within(folder.resolve(), self._roots)
        return self._is_trusted[folder]


def _parts_there(folder: Path, index: ShardIndex) -> int:
    """How many of the index's parts are finished, at the cost of those that are."""
    light = folder / LIGHT
    names = [path.stem for path in light.glob("*.parquet") if path.is_file()] if light.is_dir() else []
    numbers = {int(name) for name in names if name.isdecimal() and name.isascii() and f"{int(name[:20]):05d}" == name}
    return sum(number < index.num_parts for number in numbers)


def read_index(folder: Path) -> ShardIndex | None:
    """What shards.json says, None when there is none. Raises ShardError when it is foreign or of another version."""
    path = folder / INDEX_NAME
    if folder.is_file():
        raise ShardError(
            f"{folder}: is a file, no folder of prepared clips; prepare it first: ffdv prepare {folder} --out SHARDS"
        )
    if path.exists() and (not path.is_file() or path.stat().st_size > MOST_INDEX_BYTES):
        raise ShardError(f"{path}: is no regular file, or too large; prepare into an empty folder")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ShardError(f"{path}: not readable ({error}); prepare into an empty folder") from error
    if not isinstance(raw, dict) or raw.get("format") != "ffdv-shards":
        raise ShardError(f"{path}: not written by ffdv prepare; prepare into an empty folder")
    if raw.get("version") != SHARD_VERSION:
        raise ShardError(
            f"{path}: shards of version {raw.get('version')!r}, this ffdv reads {SHARD_VERSION}; prepare the data again"
        )
    try:
        return ShardIndex.model_validate(raw)
    except ValidationError as error:
        raise ShardError(f"{path}: damaged ({error.errors()[0]['msg']}); prepare into an empty folder") from error


def write_index(folder: Path, index: ShardIndex) -> None:
    """Write shards.json whole or not at all."""
    write_atomically(folder / INDEX_NAME, (index.model_dump_json(indent=1) + "\n").encode())


def write_part(folder: Path, index: ShardIndex, part: int, rows: Iterable[EncodedRow]) -> None:
    """Write one part's files, each whole or not at all, the light one last; the same rows give the same bytes.

    Each row is written as it comes, so that a part of ten-minute clips costs the memory of one of them.
    """
    metadata = _part_metadata(index, part)
    light = []
    with contextlib.ExitStack() as files:
        appends = {
            sense: files.enter_context(_heavy_file(part_path(folder, part, sense), sense, metadata))
            for sense in index.senses
        }
        for row in rows:
            for sense, append in appends.items():
                append(row.rows(sense))
            light.append(row.light)
    _write_light(part_path(folder, part), light, metadata)


@contextlib.contextmanager
def _heavy_file(
    path: Path, sense: str, metadata: dict[str, str]
) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """A file of blobs to append clips to. They are compressed already: more would only cost time. A clip is a row group: see
    the module's docstring.
    """
    import pyarrow.parquet as pq

    schema = _schemas()[sense].with_metadata(metadata)
    with (
        whole_file(path) as file,
        pq.ParquetWriter(
            file.name,  # Arrow writes by itself: through Python's file each blob would be copied once more
            schema,
            compression="NONE",
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        ) as writer,
    ):
        yield lambda rows: writer.write_table(_row_group(rows, schema))


def _row_group(rows: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    """A table of a clip's rows, in which no blob is copied."""
    import pyarrow as pa

    return pa.concat_tables([_one_row(cells, schema) for cells in rows])


def _one_row(cells: Mapping[str, Any], schema: Any) -> Any:
    """A table of one row; a blob is not copied into it."""
    import pyarrow as pa

    table = pa.Table.from_pylist([{**cells, "blob": None}], schema=schema)
    blob = cells.get("blob")
    if not isinstance(blob, bytes):
        return table
    ends = pa.py_buffer(np.array([0, len(blob)], np.int32))
    held = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(blob)])
    return table.set_column(schema.get_field_index("blob"), schema.field("blob"), held)


def _write_light(path: Path, rows: Sequence[Mapping[str, Any]], metadata: dict[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(list(rows), schema=_schemas()[LIGHT].with_metadata(metadata))
    with whole_file(path) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def part_path(folder: Path, part: int, sense: str = LIGHT) -> Path:
    """Where a part's file lies."""
    return folder / sense / f"{part:05d}.parquet"


def part_is_done(folder: Path, index: ShardIndex, part: int) -> bool:
    """Whether a part is there, whole and of this plan. Raises ShardError when it is of another."""
    if not part_path(folder, part).is_file():
        return False
    for sense in (LIGHT, *index.senses):
        _open_part(folder, index, part, sense).close()
    return True


def part_has_failures(folder: Path, index: ShardIndex, part: int) -> bool:
    """Whether a finished part holds clips without features. Raises ShardError as part_is_done."""
    with _open_part(folder, index, part, LIGHT) as file:
        return "failed" in _read_light(file, part_path(folder, part), columns=["status"])["status"].to_pylist()


def relabel_part(folder: Path, index: ShardIndex, part: int, clips: Sequence[Clip]) -> int:
    """Bring what the corpus says of a finished part's clips up to date (label, split, groups, path), and nothing that was decoded.

    Returns how many of `clips`, the part's own in its order, had something else. Raises ShardError as part_is_done.
    """
    said = [_said_of(clip, index) for clip in clips]
    with _open_part(folder, index, part, LIGHT) as file:
        path = part_path(folder, part)
        before = _read_light(
            file, path, columns=list(said[0])
        ).to_pylist()  # few and small; the facts are most of a part
        changed = sum({**row, "groups": sorted(row["groups"])} != new for row, new in zip(before, said, strict=True))
        rows = _read_light(file, path).to_pylist() if changed else []
    if changed:
        new_rows = [{**row, **new} for row, new in zip(rows, said, strict=True)]
        _write_light(part_path(folder, part), new_rows, _part_metadata(index, part))
    return changed


@dataclass(frozen=True)
class EncodedRow:
    """A clip as Parquet cells: the light ones, and those of each sense, row by row (only long sounds have several)."""

    light: Mapping[str, Any]
    heavy: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def rows(self, sense: str) -> list[Mapping[str, Any]]:
        """The rows of one sense's file, at least one."""
        return [{"name": self.light["name"], **cells} for cells in self.heavy.get(sense) or ({},)]

    def num_bytes(self, senses: Sequence[str]) -> int:
        """What the heavy cells of these senses hold, about."""
        return sum(_num_bytes(value) for sense in senses for row in self.rows(sense) for value in row.values())


def encode_row(row: ShardRow, index: ShardIndex) -> EncodedRow:
    """A row as cells; sound and pictures are encoded here, in the worker that read them."""
    features = row.features
    light: dict[str, Any] = {
        **_said_of(row.clip, index),
        "status": "failed" if features is None else "ok",
        "reason": row.reason.encode("utf-8", "backslashreplace").decode(),
        "facts": "",
        "probes": [],
        "notes": "[]",
    }
    if features is None:
        return EncodedRow(light)
    light["facts"] = _facts_to_json(features.facts)
    light["probes"] = sorted(features.probes.items())
    light["notes"] = json.dumps([asdict(note) for note in features.notes], ensure_ascii=False)
    sound = row.sound or features.sound
    light["sound_seconds"] = None if sound is None else sound.duration_seconds
    tracks = features.faces.tracks if features.faces else ()
    light["face_crops"] = sum(len(track.crops) for track in tracks)
    light["motion_numbers"] = 0 if features.motion is None else int(np.isfinite(features.motion).sum())
    light["mouth_frames"] = 0 if features.mouth is None else int(features.mouth.in_sight.sum())
    heavy: dict[str, Sequence[Mapping[str, Any]]] = {SOUND: encode_sound(sound, index.sound_codec)}
    if FACES in index.senses:
        heavy[FACES] = (encode_faces(features.faces),)
    if MOTION in index.senses:
        heavy[MOTION] = (encode_motion(features.motion),)
    if MOUTH in index.senses:
        heavy[MOUTH] = (encode_mouth(features.mouth),)
    return EncodedRow(light, heavy)


def _said_of(clip: Clip, index: ShardIndex) -> dict[str, Any]:
    """The light cells that the corpus gives, whatever the file holds."""
    relative = os.path.relpath(clip.path, index.data)
    return {
        "name": clip.name,
        "path": relative.encode("utf-8", "backslashreplace").decode(),
        "label": clip.label,
        "split": clip.split,
        "groups": sorted(clip.groups.items()),
    }


def _num_bytes(value: Any) -> int:
    """Bytes of a cell: blobs as they are, numbers as four or eight."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_num_bytes(inner) for inner in value.values())
    if isinstance(value, list):
        return 4 * len(value) if value and isinstance(value[0], float) else sum(_num_bytes(inner) for inner in value)
    return 8


def _schemas() -> dict[str, Any]:
    """The columns of each sense's files, version SHARD_VERSION."""
    pa = _pyarrow()
    text, number = pa.string(), pa.float64()
    light = {
        "name": text,
        "path": text,
        "label": pa.int8(),
        "split": text,
        "groups": pa.map_(text, text),
        "status": text,
        "reason": text,
    }
    light |= {"facts": text, "probes": pa.map_(text, number), "notes": text, "sound_seconds": number}
    light |= {name: pa.int32() for name in ("face_crops", "motion_numbers", "mouth_frames")}
    sound = {"name": text, "rate": pa.int32(), "start_seconds": number, "scale": pa.float32(), "blob": pa.binary()}
    floats = pa.list_(pa.float32())
    track = {
        "track_id": pa.int32(),
        "seconds": pa.list_(number),
        "boxes": floats,
        "landmarks": floats,
        "scores": floats,
    }
    track |= {"crops": pa.list_(pa.binary())}
    faces = {
        "name": text,
        "frames_looked_at": pa.int32(),
        "frames_with_face": pa.int32(),
        "picture_width": pa.int32(),
        "picture_height": pa.int32(),
    }
    faces |= {"tracks": pa.list_(pa.struct(list(track.items())))}
    motion = {"name": text, "values": floats}
    mouth = {"name": text, "seconds": pa.list_(number), "opening": floats, "size": pa.int32()}
    mouth |= {"points": pa.binary(), "strips": pa.list_(pa.binary())}
    kinds = {LIGHT: light, SOUND: sound, FACES: faces, MOTION: motion, MOUTH: mouth}
    return {sense: pa.schema(list(columns.items())) for sense, columns in kinds.items()}


def require_parquet() -> None:
    """Raise ExtraMissing, with the command that installs it, where pyarrow is not there."""
    _pyarrow()


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise ExtraMissing("prepared shards (Parquet)", "train") from error
    return pa


def _map_keys(column: Any) -> tuple[str, ...]:
    """All keys of a map column, sorted."""
    import pyarrow.compute as pc

    keys = {key for chunk in column.chunks for key in pc.unique(chunk.keys).to_pylist()}
    return tuple(sorted(keys))


def _part_metadata(index: ShardIndex, part: int) -> dict[str, str]:
    return {
        "ffdv.version": str(index.version),
        "ffdv.fingerprint": index.fingerprint,
        "ffdv.part": str(part),
        "ffdv.sound_codec": index.sound_codec,
        "ffdv.extract": index.extract.model_dump_json(),
    }


def _open_part(folder: Path, index: ShardIndex, part: int, sense: str) -> Any:
    """An opened part file that is whole and belongs to this index."""
    pa = _pyarrow()
    import pyarrow.parquet as pq

    path = part_path(folder, part, sense)
    try:
        file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise ShardError(f"{path}: not a readable part ({error}); delete it and run ffdv prepare again") from error
    said = file.schema_arrow.metadata or {}
    if said.get(b"ffdv.fingerprint") != index.fingerprint.encode() or said.get(b"ffdv.part") != str(part).encode():
        file.close()
        raise ShardError(f"{path}: belongs to another prepare; delete it and run ffdv prepare again")
    held = file.metadata.num_rows if sense == LIGHT else file.metadata.num_row_groups
    if held != len(index.part_rows(part)):
        file.close()
        raise ShardError(
            f"{path}: has {held} clips, the plan {len(index.part_rows(part))}; delete it and run ffdv prepare again"
        )
    return file


def _read_light(
    file: pq.ParquetFile, path: Path, *, columns: Sequence[str] | None = None, most_bytes: int = MOST_LIGHT_BYTES
) -> pa.Table:
    """The light columns of an open part. Raises ShardError before more than about most_bytes are taken for them.

    A dictionary of one long text makes gigabytes of a few kilobytes, so rows are read in batches that cannot do so at once.
    """
    import pyarrow as pa

    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    largest = max((group.total_byte_size for group in groups), default=0)
    values = max((group.column(k).num_values for group in groups for k in range(group.num_columns)), default=0)
    held, batches = 0, []
    if largest <= most_bytes and values * 8 <= most_bytes:
        size = max(1, min(1 << 16, MOST_LIGHT_BYTES // max(1, largest)))
        for batch in file.iter_batches(batch_size=size, columns=columns, use_threads=False):
            held += batch.nbytes
            if held > most_bytes:
                break
            batches.append(batch)
        else:
            return pa.Table.from_batches(batches, schema=batches[0].schema if batches else file.schema_arrow)
    raise ShardError(
        f"{path}: holds more than names, labels and facts of clips take; delete it and run ffdv prepare again"
    )


def _claimed_bytes(group: Any) -> int:
    """What a row group takes in memory, by its header: values of a dictionary may each be as long as all of it."""
    columns = [group.column(number) for number in range(group.num_columns)]
    return sum(
        max(
            column.total_uncompressed_size * (column.num_values if column.has_dictionary_page else 1), column.num_values
        )
        for column in columns
    )


def _facts_to_json(facts: MediaFacts) -> str:
    values = asdict(replace(facts, tags=dict(facts.tags)))
    del values["path"]  # machines differ; the row knows it
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def _facts_from_json(text: str, path: Path) -> MediaFacts:
    values = json.loads(text)
    values["pictures"] = tuple(PictureFacts(**picture) for picture in values["pictures"])
    values["sounds"] = tuple(SoundFacts(**sound) for sound in values["sounds"])
    values["notes"] = tuple(Note(**note) for note in values["notes"])
    return MediaFacts(path=path, **values)
