"""COCO-20i split lists: a front of ``mmwsfs convert coco20i``."""

import sys

from mmwsfs.cli.convert import main

if __name__ == '__main__':
    main(['coco20i', *sys.argv[1:]])
