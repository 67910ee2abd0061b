"""A recipe and prepared shards → a run: weights, tables and an ONNX file in one folder.

RUN/recipe.toml          every setting, resolved            RUN/log.csv        one line an epoch
RUN/parts.csv            which clip served for what         RUN/metrics.json   what came out, and the shortcuts beside it
RUN/best.safetensors     the epoch that was kept            RUN/events.*       TensorBoard
RUN/last.safetensors     the newest state, for resume       RUN/model.onnx     what `ffdv predict` runs
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from lightning_fabric import Fabric
from pydantic import JsonValue
from torch import Tensor, nn

from ffdv.arguments import each, one_of
from ffdv.augment.guards import Domain, domain_warnings
from ffdv.data.joined import JOINED, open_one_or_joined
from ffdv.data.loader import ClipLoader
from ffdv.data.seen import data_hash_of, read_parts
from ffdv.data.shards import Shards
from ffdv.errors import CheckpointError, FfdvError, RecipeError
from ffdv.metrics.aggregation import Aggregation, best_aggregation, fit_sharpness
from ffdv.metrics.decision import Decision, SeenRange
from ffdv.metrics.ranking import accuracy, eer, roc_auc
from ffdv.models.checkpoint import BESIDE, Checkpoint, CheckpointHeader, load_checkpoint, read_header, save_checkpoint
from ffdv.models.embedding import MEASURE, Embeds, fit_embedding_range
from ffdv.records import FAKE, REAL
from ffdv.training.augmenting import batch_mix
from ffdv.training.averaging import WeightAverage
from ffdv.training.calibrating import MEASURED_CLIPS, Calibrated, calibrate, seen_in_training
from ffdv.training.engine import (
    EpochRow,
    Progress,
    Saves,
    ScoredClips,
    TrainingState,
    Work,
    embed,
    fit_once,
    predict,
    random_state,
    restore_random,
    seed_torch,
    train_epochs,
)
from ffdv.training.evaluate import BEST_NAME, LAST_NAME, interval_groups
from ffdv.training.kinds import Asked, Kind, kind_of, restore_net
from ffdv.training.late import METRICS_NAME, Members, parts_beside_members, take_over, train_members, trained_to_its_end
from ffdv.training.log import Events, write_log
from ffdv.training.optimiser import build_optimiser
from ffdv.training.parts import ENOUGH_PER_CLASS, Part, Parts, choose_parts, parts_as_begun, write_parts
from ffdv.training.plan import Recipe, load_recipe, override_recipe, recipe_from, recipe_toml
from ffdv.training.provenance import provenance
from ffdv.training.saved import restore_state, state_counters, state_tensors
from ffdv.training.shortcuts import AuditLine, audit_line, beside_net
from ffdv.training.unused import is_unused, training_of
from ffdv.whole_file import write_atomically

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
FEW_PER_CLASS = 10  # validation clips: with ten of each an AUC of 0.5 lies between 0.25 and 0.75
DEFAULT_RECIPE = "voice"
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
SHOWN_DIFFERENCES = 3  # of two recipes, in a sentence
RECIPE_NAME, LOG_NAME, ONNX_NAME = "recipe.toml", "log.csv", "model.onnx"

# What may change between a run and its resume without making it another run.
_FREE_SETTINGS = (
    ("training", "epochs"),
    ("training", "early_stop_epochs"),
    ("training", "save_minutes"),
    ("loader", "workers"),
)


# What a kind's augmented pictures show: some changes make no sense in one of them.
_SHOWN: dict[str, Domain] = {
    "sound": "spectrogram",
    "faces": "face",
    "motion": "face",
    "late": "face",
    "joint": "face",
    "sync": "face",
}


@dataclass(frozen=True)
class RunSummary:
    """What a training gave.

    outcome: finished, stopped_early or interrupted; best: the row of the kept epoch, None when none was finished;
    clips: counts by part; audit: the shortcuts on the validation part; notes: what a user must know; unexported: why there is no
    model.onnx though it was asked for, empty where all is well.
    """

    folder: Path
    recipe: str
    outcome: str
    epochs_done: int
    best: EpochRow | None
    chosen_by: str
    clips: Mapping[str, int]
    audit: AuditLine
    onnx: Path | None
    seconds: float
    notes: tuple[str, ...]
    unexported: str = ""


def train(
    recipe: Recipe | Path | str | None = None,
    *,
    data: Path | str | Sequence[Path | str],
    out: Path | str,
    resume: bool = False,
    epochs: int | None = None,
    overrides: Sequence[str] | str = (),
    progress: Callable[[Progress], None] | None = None,
    seed: int | None = None,
    accelerator: str = "auto",
    export: bool = True,
) -> RunSummary:
    """Train a recipe (its name, a TOML file, or the value) on prepared shards, into the folder `out`.

    recipe: None: the run's own where one is resumed, else voice.
    data: one folder of shards, or several, which are copied together into `out`/shards: give that to evaluate. resume: go on from
    `out`'s last state, bit for bit on a CPU; epochs: instead of the recipe's;
    seed: of the weights' start, the order and the luck of augmentation (training.seed and loader.seed). It leaves split.seed, so that runs of several
    seeds are judged on the same clips; overrides: `model.backbone=efficientnet_b0`, `split.seed=1`. accelerator: cpu, cuda, mps, gpu, or auto: what is there;
    export: write model.onnx at the end, what detection runs; where that fails the run is whole all the same, and the summary says
    why. progress: called with a Progress about the shortcuts, while it trains and after each epoch. Several processes: start it by torchrun.
    Ctrl-C leaves a run that can be used and resumed.
    Raises RecipeError, ShardError, ManifestError, WeightsError, CheckpointError, TrainingDiverged.
    """
    one_of(ACCELERATORS, accelerator=accelerator)
    folder = Path(out)
    if recipe is None:
        recipe = folder / RECIPE_NAME if resume and (folder / RECIPE_NAME).is_file() else DEFAULT_RECIPE
    begun = resume and any(folder.glob(f"**/{LAST_NAME}"))  # a fusion that was stopped early has but its members'
    recipe = resolve(recipe, overrides=overrides, epochs=epochs, seed=seed, trained_before=begun)
    if epochs is not None and not (kind_of(recipe).members or kind_of(recipe).loops(recipe)):
        log.warning("this recipe is fitted at once, without epochs: epochs=%d changes nothing", epochs)
    if not resume:
        _refuse_run(folder)
    elif not begun:
        log.warning("%s holds no run yet; beginning one", folder)
    shards = open_one_or_joined(data, folder / JOINED)
    parts = choose_parts(shards, recipe.split, kind_of(recipe).senses)
    if begun:
        parts = parts_as_begun(parts, folder)
    if kind_of(recipe).members:
        parts = parts_beside_members(recipe, shards, parts, folder)
    given = GivenParts(shards, parts, folder)
    return train_given(recipe, given, resume=resume, progress=progress, accelerator=accelerator, export=export)


@dataclass(frozen=True)
class GivenParts:
    """What a run is made on and into: the clips, what each serves for, and the run's folder."""

    shards: Shards
    parts: Parts
    folder: Path


