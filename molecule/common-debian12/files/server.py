"""A tiny HTTPS server: answers with the text that it read from its configuration at its start."""

import http.server
import os
import ssl
import sys
from pathlib import Path

TLS = "/etc/mlops-onprem/tls/demo"
TEXT = Path("/etc/demo.conf").read_text()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(TEXT.encode())

    def log_message(self, *arguments):
        print(*arguments, file=sys.stderr)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{TLS}/cert.pem", os.environ["CREDENTIALS_DIRECTORY"] + "/key")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
