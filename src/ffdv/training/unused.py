"""Settings that a kind of recipe has no use for: refused, so that nobody compares runs that differ in nothing.

recipe.kind ─▶ UNUSED ─▶ the first setting of [augment] or [loss] that is set and would change nothing ─▶ ValueError
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from ffdv.augment.chain import FORGE_AGREEMENT, AugmentSpec
from ffdv.training.losses import LossSpec

_ALL_AUGMENT = tuple(AugmentSpec.model_fields)
_ALL_LOSS = tuple(LossSpec.model_fields)
_FITTED: Mapping[str, tuple[str, ...]] = {"augment": _ALL_AUGMENT, "loss": _ALL_LOSS}
# A kind of training, as sentences call it → settings of it that change nothing. The kinds are those of kinds.KINDS, but that motion
# is fitted at once unless its classifier is a net.
UNUSED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sound": {"augment": ("forge_picture",)},
    "faces": {"augment": ("sound", "spectrogram", "forge_sound", "views")},
    "joint": {"augment": ("sound", "spectrogram", "mix", "views"), "loss": ("kind", "gamma", "class_weights")},
    "motion by a net": {"augment": tuple(name for name in _ALL_AUGMENT if name != "mix")},
    "motion": _FITTED,
    "sync": _FITTED,
    "late": _FITTED,
}
_ON: Mapping[str, str] = {
    "sound": "on sound",
    "faces": "on faces",
    "joint": "on sound and faces together",
    "motion by a net": "on movement",
    "motion": "on movement, which is fitted at once",
    "sync": "on lips and sound, which is fitted at once",
    "late": "of late fusion, which only weighs its members (fusion.member_settings is theirs)",
}
# What reaches the same in another way.
_INSTEAD: Mapping[tuple[str, str, str], str] = {
    ("joint", "augment", "sound"): "; of sound it knows augment.forge_sound",
    ("joint", "loss", "class_weights"): "; loader.balance_classes = true corrects the classes' numbers",
    ("motion", "augment", "mix"): ", or set motion.classifier = 'net'",
}


def training_of(kind: str, classifier: str) -> str:
    """The key of UNUSED for a recipe of this kind; classifier: that of movement."""
    return "motion by a net" if kind == "motion" and classifier == "net" else kind


def is_unused(training: str, setting: str) -> bool:
    """Whether `table.key=value` is a setting that this training has no use for.

    >>> is_unused("motion", "loss.kind=focal"), is_unused("sound", "loss.kind=focal")
    (True, False)
    """
    table, key, *_ = [*(part.strip() for part in setting.partition("=")[0].split(".")), ""]
    return key in UNUSED[training].get(table, ())


def refuse_unused(training: str, augment: AugmentSpec, loss: LossSpec) -> None:
    """Raise ValueError for a setting that this training (a key of UNUSED) would ignore, or that would teach it nonsense."""
    tables: Mapping[str, BaseModel] = {"augment": augment, "loss": loss}
    for table, names in UNUSED[training].items():
        for name in names:
            if getattr(tables[table], name) != type(tables[table]).model_fields[name].default:
                cure = _INSTEAD.get((training, table, name), "")
                raise ValueError(f"{table}.{name} is not used in training {_ON[training]}; remove it{cure}")
    unheard = [step.name for step in augment.forge_sound if step.name in FORGE_AGREEMENT]
    if training == "sound" and unheard:
        raise ValueError(
            f"augment.forge_sound: {unheard[0]} leaves the voice genuine and forges only that it belongs to the picture, "
            "which a net on sound cannot know; remove it"
        )
