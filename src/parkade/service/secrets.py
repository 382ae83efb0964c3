"""Secrets of the operator stand in files of their own, which their owner alone reads."""

from pathlib import Path

from parkade.service.settings import BadSettings


def read_secret(path: Path, *, least: int) -> bytes:
    """What stands in the file. BadSettings where others may read it, or it is too short."""
    try:
        if path.stat().st_mode & 0o077:
            raise BadSettings(f"{path}: others may read this secret; chmod 600 {path}")
        secret = path.read_bytes().strip()
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from error
    if len(secret) < least:
        raise BadSettings(
            f"{path}: write a secret of at least {least} bytes, like `openssl rand -hex 32`"
        )
    return secret
