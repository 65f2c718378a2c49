"""Writing an animation: .gif with Pillow, .mp4 with ffmpeg, .html as one page that needs nothing else."""

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

SUFFIXES = (".gif", ".html", ".mp4")
EMBED_LIMIT = 100.0  # MB of frames that a page may hold

# Matplotlib's player takes its icons from a server; these need none
ICONS = {
    "fa-minus": "−",
    "fa-fast-backward": "⏮",
    "fa-step-backward": "◁",
    "fa-play fa-flip-horizontal": "◀",
    "fa-pause": "❚❚",
    "fa-play": "▶",
    "fa-step-forward": "▷",
    "fa-fast-forward": "⏭",
    "fa-plus": "+",
}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; margin: 1rem; }}
.animation, .animation img {{ max-width: 100%; }}
.anim-buttons button {{ min-width: 2.2em; line-height: 1.6; }}
</style>
</head>
<body>
{player}
</body>
</html>
"""


def check_target(save: str | Path) -> Path:
    """Return the path to write to; say early what would stop `write`."""
    path = Path(save)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        what = f"ends in {path.suffix!r}" if suffix else "has no suffix"
        raise ValueError(f"save={str(path)!r} {what}: the name must end in one of {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise ValueError(f"save={str(path)!r}: there is no directory {str(path.parent)!r}")
    if suffix == ".mp4":
        from matplotlib.animation import FFMpegWriter

        if not FFMpegWriter.isAvailable():
            raise RuntimeError("writing .mp4 needs the program ffmpeg: install it, or save as .gif or .html")
    return path


def write(animation: "FuncAnimation", path: Path, fps: float, title: str) -> None:
    """Write the animation in the format that the name of the file asks for."""
    from matplotlib import rc_context
    from matplotlib.animation import FFMpegWriter, PillowWriter

    suffix = path.suffix.lower()
    if suffix == ".gif":
        animation.save(str(path), writer=PillowWriter(fps=fps))  # type: ignore[arg-type]
    elif suffix == ".mp4":
        animation.save(str(path), writer=FFMpegWriter(fps=fps))  # type: ignore[arg-type]
    else:
        with rc_context({"animation.embed_limit": EMBED_LIMIT}):
            player = animation.to_jshtml(fps=fps)  # type: ignore[arg-type]
        path.write_text(PAGE.format(title=escape(title), player=_standalone(player)), encoding="utf-8")


def _standalone(player: str) -> str:
    """Replace what the player would fetch from the network."""
    player = re.sub(r"<link[^>]*>", "", player)
    for icon, sign in ICONS.items():
        player = player.replace(f'<i class="fa {icon}"></i>', f'<span aria-hidden="true">{sign}</span>')
    return player
