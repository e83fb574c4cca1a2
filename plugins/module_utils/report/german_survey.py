# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the survey says, in German: patterns of the English sentences, as in `german`."""

from __future__ import annotations

PHRASES = (
    # Who reaches whom.
    (
        r"Ask the network team to allow TCP from (\S+) to (.+), port (\d+): what is sent there is dropped on the way\.",
        r"Beim Netzwerkteam freischalten lassen: TCP von \1 zu \2, Port \3. Unterwegs wird es verworfen.",
    ),
    (
        r"Ask the network team for a route, and to allow TCP from (\S+) to (.+), port (\d+): a router or a firewall turns it back\.",
        r"Beim Netzwerkteam eine Route und TCP von \1 zu \2, Port \3 beantragen. Ein Router oder eine Firewall weist es zurück.",
    ),
    (
        r"Give (\S+) a name in the DNS that (\S+) asks, or an address in the flow\.",
        r"\1 in das DNS eintragen, das \2 fragt, oder im Fluss eine Adresse angeben.",
    ),
    (r"Survey (\S+) with this flow among its targets\.", r"\1 untersuchen, mit diesem Fluss unter den Zielen."),
    (r"not asked", "nicht gefragt"),
    (r"open", "offen"),
    (r"refused(.*)", r"abgewiesen: Der Weg ist frei, der Dienst fehlt noch\1"),
    (r"timeout(.*)", r"keine Antwort\1"),
    (r"unreachable(.*)", r"nicht erreichbar\1"),
    (r"unresolved(.*)", r"Name nicht gefunden\1"),
    # Titles.
    (r"Port (\d+) for (.+)", r"Port \1 für \2"),
    (r"Container engines", "Container-Engines"),
    (r"Scheduler", "Ressourcenverwaltung"),
    (r"NVIDIA driver from a \.run file", "NVIDIA-Treiber aus einer .run-Datei"),
    (r"Packages in pieces", "Unvollständig installierte Pakete"),
    (r"Packages that are held", "Festgehaltene Pakete"),
    (r"Clock synchronised", "Uhr synchronisiert"),
    (r"Time services", "Zeitdienste"),
    (r"Clock beside the controller's", "Uhr im Vergleich zum Steuerrechner"),
    (r"Names that are not found", "Namen, die nicht gefunden werden"),
    (r"The host's own name", "Der eigene Name des Servers"),
    (r"Package sources that do not answer", "Paketquellen, die nicht antworten"),
    (r"Reboot", "Neustart"),
    (r"Automatic updates", "Automatische Aktualisierung"),
    (r"Survey", "Untersuchung"),
    # What was found.
    (r"taken by (.*)", r"belegt von \1"),
    (r"the host serves (.*)", r"der Server gehört zu \1"),
    (r"not known; services that run: none", "nicht bekannt; kein Zeitdienst läuft"),
    (r"not known; services that run: (.*)", r"nicht bekannt; es laufen: \1"),
    (r"the kernel says no; services that run: none", "der Kernel verneint; kein Zeitdienst läuft"),
    (r"the kernel says no; services that run: (.*)", r"der Kernel verneint; es laufen: \1"),
    (r"(\S+) has no address", r"\1 hat keine Adresse"),
    (r"(\S+) is (127\..*|::1.*)", r"\1 ist \2"),
    (r"due, for (.*)", r"steht aus, wegen \1"),
    (r"due", "steht aus"),
    (r"not surveyed", "nicht untersucht"),
    (r"not compared", "nicht verglichen"),
    (
        r"([\d.]+) s ahead of the controller, give or take ([\d.]+) s",
        r"geht gegenüber dem Steuerrechner \1 s vor, auf \2 s genau",
    ),
    (
        r"([\d.]+) s behind the controller, give or take ([\d.]+) s",
        r"geht gegenüber dem Steuerrechner \1 s nach, auf \2 s genau",
    ),
    # What to do.
    (
        r"Stop that program, move it, or give (\S+) another port\.",
        r"Das Programm beenden, verlegen oder \1 einen anderen Port geben.",
    ),
    (
        r"Stop that program, move it, or give (\S+) another port\. Survey as root \(become\) to see which it is\.",
        r"Das Programm beenden, verlegen oder \1 einen anderen Port geben. Welches es ist, zeigt die Untersuchung als root (become).",
    ),
    (
        r"Choose the one that jobs are to use, and set it in the roles; two of them share neither images nor GPUs\.",
        "Die eine wählen, die Jobs benutzen sollen, und in den Rollen einstellen; zwei teilen weder Images noch GPUs.",
    ),
    (
        r"Let (\S+) give out the GPUs, or take the host out of it: a runner beside it uses the same cards unseen\.",
        r"Die GPUs von \1 vergeben lassen oder den Server dort herausnehmen: Ein Runner daneben benutzt unbemerkt dieselben Karten.",
    ),
    (
        r"Remove that driver with nvidia-uninstall and restart the host before packages of the driver are installed\.",
        "Diesen Treiber mit nvidia-uninstall entfernen und neu starten, bevor Treiberpakete installiert werden.",
    ),
    (
        r"Run `dpkg --configure -a` and `apt-get --fix-broken install`; until then no package can be installed\.",
        "`dpkg --configure -a` und `apt-get --fix-broken install` ausführen; vorher lässt sich kein Paket installieren.",
    ),
    (
        r"Ask who holds them and why; a role that needs another version fails\. `apt-mark unhold` or `dnf versionlock delete` ends it\.",
        "Klären, wer sie festhält und warum; braucht eine Rolle eine andere Version, bricht sie ab. `apt-mark unhold` oder "
        "`dnf versionlock delete` hebt es auf.",
    ),
    (r"Look with `timedatectl` on the host\.", "Auf dem Server mit `timedatectl` nachsehen."),
    (
        r"Set up chrony with the site's time servers\. On a virtual machine whose hypervisor sets the clock, compare the clocks\.",
        "chrony mit den Zeitservern des Hauses einrichten. Stellt bei einer virtuellen Maschine der Hypervisor die Uhr, die Uhren vergleichen.",
    ),
    (
        r"Keep one of them; two set the clock against each other\.",
        "Nur einen behalten; zwei stellen die Uhr gegeneinander.",
    ),
    (
        r"Put the names into the site's DNS, or into /etc/hosts\. Name servers of the host: (.*)\.",
        r"Die Namen in das DNS des Hauses oder in /etc/hosts eintragen. Nameserver des Servers: \1.",
    ),
    (
        r"Give the name its address in /etc/hosts or DNS: a service that tells others its name, as distributed training does, sends them to themselves\.",
        "Dem Namen in /etc/hosts oder im DNS seine Adresse geben: Ein Dienst, der anderen seinen Namen nennt, etwa verteiltes Training, "
        "schickt sie sonst zu sich selbst.",
    ),
    (r"Put the host's name into DNS or /etc/hosts\.", "Den Namen des Servers in das DNS oder in /etc/hosts eintragen."),
    (
        r"Open the way to it or to its proxy, point the source at a mirror of the site, or disable it: package managers wait for each\.",
        "Den Weg zur Quelle oder zu ihrem Proxy öffnen, sie auf einen Spiegel des Hauses umstellen oder abschalten: Die Paketverwaltung "
        "wartet auf jede.",
    ),
    (
        r"Restart the host first: a driver is built for the kernel that runs, and gone with the next start\.",
        "Den Server zuerst neu starten: Ein Treiber wird für den laufenden Kernel gebaut und fehlt nach dem nächsten Start.",
    ),
    (
        r"Leave kernel and driver out of them: a driver library that is newer than the loaded module fails all new GPU jobs\.",
        "Kernel und Treiber davon ausnehmen: Ist die Treiberbibliothek neuer als das geladene Modul, scheitert jeder neue GPU-Job.",
    ),
    (r"Run mlops\.onprem\.survey_facts on the host\.", "mlops.onprem.survey_facts auf dem Server ausführen."),
    (
        r"Run mlops\.onprem\.survey_facts as a task; then the clocks are compared\.",
        "mlops.onprem.survey_facts als Task ausführen; dann werden die Uhren verglichen.",
    ),
    (
        r"Set up a time service \(chrony\) on the host, with the same servers on all hosts\.",
        "Auf dem Server einen Zeitdienst (chrony) einrichten, mit denselben Zeitservern auf allen Servern.",
    ),
    (
        r"All hosts agree with each other: set the controller's clock\.",
        "Alle Server sind sich einig: die Uhr des Steuerrechners stellen.",
    ),
)
