# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the page in each language. Both have the same keys; a test holds them to it.

`status.*` are the words beside the colours, so that nobody has to see these. Texts with `{}` are filled by `str.format`.
"""

from __future__ import annotations

import re

EN = {
    "title": "Hardware assessment",
    "lead": "{hosts} hosts, {checks} checks, gate {gate}: {blocking}",
    "blocks": "{count} checks block.",
    "blocks_none": "nothing blocks.",
    "made": "Made {when}.",
    "simulated": "simulated",
    "planned": "planned",
    "status.pass": "met",
    "status.warn": "warning",
    "status.fail": "not met",
    "status.unknown": "not known",
    "status.skipped": "does not apply",
    "status.error": "not read",
    "status.info": "note",
    "waived": "waived",
    "waived_by": "Waived: {reason}",
    "waivers": "Waivers",
    "fleet": "The fleet at a glance",
    "fleet_note": "One box a host; its squares are accelerators. The bar is memory, against the largest host.",
    "workloads": "Workloads",
    "workloads_none": "No workload is described (mlops_workloads), so none was held against the servers.",
    "gaps": "Gaps",
    "gaps_none": "Nothing is short.",
    "gap_hosts": "{count} hosts",
    "purchases": "To buy",
    "purchases_none": "Nothing has to be bought.",
    "purchase_must": "required",
    "purchase_should": "advised",
    "hosts": "Hosts",
    "host": "host",
    "hosts_elsewhere": "Details are on {pages} pages:",
    "survey": "Software and surroundings",
    "flows": "Who reaches whom",
    "flow_head": "from|to|port|what for|result|what to do",
    "finding_head": "status|what|found|what to do",
    "check_head": "status|check|required|found|what to do, and why",
    "purchase_head": "where|what|for|how urgent",
    "gap_head": "status|check|where|short by|what to do",
    "workload_head": "workload|needs|there is|verdict",
    "need_head": "quantity|low|expected|high|formula and source",
    "needs": "What it needs, and how the numbers came about",
    "short_by": "short by {amount}",
    "not_read": "The host could not be read: {reason}",
    "none": "none",
    "unknown": "unknown",
    "need": "need",
    "have": "have",
    "back": "back to the summary",
    "fact.cpu": "Processor",
    "fact.memory": "Memory",
    "fact.accelerators": "Accelerators",
    "fact.network": "Network",
    "fact.disks": "Disks",
    "fact.system": "Machine",
    "fact.threads": "{count} threads",
    "fact.dimms": "{used} of {slots} slots filled",
    "fact.free": "{count} free",
    "buy.gpu": "{count} more GPUs",
    "buy.gpu_1": "1 more GPU",
    "buy.gpu_class": "{count} more GPUs of the {size} GB class",
    "buy.gpu_class_1": "1 more GPU of the {size} GB class",
    "buy.gpu_replace": "{count} GPUs of the {size} GB class in place of smaller ones",
    "buy.gpu_replace_1": "1 GPU of the {size} GB class in place of a smaller one",
    "buy.or": ", or ",
    "buy.memory": "{size} more memory",
    "buy.dimm": "at least {count} memory modules",
    "buy.dimm_1": "at least 1 memory module",
    "buy.slots": " ({count} slots are free)",
    "buy.slots_1": " (1 slot is free)",
    "buy.nic": "{count} × network card of {rate}",
    "buy.storage": "{size} more storage",
    "buy.storage_at": "{size} more storage at {at}",
    "buy.server": "a server with at least {count} CPU threads",
}
DE = {
    "title": "Bestandsaufnahme der Hardware",
    "lead": "{hosts} Server, {checks} Prüfungen, Schwelle {gate}: {blocking}",
    "blocks": "{count} Prüfungen verhindern die Installation.",
    "blocks_none": "Nichts steht im Weg.",
    "made": "Erstellt am {when}.",
    "simulated": "simuliert",
    "planned": "geplant",
    "status.pass": "erfüllt",
    "status.warn": "Warnung",
    "status.fail": "nicht erfüllt",
    "status.unknown": "nicht bekannt",
    "status.skipped": "entfällt",
    "status.error": "nicht lesbar",
    "status.info": "Hinweis",
    "waived": "Ausnahme",
    "waived_by": "Ausnahme: {reason}",
    "waivers": "Ausnahmen",
    "fleet": "Alle Server im Überblick",
    "fleet_note": "Ein Kasten je Server, ein Quadrat je Beschleuniger. Der Balken zeigt den Arbeitsspeicher im Vergleich zum größten Server.",
    "workloads": "Arbeitslasten",
    "workloads_none": "Es sind keine Arbeitslasten beschrieben (mlops_workloads); geprüft wurde deshalb keine.",
    "gaps": "Lücken",
    "gaps_none": "Es fehlt nichts.",
    "gap_hosts": "{count} Server",
    "purchases": "Einkaufsliste",
    "purchases_none": "Es muss nichts gekauft werden.",
    "purchase_must": "notwendig",
    "purchase_should": "empfohlen",
    "hosts": "Server",
    "host": "Server",
    "hosts_elsewhere": "Die Einzelheiten stehen auf {pages} Seiten:",
    "survey": "Software und Umgebung",
    "flows": "Wer erreicht wen",
    "flow_head": "von|nach|Port|wozu|Ergebnis|was zu tun ist",
    "finding_head": "Stand|was|gefunden|was zu tun ist",
    "check_head": "Stand|Prüfung|verlangt|gefunden|was zu tun ist, und warum",
    "purchase_head": "wo|was|wofür|Dringlichkeit",
    "gap_head": "Stand|Prüfung|wo|es fehlen|was zu tun ist",
    "workload_head": "Arbeitslast|braucht|vorhanden|Ergebnis",
    "need_head": "Größe|mindestens|erwartet|höchstens|Formel und Quelle",
    "needs": "Was sie braucht und wie die Zahlen entstehen",
    "short_by": "es fehlen {amount}",
    "not_read": "Der Server konnte nicht gelesen werden: {reason}",
    "none": "keine",
    "unknown": "unbekannt",
    "need": "Bedarf",
    "have": "vorhanden",
    "back": "zurück zur Übersicht",
    "fact.cpu": "Prozessor",
    "fact.memory": "Arbeitsspeicher",
    "fact.accelerators": "Beschleuniger",
    "fact.network": "Netzwerk",
    "fact.disks": "Datenträger",
    "fact.system": "Gerät",
    "fact.threads": "{count} Threads",
    "fact.dimms": "{used} von {slots} Steckplätzen belegt",
    "fact.free": "{count} frei",
    "buy.gpu": "{count} weitere GPUs",
    "buy.gpu_1": "1 weitere GPU",
    "buy.gpu_class": "{count} weitere GPUs der {size}-GB-Klasse",
    "buy.gpu_class_1": "1 weitere GPU der {size}-GB-Klasse",
    "buy.gpu_replace": "{count} GPUs der {size}-GB-Klasse anstelle der kleineren",
    "buy.gpu_replace_1": "1 GPU der {size}-GB-Klasse anstelle der kleineren",
    "buy.or": " oder ",
    "buy.memory": "{size} zusätzlicher Arbeitsspeicher",
    "buy.dimm": "mindestens {count} Speichermodule",
    "buy.dimm_1": "mindestens 1 Speichermodul",
    "buy.slots": " ({count} Steckplätze sind frei)",
    "buy.slots_1": " (1 Steckplatz ist frei)",
    "buy.nic": "{count} × Netzwerkkarte mit {rate}",
    "buy.storage": "{size} zusätzlicher Speicherplatz",
    "buy.storage_at": "{size} zusätzlicher Speicherplatz unter {at}",
    "buy.server": "ein Server mit mindestens {count} CPU-Threads",
}
LANGUAGES = {"en": EN, "de": DE}

# Sentences that the verdicts make; what a site or a machine says is shown as it is.
PHRASES_DE = (
    (r"host could not be read", "Server nicht lesbar"),
    (r"does not apply: no host has its GPUs", "entfällt: kein Server hat die GPUs dafür"),
    (r"does not apply", "entfällt"),
    (r"unknown", "unbekannt"),
    (r"none", "keine"),
    (r"in (.*)", r"eines von \1"),
    (r"not judged: this run leaves out (.*)", r"nicht beurteilt: Dieser Lauf lässt \1 aus"),
    (r"1 GPU with ([\d.]+) GiB \(([\d.]+) to ([\d.]+)\)", r"1 GPU mit \1 GiB (\2 bis \3)"),
    (r"(\d+) GPUs with ([\d.]+) GiB \(([\d.]+) to ([\d.]+)\)", r"\1 GPUs mit \2 GiB (\3 bis \4)"),
    (
        r"It may just fit: try it before anything is bought\. (.*)",
        r"Es könnte knapp reichen: vor dem Kauf ausprobieren. \1",
    ),
    (r"GPUs for all workloads at the same time", "GPUs für alle Arbeitslasten zugleich"),
    (r"GPUs for (\S+)", r"GPUs für \1"),
    (r"Host memory for (\S+)", r"Arbeitsspeicher der Server für \1"),
    (r"Host CPU threads for (\S+)", r"CPU-Threads der Server für \1"),
    (r"Storage for (\S+)", r"Speicherplatz für \1"),
    (
        r"A shortfall here matters only where the workloads run at the same time\.",
        "Das fällt nur ins Gewicht, wenn die Arbeitslasten gleichzeitig laufen.",
    ),
    (
        r"Run them one after another, or add GPUs for: (.*)\.",
        r"Nacheinander laufen lassen, oder GPUs ergänzen für: \1.",
    ),
    (r"Add it, or spread the workload over more hosts\.", "Ergänzen, oder die Arbeitslast auf mehr Server verteilen."),
    (
        r"Add storage, or mount a larger file system\.",
        "Speicherplatz ergänzen oder ein größeres Dateisystem einhängen.",
    ),
    (
        r"No GPU that is sold holds it as the recipe stands: shard it over more GPUs \(sharding\), or choose a leaner recipe\.",
        "Keine erhältliche GPU fasst sie nach diesem Rezept: auf mehr GPUs aufteilen (sharding) oder ein sparsameres Rezept wählen.",
    ),
    (
        r"It would do on (\d+) GPUs? that are there: set gpus to \d+\. Or add (.*)\.",
        r"Mit \1 der vorhandenen GPUs ginge es: gpus auf \1 setzen. Sonst ergänzen: \2.",
    ),
    (
        r"It would do on (\d+) GPUs? that are there: set gpus to \d+\.",
        r"Mit \1 der vorhandenen GPUs ginge es: gpus auf \1 setzen.",
    ),
    (r"Add (\d+ more GPU.*)\.", r"Ergänzen: \1."),
    (r"All on this host together: (.*)", r"Alles auf diesem Server zusammen: \1"),
    (r"What shares a host adds up: (.*)\.", r"Was sich einen Server teilt, addiert sich: \1."),
    (r"Move one of the services to another host\.", "Einen der Dienste auf einen anderen Server legen."),
)
_COMPILED_DE = tuple((re.compile(pattern), text) for pattern, text in PHRASES_DE)
_MORE_GPUS = re.compile(r"(\d+) more GPUs? of the (\d+) GB class")
_CLASS = re.compile(r"(\d+) of the (\d+) GB class on (\S+?)(?=,|$)")
_DECIMAL = re.compile(r"(?<![\w.])(\d+)\.(\d+)(?=$|[ )])")


class Words:
    """The words of one language, and what it takes to say a verdict's text in it."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.table = LANGUAGES[language]

    def __call__(self, key: str, **values: object) -> str:
        text = self.table[key]
        return text.format(**values) if values else text

    def counted(self, key: str, count: int, **values: object) -> str:
        """The singular (`key_1`) or the plural of a text."""
        return self(f"{key}_1" if count == 1 else key, count=count, **values)

    def amount(self, text: str) -> str:
        """A number with its unit: German writes a decimal comma."""
        return text if self.language == "en" else _DECIMAL.sub(r"\1,\2", text)

    def say(self, text: str) -> str:
        """A text of a verdict in this language, where it is one of ours; numbers as the language writes them."""
        if self.language == "en" or not text:
            return text
        for pattern, translated in _COMPILED_DE:
            match = pattern.fullmatch(text)
            if match:
                text = match.expand(translated)
                break
        text = _MORE_GPUS.sub(r"\1 GPUs der \2-GB-Klasse", text).replace(" class, or ", "-Klasse oder ")
        text = _CLASS.sub(r"\1 der \2-GB-Klasse auf \3", text).replace(", or ", " oder ")
        text = re.sub(r"(\d+) GB class", r"\1-GB-Klasse", text)
        return self.amount(text)
