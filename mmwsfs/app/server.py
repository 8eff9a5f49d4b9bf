"""The server of the page: on this computer, without a word to any other."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mmwsfs.apis import FewShotInferencer

from .photographs import MAX_MEGABYTES


class Server:
    """Serves one model's page until it is closed; all that it kept is then deleted.

    Args:
        inferencer: the model.
        host: address to listen at.
        port: to listen at. None takes the first that is free from 7860 on.

    Attributes:
        url: of the page.
        folder: where uploads and results are while it serves.

    Raises:
        OSError: it cannot listen there.
    """

    def __init__(self, inferencer: FewShotInferencer, host: str = '127.0.0.1',
                 port: int | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix='mmwsfs-app-')
        self.folder = Path(self._folder.name)
        # Read by gradio as it is imported, or as a component is made.
        os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
        before = os.environ.get('GRADIO_TEMP_DIR', '')  # empty is as none
        os.environ['GRADIO_TEMP_DIR'] = str(self.folder / 'uploads')
        from .finder import Finder
        from .page import EXAMPLE_FOLDER, build_page
        from .session import Sessions
        from .theme import CSS, make_theme

        self._blocks = build_page(Finder(inferencer), Sessions(self.folder))
        try:
            _, self.url, _ = self._blocks.launch(
                server_name=host, server_port=port, share=False, quiet=True,
                prevent_thread_lock=True, theme=make_theme(), css=CSS,
                footer_links=[], max_file_size=f'{4 * MAX_MEGABYTES}mb',
                ssr_mode=False, pwa=False, allowed_paths=[str(EXAMPLE_FOLDER)])
        except OSError as error:
            os.environ['GRADIO_TEMP_DIR'] = before
            self._folder.cleanup()
            raise OSError(
                f"no page can be served at '{host}', port {port or '7860 to 7959'}: "
                'the port is taken, or the address is not of this computer'
            ) from error

    def wait(self) -> None:
        """Serve until Ctrl-C."""
        self._blocks.block_thread()

    def close(self) -> None:
        """Serve no longer, and delete uploads and results."""
        self._blocks.close(verbose=False)
        self._folder.cleanup()
