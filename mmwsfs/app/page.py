"""The page: what is on it, and what happens on a click."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from mmwsfs.utils.image_file import read_image

from .download import write_zip
from .drawing import drawn_area, stretch
from .examples import Example, find_examples
from .finder import ClassInput, Finder
from .photographs import (
    MAX_MEGABYTES,
    MAX_MEGAPIXELS,
    NotUsable,
    check_photograph,
    read_preview,
)
from .session import Session, Sessions
from .views import (
    caption,
    draw_answer,
    draw_looked,
    looked_caption,
    outline,
    presence_table,
)

MAX_CLASSES = 4
_EDITOR_SIDE = 640
_GALLERY: dict[str, Any] = dict(object_fit='contain', buttons=[], fit_columns=False)
_LIGHT: dict[str, Any] = dict(
    api_visibility='private', show_progress='hidden')
_UPLOADS: dict[str, Any] = dict(
    columns=4, interactive=True, sources=['upload'], allow_preview=False, **_GALLERY)

_HEAD = """# Find a new thing in your photographs
Show it in one photograph or a few, then look for it in others. No outlines are needed,
and nothing leaves the computer that serves this page: the model runs there.
"""
_DRAWING = """The model guesses where the thing is. Where it guesses wrong, click the
photograph above and draw on it. **What counts:** a point or a stroke on the thing
*grows* to all around it that looks alike to the model; of a box or an outline around
the thing, what is inside and looks alike counts. *Exactly as drawn* takes the drawing,
and what it encloses, as it is.
"""

_CLICK_SAVED = "() => setTimeout(() => document.querySelector('#saved').click(), 300)"
EXAMPLE_FOLDER = Path(gr.__file__).parent / 'media_assets/images'


def paths_of(gallery: Sequence[tuple[str, Any]] | None) -> list[str]:
    """The files in a gallery."""
    return [path for path, _ in gallery or []]


@contextmanager
def in_words() -> Iterator[None]:
    """Faults of what a person gave, as a line on the screen."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise gr.Error(
            escape(str(error)), title='This does not work', duration=None,
            print_exception=False) from error


