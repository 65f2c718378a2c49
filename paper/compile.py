"""Make the paper, build/paper.pdf, from `main.typ`: ``python -m paper.compile``; ``--pages`` draws its pages too.

Only fonts that come with Typst are used, so the pages are the same everywhere; warnings are errors.
"""

import argparse
from pathlib import Path

import typst

from paper import figures, numbers
from paper.results import BUILD

MAIN = Path(__file__).resolve().parent / "main.typ"


def compiled(format: str, ppi: float | None = None) -> bytes | list[bytes]:
    """Return the paper as "pdf", or its pages as "png"; numbers and figures have been written."""
    compiler = typst.Compiler(str(MAIN), root=str(MAIN.parent), ignore_system_fonts=True)
    out, warnings = compiler.compile_with_warnings(format=format, ppi=ppi, timestamp=0)
    if warnings:
        raise RuntimeError("\n".join(str(w) for w in warnings))
    return out


def main() -> None:
    """Write numbers, figures and the paper."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", action="store_true", help="write each page as PNG too")
    options = parser.parse_args()
    numbers.main()
    figures.main()
    pdf = compiled("pdf")
    assert isinstance(pdf, bytes)
    (BUILD / "paper.pdf").write_bytes(pdf)
    print(BUILD / "paper.pdf")
    if options.pages:
        pages = compiled("png", 150)
        for k, page in enumerate(pages if isinstance(pages, list) else [pages], 1):
            (BUILD / f"page-{k:02}.png").write_bytes(page)


if __name__ == "__main__":
    main()