def train_given(
    recipe: Recipe,
    given: GivenParts,
    *,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    accelerator: str = "auto",
    export: bool = True,
) -> RunSummary:
    """Train a resolved recipe where it is decided already which clip serves for what; as train otherwise."""
    started = time.monotonic()
    folder, shards, parts = given.folder, given.shards, given.parts
    _check_folder(folder, recipe, parts, resume=resume)
    run = _Run(folder, recipe, shards, parts, _fabric(recipe, accelerator), with_export=export)
    if run.kind.members:
        run.write_recipe()  # members come first: who stops one of them resumes the whole by it

        def member(one: Recipe, its: Parts, into: Path, tell: Callable[[Progress], None] | None) -> None:
            if trained_to_its_end(into):
                _refuse_other(into / BEST_NAME, one, its)
                if export and run.fabric.is_global_zero and not (into / ONNX_NAME).is_file():  # it was stopped there
                    _export(into)
                return
            parts_of_it = GivenParts(shards, its, into)
            # A member lies within the run: what was begun there is gone on with.
            summary = train_given(one, parts_of_it, resume=True, progress=tell, accelerator=accelerator, export=export)
            if summary.outcome == "interrupted":
                raise KeyboardInterrupt

        def take(weights: Path, into: Path) -> None:
            if run.fabric.is_global_zero:
                take_over(weights, into, export=export)
            run.fabric.barrier()

        train_members(recipe, shards, parts, folder, train=member, take=take, progress=progress)
    _ = run.training  # first of all: a kind may fit there what all its batches are made with (sync)
    run.tell_shortcuts(progress)
    state = run.build_state()
    if resume and (folder / LAST_NAME).is_file():
        saved = load_checkpoint(folder / LAST_NAME)
        restore_state(state, saved.tensors, saved.header.state)
    run.begin(state)
    with run.reports(state, progress) as report:
        outcome = run.learn(state, run.work(state, report, started))
    return run.finish(state, outcome, time.monotonic() - started)


