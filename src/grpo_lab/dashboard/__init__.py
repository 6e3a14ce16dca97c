"""All runs on one page, without an account: what they reached, their curves, and the completions behind them.

The parts: `runs` reads a run folder, whole or cut off, `curves` its metrics, `completions` what the models wrote; `page` puts it
into one HTML file, with the scripts `view.js`, `curves.js` and `browse.js` and the style sheet `page.css`.
"""

from grpo_lab.dashboard.page import show, write_dashboard

__all__ = ["show", "write_dashboard"]
