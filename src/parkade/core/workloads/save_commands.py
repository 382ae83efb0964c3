"""The commands of presets whose programs are asked by something else than a signal.

Each is a line for the shell, run beside a rank as its user, in its environment and folder. What the
programs look for is in decision record 53.
"""

RAY_DRAIN = """python3 - <<'END'
import json, os, subprocess, time
import ray
ray.init(address="auto", log_to_driver=False)
here = ray.get_runtime_context()
with open(os.environ["PARKADE_NOTICE_FILE"]) as file:
    left_s = json.load(file)["deadline_us"] / 1e6 - time.time()
subprocess.run(
    ["ray", "drain-node", f"--address={here.gcs_address}", f"--node-id={here.get_node_id()}",
     "--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=notice",
     f"--deadline-remaining-seconds={max(1, int(left_s / 2))}"],
    check=True,
)
END"""
"""Drains the Ray node of the rank: half of what is left to save, half to leave."""

_TRIGGERS = " ".join(
    f'"$PARKADE_CHECKPOINT_DIR/{name}"'
    for name in (".axolotl_save_checkpoint", "axolotl_checkpoint.save")
)
"""Axolotl looks for such a file in its output folder: the first name now, the second before."""

AXOLOTL_SAVE = f"""begun=$(mktemp "$PARKADE_CHECKPOINT_DIR/.notice.XXXXXX"); touch {_TRIGGERS}
newest() {{
  find "$PARKADE_CHECKPOINT_DIR" -mindepth 2 -maxdepth 2 -newer "$begun" \\
    -path '*/checkpoint-*/trainer_state.json' | sort -V | tail -n 1
}}
while :; do
  saved=$(newest); folder=${{saved%/*}}
  if [ -n "$saved" ] && [ ! -e "$folder/checkpoint-is-incomplete.txt" ] &&
     [ -z "$(find "$folder" -newermt '-2 seconds')" ]; then break; fi
  sleep 0.5
done
name=${{folder##*/}}
printf '{{"step": %d, "at": "%s", "path": "%s"}}\\n' "${{name#checkpoint-}}" \\
  "$(date -u +%FT%TZ)" "$name" > "$begun"
mv "$begun" "$PARKADE_CHECKPOINT_DIR/.parkade.json"
"""
"""Makes the trigger file, waits for a checkpoint that is newer and has been whole for 2 s, and
reports it."""
