"""Sixteen clients that keep their connections and ask one call of the registry's API for some seconds.

Reads JSON: scheme, host, port, name (of the host header), ca, login, call, clients, seconds. Writes JSON: requests, seconds, the
latencies' 50th and 99th percentile in ms, failed requests, and how many processors this client itself took. Standard library
only: it runs with the registry host's own Python.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time

API = "/api/2.0/mlflow"
METRICS = 100


class Client:
    """One connection with one run of its own."""

    def __init__(self, wanted):
        if wanted["scheme"] == "https":
            context = ssl.create_default_context(cafile=wanted["ca"])
            self.connection = http.client.HTTPSConnection(wanted["host"], wanted["port"], timeout=120, context=context)
        else:
            self.connection = http.client.HTTPConnection(wanted["host"], wanted["port"], timeout=120)
        self.headers = {"Host": wanted["name"], "Content-Type": "application/json"}
        if wanted["login"]:
            self.headers["Authorization"] = wanted["login"]
        self.step, self.run, self.latencies, self.failed = 0, "", [], []

    def exchange(self, path, body):
        self.connection.request("POST", f"{API}/{path}", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def ask(self, path, body):
        try:
            return self.exchange(path, body)
        except (ConnectionError, http.client.CannotSendRequest):
            # Uvicorn closes what was idle for five seconds, as a client is while the others prepare.
            self.connection.close()
            return self.exchange(path, body)

    def must(self, path, body):
        """Before and after the measurement: a server that just lost a worker gets some tries."""
        for seconds in (1, 2, 4, 8, 0):
            try:
                status, text = self.ask(path, body)
            except (OSError, http.client.HTTPException) as error:
                status, text = 0, repr(error).encode()
                self.connection.close()
            if status == 200:
                return json.loads(text)
            time.sleep(seconds)
        sys.exit(f"{path}: {status}: {text[:300].decode(errors='replace')}")

    def body(self, call):
        self.step += 1
        now = int(time.time() * 1000)
        if call == "log-metric":
            return {"run_id": self.run, "key": "loss", "value": 0.5, "timestamp": now, "step": self.step}
        metrics = [{"key": f"m{i}", "value": i / 7, "timestamp": now, "step": self.step} for i in range(METRICS)]
        return {"run_id": self.run, "metrics": metrics}

    def work(self, call, deadline):
        while time.perf_counter() < deadline:
            body = self.body(call)
            begin = time.perf_counter()
            try:
                status, text = self.ask(f"runs/{call}", body)
            except (OSError, http.client.HTTPException) as error:
                status, text = 0, repr(error).encode()
                self.connection.close()
            if status == 200:
                self.latencies.append(time.perf_counter() - begin)
            else:
                self.failed.append(f"{status}: {text[:200].decode(errors='replace')}")


def main():
    wanted = json.load(sys.stdin)
    clients = [Client(wanted) for _unused in range(wanted["clients"])]
    first = clients[0]
    experiment = first.must("experiments/create", {"name": f"bench-{time.time_ns()}"})["experiment_id"]
    for client in clients:
        client.run = client.must("runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
        # Each has its connection, and its worker knows it, before the clock runs.
        client.must(f"runs/{wanted['call']}", client.body(wanted["call"]))
    cpu, begin = time.process_time(), time.perf_counter()
    threads = [
        threading.Thread(target=client.work, args=(wanted["call"], begin + wanted["seconds"])) for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    cpu = time.process_time() - cpu
    first.must("experiments/delete", {"experiment_id": experiment})
    latencies = sorted(latency for client in clients for latency in client.latencies)
    failed = [text for client in clients for text in client.failed]
    json.dump(
        {
            "requests": len(latencies),
            "seconds": elapsed,
            "p50": latencies[len(latencies) // 2] * 1000,
            "p99": latencies[int(len(latencies) * 0.99)] * 1000,
            "failed": len(failed),
            "why": failed[:3],
            "processors": cpu / elapsed,
        },
        sys.stdout,
    )


main()
