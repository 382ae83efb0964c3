"""A repair that only takes its time: for nodes that are parts of one machine, and for demos.

`python -m parkade.repairs.simulated SECONDS` waits and says so; it touches nothing.
"""

import json
import os
import sys
import time


def main(arguments: list[str]) -> int:
    """Always 0: there is nothing to fail."""
    seconds = float(arguments[0]) if arguments else 0.0
    time.sleep(seconds)
    repair, node = os.environ.get("PARKADE_REPAIR", ""), os.environ.get("PARKADE_NODE", "")
    sys.stdout.write(json.dumps({"says": f"simulated {repair} of {node}"}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
