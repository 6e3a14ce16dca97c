"""What a notebook needs around its own cells: `lab = start(...)` before, `with lab.stage("grpo") as stage:` around a stage.

Standard library only at import: the first cell runs before torch is loaded, and Unsloth, which patches the others, is loaded by
`start`.
"""

import inspect
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from grpo_lab import host, recipes, records, runs
from grpo_lab.mirror import Mirror, open_mirror
from grpo_lab.recipes import Recipe
from grpo_lab.tracking import Tracker, open_tracker
from grpo_math.formats import get_format
from grpo_math.rewards import reward_set

if TYPE_CHECKING:
    from transformers import Trainer, TrainerCallback

    from grpo_lab.training import Learning, Recorder


@dataclass(frozen=True)
class Lab:
    """A recipe on this machine. root: of the clone; run: the run's folder; backend: "unsloth" or "peft"; tracker: its kind.

    given: an adapter that was trained elsewhere, or None.
    """

    recipe: Recipe
    run: Path
    root: Path
    seed: int
    backend: str
    mirror: Mirror
    tracker: str
    use_vllm: bool
    given: Path | None = None

    def adapter(self, stage: str) -> Path:
        """The adapter that "sft" (the last supervised stage, priming where the recipe has no other) or "grpo" has saved.

        One that was given takes the place of GRPO's. FileNotFoundError says which notebook makes it.
        """
        if self.given and stage == "grpo":
            return self.given
        trained = "priming" if stage == "sft" and self.recipe.sft is None else stage
        return runs.require_adapter(self.run, trained)

    @contextmanager
    def stage(self, name: str) -> Iterator["Stage"]:
        """A stage ("priming", "sft", "grpo" or "evaluation"): its configuration saved, its clock and its tracker running.

        When it ends, well or not, the time is kept, the tracker closed and what is new mirrored.
        """
        settings = {"recipe": self.recipe, "seed": self.seed, "backend": self.backend}
        runs.save_config(self.run, name, settings)
        clock = runs.StageClock(self.run, name)
        with ExitStack() as ending:  # the last that is named here comes first
            ending.callback(self.mirror.copy_new)
            tracker = ending.enter_context(open_tracker(self.tracker, self.run, name, settings))
            ending.callback(clock.save)
            yield Stage(self, name, clock, tracker)


@dataclass(frozen=True)
class Stage:
    """One stage of a run, opened by `Lab.stage`."""

    lab: Lab
    name: str
    clock: runs.StageClock
    tracker: Tracker

    @property
    def folder(self) -> Path:
        """Where the trainer writes."""
        return self.lab.run / self.name

    @property
    def trainer_args(self) -> dict:
        """For `training.sft_config` and `grpo_config`: output folder, seed, where to report, and what to push to the hub."""
        places = self.tracker.trainer_args | self.lab.mirror.trainer_args(self.name)
        return {"output_dir": self.folder, "seed": self.lab.seed, **places}

    def watch(
        self,
        recorder: "Recorder | None" = None,
        probe: Callable[[], dict[str, float]] | None = None,
        draw: Callable[[Sequence[dict], Sequence[dict], int], str] | None = None,
    ) -> list["TrainerCallback"]:
        """The callbacks of a trainer: metrics file and progress bar; in GRPO also `recorder`, `probe` and the live view.

        probe: measures dev accuracy (see `training.Metrics`). draw: makes the live view's HTML (see `training.Live`).
        """
        from grpo_lab import progress, training

        metrics = training.Metrics(
            self.lab.run / f"{self.name}_metrics.csv", self.tracker, self.clock, probe, self.lab.recipe.grpo.probe_every
        )
        if recorder is None:
            return [metrics, training.Progress()]
        seen = progress.in_notebook() and progress.TERMINAL not in os.environ  # then the live view is the bar
        return [recorder, metrics, *([] if seen else [training.Progress()]), training.Live(metrics, recorder, draw)]

    def train(self, trainer: "Trainer") -> "Learning":
        """Train from the newest whole checkpoint or the start (see `training.train`), and save the adapter.

        Beside it `<stage>_data.md` says what was trained on.
        """
        from grpo_lab import models, training

        trained_on = trainer.train_dataset.info.description  # how many rows were asked for, found and dropped, and why
        records.write_text(self.lab.run / f"{self.name}_data.md", f"{trained_on}\n")
        if self.name == "grpo" and (most := self.lab.recipe.grpo.generation_batch):
            models.generate_in_parts(trainer.model, most)
        learning = training.train(trainer, self.folder, self.lab.mirror)
        adapter = self.folder / "adapter"
        models.save_adapter(trainer.model, trainer.processing_class, adapter)
        self.tracker.summarise({"learning": vars(learning)})
        self.tracker.save_files(f"{self.name}-adapter", "model", [adapter])
        return learning


