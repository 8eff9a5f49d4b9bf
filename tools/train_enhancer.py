"""Train the pseudo-label enhancer alone: a front of ``mmwsfs.cli.train_enhancer``."""

from mmwsfs.cli.train_enhancer import main

if __name__ == '__main__':
    main()
