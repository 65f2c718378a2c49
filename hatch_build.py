"""The description of the package that PyPI shows: README.md, without links that lead nowhere from there.

Where the source lies is said once, as `Repository` under [project.urls] of pyproject.toml: an address that lays out
pages and files as GitHub does. Relative links and pictures lead there, to what was released. While there is no address
their words stay, the pictures are left out, and .github/workflows/publish.yml publishes nothing.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

HERE = r"(?!\w+:|#)"  # neither an address nor a place on the same page
LINK = rf"(?<!!)\[([^\]]+)\]\({HERE}([^)]+)\)"
PICTURES = rf"(!\[[^\]]*\]\(){HERE}([^)]+)(\))", rf'(<img [^>]*src="){HERE}([^"]+)("[^>]*>)'


def described(readme: str, repository: str | None, at: str) -> str:
    """Return the text with relative links made absolute, as of a tag or branch, or taken out."""
    if repository is None:
        return re.sub(LINK, r"\1", re.sub("|".join(rf"{picture}\n*" for picture in PICTURES), "", readme))
    for picture in PICTURES:
        readme = re.sub(picture, rf"\1{repository}/raw/{at}/\2\3", readme)
    return re.sub(LINK, rf"[\1]({repository}/blob/{at}/\2)", readme)


class Description(MetadataHookInterface):
    """Hatchling asks it for the description, once the version is known."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the description."""
        version = metadata["version"]
        at = "main" if "dev" in version else f"v{version}"
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = described(readme, metadata.get("urls", {}).get("Repository"), at)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
