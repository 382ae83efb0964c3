"""Stand-ins for programs that listen to something else than a signal: Ray Train and Axolotl."""

import sys
import textwrap
from pathlib import Path

from tests.engines.standins import python


def ray(folder: Path) -> Path:
    """A folder for PATH and PYTHONPATH with a `ray` that notes what it is asked to drain."""
    (folder / "ray.py").write_text(
        textwrap.dedent(
            """
            class Context:
                gcs_address = "10.0.0.1:6379"
                def get_node_id(self):
                    return "feed"
            def init(**options):
                assert options["address"] == "auto"
            def get_runtime_context():
                return Context()
            """
        )
    )
    program = folder / "ray"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        'with open(os.environ["PARKADE_CHECKPOINT_DIR"] + "/drained", "a") as file:\n'
        '    file.write(json.dumps(sys.argv[1:]) + "\\n")\n'
    )
    program.chmod(0o755)
    return folder


def drained_by_ray() -> str:
    """Ray Train: sees that its node is drained, saves, and goes on."""
    return python(
        """
        up()
        is_saved = False
        while True:
            if not is_saved and os.path.exists(f"{folder}/drained"):
                report()
                is_saved = True
            time.sleep(0.02)
        """
    )


def axolotl(save_s: float) -> str:
    """Saves when its trigger file is there, bit by bit, and goes on. Without a handler for TERM."""
    return python(
        f"""
        trigger = f"{{folder}}/.axolotl_save_checkpoint"
        target = f"{{folder}}/checkpoint-20"
        up()
        while not os.path.exists(trigger):
            time.sleep(0.02)
        os.mkdir(target)
        open(f"{{target}}/checkpoint-is-incomplete.txt", "w").close()
        open(f"{{target}}/trainer_state.json", "w").close()
        time.sleep({save_s})
        open(f"{{target}}/optimizer.pt", "w").close()
        os.unlink(f"{{target}}/checkpoint-is-incomplete.txt")
        wait()
        """
    )
