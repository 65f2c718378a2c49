"""What is being done and how long it took, on standard error; and how failures are told.

A terminal gets a spinner, a log file one line for each stage.
"""

import functools
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console

COMPILING = "compiling (first run only, cached afterwards)"


class Stages:
    """Runs stages one after the other: ``with stages("read", "reading t.csv"): ...``."""

    def __init__(self, quiet: bool = False, spin: bool = True):
        self.times: dict[str, float] = {}  # seconds of each stage
        self.quiet = quiet
        self._console = Console(stderr=True, quiet=quiet, highlight=False, markup=False, emoji=False)
        self._spins = spin and self._console.is_terminal
        self._said_compiling = False

    @contextmanager
    def __call__(self, name: str, doing: str) -> Iterator[None]:
        """Show what is being done while it is done, and keep its time under `name`."""
        start = time.perf_counter()
        if self._spins:
            with self._console.status(doing) as self._spinner:
                yield
        else:
            self._console.print(doing, soft_wrap=True)
            yield
        self.times[name] = time.perf_counter() - start

    @contextmanager
    def bars(self) -> Iterator[Callable[[str, int, int | None], None]]:
        """Give a function (stage, rows done, rows in all) that shows how far it is: a bar, or a line for each stage."""
        start, shown = time.perf_counter(), [""]

        def line(stage: str, done: int, total: int | None) -> None:
            if stage != shown[0]:
                shown[0] = stage
                self._console.print(stage, soft_wrap=True)

        if self._spins and not self.quiet:
            from modeseek.cli.many import progress_bars

            spinning, self._spins = self._spins, False
            try:
                with progress_bars(self._console) as show:
                    yield show
            finally:
                self._spins = spinning
        else:
            yield line
        self.times["passes"] = time.perf_counter() - start

    @contextmanager
    def watch_compiling(self, doing: str) -> Iterator[None]:
        """Within a stage, say so while Numba compiles; what it finds in its cache on disk is not compiled."""
        from numba.core import event

        say = self._say

        class Listener(event.Listener):
            def on_start(self, event: Any) -> None:
                say(COMPILING)

            def on_end(self, event: Any) -> None:
                say(doing)

        listener = Listener()
        event.register("numba:compile", listener)
        try:
            yield
        finally:
            event.unregister("numba:compile", listener)

    def update(self, doing: str) -> None:
        """Within a stage, let the spinner say how far it is."""
        if self._spins:
            self._spinner.update(doing)

    def _say(self, doing: str) -> None:
        if self._spins:
            self._spinner.update(doing)
        elif doing == COMPILING and not self._said_compiling:
            self._said_compiling = True
            self._console.print(doing, soft_wrap=True)


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Tell errors in the data as one line on standard error, with exit code 1; Ctrl-C exits with 130."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                command(*args, **options)
            except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
                say("error", str(error) or type(error).__name__)
                raise typer.Exit(1) from None
            except KeyboardInterrupt:
                say("stopped", "what was not finished was not written")
                raise typer.Exit(130) from None

    return guarded


def say(kind: str, message: str) -> None:
    """Print one line on standard error."""
    print(f"modeseek: {kind}: {' '.join(message.split())}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say("warning", str(message))
