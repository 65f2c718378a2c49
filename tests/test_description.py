"""What PyPI shows: README.md with links that lead somewhere, or with none."""

import re
from pathlib import Path

import pytest
from hatch_build import Description, described

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WHERE = "https://example.org/modeseek"
TARGET = re.compile(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"')


def targets(text: str) -> list[str]:
    """Return where links and pictures of a text lead."""
    return [a or b for a, b in TARGET.findall(text)]


@pytest.mark.parametrize("repository", [None, WHERE])
def test_no_link_is_relative(repository):
    assert not all(target.startswith("https:") for target in targets(README))
    assert all(target.startswith("https:") for target in targets(described(README, repository, "v1")))


def test_links_and_pictures_lead_to_files_that_are_there():
    before, after = targets(README), targets(described(README, WHERE, "v1"))
    assert len(after) == len(before)
    made = [re.fullmatch(rf"{WHERE}/(raw|blob)/v1/(.*)", target) for target in after]
    assert [match[2] if match else target for match, target in zip(made, after, strict=True)] == before
    assert {match[1] for match in made if match and match[2].endswith((".png", ".gif"))} == {"raw"}
    assert {match[1] for match in made if match and match[2].endswith(".md")} == {"blob"}
    assert all((ROOT / match[2]).exists() for match in made if match)


@pytest.mark.parametrize(
    ("written", "linked", "plain"),
    [
        ("[a\nb](c.md#d), [e](https://f.g)", "[a\nb](R/blob/v1/c.md#d), [e](https://f.g)", "a\nb, [e](https://f.g)"),
        ("[up](#top)", "[up](#top)", "[up](#top)"),
        ("one\n\n![p](q.png)\n\ntwo", "one\n\n![p](R/raw/v1/q.png)\n\ntwo", "one\n\ntwo"),
        ("of ![p](q.png) and", "of ![p](R/raw/v1/q.png) and", "of  and"),
        ('<img src="q.png" alt="p">\n\ntwo', '<img src="R/raw/v1/q.png" alt="p">\n\ntwo', "two"),
        ("![p](https://f.g/q.png)", "![p](https://f.g/q.png)", "![p](https://f.g/q.png)"),
    ],
)
def test_examples(written, linked, plain):
    assert described(written, "R", "v1") == linked
    assert described(written, None, "v1") == plain


@pytest.mark.parametrize(("version", "at"), [("1.2.3", "v1.2.3"), ("0.1.dev7+gabc", "main")])
def test_a_release_links_what_was_released(version, at):
    metadata = {"version": version, "urls": {"Repository": WHERE}}
    Description(str(ROOT), {}).update(metadata)
    assert metadata["readme"] == {"content-type": "text/markdown", "text": described(README, WHERE, at)}
