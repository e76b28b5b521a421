#!/usr/bin/env bash
# tools/train.py on several processes of this node, one a GPU (by gloo where there is no CUDA).
#
#   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
#
# When a process is lost, all start again and go on from the newest checkpoint, up to MAX_RESTARTS
# times (default 3). Several nodes: run it on each, with NNODES, NODE_RANK and MASTER_ADDR set (and PORT,
# where 29500 is taken). On one node they meet at any free port.
set -euo pipefail
if (($# < 2)); then
    echo "usage: $0 CONFIG PROCESSES [options of tools/train.py]" >&2
    exit 2
fi
tools=$(dirname "${BASH_SOURCE[0]}")
export MAX_RESTARTS=${MAX_RESTARTS:-3}
exec "$tools/torchrun.sh" "$2" "$tools/train.py" "$1" --launcher pytorch "${@:3}"
