#!/usr/bin/env bash
# Two processes by torchrun on two "machines", which both are this one, against one
# process: prints a line for each thing that holds, and ends with an error at the first
# that does not.
set -euo pipefail
cd "$(dirname "$0")"
PYTHONPATH="../..:${PYTHONPATH:-}" python launcher_check.py two_nodes
