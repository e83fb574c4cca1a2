# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saying things in the language of the page.

`status.*` are the words beside the colours, so that nobody has to see these. Texts with `{}` are filled by `str.format`.
"""

from __future__ import annotations

import re

from ansible_collections.mlops.onprem.plugins.module_utils.report import english, german, german_survey

LANGUAGES = {"en": english.WORDS, "de": german.WORDS}
_PHRASES = tuple((re.compile(pattern), text) for pattern, text in (*german.PHRASES, *german_survey.PHRASES))
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
        for pattern, translated in _PHRASES:
            match = pattern.fullmatch(text)
            if match:
                text = match.expand(translated)
                break
        text = _MORE_GPUS.sub(r"\1 GPUs der \2-GB-Klasse", text).replace(" class, or ", "-Klasse oder ")
        text = _CLASS.sub(r"\1 der \2-GB-Klasse auf \3", text).replace(", or ", " oder ")
        text = re.sub(r"(\d+) GB class", r"\1-GB-Klasse", text)
        return self.amount(text)