def resolve(
    recipe: Recipe | Path | str,
    *,
    overrides: Sequence[str] | str = (),
    epochs: int | None = None,
    seed: int | None = None,
    trained_before: bool = False,
) -> Recipe:
    """The recipe with every change applied; `seed` is of the weights' start, the order and the luck of augmentation.

    epochs are also those of the recipes that a late fusion trains: itself it has none. trained_before: as recipe_from.
    """
    changes = list(each(overrides))
    if epochs is not None:
        changes.append(f"training.epochs={epochs}")
    if seed is not None:
        changes += [f"training.seed={seed}", f"loader.seed={seed}"]
    if isinstance(recipe, Recipe):
        whole = override_recipe(recipe, changes, trained_before=trained_before)
    else:
        whole = load_recipe(recipe, changes, trained_before=trained_before)
    if epochs is None or not kind_of(whole).members:
        return whole
    others = [one for one in whole.fusion.member_settings if one.partition("=")[0].strip() != "training.epochs"]
    settings = (*others, f"training.epochs={epochs}")
    return whole.model_copy(update={"fusion": whole.fusion.model_copy(update={"member_settings": settings})})


@dataclass(frozen=True)
class _Run:
    """What stays the same from a run's first step to its last."""

    folder: Path
    recipe: Recipe
    shards: Shards
    parts: Parts
    fabric: Fabric
    with_export: bool

    @property
    def kind(self) -> Kind:
        """What a recipe of this kind is built of."""
        return kind_of(self.recipe)

    @cached_property
    def training(self) -> ClipLoader:
        """Windows of the training part, shuffled, this process's share."""
        return self._loader("train", training=True)

    @cached_property
    def validation(self) -> ClipLoader:
        """Every window of the validation part."""
        return self._loader("validation", training=False)

    @cached_property
    def calibration(self) -> ClipLoader | None:
        """Every window of the calibration part; None where validation clips serve for that too."""
        return self._loader("calibration", training=False) if self.parts.rows("calibration") else None

    @cached_property
    def seen(self) -> SeenRange:
        """What the training clips are like."""
        return seen_in_training(self.shards, self.training.rows.tolist(), self.recipe)

    @cached_property
    def provenance(self) -> dict[str, JsonValue]:
        """Where the weights come from."""
        return provenance(
            data_name=self.shards.folder.resolve().name,
            data_hash=self.parts.data_hash,
            clips=self.parts.counts(),
            device=str(self.fabric.device),
        )

    def _loader(self, part: Part, *, training: bool) -> ClipLoader:
        asked = Asked(
            self.shards,
            self.recipe,
            self.parts.rows(part),
            training=training,
            rank=self.fabric.global_rank,
            num_ranks=self.fabric.world_size,
            pin_memory=self.fabric.device.type == "cuda",
            folder=self.folder,
        )
        return self.kind.loader(asked)

    def build_state(self) -> TrainingState:
        """A fresh net and all that moves with it, from the recipe's seed, on the device."""
        seed_torch(self.recipe.training.seed)
        net = self.kind.build(self.recipe, True)
        self.fabric.to_device(net)
        decay = self.recipe.training.average_decay
        average = None if decay is None else WeightAverage(net, decay)
        return TrainingState(net, build_optimiser(self.recipe.optimiser, net), average)

    def work(self, state: TrainingState, report: Callable[[Progress], None], started: float) -> Work:
        """The loop's constants."""
        net, optimiser = self.fabric.setup(state.net, state.optimiser)
        labels = self.shards.labels[self.training.rows].tolist()
        return Work(
            fabric=self.fabric,
            net=net,
            optimiser=optimiser,
            training=self.training,
            validation=self.validation,
            loss=self.kind.loss(self.recipe, labels),
            learning_rate=self.recipe.optimiser.learning_rate,
            schedule=self.recipe.schedule,
            spec=self.recipe.training,
            measure=measure,
            report=report,
            started=started,
            mix=batch_mix(self.recipe.augment.mix),
        )

    def learn(self, state: TrainingState, work: Work) -> str:
        """What the kind asks for: one fit, the loop, or the loop from a fitted start. Returns how it ended."""
        saves, fit = Saves(self.save_last, self.save_best), self.kind.fit

        def fitted(net: nn.Module) -> None:
            if fit is not None:
                fit(net, self.training, Asked(self.shards, self.recipe, [], training=True, folder=self.folder))

        if not self.kind.loops(self.recipe):
            return fit_once(state, work, saves, fitted)
        if not state.epochs_done and not state.batches_done:
            fitted(state.net)
        return train_epochs(state, work, saves)

    def begin(self, state: TrainingState) -> None:
        """Write what is known before the first step."""
        if not self.fabric.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write_recipe()
        write_parts(self.folder, self.parts)
        write_log(self.folder / LOG_NAME, state.rows)

    def write_recipe(self) -> None:
        """Write recipe.toml."""
        if self.fabric.is_global_zero:
            write_atomically(self.folder / RECIPE_NAME, recipe_toml(self.recipe).encode())

    def save_last(self, state: TrainingState) -> None:
        """Write last.safetensors: everything that a resume needs."""
        if self.fabric.is_global_zero:
            header = self._header(state, counters=state_counters(state))
            save_checkpoint(self.folder / LAST_NAME, state_tensors(state), header)

    def save_best(self, state: TrainingState, scored: ScoredClips) -> None:
        """Write best.safetensors: the judged net, its calibration and its thresholds."""
        how = choose_aggregation(scored, self.recipe.training.aggregate)
        scored = scored.aggregated(how)
        if self.calibration is not None:  # every process scores its share
            luck = random_state()  # loaders draw from torch's generators, with workers less than without
            scored = predict(self.fabric, state.judged_net, self.calibration.epoch(1), how=how)
            restore_random(luck)
        if self.fabric.is_global_zero:
            header = self._header(state, calibrated=calibrate(scored, self.shards, seen=self.seen), aggregate=how)
            save_checkpoint(self.folder / BEST_NAME, state.judged_net.state_dict(), header)

    def complete_best(self) -> None:
        """Add to best.safetensors where training clips lie in its net's own terms, as they were trained on (changed, forged).

        Once a run, when its best epoch is known: it costs about as much as validation does. Left as it is where the net does not embed,
        or where that means nothing. A fusion takes the largest distance of its members, so its decision minds it when one tells.
        """
        self.fabric.barrier()  # the file is there
        best = load_checkpoint(self.folder / BEST_NAME)
        if best.embedding_range:
            return
        if self.kind.members and Members(self.folder, self.recipe.fusion.members).tell_distance():
            self._save_completed(best, {})
        if not self.kind.embeds:
            return
        net = self.fabric.to_device(restore_net(best))
        found = embed(self.fabric, net, self.training.epoch(1), rows=MEASURED_CLIPS)
        if found is None or not isinstance(net, Embeds):
            return
        near = fit_embedding_range(*found, directed=net.directed)
        if near is None:
            return
        how = recipe_from(best.header.recipe, where=BEST_NAME, trained_before=True).training.aggregation
        held_out = (self.calibration or self.validation).epoch(1)
        scored = predict(self.fabric, net, held_out, how=how, near=near.to(self.fabric.device))
        if scored.distances is not None:
            self._save_completed(best, near.set_scale(scored.distances).state_dict())

    def _save_completed(self, best: Checkpoint, near: Mapping[str, Tensor]) -> None:
        """Write best.safetensors again with an embedding range, and a decision that minds the distance."""
        if not self.fabric.is_global_zero:
            return
        decision = Decision.from_json(json.dumps(best.header.decision))
        if MEASURE not in decision.seen.names:
            decision = replace(decision, seen=decision.seen.with_range(MEASURE, 0.0, 1.0))
        header = best.header.model_copy(update={"decision": json.loads(decision.to_json())})
        beside = {BESIDE + name: value for name, value in near.items()}
        save_checkpoint(self.folder / BEST_NAME, {**best.tensors, **beside}, header)

    def _header(
        self,
        state: TrainingState,
        *,
        calibrated: Calibrated | None = None,
        counters: Mapping[str, JsonValue] | None = None,
        aggregate: Aggregation | None = None,
    ) -> CheckpointHeader:
        """What is written beside weights; aggregate: what was chosen where the recipe leaves it open."""
        best = state.best_row
        chosen_by = self.recipe.training.choose_by
        fitted = {"calibration": {}, "decision": {}} if calibrated is None else calibrated.header()
        return CheckpointHeader(
            recipe=_settled(self.recipe, aggregate).model_dump(mode="json"),
            metrics={} if best is None else {"part": "validation", "chosen_by": chosen_by, **asdict(best)},
            calibration=fitted["calibration"],
            decision=fitted["decision"],
            provenance=self.provenance,
            state=dict(counters or {}),
        )

    @contextmanager
    def reports(
        self, state: TrainingState, progress: Callable[[Progress], None] | None
    ) -> Iterator[Callable[[Progress], None]]:
        """Where the loop reports to: log.csv, TensorBoard and the caller's callback; other processes keep quiet."""
        if not self.fabric.is_global_zero:
            yield lambda _: None
            return
        steps = math.ceil(len(self.training) / self.recipe.training.accumulate_batches)
        with Events(self.folder, first_step=state.epochs_done * steps) as events:

            def report(now: Progress) -> None:
                if now.kind == "step":
                    events.step(now)
                if now.kind == "epoch":
                    events.epoch(state.rows[-1])
                    write_log(self.folder / LOG_NAME, state.rows)
                if progress is not None:
                    progress(now)

            yield report

    def finish(self, state: TrainingState, outcome: str, seconds: float) -> RunSummary:
        """Measure the shortcuts, write metrics.json, export: what an export stumbles over takes nothing of the run away."""
        doubtful = [note.text for note in domain_warnings(self.recipe.augment, picture=_SHOWN[self.recipe.kind])]
        notes = [*self.parts.notes, *_left_out(self.training, self.validation), *doubtful]
        if self.calibration is None:
            notes.append(
                f"too few validation clips to set some apart (it takes {2 * ENOUGH_PER_CLASS} real and as many fake): calibration "
                "and thresholds come from the clips that chose the epoch, and flatter the run a little"
            )
        if self.kind.members:
            fitting, chose_nothing = Members(self.folder, self.recipe.fusion.members).fitting_rows(
                self.shards, self.training.rows.tolist()
            )
            if not chose_nothing:
                notes.append(
                    f"the members' weights come from {len(fitting)} clips that chose their epochs too, so that a member which was lucky there "
                    f"weighs too much; from {2 * ENOUGH_PER_CLASS} real and as many fake clips in fusion.fitting_share on, members trained here leave some for that"
                )
        judges = self.shards.labels[self.validation.rows]
        real, fake = int((judges == REAL).sum()), int((judges == FAKE).sum())
        if min(real, fake) < FEW_PER_CLASS:
            notes.append(
                f"{real} real and {fake} fake validation clips are too few for an AUC: whatever it says is luck"
            )
        if state.best_row is None:
            notes.append("no epoch was finished: best.safetensors holds the weights as they are, without calibration")
            if self.fabric.is_global_zero:
                save_checkpoint(self.folder / BEST_NAME, state.judged_net.state_dict(), self._header(state))
        elif outcome != "interrupted":  # who presses Ctrl-C does not wait; a resumed run completes it
            self.complete_best()
        summary = RunSummary(
            folder=self.folder,
            recipe=self.recipe.name,
            outcome=outcome,
            epochs_done=state.epochs_done,
            best=state.best_row,
            chosen_by=self.recipe.training.choose_by,
            clips=self.parts.counts(),
            audit=beside_net(self.shortcuts, None if state.best_row is None else state.best_row.auc),
            onnx=None,
            seconds=seconds,
            notes=tuple(notes),
        )
        if not self.fabric.is_global_zero:
            return summary
        self._write_metrics(summary, state)
        if self.with_export:
            path, why = _export(self.folder)
            failed = f"the run is whole, but {ONNX_NAME} was not written: {why}; try ffdv export {self.folder}"
            summary = replace(
                summary, onnx=path, unexported=why, notes=(*summary.notes, failed) if why else summary.notes
            )
            self._write_metrics(summary, state)
        return summary

    def _write_metrics(self, summary: RunSummary, state: TrainingState) -> None:
        """Write metrics.json: the summary and every epoch."""
        epochs = [asdict(row) for row in state.rows]
        text = json.dumps({"version": FORMAT_VERSION, **asdict(summary), "epochs": epochs}, indent=1, default=str)
        write_atomically(self.folder / METRICS_NAME, (text + "\n").encode())

    @cached_property
    def shortcuts(self) -> AuditLine:
        """What facts that are not forgery reach on the validation part."""
        rows = self.validation.rows
        return audit_line(
            self.shards.labels[rows],
            {name: self.shards.probe(name)[rows] for name in self.shards.probe_names},
            groups=interval_groups(self.shards, rows)[1],
        )

    def tell_shortcuts(self, progress: Callable[[Progress], None] | None) -> None:
        """The shortcuts come before any result: who knows only the net's number believes it."""
        if progress is not None and self.fabric.is_global_zero:
            epochs = self.recipe.training.epochs
            progress(Progress("audit", 0, epochs, 0, 0, 0.0, math.nan, math.nan, text=self.shortcuts.text))


