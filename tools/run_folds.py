"""Train and test all folds: a front of ``mmwsfs folds``."""

from mmwsfs.cli.folds import main

if __name__ == '__main__':
    main()
