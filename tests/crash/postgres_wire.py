"""The wire between a server and PostgreSQL, which a test can cut: bytes go nowhere, and nobody is
told, as when a switch dies."""

import selectors
import socket
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

NAME = ".s.PGSQL.5432"
_BYTES = 65_536


class Wire:
    """Relays between a socket in `folder` and the server of `address`; `address` of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        parts = urlsplit(address)
        self._there = f"{parse_qs(parts.query)['host'][0]}/{NAME}"
        folder.mkdir()
        self.address = f"postgresql://{parts.username}@{parts.path}?host={folder}"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / NAME))
        self._listening.listen(64)
        self._whole = threading.Event()
        self._whole.set()
        self._is_closed = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """From now on nothing goes through, either way."""
        self._whole.clear()

    def mend(self) -> None:
        """What was connected is gone; what connects now gets through."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                end.close()
        self._whole.set()

    def close(self) -> None:
        """Ends it."""
        self._is_closed = True
        self._listening.close()
        self.mend()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                here, _ = self._listening.accept()
                self._whole.wait()
                there = socket.socket(socket.AF_UNIX)
                there.connect(self._there)
            except OSError:
                return
            self._pairs.append((here, there))
            threading.Thread(target=self._relay, args=(here, there), daemon=True).start()

    def _relay(self, here: socket.socket, there: socket.socket) -> None:
        other = {here: there, there: here}
        try:
            with selectors.DefaultSelector() as selector:
                for end in other:
                    selector.register(end, selectors.EVENT_READ)
                while True:
                    for key, _ in selector.select():
                        ready = key.fileobj
                        assert isinstance(ready, socket.socket)
                        got = ready.recv(_BYTES)
                        self._whole.wait()
                        if not got:
                            return
                        other[ready].sendall(got)
        except (OSError, ValueError):
            return
        finally:
            here.close()
            there.close()