class Page:
    """The handlers of one server's page, and what is kept for them.

    Args:
        finder: asks the model.
        sessions: of those who have the page open.
    """

    def __init__(self, finder: Finder, sessions: Sessions) -> None:
        self.finder = finder
        self.sessions = sessions

    def uploaded(self, gallery: list[tuple[str, Any]] | None) -> Any:
        """Take what is no photograph out of a gallery again, and say so."""
        good = []
        for item in gallery or []:
            try:
                check_photograph(item[0])
                good.append(item)
            except NotUsable as error:
                gr.Warning(escape(str(error)), title='Left out')
        return gr.skip() if len(good) == len(gallery or []) else good

    def find(self, request: gr.Request, count: int, threshold: float, opacity: float,
             edges: bool, queries: list[tuple[str, Any]] | None, *fields: Any,
             progress: gr.Progress = gr.Progress()) -> tuple:
        """Look for the first ``count`` classes in the queries."""
        session = self.sessions[request.session_hash]
        classes = []
        for number in range(count):
            name, supports, negatives = fields[3 * number:3 * number + 3]
            classes.append(ClassInput(
                (name or '').strip(), paths_of(supports), paths_of(negatives),
                {path: mask for (way, path), mask in session.drawn.items()
                 if way == number}))
        paths = paths_of(queries)
        progress((0, len(paths)), unit='photographs')
        with in_words():
            session.found = self.finder.find(
                classes, paths, session.empty_folder(),
                lambda error: gr.Warning(escape(str(error)), title='Left out'),
                lambda done: progress((done, len(paths)), unit='photographs'), edges)
        looked = [(draw_looked(each), looked_caption(session.found, each))
                  for each in session.found.looked]
        return (gr.Column(visible=True), gr.Gallery(looked, visible=True),
                *self.show(request, threshold, opacity))

    def show(self, request: gr.Request, threshold: float, opacity: float) -> tuple:
        """The answers, drawn by the threshold; the model is not asked again."""
        found = self.sessions[request.session_hash].found
        if found is None:
            return gr.skip(), gr.skip()
        with in_words():
            return (
                [(draw_answer(answer, threshold, opacity),
                  caption(found, answer, threshold)) for answer in found.answers],
                presence_table(found, threshold))

    def chooser(self, way: int) -> Callable[..., tuple]:
        """What a click on a support of a class does."""
        # Not a partial: gradio reads the types of the arguments.
        def choose(request: gr.Request, event: gr.SelectData,
                   gallery: list[tuple[str, Any]] | None) -> tuple:
            return self.choose(request, way, event.index, gallery)
        return choose

    def choose(self, request: gr.Request, way: int, index: int,
               gallery: list[tuple[str, Any]] | None) -> tuple:
        """Open a support for drawing."""
        path = paths_of(gallery)[index]
        session = self.sessions[request.session_hash]
        session.chosen = (way, path)
        with in_words():
            image = read_preview(path, _EDITOR_SIDE)
        return (
            gr.Group(visible=True),
            gr.ImageEditor(
                dict(background=image, layers=[], composite=None),
                label=f'Draw on {Path(path).name}'),
            gr.Image(
                self._drawn(session), visible=session.chosen in session.drawn))

    def draw(self, request: gr.Request, editor: dict | None, kind: str) -> gr.Image:
        """Keep the drawing as the mask of the support it is on."""
        session = self.sessions[request.session_hash]
        if session.chosen is None or editor is None or editor['background'] is None:
            raise gr.Error(
                'Click a photograph of a class first.', title='This does not work',
                print_exception=False)
        _, path = session.chosen
        with in_words():
            area = drawn_area(editor['layers'])
            if area is None:
                raise NotUsable('Nothing is drawn yet: draw on the photograph.')
            mask = area.filled if kind == 'exact' else self.finder.grow(
                np.ascontiguousarray(editor['background'][..., :3]), area)
            session.drawn[session.chosen] = stretch(mask, read_image(path).shape[:2])
            return gr.Image(self._drawn(session), visible=True)

    @staticmethod
    def _drawn(session: Session) -> np.ndarray | None:
        """The support that is drawn on, with its mask, if it has one."""
        if session.chosen is None or session.chosen not in session.drawn:
            return None
        way, path = session.chosen
        return outline(
            read_preview(path, _EDITOR_SIDE), session.drawn[session.chosen], way)

    def forget(self, request: gr.Request) -> gr.Image:
        """The model guesses again where the thing is in the chosen support."""
        session = self.sessions[request.session_hash]
        if session.chosen is not None:
            session.drawn.pop(session.chosen, None)
        return gr.Image(None, visible=False)

    def zip(self, request: gr.Request, threshold: float, opacity: float) -> str:
        """The file to download."""
        session = self.sessions[request.session_hash]
        with in_words():
            if session.found is None:
                raise NotUsable('There is nothing to download yet: press Find.')
            return str(write_zip(
                session.found, threshold, opacity,
                self.finder.inferencer.model_name, session.folder))

    def close(self, request: gr.Request) -> None:
        """The person has left."""
        self.sessions.close(request.session_hash)


def fill(example: Example) -> tuple:
    """What an example puts into the first class and the queries."""
    return (1, example.name, example.supports, example.negatives, example.queries,
            *visible_classes(1))


def visible_classes(count: int) -> list:
    """Updates of all classes' panels, then of the buttons that add and remove."""
    return [*(gr.Group(visible=number < count) for number in range(MAX_CLASSES)),
            gr.Button(interactive=count < MAX_CLASSES),
            gr.Button(visible=count > 1)]


