"""`python -m parkade.service`: the server from flags and the environment."""

import argparse
import sys
from pathlib import Path

from parkade.ports import AlreadyLed, StoreError
from parkade.service.settings import BadSettings, read_settings
from parkade.service.up import UpOptions, up


def main(arguments: list[str] | None = None) -> int:
    """Runs the server; 2 where it cannot start as it was told to."""
    parser = argparse.ArgumentParser(prog="python -m parkade.service", description=__doc__)
    parser.add_argument("--data-folder", type=Path)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--unit")
    parser.add_argument("--log-format", choices=("console", "json"))
    parser.add_argument("--allow-remote", action="store_const", const=True)
    parser.add_argument("--root-workloads", action="store_const", const=True)
    parser.add_argument("--database")
    parser.add_argument("--url")
    parser.add_argument("--standby", action="store_const", const=True)
    parser.add_argument("--takeover-s", type=float)
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--new-token", action="store_true")
    parser.add_argument("--original-is-gone", action="store_true")
    given = parser.parse_args(arguments)
    options = UpOptions(
        token_file=given.token_file,
        is_new_token_wanted=given.new_token,
        is_original_gone=given.original_is_gone,
    )
    try:
        up(read_settings(vars(given)), options)
    except (AlreadyLed, BadSettings, StoreError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}; choose another path\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
