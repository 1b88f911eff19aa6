"""Watches a `Trainer`: reports steps and metrics, decides when to save, ends it on stop."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from qwen3ft_jupyter.errors import JobFailed
from qwen3ft_jupyter.finetune import checkpoints
from qwen3ft_jupyter.finetune.metrics import best_step, without_better
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.pace import NAMES as PACE_NAMES
from qwen3ft_jupyter.finetune.ranks import ALONE
from qwen3ft_jupyter.loading.machine import held_bytes
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import TrainerCallback

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.metrics import MetricsFile
    from qwen3ft_jupyter.finetune.ranks import Ranks
    from qwen3ft_jupyter.work import Work

SAVE_EVERY_S = 300.0
"""What a kill costs at most, where saving is quick."""

SAVE_SHARE = 20
"""Saving may take a twentieth of the time; a full fine-tune's checkpoint has ten times the model's bytes."""

REPORT_EVERY_S = 0.25
"""Progress is for eyes."""

RATE_STEPS = 20
"""Steps over which the speed is averaged."""


class TrainerState(Protocol):
    """What we read of `transformers.TrainerState`."""

    global_step: int
    max_steps: int
    num_input_tokens_seen: int


class TrainerControl(Protocol):
    """What we set of `transformers.TrainerControl`."""

    should_save: bool
    should_evaluate: bool
    should_training_stop: bool


class Watch:
    """The state behind the callback. Its methods have the names and the order of `TrainerCallback`'s."""

    def __init__(
        self,
        config: FineTuneConfig,
        *,
        folder: Path,
        written_to: Path,
        metrics: MetricsFile,
        work: Work,
        evaluate_every: int | None = None,
        between: Callable[[int, float], None] | None = None,
        device: str = "",
        used_a_token: float | None = None,
        processes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the checkpoints' folder, that where libraries write them, and where to tell.

        Held-out rows are measured every `evaluate_every` steps and at the end; None: there are none. `between` is
        called after a step with it and the seconds of training; what it takes is not training. Memory is that on
        `device`; `used_a_token` is the part of what the device can compute that one token a second uses, None: nobody
        knows. So many `processes` compute each step.
        """
        self._config, self._folder, self._written_to, self._metrics = config, folder, written_to, metrics
        self._work, self._evaluate_every, self._between = work, evaluate_every, between
        self._running, self._idle_s = clock, 0.0
        self._device, self._used_a_token, self._processes = device, used_a_token, processes
        self._ends: deque[tuple[float, int]] = deque(maxlen=RATE_STEPS + 1)
        self._began = self._saved_at = self._told_at = self._clock()
        self._save_took = 0.0
        self._before_s = float(metrics.rows[-1].get("seconds", 0.0)) if metrics.rows else 0.0
        self._state: TrainerState | None = None
        self._first_rate: float | None = None
        """Steps a second as the longest batch makes one expect, until there are steps to go by."""
        self.is_stopped = self.is_early = False
        """Whether someone stopped it; whether it has ended because nothing became better."""

    def _clock(self) -> float:
        """Return the seconds on the clock without those in which no step was computed."""
        return self._running() - self._idle_s

    @property
    def seconds(self) -> float:
        """Return the seconds of training, earlier attempts included."""
        return self._before_s + self._clock() - self._began

    def on_train_begin(self, state: TrainerState) -> None:
        """Start the clock."""
        now, self._state = self._clock(), state
        self._began = self._saved_at = now
        self._ends.append((now, state.num_input_tokens_seen))
        self._tell(state, now)

    def on_try_begin(self) -> None:
        """Say what is computed before the first step."""
        self._work.progress(Progress("training", 0, None, "steps", detail=Message("trying the longest batch")))

    def on_try_end(self, took: float, step_s: float) -> None:
        """Leave out the seconds that were spent trying, and tell the time left if a step takes what is expected."""
        self._idle_s += took
        self._first_rate = 1 / step_s if step_s > 0 else None
        if self._state is not None:
            self._tell(self._state, self._clock())

    def on_step_end(self, state: TrainerState, control: TrainerControl) -> None:
        """Report, and say whether to save or to end."""
        now = self._clock()
        self._ends.append((now, state.num_input_tokens_seen))
        is_last = state.global_step >= state.max_steps
        if is_last or now - self._told_at >= REPORT_EVERY_S:
            self._tell(state, now)
        if self._evaluate_every and (is_last or state.global_step % self._evaluate_every == 0):
            control.should_evaluate = True
        if is_last:  # the result follows at once, a checkpoint of the same would be waste
            return
        if self._work.stop.is_set():
            self.is_stopped = control.should_save = control.should_training_stop = True
            return
        if self._is_time_to_save(state.global_step, now):
            control.should_save = True
        if self._between is not None:
            self._between(state.global_step, self.seconds)
            self._idle_s += self._clock() - now

    def on_log(self, state: TrainerState, values: dict[str, float]) -> None:
        """Write one line of metrics. Raises JobFailed if the loss is no number any more."""
        row: dict[str, float] = {"step": state.global_step}
        told = OBJECTIVES[self._config.objective].metrics
        for name in ("loss", "learning_rate", "grad_norm", "epoch", *told, *(f"eval_{one}" for one in ("loss", *told))):
            if name in values:
                row[name] = float(values[name])
        if not {"loss", "eval_loss"} & row.keys():  # the summary at the end
            return
        if not math.isfinite(row.get("loss", 0.0)):
            raise JobFailed(
                "The loss became {loss} at step {step}.",
                hint="Lower learning_rate, or train in bfloat16 or float32.",
                loss=row["loss"],
                step=state.global_step,
            )
        if not math.isfinite(row.get("eval_loss", 0.0)):
            self._work.notice("The loss on held-out rows is no number at step {step}.", step=state.global_step)
        if "loss" in row:
            row |= self._speed() | {name: round(values[name], 6) for name in PACE_NAMES if name in values}
        row["seconds"] = round(self.seconds, 3) if state.global_step else 0.0
        finite = {name: value for name, value in row.items() if math.isfinite(value)}
        self._metrics.add(finite)
        self._work.metrics(finite)

    def _speed(self) -> dict[str, float]:
        """Return tokens so far, and speed, memory and utilisation of the latest step, as far as they are known."""
        (first, tokens_before), (last, tokens) = self._ends[-2 if len(self._ends) > 1 else -1], self._ends[-1]
        rate = (tokens - tokens_before) / max(last - first, 1e-9)
        known: dict[str, float] = {"tokens": tokens, "tokens_per_s": round(rate, 1)}
        if self._processes > 1:
            known["tokens_per_s_per_device"] = round(rate / self._processes, 1)
        held = held_bytes(self._device)
        known |= {} if held is None else {"memory_bytes": held}
        return known if self._used_a_token is None else {**known, "mfu": round(rate * self._used_a_token, 6)}

    def on_evaluate(self, state: TrainerState, control: TrainerControl) -> None:
        """Save what measured best so far, if that is wanted; end where nothing has become better for long."""
        patience, rows = self._config.early_stopping, self._metrics.rows
        if state.global_step in {0, state.max_steps}:
            return
        if patience is not None and without_better(rows) >= patience:
            self.is_stopped, self.is_early = False, True
            control.should_training_stop = True
            control.should_save = False  # the result follows at once; a run killed before it comes by here again
            self._work.notice(
                "Stopped early after step {step}: the loss on held-out rows has not become better since step {best}.",
                step=state.global_step,
                best=best_step(rows),
            )
        elif self._config.keeps_best and best_step(rows) == state.global_step:
            control.should_save = True

    def on_save(self, state: TrainerState) -> None:
        """Keep the checkpoint that was just written, and delete old ones."""
        self._metrics.flush()  # what goes on from the checkpoint needs the lines before it
        written = self._written_to / f"checkpoint-{state.global_step}"
        (written / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing reads
        checkpoints.take(written, self._folder, self._work.reporter)
        best = best_step(self._metrics.rows) if self._config.keeps_best else None
        checkpoints.prune(self._folder, self._config.keep_checkpoints, self._work.reporter, best=best)
        now = self._clock()
        self._save_took, self._saved_at = now - self._ends[-1][0], now

    def _is_time_to_save(self, step: int, now: float) -> bool:
        steps, minutes = self._config.save_steps, self._config.save_minutes
        if steps is not None or minutes is not None:
            is_due = minutes is not None and now - self._saved_at >= 60 * minutes
            return is_due or (steps is not None and step % steps == 0)
        return now - self._saved_at >= max(SAVE_EVERY_S, SAVE_SHARE * self._save_took)

    def _tell(self, state: TrainerState, now: float) -> None:
        self._told_at = now
        steps, taken = len(self._ends) - 1, self._ends[-1][0] - self._ends[0][0]
        rate = steps / taken if steps and taken > 0 else self._first_rate
        left = state.max_steps - state.global_step
        self._work.progress(
            Progress("training", state.global_step, state.max_steps, "steps", rate, left / rate if rate else None)
        )


class Follower:
    """Stands in place of a `Watch` in the processes that follow the first one: decides nothing, tells nobody."""

    def on_train_begin(self, state: TrainerState) -> None:
        """Do nothing."""

    def on_step_end(self, state: TrainerState, control: TrainerControl) -> None:
        """Do nothing."""

    def on_log(self, state: TrainerState, values: dict[str, float]) -> None:
        """Do nothing."""

    def on_evaluate(self, state: TrainerState, control: TrainerControl) -> None:
        """Do nothing."""

    def on_save(self, state: TrainerState) -> None:
        """Do nothing."""


def make_callback(watch: Watch | Follower, ranks: Ranks = ALONE) -> TrainerCallback:
    """Return the `TrainerCallback` that passes events on to `watch`; what the first process decides, all do."""
    from transformers import TrainerCallback

    class WatchCallback(TrainerCallback):  # type: ignore[misc]  # the train extra has no types
        """Passes events on."""

        def on_train_begin(self, _args: object, state: TrainerState, _control: object, **_: object) -> None:
            watch.on_train_begin(state)

        def on_step_end(self, _args: object, state: TrainerState, control: TrainerControl, **_: object) -> None:
            watch.on_step_end(state, control)
            _agree(control, ranks)

        def on_log(
            self,
            _args: object,
            state: TrainerState,
            _control: object,
            logs: dict[str, float] | None = None,
            **_: object,
        ) -> None:
            watch.on_log(state, logs or {})

        def on_evaluate(self, _args: object, state: TrainerState, control: TrainerControl, **_: object) -> None:
            watch.on_evaluate(state, control)
            _agree(control, ranks)

        def on_save(self, _args: object, state: TrainerState, _control: object, **_: object) -> None:
            watch.on_save(state)

    return WatchCallback()


def _agree(control: TrainerControl, ranks: Ranks) -> None:
    """Have all processes measure and end as the first one does; it alone saves, unless each has a part of the model."""
    control.should_evaluate, control.should_training_stop, saves = ranks.from_first(
        lambda: (control.should_evaluate, control.should_training_stop, control.should_save)
    )
    if ranks.is_sharded:
        control.should_save = saves