def choose_aggregation(scored: ScoredClips, wanted: Aggregation | Literal["learned", "auto"]) -> Aggregation:
    """The wanted way to put windows together, or what these clips say is best."""
    if wanted == "auto":
        return best_aggregation(scored.labels, scored.windows)
    return fit_sharpness(scored.labels, scored.windows) if wanted == "learned" else wanted


def _settled(recipe: Recipe, how: Aggregation | None) -> Recipe:
    """The recipe with the aggregation that was chosen."""
    if how is None:
        return recipe
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"aggregate": how})})


def measure(scored: ScoredClips) -> dict[str, float]:
    """What an epoch is judged by. Ranks are those of logits: probabilities of very sure nets are all the same in the end."""
    labels, logits = scored.labels, scored.logits
    return {"auc": roc_auc(labels, logits), "accuracy": accuracy(labels, scored.scores), "eer": eer(labels, logits)}


def _export(folder: Path) -> tuple[Path | None, str]:
    """Write a run's model.onnx: (where it is, "") or (None, why it is not there)."""
    from ffdv.training.export import export

    try:
        return export(folder, out=folder / ONNX_NAME), ""
    except Exception as error:  # noqa: BLE001 -- hours of training are done and saved; the summary says what happened
        told = str(error).strip().splitlines() or [""]
        return None, told[0] if isinstance(error, FfdvError) else f"{type(error).__name__}: {told[0]}"


