# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as pages: the summary first; the hosts on the same page, or on pages of their own where there are many."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.report import drawing, sentences
from ansible_collections.mlops.onprem.plugins.module_utils.report.inventory import grouped_cards
from ansible_collections.mlops.onprem.plugins.module_utils.report.style import document
from ansible_collections.mlops.onprem.plugins.module_utils.report.words import Words
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.fleet import FLEET

# A page with more hosts than this becomes slow to open and no pleasure to print.
HOSTS_A_PAGE = 100
# Above this, the fleet is drawn as one square a host.
BOXES_AT_MOST = 210
LONGEST_LIST = 12
UNMET = ("fail", "warn", "unknown")

Row = dict[str, Any]


class Report:
    """One assessment, ready to be written.

    summaries: what inventory.summarize says, by host. rows, workloads, purchases, blocking: as sizing.assessment returns them.
    texts: titles, reasons and remedies of requirements in the page's language, by the English text. flows, findings: as the survey's matrix
    and findings return them, empty where nobody asked.
    """

    def __init__(
        self,
        words: Words,
        summaries: dict[str, dict[str, Any]],
        result: dict[str, Any],
        *,
        gate: str,
        when: str,
        texts: dict[str, str],
        flows: list[Row],
        findings: list[Row],
    ) -> None:
        self.words, self.summaries, self.result = words, summaries, result
        self.gate, self.when, self.texts = gate, when, texts
        self.flows, self.findings = flows, findings
        self.by_host: dict[str, list[Row]] = {name: [] for name in summaries}
        self.fleet_rows: list[Row] = []
        # One row of each check, for its texts.
        self.samples: dict[str, Row] = {}
        for row in result["rows"]:
            self.samples.setdefault(row["check"], row)
            (self.fleet_rows if row["host"] == FLEET else self.by_host.setdefault(row["host"], [])).append(row)
        self.names = list(self.by_host)
        self.split = len(self.names) > HOSTS_A_PAGE
        self.pages = -(-len(self.names) // HOSTS_A_PAGE) if self.split else 0
        self._places = {name: self._place(index, name) for index, name in enumerate(self.names)}

    # -- places and texts ----------------------------------------------------------------------------------------------

    def page_name(self, number: int) -> str:
        return f"hosts-{number:04d}.html"

    def _place(self, index: int, name: str) -> str:
        page = self.page_name(index // HOSTS_A_PAGE + 1) if self.split else ""
        return f"{page}#host-{escape(name)}"

    def _own(self, row: Row, key: str) -> str:
        """A row's title, why or remedy: as the requirement translates it, else ours translated, else as it is."""
        text: str = row[key]
        return self.texts.get(text) or self.words.say(text)

    def status(self, row: Row) -> str:
        return "error" if row["host_error"] else str(row["status"])

    def host_status(self, name: str) -> str:
        rows = self.by_host[name]
        return drawing.worst([self.status(row) for row in rows if not row["waived_by"]])

    # -- the parts of the summary --------------------------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        words, blocking = self.words, len(self.result["blocking"])
        said = words("blocks", count=blocking) if blocking else words("blocks_none")
        yield f"<h1>{escape(words('title'))}</h1>"
        lead = words("lead", hosts=len(self.names), checks=len(self.result["rows"]), gate=self.gate, blocking=said)
        yield f'<p><b>{escape(lead)}</b> <span class="small">{escape(words("made", when=self.when))}</span></p><p>'
        for status, count in self.result["summary"].items():
            if status == "waived":
                yield f'<span class="count">{escape(words("waived"))} <b>{count}</b></span>'
            else:
                yield f'<span class="count">{drawing.badge(words, status)} <b>{count}</b></span>'
        yield "</p>"

    def _fleet(self) -> Iterator[str]:
        words = self.words
        yield f"<h2>{escape(words('fleet'))}</h2>"
        if len(self.names) > BOXES_AT_MOST:
            yield drawing.field(words, [(name, self.host_status(name), self._places[name]) for name in self.names])
            return
        yield f'<p class="small">{escape(words("fleet_note"))}</p>'
        known = [name for name in self.names if name in self.summaries]
        yield drawing.rack(words, [(n, self.summaries[n], self.host_status(n), self._places[n]) for n in known])

    def _table(self, head: str, rows: list[list[str]]) -> str:
        """A table; the head's titles are words, the cells are HTML."""
        titles = "".join(f"<th>{escape(title)}</th>" for title in self.words(head).split("|"))
        body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><tr>{titles}</tr>\n{body}\n</table>"

    def _purchases(self) -> Iterator[str]:
        words = self.words
        yield f"<h2>{escape(words('purchases'))}</h2>"
        rows = []
        for entry in self.result["purchases"]:
            where = words("fleet") if entry["host"] == FLEET else entry["host"]
            reasons = [self._title(check) for check in entry["checks"][:3]]
            urgency = words("purchase_must" if entry["severity"] == "fail" else "purchase_should")
            cells = [where, sentences.purchase(words, entry), "; ".join(reasons), urgency]
            rows.append([escape(cell) for cell in cells])
        shown = rows[: 40 * LONGEST_LIST]
        if not rows:
            yield f"<p>{escape(words('purchases_none'))}</p>"
            return
        yield self._table("purchase_head", shown)
        if len(rows) > len(shown):
            yield f"<p>+ {len(rows) - len(shown)} (report.json)</p>"

    def _title(self, check: str) -> str:
        return self._own(self.samples[check], "title")

    def _gaps(self) -> Iterator[str]:
        """What is not met, by check: where ten hosts lack the same, it is one line."""
        words = self.words
        yield f"<h2>{escape(words('gaps'))}</h2>"
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.result["rows"]:
            if self.status(row) in (*UNMET, "error") and not row["waived_by"]:
                key = ("", "error") if row["host_error"] else (row["check"], row["status"])
                groups.setdefault(key, []).append(row)
        if not groups:
            yield f"<p>{escape(words('gaps_none'))}</p>"
            return
        rows = []
        for (_check, status), members in sorted(
            groups.items(), key=lambda item: (drawing.RANKS[item[0][1]], item[0][0])
        ):
            first = members[0]
            hosts = list(dict.fromkeys(row["host"] for row in members))
            places = ", ".join(self._link(host) for host in hosts[:LONGEST_LIST])
            if len(hosts) > LONGEST_LIST:
                places = f"<b>{escape(words('gap_hosts', count=len(hosts)))}</b>: {places}, …"
            if status == "error":
                rows.append([drawing.badge(words, status), "", places, "", escape(first["host_error"])])
                continue
            short = sorted({words.say(row["short_by"]) for row in members if row["short_by"]})[:3]
            title = f'{escape(self._own(first, "title"))}<br><span class="small">{escape(first["check"])}</span>'
            remedy = escape(self._own(first, "remedy"))
            rows.append([drawing.badge(words, status), title, places, escape(", ".join(short)), remedy])
        yield self._table("gap_head", rows)

    def _link(self, host: str) -> str:
        if host == FLEET:
            return escape(self.words("fleet"))
        return f'<a href="{self._places[host]}">{escape(host)}</a>'

    def _workloads(self) -> Iterator[str]:
        words = self.words
        yield f"<h2>{escape(words('workloads'))}</h2>"
        if not self.fleet_rows:
            yield f"<p>{escape(words('workloads_none'))}</p>"
            return
        rows = []
        for row in self.fleet_rows:
            verdict = drawing.badge(words, row["status"], bool(row["waived_by"]))
            if row["short_by"]:
                verdict += f"<br>{escape(words('short_by', amount=words.say(row['short_by'])))}"
            if row["remedy"]:
                verdict += f"<br>{escape(self._own(row, 'remedy'))}"
            rows.append(
                [
                    f'{escape(self._own(row, "title"))}<br><span class="small">{escape(row["check"])}</span>',
                    escape(words.say(row["required"])),
                    escape(words.say(row["found"])),
                    verdict,
                ]
            )
        yield self._table("workload_head", rows)
        for workload in self.result["workloads"]:
            yield f"<details><summary>{escape(workload['name'])}: {escape(words('needs'))}</summary>"
            needs = [
                [
                    escape(quantity),
                    *(escape(_quantity(words, quantity, need[end])) for end in ("low", "expected", "high")),
                    f'{escape(need["formula"])}<br><span class="small">{escape(need["source"])}</span>',
                ]
                for quantity, need in workload["requirements"].items()
            ]
            yield self._table("need_head", needs) + "</details>"

    def _waivers(self) -> Iterator[str]:
        words = self.words
        waived = [row for row in self.result["rows"] if row["waived_by"]]
        if waived:
            yield f"<h2>{escape(words('waivers'))}</h2>"
            yield self._table(
                "waiver_head",
                [
                    [
                        drawing.badge(words, self.status(row)),
                        f'{escape(self._own(row, "title"))}<br><span class="small">{escape(row["check"])}</span>',
                        self._link(row["host"]),
                        escape(row["waived_by"]),
                    ]
                    for row in waived
                ],
            )

    def _survey(self) -> Iterator[str]:
        words = self.words
        if self.flows:
            yield f"<h2>{escape(words('flows'))}</h2>"
            yield self._table(
                "flow_head",
                [
                    [
                        escape(flow["from"]),
                        escape(flow["to"]),
                        str(flow["port"]),
                        escape(flow["why"]),
                        f"{drawing.badge(words, flow['status'])} {escape(words.say(flow['found']))}",
                        escape(words.say(flow["remedy"])),
                    ]
                    for flow in self.flows
                ],
            )

    def _hosts(self) -> Iterator[str]:
        words = self.words
        yield f"<h2>{escape(words('hosts'))}</h2>"
        if not self.split:
            yield from (self._host(name) for name in self.names)
            return
        yield f"<p>{escape(words('hosts_elsewhere', pages=self.pages))} "
        yield ", ".join(
            f'<a href="{self.page_name(number + 1)}">{escape(self.names[number * HOSTS_A_PAGE])} …</a>'
            for number in range(self.pages)
        )
        yield "</p>"

    # -- a host --------------------------------------------------------------------------------------------------------

    def _facts(self, summary: dict[str, Any]) -> str:
        words = self.words
        cards = ", ".join(
            f"{count} × {name or words('unknown')}" + (f" ({size:.0f} GB)" if size else "")
            for count, name, size in grouped_cards(summary)
        )
        memory = sentences.binary(words, summary["memory_bytes"])
        if summary["dimm_slots"] and summary["dimms_populated"] is not None:
            used, slots = summary["dimms_populated"], summary["dimm_slots"]
            memory += f" ({words('fact.dimms', used=used, slots=slots)})"
        threads = "?" if summary["threads"] is None else summary["threads"]
        nics = ", ".join(sentences.rate(words, speed * 10**6) for speed in summary["nics_mbps"][:4])
        disks = f"{summary['disks']}"
        if summary["disks"]:
            disks += f" ({sentences.decimal(words, summary['disk_bytes'])}, {words('fact.free', count=summary['disks_free'])})"
        pairs = [
            ("fact.system", summary["machine"] or words("unknown")),
            ("fact.cpu", f"{summary['cpu'] or words('unknown')}, {words('fact.threads', count=threads)}"),
            ("fact.memory", memory),
            ("fact.accelerators", cards or words("none")),
            ("fact.network", nics or words("unknown")),
            ("fact.disks", disks),
        ]
        return " · ".join(f"<b>{escape(words(key))}:</b> {escape(text)}" for key, text in pairs)

    def _host(self, name: str) -> str:
        words, summary, rows = self.words, self.summaries.get(name), self.by_host[name]
        marks = "".join(
            f' <span class="mark">{escape(words(key))}</span>'
            for key in ("simulated", "planned")
            if summary and summary[key]
        )
        parts = [
            f'<h3 id="host-{escape(name)}">{escape(name)}{marks} {drawing.badge(words, self.host_status(name))}</h3>'
        ]
        if rows and rows[0]["host_error"]:
            parts.append(f"<p>{escape(words('not_read', reason=rows[0]['host_error']))}</p>")
            return "\n".join(parts)
        if summary:
            parts.append(f'<p class="facts">{self._facts(summary)}<br>{escape(", ".join(summary["profiles"]))}</p>')
        parts.append(self._table("check_head", [self._check(row) for row in rows]))
        found = [row for row in self.findings if row["host"] == name]
        if found:
            parts.append(f"<p><b>{escape(words('survey'))}</b></p>")
            cells = [
                [
                    drawing.badge(words, row["status"]),
                    f'{escape(words.say(row["title"]))}<br><span class="small">{escape(row["check"])}</span>',
                    escape(words.say(row["found"])),
                    escape(words.say(row["remedy"])),
                ]
                for row in found
            ]
            parts.append(self._table("finding_head", cells))
        return "\n".join(parts)

    def _check(self, row: Row) -> list[str]:
        words = self.words
        found = escape(words.say(row["found"]))
        if row["amounts"]:
            need, have = row["amounts"]
            label = f"{words('need')} {words.say(row['required'])}, {words('have')} {words.say(row['found'])}"
            found += drawing.gauge(words, need, have, label)
        else:
            found += "<br>"
        if row["short_by"]:
            found += f"<b>{escape(words('short_by', amount=words.say(row['short_by'])))}</b><br>"
        found += f'<span class="small">{escape(row["evidence"])}</span>'
        todo = f"<b>{escape(words('waived_by', reason=row['waived_by']))}</b><br>" if row["waived_by"] else ""
        if row["status"] in UNMET:
            todo += f"{escape(self._own(row, 'remedy'))}<br>"
        return [
            drawing.badge(words, row["status"], bool(row["waived_by"])),
            f'{escape(self._own(row, "title"))}<br><span class="small">{escape(row["check"])}</span>',
            escape(words.say(row["required"])),
            found,
            f'{todo}<span class="small">{escape(self._own(row, "why"))}</span>',
        ]

    # -- whole pages ---------------------------------------------------------------------------------------------------

    def index(self) -> str:
        """index.html"""
        parts = (
            self._head,
            self._fleet,
            self._gaps,
            self._purchases,
            self._waivers,
            self._workloads,
            self._survey,
            self._hosts,
        )
        body = "\n".join(line for part in parts for line in part())
        return document(self.words.language, self.words("title"), body)

    def host_pages(self) -> Iterator[tuple[str, str]]:
        """(file name, page) of the hosts' own pages; none where they are on the first."""
        for number in range(self.pages):
            names = self.names[number * HOSTS_A_PAGE : (number + 1) * HOSTS_A_PAGE]
            back = f'<p><a href="index.html">{escape(self.words("back"))}</a></p>'
            body = "\n".join([back, *(self._host(name) for name in names), back])
            yield self.page_name(number + 1), document(self.words.language, self.words("title"), body)


def _quantity(words: Words, name: str, amount: float) -> str:
    if name.endswith("bytes_per_second"):
        return f"{sentences.decimal(words, amount)}/s"
    if "bytes" in name:
        return sentences.binary(words, amount)
    return words.amount(f"{amount:g}")