def build_page(finder: Finder, sessions: Sessions) -> gr.Blocks:
    """Lay out the page.

    Args:
        finder: asks the model.
        sessions: of those who will open it.
    """
    page = Page(finder, sessions)
    with gr.Blocks(
            title='mmwsfs', analytics_enabled=False,
            delete_cache=(600, 6 * 3600)) as blocks:
        gr.Markdown(_HEAD, elem_id='head')
        with gr.Row():
            examples = [(example, gr.Button(f'Example: {example.label}', size='sm'))
                        for example in find_examples(EXAMPLE_FOLDER)]
        count = gr.State(1)
        fields: list[Any] = []
        panels = []
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                gr.Markdown('### 1 · What it looks like\nDrop photographs; click one '
                            'to draw on it, if you like.')
                for number in range(MAX_CLASSES):
                    panels.append(_class_panel(number, fields))
                with gr.Row():
                    add = gr.Button('Add a class', size='sm')
                    remove = gr.Button('Remove the last class', size='sm',
                                       visible=False)
                looked = gr.Gallery(
                    label='This is what I looked at', columns=3, height=210,
                    visible=False, interactive=False, elem_id='looked', **_GALLERY)
                with gr.Group(visible=False, elem_id='drawing') as drawing:
                    gr.Markdown(_DRAWING)
                    editor = gr.ImageEditor(
                        type='numpy', sources=(), transforms=(), layers=False,
                        height=_EDITOR_SIDE // 2 + 160, buttons=[],
                        brush=gr.Brush(
                            colors=['#ff2d78'], color_mode='fixed', default_size=8))
                    kind = gr.Radio(
                        [('Grow what I drew', 'grow'), ('Exactly as drawn', 'exact')],
                        value='grow', show_label=False, container=False)
                    with gr.Row():
                        use = gr.Button('Use the drawing', size='sm', variant='primary')
                        drop = gr.Button('Let the model guess', size='sm')
                    drawn = gr.Image(
                        label='This will count as the thing', interactive=False,
                        visible=False, height=220, buttons=[], elem_id='drawn')
            with gr.Column(scale=1, min_width=320):
                gr.Markdown('### 2 · Where to look\nAs many as you like.')
                queries = gr.Gallery(
                    label='Photographs to look in', height=190, elem_id='queries',
                    **_UPLOADS)
                edges = gr.Checkbox(
                    label="Follow the photograph's edges", container=False,
                    elem_id='edges')
                start = gr.Button('Find', variant='primary', elem_id='find')
                with gr.Column(visible=False, elem_id='results') as results:
                    gr.Markdown('### 3 · What was found')
                    answers = gr.Gallery(
                        label='Found', columns=2, interactive=False, format='png',
                        elem_id='answers', **_GALLERY)
                    table = gr.HTML(elem_id='presence')
                    with gr.Row():
                        threshold = gr.Slider(
                            0.05, 0.95, 0.5, step=0.01, label='Present from',
                            elem_id='threshold', buttons=[],
                            info='of this probability on; the model is not run again')
                        opacity = gr.Slider(
                            0, 1, 0.45, step=0.05, label='Colour', buttons=[],
                            elem_id='opacity', info='how strongly classes are painted')
                    save = gr.Button('Download everything (zip)', elem_id='save')
                    saved = gr.DownloadButton(visible='hidden', elem_id='saved')
        gr.Markdown(
            f'Photographs of at most {MAX_MEGABYTES} MB and {MAX_MEGAPIXELS} '
            'megapixels. Uploads are deleted within hours, at the latest as the server '
            'ends.')

        _connect_classes(count, panels, add, remove)
        for number in range(MAX_CLASSES):
            fields[3 * number + 1].select(
                page.chooser(number), fields[3 * number + 1],
                [drawing, editor, drawn], **_LIGHT)
        use.click(page.draw, [editor, kind], drawn, api_visibility='private')
        drop.click(page.forget, None, drawn, **_LIGHT)
        for gallery in [queries, *fields[1::3], *fields[2::3]]:
            gallery.upload(page.uploaded, gallery, gallery, **_LIGHT)
        start.click(
            page.find, [count, threshold, opacity, edges, queries, *fields],
            [results, looked, answers, table], api_visibility='private')
        for slider in (threshold, opacity):
            slider.change(page.show, [threshold, opacity], [answers, table],
                          trigger_mode='always_last', **_LIGHT)
        save.click(
            page.zip, [threshold, opacity], saved, api_visibility='private').then(
            None, js=_CLICK_SAVED)
        for example, button in examples:
            button.click(
                partial(fill, example), None,
                [count, *fields[:3], queries, *panels, add, remove], **_LIGHT)
        blocks.unload(page.close)
    return blocks


def _class_panel(number: int, fields: list[Any]) -> gr.Group:
    """The panel of one class; its name, supports and negatives go to ``fields``."""
    with gr.Group(visible=number == 0, elem_id=f'class-{number + 1}') as panel:
        fields.append(gr.Textbox(
            label=f'Name of class {number + 1}', placeholder='such as: my cat',
            max_length=100))
        fields.append(gr.Gallery(
            label='Photographs that show it', height=190,
            elem_id=f'supports-{number + 1}', **_UPLOADS))
        with gr.Accordion('What it is not (optional)', open=False) as negatives:
            fields.append(gr.Gallery(
                label='What it is taken for', height=170,
                elem_id=f'negatives-{number + 1}', **_UPLOADS))
        fields[-1].change(
            lambda given: gr.Accordion(open=True) if given else gr.skip(),
            fields[-1], negatives, **_LIGHT)
    return panel


def _connect_classes(count: gr.State, panels: list, add: gr.Button,
                     remove: gr.Button) -> None:
    """Let the two buttons show and hide panels."""
    for button, step in ((add, 1), (remove, -1)):
        button.click(
            lambda shown, step=step: (shown + step, *visible_classes(shown + step)),
            count, [count, *panels, add, remove], **_LIGHT)
