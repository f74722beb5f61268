"""HTTP on loopback, for the suites that call one thing at a time."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Answers every request by one function: (method, path, headers, body) -> (status, headers, body)."""

    daemon_threads = True

    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                result = answer(self.command, self.path, self.headers, body)
                if result is None:  # as if the host had gone
                    self.close_connection = True
                    return
                status, headers, text = result
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = do

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        # The function is ended while it waits, and may leave calls behind.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.server_address[1]

    @property
    def url(self):
        return f"http://{self.address}"
