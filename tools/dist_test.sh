#!/usr/bin/env bash
# tools/test.py on several processes of this node, one a GPU (by gloo where there is no CUDA).
#
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
#
# Several nodes: run it on each, with NNODES, NODE_RANK and MASTER_ADDR set (and PORT,
# where 29500 is taken). On one node they meet at any free port.
set -euo pipefail
if (($# < 3)); then
    echo "usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py]" >&2
    exit 2
fi
tools=$(dirname "${BASH_SOURCE[0]}")
exec "$tools/torchrun.sh" "$3" "$tools/test.py" "$1" "$2" --launcher pytorch "${@:4}"
