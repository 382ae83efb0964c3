"""How every engine asks programs that listen to something else than a signal: Ray and Axolotl."""

import json
import shlex
from pathlib import Path

from parkade.core.workloads.saving import PRESETS
from tests.engines import standin_presets, standins
from tests.engines.noticing import begin
from tests.engines.trial import Place, attempt_of, now_us, order_in, released, run, until

RAY = PRESETS["ray"].request
AXOLOTL = PRESETS["axolotl"].request


class PresetContract:
    """Part of EngineContract."""

    def test_the_ray_node_of_the_rank_is_drained_with_half_of_the_notice(
        self, place: Place, tmp_path: Path
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            path = standin_presets.ray(tmp_path)
            attempt = attempt_of(
                f"export PATH={shlex.quote(str(path))}:$PATH; " + standin_presets.drained_by_ray(),
                env=(("PYTHONPATH", str(path)), ("PATH", f"{path}:/usr/bin:/bin")),
                save=RAY,
            )
            await begin(engine, place, attempt)
            order = order_in(4.0, 60)
            await engine.stop(attempt.attempt, order)
            seen = await released(engine, attempt)
            (drained,) = (place.checkpoints(attempt) / "drained").read_text().splitlines()
            words = json.loads(drained)
            assert words[0] == "drain-node"
            assert "--node-id=feed" in words and "--address=10.0.0.1:6379" in words
            (left,) = [it.partition("=")[2] for it in words if "deadline-remaining" in it]
            assert 1 <= int(left) <= 2
            assert seen.checkpoint is not None, "it saved, and went on"
            assert (seen.released_us or 0) >= order.deadline_us
            assert seen.is_signalled

        run(body())

    def test_axolotl_is_ended_once_a_newer_checkpoint_is_whole_and_no_earlier(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standin_presets.axolotl(save_s=1.0), save=AXOLOTL)
            await begin(engine, place, attempt)
            order = order_in(300, 600)
            await engine.stop(attempt.attempt, order)
            seen = await released(engine, attempt)
            assert (seen.released_us or 0) < order.deadline_us
            assert seen.checkpoint is not None and seen.checkpoint.step == 20
            assert order.noticed_us < seen.checkpoint.at_us <= now_us()
            folder = place.checkpoints(attempt)
            assert (folder / "checkpoint-20" / "optimizer.pt").exists(), "it was not cut short"
            assert not (folder / "checkpoint-20" / "checkpoint-is-incomplete.txt").exists()
            assert not list(folder.glob(".notice.*"))

        run(body())

    def test_axolotl_that_saves_nothing_runs_to_the_deadline(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            old = "mkdir -p $PARKADE_CHECKPOINT_DIR/checkpoint-10; "
            old += (
                "touch -d '1 hour ago' $PARKADE_CHECKPOINT_DIR/checkpoint-10/trainer_state.json; "
            )
            attempt = attempt_of(old + standins.without_handlers(), save=AXOLOTL)
            await begin(engine, place, attempt)
            order = order_in(1.5, 60)
            await engine.stop(attempt.attempt, order)
            await until(lambda: (place.checkpoints(attempt) / ".axolotl_save_checkpoint").exists())
            seen = await released(engine, attempt)
            assert (seen.released_us or 0) >= order.deadline_us
            assert seen.checkpoint is None

        run(body())
