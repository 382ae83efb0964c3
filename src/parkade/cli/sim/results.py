"""What a proof found, kept in a folder for programs."""

from pathlib import Path

from parkade.cli.calling import fail


def keep_results(folder: Path, name: str, report: bytes) -> None:
    """Writes `name`.json there, in place of one before; ends with 1 where that is refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_bytes(report)
    except OSError as error:
        fail(f"--results {folder}: {error.strerror}", exit_code=1)
