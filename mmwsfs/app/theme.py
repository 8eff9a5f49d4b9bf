"""How the page looks: fonts of the reader's own system, nothing from elsewhere."""

from __future__ import annotations

import gradio as gr

_SANS = ('system-ui', '-apple-system', 'Segoe UI', 'Roboto', 'sans-serif')
_MONO = ('ui-monospace', 'Consolas', 'monospace')

CSS = """
.gradio-container { max-width: 1240px !important; margin: 0 auto !important; }
.gr-group .block { border-width: 0 !important; }
.grid-container.pt-6 { padding-top: 26px !important; }
#drawing .prose { padding: 12px 14px 0; }
#answers, #answers .grid-wrap {
  height: auto !important; max-height: none !important; }
#head h1 { margin-bottom: 0; }
table.presence, table.presence tr { border: 0 !important; }
table.presence { width: 100%; border-collapse: collapse; font-size: 0.95em; }
table.presence td { padding: 4px 8px; border: 0; }
table.presence td.photo { font-weight: 600; overflow-wrap: anywhere;
  min-width: 112px; }
table.presence tr:has(td.photo) td {
  border-top: 1px solid var(--border-color-primary); }
table.presence td.bar { width: 38%; min-width: 70px; }
table.presence td.bar div { position: relative; height: 10px; border-radius: 5px;
  background: var(--neutral-200); }
table.presence td.bar span { display: block; height: 100%; border-radius: 5px; }
table.presence td.bar i { position: absolute; top: -4px; width: 2px; height: 18px;
  background: var(--body-text-color); }
table.presence tr.absent td:not(.photo) { opacity: 0.6; }
table.presence tr.there td:last-child { font-weight: 600; }
@media (max-width: 600px) {
  .grid-container { grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }
  table.presence td { padding: 4px 3px; }
  table.presence td.bar { min-width: 40px; }
  table.presence td.photo { min-width: 70px; }
}
"""


def make_theme() -> gr.themes.Base:
    """The page's theme."""
    return gr.themes.Soft(
        primary_hue='teal', secondary_hue='teal', neutral_hue='slate',
        font=_SANS, font_mono=_MONO)
