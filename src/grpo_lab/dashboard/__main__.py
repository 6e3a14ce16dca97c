"""`python -m grpo_lab.dashboard`: write the page of all runs and open it."""

import argparse
import os
import sys
import webbrowser

from grpo_lab.dashboard.page import write_dashboard


def has_display() -> bool:
    """Whether a browser can open a window here. Without this check a text browser would take over the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m grpo_lab.dashboard", description="Write results/dashboard.html and open it."
    )
    parser.add_argument("--runs", nargs="+", metavar="NAME", help="folders under results/ (default: every run there)")
    parser.add_argument(
        "--open", action=argparse.BooleanOptionalAction, help="open it in a browser (default: where there is a display)"
    )
    told = parser.parse_args(arguments)
    try:
        path = write_dashboard(runs=told.runs)
    except (ValueError, OSError) as error:
        raise SystemExit(f"grpo-math: {error}") from error
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if told.open or (told.open is None and has_display()):
        webbrowser.open(path.as_uri())


if __name__ == "__main__":
    main()
