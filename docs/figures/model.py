"""Draws ``model.svg``, the model as a picture: ``python docs/figures/model.py``."""

from __future__ import annotations

from pathlib import Path

SIZE = 960, 390
STYLE = '''
  text { font: 15px Arial, Helvetica, sans-serif; fill: #1b1f24; text-anchor: middle }
  .small { font-size: 12.5px; fill: #57606a }
  .box { fill: #ffffff; stroke: #57606a; stroke-width: 1.5 }
  .frozen { fill: #ddf4ff; stroke: #0969da }
  .learned { fill: #dafbe1; stroke: #1a7f37 }
  .extra { fill: #ffffff; stroke: #57606a; stroke-dasharray: 5 4 }
  path { fill: none; stroke: #57606a; stroke-width: 1.5; marker-end: url(#head) }
'''


def box(x: int, y: int, width: int, height: int, kind: str, title: str,
        *lines: str) -> str:
    """A box with a title and small lines, centred."""
    middle, top = x + width / 2, y + height / 2 - 8.5 * len(lines) + 5
    texts = [f'<text x="{middle:g}" y="{top:g}">{title}</text>'] + [
        f'<text class="small" x="{middle:g}" y="{top + 17 * n:g}">{line}</text>'
        for n, line in enumerate(lines, start=1)]
    return '\n'.join([
        f'<rect class="box {kind}" x="{x}" y="{y}" width="{width}" height="{height}" '
        'rx="6"/>', *texts])


def arrow(*points: tuple[int, int]) -> str:
    """An arrow through points."""
    return f'<path d="M{" L".join(f"{x} {y}" for x, y in points)}"/>'


def draw() -> str:
    """The picture as SVG."""
    width, height = SIZE
    parts = [
        box(15, 40, 130, 70, '', 'support', 'image and tag'),
        box(15, 200, 130, 70, '', 'query', 'image'),
        box(190, 40, 140, 230, 'frozen', 'backbone', 'ViT, frozen', 'DINO or DINOv2'),
        box(375, 15, 160, 76, 'frozen', 'labeler', 'pseudo-mask of the',
            'support, from keys', ),
        box(375, 150, 160, 120, 'learned', 'neck', 'correlates all query',
            'patches with the', 'masked support'),
        box(375, 310, 160, 58, 'extra', 'metric', 'before the neck'),
        box(600, 310, 160, 58, 'extra', 'prototypes, prior', 'round the neck'),
        box(600, 120, 150, 70, 'learned', 'cls_head', 'token map to logits'),
        box(600, 225, 150, 70, 'learned', 'seg_head', 'token map to logits'),
        box(810, 120, 135, 70, '', 'is it there?', 'probability'),
        box(810, 225, 135, 70, '', 'where?', 'mask'),
        arrow((145, 75), (188, 75)),
        arrow((145, 235), (188, 235)),
        arrow((330, 53), (373, 53)),
        arrow((330, 185), (373, 185)),
        arrow((330, 235), (373, 235)),
        arrow((455, 91), (455, 148)),
        arrow((455, 310), (455, 272)),
        arrow((535, 190), (567, 190), (567, 155), (598, 155)),
        arrow((535, 230), (567, 230), (567, 260), (598, 260)),
        arrow((675, 310), (675, 297)),
        arrow((750, 155), (808, 155)),
        arrow((750, 260), (808, 260)),
        '<text class="small" x="352" y="178">tokens</text>',
        '<text class="small" x="500" y="124">mask</text>',
        '<text class="small" x="190" y="345">blue: frozen</text>',
        '<text class="small" x="190" y="362">green: learned by episodes</text>',
        '<text class="small" x="190" y="379">dashed: optional</text>',
    ]
    body = '\n'.join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n'
        f'<style>{STYLE}</style>\n'
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" '
        'markerWidth="7" markerHeight="7" orient="auto">'
        '<polygon points="0,0 10,5 0,10" fill="#57606a"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        f'{body}\n</svg>\n')


if __name__ == '__main__':
    Path(__file__).with_name('model.svg').write_text(draw(), encoding='utf-8')