def _fabric(recipe: Recipe, accelerator: str) -> Fabric:
    """Device, precision and processes; several only where torchrun started them. Raises RecipeError where the device is not there."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=local,
            num_nodes=max(processes // local, 1),
            strategy="ddp" if processes > 1 else "auto",
            precision=recipe.training.precision,
        )
    except RuntimeError as error:
        raise RecipeError(f"accelerator {accelerator!r} is not on this machine; choose auto or cpu") from error
    fabric.launch()
    return fabric


def _check_folder(folder: Path, recipe: Recipe, parts: Parts, *, resume: bool) -> None:
    """Refuse to write over another run, and to resume something else than what was begun."""
    if not resume:
        _refuse_run(folder)
    if (folder / LAST_NAME).is_file():
        _refuse_other(folder / LAST_NAME, recipe, parts)


def _refuse_run(folder: Path) -> None:
    if (folder / LAST_NAME).is_file() or (folder / BEST_NAME).is_file():
        raise CheckpointError(f"{folder} holds a run already; resume it (--resume), or choose another folder (--out)")


def _refuse_other(weights: Path, recipe: Recipe, parts: Parts) -> None:
    """Refuse to go on with, or to take over, what was begun with another recipe, on other clips, or on other parts of them."""
    folder, header = weights.parent, read_header(weights)
    begun = recipe_from(header.recipe, where=str(weights), trained_before=True)
    different = _differences(begun, recipe)
    if different:
        more = f", and {len(different) - SHOWN_DIFFERENCES} more" if len(different) > SHOWN_DIFFERENCES else ""
        raise RecipeError(
            f"{folder} was begun with another recipe; leave --recipe and --set out to go on with its own "
            f"({folder / RECIPE_NAME}), or train anew into another folder: {', '.join(different[:SHOWN_DIFFERENCES])}{more}"
        )
    if data_hash_of(header.provenance) != parts.data_hash:
        raise CheckpointError(
            f"{folder} was begun on other clips; resume it with its own data, or train anew into another folder"
        )
    if read_parts(folder) != dict(zip(parts.names, parts.of_row, strict=True)):
        raise CheckpointError(
            f"{folder} was begun on other parts of the clips (another split); train anew into another folder, or delete this one"
        )


def _differences(begun: Recipe, wanted: Recipe) -> list[str]:
    """Settings that differ, as "table.key: was → is", apart from those that may change, and from those that change nothing."""
    was, now = begun.model_dump(mode="json"), wanted.model_dump(mode="json")
    training = training_of(wanted.kind, wanted.motion.classifier)
    settings = [(table, key) for table, keys in now.items() if isinstance(keys, dict) for key in keys]
    return [
        f"{table}.{key} was {was[table][key]}, is {now[table][key]}"
        for table, key in settings
        if (table, key) not in _FREE_SETTINGS
        and was[table][key] != now[table][key]
        and not is_unused(training, f"{table}.{key}")
    ]


def _left_out(training: ClipLoader, validation: ClipLoader) -> list[str]:
    """Which clips took no part, in words."""
    parts = (("training", training), ("validation", validation))
    return [f"{name}: {text}" for name, loader in parts if (text := loader.left_out.sentence())]
