"""Train the model of a config: a front of ``mmwsfs train``."""

from mmwsfs.cli.train import main

if __name__ == '__main__':
    main()
