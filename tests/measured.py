"""What looks like a figure that was measured, in text: `found`. Such figures are made of results, and never typed.

`outside` leaves out what stands between markers, which `benchmarks.pages` fills; `prose` what runs as a test, too.
"""

import re
from collections.abc import Iterable

DIGITS = r"\d[\d.,]*[ -]*"
NUMBERS = (
    r"an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|eighty|"
    r"ninety|hundred|thousand|million|tens of|hundreds of|tenths of an?|(?:quarter|half|third)(?: of)? an?"
)
WORDS = rf"\b(?:{NUMBERS})[ -]+"
UNITS = r"(?:nano|micro|milli)?seconds?|minutes?|hours?|bytes?|(?:kilo|mega|giga)bytes?|times|fold"
SCORES = r"(?i:\b(?:ARI|AMI|rand index|recall(?:@\d+)?|agreement|accuracy|overhead|speed-?up)\b)"
MEASURED = re.compile(
    rf"{DIGITS}(?:{UNITS}|ns|[uµ]s|ms|s|[kKMGTP]i?B|x|×)\b|{DIGITS}(?:%|per cent\b)"
    rf"|{WORDS}(?:{UNITS})\b|\b(?:twice|thrice|half) (?:as|the)\b"
    rf"|{SCORES}[^.|]{{0,25}}?\d\.\d+|\d\.\d+ (?:ARI|AMI)\b"
    r"|\b\d+(?:\.\d+)?e-\d+\b|\b\d[\d,]*(?: \w+)? of (?:the )?\d"
)
FENCE = re.compile(r"^(?P<skip><!-- not run: [^\n]+ -->\n)?^```(?P<language>\w*)\n.*?^```$", re.MULTILINE | re.DOTALL)
RUN = ("python", "apl", "bpl")  # languages of blocks that tests run
CODE = r"``[^`\n]+``|`[^`\n]+`"


def outside(text: str) -> str:
    """Return what is not made of results, without the targets of links."""
    typed = re.sub(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", "", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", typed)


def prose(page: str) -> str:
    """Return what a page says, without what is made of results, and without code: in lines, and what tests run."""

    def kept(block: re.Match[str]) -> str:
        return block[0] if block["skip"] or block["language"] not in RUN else ""

    return re.sub(CODE, "code", FENCE.sub(kept, outside(re.sub(r"^<!-- given:.*?-->$", "", page, flags=re.M | re.S))))


def comments(script: str) -> str:
    """Return the comments of a script of the lesson: what is read there beside code and what it prints."""
    return re.sub(CODE, "code", "\n".join(re.findall(r"^#(?! %%)(.*)", script, re.MULTILINE)))


def found(text: str, allowed: Iterable[str] = ()) -> list[str]:
    """Return what looks like a measurement and is not allowed, with what stands around it, on one line."""
    text = " ".join(text.split())
    for phrase in allowed:
        text = text.replace(phrase, "")
    return [text[max(0, hit.start() - 30) : hit.end() + 30] for hit in MEASURED.finditer(text)]
