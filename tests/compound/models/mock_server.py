"""A model server small enough to start in a test: python mock_server.py PORT [child|broken|slow]"""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Ready at once; answers each chat with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"status": "ok"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = f"mock says: {asked['messages'][-1]['content']}"
        message = {"role": "assistant", "content": text}
        self._answer(
            {
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            }
        )

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def _answer(self, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    """Serve until it is ended; `slow` never listens, `broken` ends at once."""
    mode = sys.argv[2] if len(sys.argv) > 2 else ""
    if mode == "broken":
        sys.stderr.write("loading …\n\x1b[31mcannot load the weights")
        sys.exit(3)
    if mode in ("child", "slow"):
        sleeper = subprocess.Popen([sys.executable, "-c", "input()", __file__], stdin=-1)
        if mode == "slow":
            sleeper.wait()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