def start(
    recipe: str,
    run: str,
    seed: int,
    trial: bool = False,
    mirror: str = "auto",
    backend: str = "auto",
    tracker: str = "wandb",
    unanswerable: float = 0.0,
    use_vllm: bool = False,
    model: str = "",
    hardware: str = "",
    data: str = "",
    columns: Mapping[str, str] | None = None,
    rewards: str | Callable | Sequence[str | Callable] = (),
    checker: Callable | None = None,
    format: str = "",
    adapter: str = "",
) -> Lab:
    """Resolve a recipe on this machine, check that it can run, and open its run folder; prints what was found in three lines.

    data, columns: your own problems (see `data.with_data`). rewards, checker: as `rewards.reward_set` takes them. format: a name
    in `formats.FORMATS`. adapter: one that was trained elsewhere, a folder or an id of the hub. A trial has a folder of its own,
    `<run>-trial`. On Colab and Kaggle what is missing is installed first. The arguments are the notebooks' parameters. Raises
    ValueError for one that is wrong, RuntimeError with what to do for a machine that cannot run the recipe, PermissionError for
    a folder.
    """
    # A notebook shows in red what others warn of and how they get on: two warnings by name, of what is not used, and bars below.
    warnings.filterwarnings("ignore", message="IProgress not found")
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "gemm_4bit_forward" not in record.msg)
    device = host.set_up()
    root = runs.project_root()
    resolved = recipes.with_unanswerable(recipes.with_model(recipes.get_recipe(recipe, trial), model), unanswerable)
    alone = isinstance(rewards, str) or callable(rewards)
    form, paid = get_format(format or resolved.format), (rewards,) if alone else tuple(rewards)
    if checker:
        try:
            inspect.signature(checker).bind("answer", "gold")
        except TypeError as error:
            raise ValueError(f"CHECKER is called with an answer and a gold answer, which it does not take ({error}).") from None
    resolved = replace(resolved, format=form.name, rewards=paid or resolved.rewards, checker=checker)
    reward_set(form, resolved.rewards)  # a wrong name is said now
    resolved = recipes.for_device(resolved, device, hardware)
    recipes.check_batches(resolved)
    folder = runs.open_run(f"{run}-trial" if trial else run, root)
    os.environ.setdefault("TRACKIO_DIR", str(folder / "trackio"))  # which Trackio reads once, when TRL imports it
    host.preflight(resolved.needs, device, folder)
    if use_vllm:
        host.add_vllm(device)
    chosen = runs.choose_backend("peft" if use_vllm else backend, device.kind)
    from datasets import disable_progress_bars
    from transformers.utils.logging import set_tqdm_hook

    from grpo_lab import models  # imports torch and Transformers, after Unsloth
    from grpo_lab.data import with_data

    host.check_torch(device)

    disable_progress_bars()
    set_tqdm_hook(lambda bar, given, named: bar(*given, **named | {"disable": True}))  # downloads keep theirs

    given = models.fetch_adapter(adapter, root) if adapter else None
    resolved = with_data(resolved, data, columns)
    if given:  # what came before it is not known
        resolved = replace(resolved, priming=None, sft=None)
    where = host.detect_host()
    versions, precision = runs.describe_environment(), str(models.compute_dtype(resolved)).removeprefix("torch.")
    told = ", ".join(f"{name} {versions[name]}" for name in ("torch", "trl", "transformers", "unsloth", "commit"))
    print(f"{where}: {device}; Python {versions['python']}, {told}")
    print(f"recipe {resolved.name}, seed {seed}, backend {chosen}, {precision}, results/{folder.name}")
    return Lab(resolved, folder, root, seed, chosen, open_mirror(mirror, folder, where), tracker, use_vllm, given)
