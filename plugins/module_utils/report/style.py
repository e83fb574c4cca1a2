# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of each page: everything inline, nothing is loaded, prints on paper."""

from __future__ import annotations

from html import escape

# Colours of one lightness differ in hue only: these differ in lightness too, and each has a sign and a word.
CSS = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:78rem;padding:0 1rem;color:#1c2430;background:#fff}
h1{font-size:1.7rem;margin:0 0 .3rem}h2{font-size:1.25rem;margin:2.2rem 0 .5rem}h3{font-size:1.05rem;margin:1.6rem 0 .3rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #dfe3e8}
th{font-weight:600;background:#f3f5f7}.small,.facts{color:#5a6675;font-size:.85em}
.s{font-weight:700;white-space:nowrap}.s.fail,.s.error{color:#a4161a}.s.warn,.s.unknown{color:#8a5a00}
.s.pass{color:#1b6e3c}.s.skipped,.s.info{color:#5a6675}
.count{display:inline-block;margin:.3rem .6rem .3rem 0;padding:.2rem .8rem;border-radius:1rem;border:1px solid #c6ccd4}
.mark{background:#fff3cd;border:1px solid #d9b94a;border-radius:.3rem;padding:0 .4rem;font-size:.8rem;font-weight:600}
svg{display:block}svg text{font:600 12px system-ui,sans-serif;fill:#1c2430}.rack{width:100%;margin:.6rem 0}.bar{width:12rem;height:14px;margin:.2rem 0}
svg .ground{fill:#e3e7ec}svg line{stroke:#1c2430;stroke-width:2}svg .gpu{fill:#3c5a99}svg .memory{fill:#6b7f99}
svg .box{stroke:#5a6675}svg rect.fail,svg rect.error{fill:#f3b4b0}svg rect.warn{fill:#ffe3a3}
svg rect.unknown{fill:#e9e2f5}svg rect.pass{fill:#bfe3c8}svg rect.skipped{fill:#eef0f3}
details summary{cursor:pointer}a{color:#1d4f91}
@media print{body{margin:0;max-width:none;font-size:11px}tr,svg{break-inside:avoid}h2,h3{break-after:avoid}
details>*{display:block}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def document(language: str, title: str, body: str) -> str:
    """A whole page."""
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
